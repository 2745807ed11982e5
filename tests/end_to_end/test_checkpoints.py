"""The folder that a run leaves is a model for anybody."""

import json

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from fixtures.folders import model_folder
from fixtures.small_runs import command, rows, small_spec, weights_in
from posttrain.runs.display import Silent
from posttrain.runs.execute import run
from posttrain.settings.tasks import build_task


def test_it_loads_without_us_and_answers_as_the_summary_says(tmp_path, base):
    spec = small_spec("uft", base, tmp_path / "run", evaluation_tokens=6)
    summary = run(spec, Silent())
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "run" / "checkpoint")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "run" / "checkpoint")
    task = build_task(spec.task or {})
    answered = rows(tmp_path / "run" / "heldout.jsonl")
    correct = []
    for example, row in zip(task.examples("heldout", 8, 0), answered, strict=True):
        prompt = tokenizer(example.prompt, return_tensors="pt", add_special_tokens=False).input_ids
        written = model.generate(prompt, attention_mask=torch.ones_like(prompt), do_sample=False, max_new_tokens=6)
        response = tokenizer.decode(written[0, prompt.shape[1] :], skip_special_tokens=True)
        assert response == row["response"]
        correct.append(task.verify(response, example).score == 1.0)
    assert sum(correct) / 8 == summary["accuracy"]
    assert [row["correct"] for row in answered] == correct


def test_a_model_stored_in_bfloat16_is_trained_in_float32(tmp_path):
    """At this rate most weights move by less than bfloat16 can tell."""
    folder = model_folder(tmp_path / "model", "llama", torch.bfloat16)
    stored = AutoModelForCausalLM.from_pretrained(folder).state_dict()
    assert {w.dtype for w in stored.values()} == {torch.bfloat16}
    arguments = {"supervision": {"prompts_per_step": 4, "learning_rate": 1e-6, "warmup": 0.0}}
    run(small_spec("sft", folder, tmp_path / "run", steps=3, arguments=arguments), Silent())
    trained = weights_in(tmp_path / "run")
    assert {w.dtype for w in trained.values()} == {torch.float32}
    moved = torch.cat([(w != stored[name].float()).flatten() for name, w in trained.items()])
    lost = torch.cat([(w.bfloat16() == stored[name]).flatten() for name, w in trained.items()])
    assert float(moved.float().mean()) > 0.3  # embeddings of tokens that never occur stay
    assert float(lost[moved].float().mean()) > 0.5


def test_evaluate_gives_the_accuracy_of_the_run(tmp_path, base):
    spec = small_spec("sft", base, tmp_path / "run", evaluation_tokens=6)
    summary = run(spec, Silent())
    options = ["--task", "key_paths", "--set", "task.horizon=2", "--set", "task.symbols=3", "--examples", "8"]
    checkpoint = ["--model", tmp_path / "run" / "checkpoint", "--max-new-tokens", "6", "--precision", "float32"]
    answer = command("evaluate", *checkpoint, *options, "--samples", "4", "--out", tmp_path / "measured")
    assert answer.code == 0, answer.error
    measured = json.loads((tmp_path / "measured" / "summary.json").read_text())
    assert {k: measured[k] for k in ("accuracy", "ci95", "n")} == {k: summary[k] for k in ("accuracy", "ci95", "n")}
    assert list(measured["pass_at_k"]) == ["1", "2", "4"]
    assert_diversity(measured["diversity"], inputs=8)
    assert f"accuracy {summary['accuracy']:.1%}" in answer.out
    again = command("evaluate", *checkpoint, *options, "--out", tmp_path / "measured")
    assert (again.code, "is in use" in again.error) == (2, True)


def assert_diversity(found: dict, inputs: int) -> None:
    assert set(found) == {"distinct_correct", "per_input", "across_inputs"}
    for name, value in found["across_inputs"].items():
        among_samples = found["per_input"][name]
        low, high = among_samples["ci95"]
        assert among_samples["inputs"] == inputs
        assert 0 <= low <= among_samples["mean"] <= high
        assert 0 <= value < 2


def test_evaluate_ends_the_thinking_sooner_if_told(tmp_path, base):
    options = ["--task", "key_paths", "--set", "task.horizon=2", "--set", "task.symbols=3", "--examples", "8"]
    options += ["--model", base, "--max-new-tokens", "6", "--precision", "float32", "--samples", "1"]
    measured = {}
    for temperature in ("none", "1.0", "1e-6"):
        out = tmp_path / temperature
        asked = [] if temperature == "none" else ["--stop-temperature", temperature, "--thinking", ":", "."]
        answer = command("evaluate", *options, *asked, "--out", out)
        assert answer.code == 0, answer.error
        measured[temperature] = json.loads((out / "summary.json").read_text())
    plain, scaled, sooner = measured.values()
    assert scaled.pop("stop_scaling") == {"temperature": 1.0, "start": ":", "stop": "."}
    assert plain == scaled
    assert sooner["mean_tokens"] <= plain["mean_tokens"]
    assert set(plain["diversity"]) == {"distinct_correct", "across_inputs"}, "one sample has no diversity per input"


@pytest.mark.parametrize("steps", [0, 1])
def test_a_run_may_be_as_short_as_nothing(tmp_path, base, steps):
    summary = run(small_spec("uft", base, tmp_path / "run", steps=steps), Silent())
    assert (summary["steps"], summary["updates"] > 0) == (steps, steps > 0)
    assert len(rows(tmp_path / "run" / "heldout.jsonl")) == 8
