"""What stops a run: it says why in a sentence, and what was good is kept."""

import errno
import itertools
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from fixtures.small_runs import command, files_in, rows, small_spec, weights_in
from posttrain import loop
from posttrain.errors import UserError
from posttrain.objectives.cross_entropy import CrossEntropy
from posttrain.runs import checkpoint, recipe_file
from posttrain.runs.display import Silent
from posttrain.runs.execute import resume, run
from posttrain.tasks.key_paths import KeyPaths
from posttrain.types import Verdict


def run_file(folder: Path, spec) -> Path:
    """The run as a file for the command line."""
    recipe_file.write(folder, spec)
    return folder / "recipe.yaml"


def finite(run_folder: Path) -> bool:
    return all(bool(torch.isfinite(w).all()) for w in weights_in(run_folder).values())


def nan_from_call(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """The loss of the ``number``-th pass and all later ones is nan."""
    calls, plain = [], CrossEntropy.__call__

    def spoilt(self, forward, batch):
        calls.append(1)
        return plain(self, forward, batch) * (float("nan") if len(calls) >= number else 1.0)

    monkeypatch.setattr(CrossEntropy, "__call__", spoilt)


def test_a_nan_before_any_checkpoint_keeps_the_weights_of_before(monkeypatch, tmp_path, base):
    straight = small_spec("sft", base, tmp_path / "two", steps=6, evaluate_every=2)
    nan_from_call(monkeypatch, 3)
    answer = command(
        "run", run_file(tmp_path, small_spec("sft", base, tmp_path, evaluate_every=9)), "--out", tmp_path / "a"
    )
    assert answer.code == 2
    assert answer.error.count("\n") == 1
    assert "the loss is nan at step 3 of stage 'supervised'; the weights of before that update are in" in answer.error
    assert len(rows(tmp_path / "a" / "metrics.jsonl")) == 2
    assert (tmp_path / "a" / "report.html").is_file()
    monkeypatch.undo()
    nan_from_call(monkeypatch, 3)
    with pytest.raises(UserError, match="the last good checkpoint is kept"):
        run(straight, Silent())
    ours, theirs = weights_in(tmp_path / "a"), weights_in(tmp_path / "two")
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_a_nan_keeps_the_last_good_checkpoint(monkeypatch, tmp_path, base):
    nan_from_call(monkeypatch, 6)
    answer = command("run", run_file(tmp_path, small_spec("sft", base, tmp_path)), "--out", tmp_path / "run")
    assert answer.code == 2
    assert f"the last good checkpoint is kept in {tmp_path / 'run' / 'checkpoint'}" in answer.error
    state = checkpoint.read(tmp_path / "run" / "checkpoint")
    assert (checkpoint.standing(state).step, finite(tmp_path / "run")) == (3, True)
    monkeypatch.undo()
    assert resume(tmp_path / "run", Silent())["steps"] == 6


def test_a_diverging_run_stops_and_leaves_finite_weights(tmp_path, base):
    arguments = {"supervision": {"prompts_per_step": 4, "learning_rate": 1e30, "warmup": 0.0}}
    spec = small_spec("sft", base, tmp_path, arguments=arguments)
    answer = command("run", run_file(tmp_path, spec), "--out", tmp_path / "run")
    assert answer.code == 2
    assert answer.error.count("\n") == 1
    assert "of stage 'supervised'" in answer.error
    assert "Traceback" not in answer.error
    assert not (tmp_path / "run" / "checkpoint").exists() or finite(tmp_path / "run")


def test_an_update_that_makes_weights_infinite_never_replaces_a_checkpoint(monkeypatch, tmp_path, base):
    plain, calls = loop._update, []

    def spoiling(session, runtime, now):
        norm = plain(session, runtime, now)
        calls.append(1)
        if len(calls) == 6:
            with torch.no_grad():
                session.policy.trainable()[0].fill_(float("inf"))
        return norm

    monkeypatch.setattr(loop, "_update", spoiling)
    answer = command("run", run_file(tmp_path, small_spec("sft", base, tmp_path)), "--out", tmp_path / "run")
    assert answer.code == 2
    assert "a weight is no longer finite after step 6" in answer.error
    assert (len(rows(tmp_path / "run" / "metrics.jsonl")), finite(tmp_path / "run")) == (6, True)


def test_what_a_stopped_step_used_up_is_counted_once(monkeypatch, tmp_path, base):
    spec = small_spec("uft", base, tmp_path / "stopped")
    monkeypatch.setattr(CrossEntropy, "__call__", lambda self, forward, batch: forward.logprobs * float("nan"))
    with pytest.raises(UserError, match="the loss is nan at step 1"):
        run(spec, Silent())
    assert checkpoint.read(tmp_path / "stopped" / "checkpoint")["spent"]["completions_sampled"] == 0


def verdicts(monkeypatch: pytest.MonkeyPatch, judged) -> None:
    """Every answer is judged by ``judged(response, example, number of this answer)``."""
    numbers = itertools.count(1)  # one after the other, whoever asks

    def verify(self, response, example):
        return judged(response, example, next(numbers))

    monkeypatch.setattr(KeyPaths, "verify", verify)


def test_unscorable_answers_drop_their_groups_and_are_counted(monkeypatch, tmp_path, base):
    """One answer of the first step; in evaluation one of each eight, which counts as wrong."""
    evaluated = 8 * 3
    verdicts(
        monkeypatch,
        lambda response, example, n: (
            Verdict(None, "timed out", False) if n in (1, evaluated + 1) else Verdict(1.0, "right", True)
        ),
    )
    summary = run(small_spec("rft", base, tmp_path / "run"), Silent())
    first, *others = rows(tmp_path / "run" / "metrics.jsonl")
    assert (first["unscorable"], first["groups_dropped"], first["sequences"]) == (1, 1, 9)
    assert {(row["unscorable"], row["groups_dropped"], row["sequences"]) for row in others} == {(0, 0, 12)}
    assert summary["answers_unscorable"] == 1
    assert (summary["base"]["unscorable"], summary["base"]["accuracy"]) == (1, 7 / 8)
    unscored = [row for row in rows(tmp_path / "run" / "rollouts.jsonl") if row["score"] is None]
    assert [row["reason"] for row in unscored] == ["timed out"]


def test_a_step_whose_groups_were_all_dropped_is_no_error(monkeypatch, tmp_path, base):
    verdicts(monkeypatch, lambda response, example, n: Verdict(None, "killed", False))
    run(small_spec("rft", base, tmp_path / "run", steps=1), Silent())
    (row,) = rows(tmp_path / "run" / "metrics.jsonl")
    assert (row["groups_dropped"], row["sequences"], row["reward"], row["gradient_norm"]) == (4, 0, None, None)


def test_more_than_one_in_a_hundred_unscorable_stops(monkeypatch, tmp_path, base):
    verdicts(monkeypatch, lambda response, example, n: Verdict(None if n % 25 == 0 else 1.0, "timed out", True))
    spec = small_spec("rft", base, tmp_path, steps=20, evaluate_every=100)
    answer = command("run", run_file(tmp_path, spec), "--out", tmp_path / "run")
    assert answer.code == 2
    assert answer.error.count("\n") == 1
    assert "answers could not be judged (limit 1%)" in answer.error
    done = len(rows(tmp_path / "run" / "metrics.jsonl"))
    assert checkpoint.standing(checkpoint.read(tmp_path / "run" / "checkpoint")).step == done == 8
    assert (tmp_path / "run" / "report.html").is_file()


@pytest.mark.parametrize("number", [3, 8 * 3 + 5])
def test_a_verifier_that_raises_stops_with_the_example(monkeypatch, tmp_path, base, number):
    """In evaluation (3) as in training."""

    def judged(response, example, n):
        if n == number:
            raise ZeroDivisionError("of all things")
        return Verdict(0.1, "wrong", True)

    verdicts(monkeypatch, judged)
    answer = command("run", run_file(tmp_path, small_spec("rft", base, tmp_path)), "--out", tmp_path / "run")
    assert answer.code == 1
    assert answer.error.count("\n") == 1
    assert "the verifier failed on example 'key_paths/" in answer.error
    assert "ZeroDivisionError: of all things" in answer.error
    assert "response: " in answer.error
    log = (tmp_path / "run" / "log.txt").read_text()
    assert "Traceback" in log
    assert "answer: '" in log


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 400 KiB."""
    if os.geteuid() or not shutil.which("mount"):
        pytest.skip("mounting needs root")
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", disk], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip("mounting is not allowed here")
    yield disk
    subprocess.run(["umount", disk], check=True)


def test_a_full_disk(small_disk, tmp_path, base):
    answer = command("run", run_file(tmp_path, small_spec("uft", base, tmp_path)), "--out", small_disk / "run")
    assert answer.code == 2
    assert answer.error.count("\n") == 1
    assert "no space is left to write" in answer.error
    assert not [name for name in files_in(small_disk) if "/." in name or "summary" in name or "checkpoint" in name]
    for name in ("metrics.jsonl", "rollouts.jsonl", "evaluations.jsonl"):
        rows(small_disk / "run" / name)  # whole rows


@pytest.mark.parametrize("full", ["replace", "write"])
def test_a_disk_that_fills_up_keeps_the_checkpoint_before(monkeypatch, tmp_path, base, full):
    spec = small_spec("sft", base, tmp_path)
    saves, plain = [], torch.save

    def refused(*arguments):
        saves.append(1)
        if len(saves) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        plain(*arguments)

    def refused_write(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    if full == "replace":
        monkeypatch.setattr(torch, "save", refused)
    else:
        monkeypatch.setattr("posttrain.report.page._write_whole", refused_write)
    answer = command("run", run_file(tmp_path, spec), "--out", tmp_path / "run")
    assert answer.code == 2
    assert answer.error.count("\n") == 1
    assert "no space is left" in answer.error
    state = checkpoint.read(tmp_path / "run" / "checkpoint")
    assert checkpoint.standing(state).step == (3 if full == "replace" else 6)
    assert not [name for name in files_in(tmp_path / "run") if name.startswith(".")]
    monkeypatch.undo()
    assert command("run", "--resume", tmp_path / "run").code == 0
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["steps"] == 6


def test_rows_that_do_not_fit_leave_the_file_as_it_was(monkeypatch, tmp_path):
    from posttrain.runs import folder

    path = tmp_path / "metrics.jsonl"
    folder.append_rows(path, [{"step": 1, "text": "\u2028 \u0085"}])
    before, plain = path.read_bytes(), Path.open

    class Full:
        def __init__(self, stream):
            self.stream = stream

        def __enter__(self):
            return self

        def __exit__(self, *error):
            self.stream.close()

        def write(self, text):
            self.stream.write(text[: len(text) // 2])
            self.stream.flush()
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "open", lambda self, *a, **k: Full(plain(self, *a, **k)))
    with pytest.raises(UserError, match="no space is left"):
        folder.append_rows(path, [{"step": 2}])
    monkeypatch.undo()
    assert path.read_bytes() == before
    assert folder.read_rows(path) == [{"step": 1, "text": "\u2028 \u0085"}]
