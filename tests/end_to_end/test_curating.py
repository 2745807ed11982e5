"""Runs that curate before they train, or train on pairs: stopped and resumed they are the same, bit for bit."""

import json
import math
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from fixtures.small_runs import ARGUMENTS, TASK, assert_same_run, command, rows, small_spec
from posttrain.curation.best_fit import BestFit
from posttrain.curation.self_correct import SelfCorrect
from posttrain.runs import execute
from posttrain.runs.display import Silent
from posttrain.runs.folder import INTERLUDES
from posttrain.runs.journal import Journal
from posttrain.runs.spec import RunSpec
from posttrain.runs.training import Interrupted
from posttrain.settings.tasks import build_task

STEPS = {"grape": 6, "s3ft": 6, "dpo": 6, "budget": 12}
CURATED = ("grape", "s3ft")


class Listening(Silent):
    """Remembers what a person would have been told."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def say(self, sentence: str) -> None:
        self.heard.append(sentence)


@pytest.fixture(scope="session")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Problems with several answers each, and one that is rejected.

    Every second problem is one that the base has learnt to solve; the others have another solution than it believes.
    """
    path = tmp_path_factory.mktemp("pool") / "walks.jsonl"
    task = build_task(TASK)
    made = []
    for n, example in enumerate(task.examples("train", 120, 1)):
        first, second = example.answer if n % 2 else example.answer.translate(str.maketrans("wxyz", "zwxy"))
        walks = [f"{first}{second}.", f"{first} {second}.", f"{first}, {second}.", f"{first} > {second}"]
        pair = {"demonstrations": [*walks[n % 4 :], *walks[: n % 4]], "rejected": f"{second}{second}{second}."}
        made.append({"prompt": example.prompt, "answer": first + second, "task": "key_paths", **pair})
    path.write_text("".join(json.dumps(row) + "\n" for row in made))
    return path


def spec(method: str, base: Path, out: Path, pool: Path) -> RunSpec:
    return small_spec(method, base, out, data=str(pool))


