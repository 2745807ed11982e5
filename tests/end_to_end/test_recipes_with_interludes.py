"""Recipes with adapters and with arithmetic on weights: stopped and resumed, and what their checkpoints hold."""

import json
from pathlib import Path

import pytest
import torch

from fixtures.small_runs import TASK, assert_same_run, command, small_spec, weights_in
from posttrain.runs import execute
from posttrain.runs.display import Silent
from posttrain.runs.training import Interrupted
from posttrain.tasks.key_paths import KeyPaths
from tolerances import MODEL

STEPS = {"spiel": 8, "lt_sft": 8, "past": 10}
"""Of the whole recipe: two per stage, but for the one of spiel."""


def spec_of(method: str, base: Path, out: Path, **changes):
    steps = {"spiel": 8, "lt_sft": 4, "past": 2}[method]
    return small_spec(method, base, out, **{"steps": steps, **changes})


@pytest.fixture(scope="session")
def whole(base: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Runs that nobody stopped."""
    folder = tmp_path_factory.mktemp("whole")
    for method in STEPS:
        execute.run(spec_of(method, base, folder / method), Silent())
    return {method: folder / method for method in STEPS}


def stopping_after(step: int):
    """Asks a run to stop when it has been asked so often."""
    asked = 0

    def stop() -> bool:
        nonlocal asked
        asked += 1
        return asked >= step

    return stop


@pytest.mark.parametrize(
    ("method", "step"),
    [("spiel", 2), ("spiel", 4), ("lt_sft", 3), ("lt_sft", 4), ("lt_sft", 6), ("past", 4), ("past", 7), ("past", 9)],
)
def test_stopping_and_resuming_change_nothing(tmp_path, base, whole, method, step):
    out = tmp_path / "run"
    with pytest.raises(Interrupted):
        execute.run(spec_of(method, base, out), Silent(), stop=stopping_after(step))
    assert not (out / "summary.json").exists()
    execute.resume(out, Silent())
    assert_same_run(out, whole[method])


def test_the_last_checkpoint_holds_what_was_added_at_the_end(tmp_path, base, whole):
    arguments = {**spec_of("past", base, tmp_path).arguments, "scale": 0.0}
    execute.run(spec_of("past", base, tmp_path / "run", arguments=arguments), Silent())
    without, with_skill = weights_in(tmp_path / "run"), weights_in(whole["past"])
    assert all(not torch.equal(without[name], with_skill[name]) for name in without)
    assert json.loads((whole["past"] / "summary.json").read_text())["steps"] == STEPS["past"]


def test_a_run_that_was_killed_after_its_last_interlude_does_not_repeat_it(monkeypatch, tmp_path, base, whole):
    out = tmp_path / "run"
    with monkeypatch.context() as patched:
        patched.setattr(execute, "write_summary", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            execute.run(spec_of("past", base, out), Silent())
    execute.resume(out, Silent())
    assert_same_run(out, whole["past"])


def test_domains_come_from_a_file(tmp_path, base):
    task = KeyPaths(horizon=TASK["horizon"], symbols=TASK["symbols"])
    rows = [
        {
            "prompt": e.prompt,
            "answer": e.answer,
            "task": "key_paths",
            "demonstration": {"chunks": list(e.demonstrations[0].chunks), "tail": e.demonstrations[0].tail},
            "facts": {"domain": "history" if number % 2 else "law"},
        }
        for split in ("train", "heldout")
        for number, e in enumerate(task.examples(split, 12, 0))
    ]
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    options = ["--model", base, "--data", path, "--training-examples", "8", "--evaluation-examples", "4"]
    options += ["--set", "reinforcement.prompts_per_step=4", "--set", "reinforcement.groups_per_update=2"]
    options += ["--set", "max_new_tokens=6", "--set", "supervision.prompts_per_step=4", "--steps", "1"]
    chosen = ["--set", "source=law", "--set", "target=history"]
    refused = command("run", "past", *options, "--out", tmp_path / "run")
    assert (refused.code, "say which is the source and the target" in refused.error) == (2, True)
    done = command("run", "past", *options, *chosen, "--out", tmp_path / "run")
    assert done.code == 0, done.error
    asked = [json.loads(line) for line in (tmp_path / "run" / "rollouts.jsonl").read_text().splitlines()]
    assert {row["stage"] for row in asked} == {
        f"{kind} {k}" for kind in ("supervised", "reinforced") for k in (1, 2)
    } | {"target"}


def test_a_finished_vector_is_moved_onto_another_model(tmp_path, base, whole):
    other = whole["spiel"] / "checkpoint"
    arguments = {**spec_of("lt_sft", base, tmp_path).arguments, "transfer": str(other)}
    execute.run(spec_of("lt_sft", base, tmp_path / "run", arguments=arguments), Silent())
    start, target, task = weights_in(base.parent), weights_in(other.parent), weights_in(whole["lt_sft"])
    for name, value in weights_in(tmp_path / "run").items():
        torch.testing.assert_close(value, target[name] + (task[name] - start[name]), rtol=0, atol=MODEL)
