"""A run that was stopped and goes on is the run that was never stopped, bit for bit."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fixtures.small_runs import assert_same_run, command, files_in, rows, small_spec
from posttrain.runs import execute, recipe_file
from posttrain.runs.display import Silent
from posttrain.runs.journal import Journal
from posttrain.runs.training import Interrupted

STEPS = {"uft": 6, "sft_rft": 12}


@pytest.fixture(scope="session")
def whole(base: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Runs of both methods that nobody stopped."""
    folder = tmp_path_factory.mktemp("whole")
    for method in STEPS:
        execute.run(small_spec(method, base, folder / method), Silent())
    return {method: folder / method for method in STEPS}


def interrupt_at(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """A SIGINT while this step is written down."""
    plain = Journal.step

    def interrupted(self, stage, number, record, spent):
        if number == step:
            signal.raise_signal(signal.SIGINT)
        return plain(self, stage, number, record, spent)

    monkeypatch.setattr(Journal, "step", interrupted)


@pytest.mark.parametrize(
    ("method", "step"), [("uft", 2), ("uft", 3), ("uft", 5), ("sft_rft", 2), ("sft_rft", 6), ("sft_rft", 8)]
)
def test_ctrl_c_and_resume_change_nothing(monkeypatch, tmp_path, base, whole, method, step):
    out = tmp_path / "run"
    with monkeypatch.context() as patched:
        interrupt_at(patched, step)
        with pytest.raises(Interrupted, match=f"after step {step} of {STEPS[method]}; go on with --resume"):
            execute.run(small_spec(method, base, out), Silent())
    assert len(rows(out / "metrics.jsonl")) == step
    assert (out / "report.html").is_file()
    assert not (out / "summary.json").exists()
    execute.resume(out, Silent())
    assert_same_run(out, whole[method])


def test_it_may_be_stopped_again_and_again(monkeypatch, tmp_path, base, whole):
    out = tmp_path / "run"
    with monkeypatch.context() as patched:
        interrupt_at(patched, 4)
        with pytest.raises(Interrupted):
            execute.run(small_spec("sft_rft", base, out), Silent())
    for step in (5, 7, 11):
        with monkeypatch.context() as patched:
            interrupt_at(patched, step)
            with pytest.raises(Interrupted):
                execute.resume(out, Silent())
    execute.resume(out, Silent())
    assert_same_run(out, whole["sft_rft"])


@pytest.mark.parametrize("method", STEPS)
def test_a_run_that_was_killed_goes_on_from_its_last_checkpoint(monkeypatch, tmp_path, base, whole, method):
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
            execute.run(small_spec(method, base, out), Silent())
    with (out / "metrics.jsonl").open("a") as file:
        file.write('{"step": 6, "torn')
    execute.resume(out, Silent())
    assert_same_run(out, whole[method])


def test_a_run_that_was_killed_in_its_last_evaluation_repeats_that(monkeypatch, tmp_path, base, whole):
    out = tmp_path / "run"
    with monkeypatch.context() as patched:
        patched.setattr(execute, "write_summary", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            execute.run(small_spec("uft", base, out), Silent())
    execute.resume(out, Silent())
    assert_same_run(out, whole["uft"])


def test_ctrl_c_from_a_terminal(tmp_path, base):
    spec = small_spec("uft", base, tmp_path / "stopped", steps=60, evaluate_every=100)
    recipe_file.write(tmp_path, spec)
    arguments = [sys.executable, "-m", "posttrain.cli.main", "run", str(tmp_path / "recipe.yaml"), "--out", spec.out]
    process = subprocess.Popen(
        arguments, env=os.environ | {"OMP_NUM_THREADS": "1"}, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    metrics = Path(spec.out) / "metrics.jsonl"
    while process.poll() is None and not (metrics.exists() and metrics.read_bytes().count(b"\n") > 4):
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130, error
    last = error.strip().splitlines()[-1]
    assert last.startswith("posttrain: stopped after step")
    assert f"--resume {spec.out}" in last
    assert "Traceback" not in error
    done = command("run", "--resume", spec.out)
    assert done.code == 0, done.error
    execute.run(dataclasses.replace(spec, out=str(tmp_path / "whole")), Silent())
    assert_same_run(Path(spec.out), tmp_path / "whole")


def test_a_finished_run_has_nothing_left_to_do(whole):
    before = {name: (whole["uft"] / name).read_bytes() for name in ("summary.json", "metrics.jsonl")}
    answer = command("run", "--resume", whole["uft"])
    assert answer.code == 0
    assert "nothing is left to do" in answer.out
    assert before == {name: (whole["uft"] / name).read_bytes() for name in before}


def test_the_recipe_run_again_is_the_same_run(tmp_path, whole):
    for method, folder in whole.items():
        answer = command("run", folder / "recipe.yaml", "--out", tmp_path / method)
        assert answer.code == 0, answer.error
        assert_same_run(tmp_path / method, folder)
        assert (tmp_path / method / "recipe.yaml").read_text() == (folder / "recipe.yaml").read_text()


def test_a_run_leaves_what_it_promises(whole):
    assert {*files_in(whole["uft"])} >= {
        "recipe.yaml",
        "metrics.jsonl",
        "rollouts.jsonl",
        "summary.json",
        "checkpoint/config.json",
        "report.html",
    }
    assert not [name for name in files_in(whole["uft"]) if name.startswith(".")]
    summary = json.loads((whole["uft"] / "summary.json").read_text())
    assert {"accuracy", "ci95", "valid_rate", "n", "steps", "tokens_sampled", "tokens_trained", "seconds"} <= {*summary}
    assert {"accuracy", "pass_at_k"} <= {*summary["base"]}
    assert [row["step"] for row in rows(whole["uft"] / "evaluations.jsonl")] == [0, 3, 6]
    assert any(row["reward"] > 0 for row in rows(whole["uft"] / "metrics.jsonl"))  # else these tests show little