@pytest.fixture(scope="session")
def whole(base: Path, pool: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Runs that nobody stopped."""
    folder = tmp_path_factory.mktemp("whole")
    for method in STEPS:
        execute.run(spec(method, base, folder / method, pool), Silent())
    return {method: folder / method for method in STEPS}


def stop_after(monkeypatch: pytest.MonkeyPatch, step: int) -> Callable[[], bool]:
    """Asked after every step whether to stop: yes once this one is written down."""
    plain, written = Journal.step, []

    def noted(self, stage, number, record, spent):
        written.append(number)
        return plain(self, stage, number, record, spent)

    monkeypatch.setattr(Journal, "step", noted)
    return lambda: step in written


def refuse(*ignored: object) -> None:
    raise AssertionError("curation was done again, with weights that have moved")


@pytest.mark.parametrize(
    ("method", "step"), [("grape", 2), ("grape", 5), ("s3ft", 2), ("dpo", 3), ("budget", 6), ("budget", 8)]
)
def test_stopped_and_resumed_it_is_the_same_run(monkeypatch, tmp_path, base, pool, whole, method, step):
    out = tmp_path / "run"
    with pytest.raises(Interrupted, match=f"after step {step} of {STEPS[method]}"):
        execute.run(spec(method, base, out, pool), Silent(), stop=stop_after(monkeypatch, step))
    for part in (BestFit, SelfCorrect):
        monkeypatch.setattr(part, "run", refuse)
    execute.resume(out, Silent())
    assert_same_run(out, whole[method])
    if method in CURATED:
        assert rows(out / INTERLUDES) == rows(whole[method] / INTERLUDES)


@pytest.mark.parametrize("method", CURATED)
def test_a_run_that_was_killed_goes_on_from_its_last_checkpoint(monkeypatch, tmp_path, base, pool, whole, method):
    out = tmp_path / "run"
    plain = Journal.step

    def killed(self, stage, number, record, spent):
        row = plain(self, stage, number, record, spent)
        if number == 5:
            raise KeyboardInterrupt
        return row

    with monkeypatch.context() as patched:
        patched.setattr(Journal, "step", killed)
        with pytest.raises(KeyboardInterrupt):
            execute.run(spec(method, base, out, pool), Silent())
    execute.resume(out, Silent())
    assert_same_run(out, whole[method])


def test_what_was_chosen_is_written_down_and_trained_on(whole):
    (row,) = rows(whole["grape"] / INTERLUDES)
    assert (row["interlude"], row["step"]) == ("best fit", 0)
    assert (row["candidates"], row["candidates_kept"], row["examples"]) == (48, 12, 12)
    assert row["fit_of_kept"] > row["fit_of_scored"]
    trained, first = ([r["given"] for r in rows(whole[m] / "rollouts.jsonl")] for m in ("grape", "dpo"))
    learnt = re.compile("[wxyz]{2}[.]")  # the hand that the base writes
    assert all(map(learnt.fullmatch, trained))
    assert not all(map(learnt.fullmatch, first))


def test_whose_words_were_taken_is_written_down(whole):
    (row,) = rows(whole["s3ft"] / INTERLUDES)
    assert row["self"] + row["paraphrase"] + row["gold"] == row["examples"] == 12
    assert row["step"] == 0
    assert row["self"] > 0
    assert row["gold"] > 0
    assert row["fit_of_self"] > row["fit_of_gold"]


def test_what_was_sampled_before_training_belongs_to_the_cost_of_the_run(whole):
    (row,) = rows(whole["s3ft"] / INTERLUDES)
    summary = json.loads((whole["s3ft"] / "summary.json").read_text())
    assert summary["tokens_sampled"] == row["self_tokens_sampled"] + row["paraphrase_tokens_sampled"] > 0
    assert summary["completions_sampled"] == 12 + (12 - row["self"])  # the paraphrase is tried where the own word fails


def test_what_was_scored_before_training_belongs_to_the_cost_of_the_run(whole):
    (row,) = rows(whole["grape"] / INTERLUDES)
    first, *_ = rows(whole["grape"] / "metrics.jsonl")
    summary = json.loads((whole["grape"] / "summary.json").read_text())
    assert (summary["completions_sampled"], summary["tokens_sampled"]) == (0, 0)
    passes = 2 * row["tokens_scored"] + 6 * first["tokens_trained"]
    assert first["flops"] == summary["parameters"] * passes


def test_the_replies_of_a_judge_that_is_a_model_are_paid_for(tmp_path, base, pool):
    arguments = {**ARGUMENTS["s3ft"], "judge": {"model_judge": {"template": "{prompt}{gold}{answer}"}}}
    summary = execute.run(small_spec("s3ft", base, tmp_path / "run", data=str(pool), arguments=arguments), Silent())
    (row,) = rows(tmp_path / "run" / INTERLUDES)
    written = 12 + (12 - row["self"])
    judged = row["self_judged"] + row["paraphrase_judged"]
    assert judged > 0
    assert summary["completions_sampled"] == written + judged
    assert summary["tokens_sampled"] >= row["self_tokens_sampled"] + row["paraphrase_tokens_sampled"] + judged


def test_methods_without_curation_have_no_such_file(whole):
    assert not (whole["dpo"] / INTERLUDES).exists()


def test_a_person_is_told(tmp_path, base, pool):
    heard = Listening()
    execute.run(spec("grape", base, tmp_path / "run", pool), heard)
    assert "best fit …" in heard.heard
    (told,) = [sentence for sentence in heard.heard if sentence.startswith("best fit: ")]
    assert "examples 12, examples_left_out 0, candidates 48" in told


def test_an_interlude_that_is_done_again_replaces_its_row(tmp_path, text):
    journal = Journal(tmp_path, text, 0)
    journal.interlude("first", 0, {"examples": 3})
    journal.interlude("second", 4, {"fit": math.nan})
    journal.interlude("first", 0, {"examples": 5})
    assert rows(tmp_path / INTERLUDES) == [
        {"interlude": "second", "step": 4, "fit": None},
        {"interlude": "first", "step": 0, "examples": 5},
    ]


@pytest.mark.parametrize("method", ["dpo", "budget"])
def test_pairs_of_a_task_can_be_trained_on(tmp_path, base, method):
    summary = execute.run(small_spec(method, base, tmp_path / "run"), Silent())
    assert summary["steps"] == STEPS[method]
    losses = [row["loss/preference"] for row in rows(tmp_path / "run" / "metrics.jsonl") if "loss/preference" in row]
    assert losses[0] == pytest.approx(math.log(2), abs=1e-5)
    assert losses[-1] < losses[0]


def test_an_example_without_its_pair_is_named_before_anything_is_loaded(tmp_path, base, pool):
    bare = [{k: v for k, v in json.loads(line).items() if k != "rejected"} for line in pool.read_text().splitlines()]
    path = tmp_path / "bare.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in bare))
    counts = ["--training-examples", "12", "--evaluation-examples", "6", "--steps", "2"]
    answer = command("run", "dpo", "--model", base, "--data", path, *counts, "--out", tmp_path / "run")
    assert (answer.code, answer.error.count("\n")) == (2, 1)
    assert "has no rejected answer, which this method learns to avoid" in answer.error
    assert not (tmp_path / "run").exists()
