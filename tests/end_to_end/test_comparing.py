"""A comparison: tuned elsewhere, measured once, and never twice."""

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from fixtures.small_runs import ARGUMENTS, command, rows, small_spec
from posttrain.errors import UserError
from posttrain.runs import execute, jobs, recipe_file
from posttrain.runs.compare import TUNING_SEED, CompareSpec, compare
from posttrain.runs.display import Silent
from posttrain.runs.spec import RunSpec


class Here:
    """A pool whose one worker is this process."""

    def __init__(self, workers, mp_context, initializer, initargs) -> None:
        jobs.stopping.set(initargs[1])

    def submit(self, function, *arguments) -> Future:
        job: Future = Future()
        try:
            job.set_result(function(*arguments))
        except UserError as error:
            job.set_exception(error)
        return job

    def shutdown(self, wait: bool, cancel_futures: bool) -> None:
        pass


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[RunSpec]:
    """Every run that was started, in this process."""
    started: list[RunSpec] = []
    plain = execute.run

    def noted(spec, *arguments, **more):
        started.append(spec)
        return plain(spec, *arguments, **more)

    monkeypatch.setattr(jobs, "ProcessPoolExecutor", Here)
    monkeypatch.setattr(execute, "run", noted)
    return started


def comparison(base: Path, out: Path, **changes: Any) -> CompareSpec:
    settings: dict[str, Any] = {"arms": {"sft": "sft", "uft": "uft"}, "seeds": 2, "arguments": ARGUMENTS} | changes
    return CompareSpec(out=str(out), run=small_spec("sft", base, out, steps=2, arguments={}), **settings)


def numbers(folder: Path) -> list[dict[str, Any]]:
    return json.loads((folder / "comparison.json").read_text())


def test_rows_pairs_and_page(tmp_path, base, ran):
    found = compare(comparison(base, tmp_path), Silent())
    assert found == numbers(tmp_path)
    assert [(row["method"], row["seed"]) for row in found] == [("sft", 0), ("uft", 0), ("sft", 1), ("uft", 1)]
    wanted = {"method", "seed", "accuracy", "ci95", "learning_rate", "tokens_sampled", "tokens_trained"}
    assert all(wanted <= set(row) for row in found)
    assert {row["learning_rate"] for row in found} == {1e-3}
    (pair,) = json.loads((tmp_path / "paired.json").read_text())
    assert (pair["first"], pair["second"], pair["seeds"], pair["problems"]) == ("sft", "uft", 2, 8)
    assert (tmp_path / "report.html").is_file()
    assert len(ran) == 4


def test_a_second_start_skips_what_has_finished(tmp_path, base, ran):
    tune = {"learning_rate": ("1e-4", "1e-3")}
    first = compare(comparison(base, tmp_path, seeds=1, tune=tune), Silent())
    assert len(ran) == 2 * 2 + 2
    ran.clear()
    assert compare(comparison(base, tmp_path, seeds=1, tune=tune), Silent()) == first
    assert not ran
    compare(comparison(base, tmp_path, seeds=2, tune=tune), Silent())
    assert [(spec.method, spec.seed) for spec in ran] == [("sft", 1), ("uft", 1)]


def test_tuning_is_on_other_problems_and_another_seed(tmp_path, base, ran):
    tune = {"learning_rate": ("1e-4", "1e-2"), "credit": ("centred", "leave_one_out")}
    compare(comparison(base, tmp_path, seeds=1, tune=tune), Silent())
    tuning, measured = ran[:-2], ran[-2:]
    assert len(tuning) == 2 * 2 + 2  # imitation has no credit to tune
    assert {(spec.evaluation_split, spec.seed) for spec in tuning} == {("validation", TUNING_SEED)}
    assert {(spec.evaluation_split, spec.seed) for spec in measured} == {("heldout", 0)}
    chosen_by, told_of = (
        {row["example_id"] for row in rows(Path(s.out) / "heldout.jsonl")} for s in (tuning[0], measured[0])
    )
    assert not chosen_by & told_of
    tried = json.loads((tmp_path / "tuning.json").read_text())["rows"]
    chosen = {(row["method"], row["setting"]): row["value"] for row in tried if row["chosen"]}
    assert set(chosen) == {("sft", "learning_rate"), ("uft", "learning_rate"), ("uft", "credit")}
    for row in numbers(tmp_path):
        assert row["learning_rate"] == float(chosen[row["method"], "learning_rate"])
        best = max(r["accuracy"] for r in tried if (r["method"], r["setting"]) == (row["method"], "learning_rate"))
        mine = [r for r in tried if (r["method"], r["setting"], r["chosen"]) == (row["method"], "learning_rate", True)]
        assert [r["accuracy"] for r in mine] == [best]


def test_a_method_in_two_arms(tmp_path, base, ran):
    arms = {"weak": "uft", "strong": "uft"}
    arguments = {arm: {**ARGUMENTS["uft"], "likelihood": value} for arm, value in (("weak", 0.001), ("strong", 1.0))}
    found = compare(comparison(base, tmp_path, arms=arms, arguments=arguments, seeds=1), Silent())
    assert [(row["method"], row["variant_of"]) for row in found] == [("weak", "uft"), ("strong", "uft")]
    assert [spec.arguments["likelihood"] for spec in ran] == [0.001, 1.0]
    (pair,) = json.loads((tmp_path / "paired.json").read_text())
    assert (pair["first"], pair["second"]) == ("weak", "strong")


def test_another_choice_is_another_run(tmp_path, base, ran):
    for value in ("1e-4", "1e-3"):
        compare(comparison(base, tmp_path, arms={"sft": "sft"}, seeds=1, tune={"learning_rate": (value,)}), Silent())
    assert len(ran) == 4
    assert [row["learning_rate"] for row in numbers(tmp_path)] == [1e-3]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"arguments": {**ARGUMENTS, "uft": {**ARGUMENTS["uft"], "likelihood": 0.5}}},
            "holds a run with likelihood = 0.001, not 0.5",
        ),
        ({"run": {"steps": 3}}, "holds a run with steps = 4, not 6"),
        ({"run": {"evaluation_examples": 9}}, "was measured with evaluation_examples = 8, not 9"),
    ],
)
def test_a_folder_with_other_runs_is_refused(tmp_path, base, ran, changes, sentence):
    spec = comparison(base, tmp_path, seeds=1)
    compare(spec, Silent())
    if "run" in changes:
        changes = {"run": small_spec("sft", base, tmp_path, **({"steps": 2, "arguments": {}} | changes["run"]))}
    with pytest.raises(UserError, match=sentence):
        compare(CompareSpec(**{**vars(spec), **changes}), Silent())
    assert len(ran) == 2


def test_a_report_after_every_run(tmp_path, base, ran, monkeypatch):
    """The second run breaks down; the first is reported, and only the rest is done later."""
    plain = execute.run

    def breaking(spec, *arguments, **more):
        if spec.method == "uft":
            raise UserError("out of luck")
        return plain(spec, *arguments, **more)

    with monkeypatch.context() as patched:
        patched.setattr(execute, "run", breaking)
        with pytest.raises(UserError, match="out of luck"):
            compare(comparison(base, tmp_path, seeds=1), Silent())
    compare_again = [row["method"] for row in numbers(tmp_path)]
    assert compare_again == ["sft"]
    assert (tmp_path / "report.html").is_file()
    ran.clear()
    compare(comparison(base, tmp_path, seeds=1), Silent())
    assert [spec.method for spec in ran] == ["uft"]


def test_ctrl_c_from_a_terminal(tmp_path, base, monkeypatch):
    """A terminal sends it to every process; the run in progress saves itself and goes on later."""
    recipe_file.write(tmp_path, small_spec("uft", base, tmp_path))
    out = tmp_path / "out"
    settings = ["--steps", "60", "--evaluate-every", "1000", "--training-examples", "12", "--evaluation-examples", "8"]
    sets = [f"uft:reinforcement.{k}={'null' if v is None else v}" for k, v in ARGUMENTS["uft"]["reinforcement"].items()]
    arguments = ["compare", "uft", "--model", base, "--task", "key_paths", "--seeds", "1", "--out", out, *settings]
    arguments += [word for path in (*sets, "task.horizon=2", "task.symbols=3") for word in ("--set", path)]
    process = subprocess.Popen(
        [sys.executable, "-m", "posttrain.cli.main", *map(str, arguments)],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    metrics = out / "runs" / "uft-seed0" / "metrics.jsonl"
    while process.poll() is None and not (metrics.exists() and metrics.read_bytes().count(b"\n") > 2):
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert (process.returncode, error) == (130, f"posttrain: stopped; the same command goes on with {out}\n")
    assert (out / "runs" / "uft-seed0" / "checkpoint").is_dir()
    resumed = []
    plain = execute.resume
    monkeypatch.setattr(execute, "resume", lambda *a: resumed.append(a) or plain(*a))
    monkeypatch.setattr(jobs, "ProcessPoolExecutor", Here)
    answer = command(*arguments)
    assert answer.code == 0, answer.error
    assert len(resumed) == 1
    assert [row["steps"] for row in numbers(out)] == [60]


def test_workers_do_not_outlive_a_killed_parent(tmp_path, base):
    out = tmp_path / "out"
    arguments = ["compare", "rft", "--model", base, "--task", "key_paths", "--seeds", "1", "--out", out]
    arguments += ["--steps", "100000", "--training-examples", "12", "--evaluation-examples", "8"]
    process = subprocess.Popen(
        [sys.executable, "-m", "posttrain.cli.main", *map(str, arguments)],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    metrics = out / "runs" / "rft-seed0" / "metrics.jsonl"
    while process.poll() is None and not metrics.exists():
        time.sleep(0.01)
    process.kill()
    process.wait()
    until = time.monotonic() + 60
    while time.monotonic() < until and group_lives(process.pid):
        time.sleep(0.05)
    assert not group_lives(process.pid)
    assert (out / "runs" / "rft-seed0" / "checkpoint").is_dir()


def group_lives(number: int) -> bool:
    """Whether a process of the group is left."""
    try:
        os.killpg(number, 0)
    except ProcessLookupError:
        return False
    return True
