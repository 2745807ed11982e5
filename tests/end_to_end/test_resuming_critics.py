"""Runs with critics and frozen policies of several stages: stopped and resumed, they are the runs never stopped."""

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from fixtures.small_runs import assert_same_run, rows, small_spec
from fixtures.training import CPU
from posttrain.errors import UserError
from posttrain.heads import load_reward_model
from posttrain.loading import load_policy
from posttrain.rewards.model_score import ModelScore
from posttrain.runs import checkpoint, execute
from posttrain.runs.display import Silent
from posttrain.runs.spec import RunSpec
from posttrain.runs.training import Interrupted
from tolerances import FLOAT32_MODEL

METHODS = ("ppo", "srppo", "opd", "reward_model")


def spec(method: str, base: Path, out: Path) -> RunSpec:
    """Six steps on the base; the student of the distillation is supervised away from it and taught by it again."""
    made = small_spec(method, base, out)
    taught = {"teacher": {"from_folder": {"folder": str(base)}}, "supervised_steps": 2} if method == "opd" else {}
    return dataclasses.replace(made, arguments={**made.arguments, **taught})


def after(steps: int, out: Path) -> Callable[[], bool]:
    """Asks a run to stop when it has done this many steps."""
    return lambda: len(rows(out / "metrics.jsonl")) >= steps


@pytest.fixture(scope="module")
def whole(base: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("whole")
    for method in METHODS:
        execute.run(spec(method, base, folder / method), Silent())
    return {method: folder / method for method in METHODS}


@pytest.mark.parametrize(
    ("method", "step"),
    [("ppo", 2), ("ppo", 5), ("srppo", 4), ("srppo", 6), ("srppo", 9), ("opd", 1), ("opd", 5), ("reward_model", 2)],
)
def test_stopping_and_resuming_changes_nothing(tmp_path, base, whole, method, step) -> None:
    out = tmp_path / "run"
    with pytest.raises(Interrupted, match=f"after step {step} of"):
        execute.run(spec(method, base, out), Silent(), stop=after(step, out))
    assert len(rows(out / "metrics.jsonl")) == step
    execute.resume(out, Silent())
    assert_same_run(out, whole[method])


def test_they_learn_something(whole) -> None:
    for method, folder in whole.items():
        metrics = rows(folder / "metrics.jsonl")
        assert all(row["gradient_norm"] > 0 for row in metrics), method
        assert json.loads((folder / "summary.json").read_text())["steps"] == len(metrics)


def test_answers_are_judged_in_training_only_where_credit_reads_verdicts(whole) -> None:
    def rewarded(method: str) -> bool:
        return any(row["reward"] is not None for row in rows(whole[method] / "metrics.jsonl"))

    assert [rewarded(method) for method in METHODS] == [True, False, False, False]


def test_a_missing_teacher_is_told_before_anything_is_written(tmp_path, base) -> None:
    made = small_spec("opd", base, tmp_path / "run")
    with pytest.raises(UserError, match="there is no model folder 'teacher'"):
        execute.run(made, Silent())
    assert not (tmp_path / "run").exists()


def test_a_teacher_is_read_again_and_not_saved_and_must_be_the_same(tmp_path, base) -> None:
    teacher, out = shutil.copytree(base, tmp_path / "teacher"), tmp_path / "run"
    made = spec("opd", base, out)
    taught = {"teacher": {"from_folder": {"folder": str(teacher)}}}
    with pytest.raises(Interrupted):
        execute.run(dataclasses.replace(made, arguments={**made.arguments, **taught}), Silent(), stop=after(4, out))
    saved = checkpoint.read(out / "checkpoint")
    assert (set(saved["frozen"]), set(saved["loaded"])) == (set(), {"teacher"})
    moved = load_policy(teacher, CPU)
    with torch.no_grad():
        next(iter(moved.model.parameters())).add_(1e-3)
    checkpoint.save_model(teacher, moved)
    with pytest.raises(UserError, match="folder of the frozen policy 'teacher' holds other weights"):
        execute.resume(out, Silent())


@pytest.mark.parametrize(("method", "setting"), [("opd", "teacher"), ("lt_sft", "transfer"), ("rft", "reference")])
def test_a_model_of_other_tokens_is_told_before_anything_is_written(tmp_path, base, method, setting) -> None:
    made = small_spec(method, base, tmp_path / "run")
    other = {"from_folder": {"folder": "embedded"}}
    changes = {
        "teacher": {"teacher": other, "supervised_steps": 2},
        "transfer": {"transfer": "embedded"},
        "reference": {"stage": {"reference": other}, "reinforcement": {"prompts_per_step": 4, "kl_coefficient": 0.1}},
    }[setting]
    with pytest.raises(UserError, match="'embedded' has another tokenizer than the policy"):
        execute.run(dataclasses.replace(made, arguments={**made.arguments, **changes}), Silent())
    assert not (tmp_path / "run").exists()


def test_the_checkpoint_of_a_reward_model_judges_other_runs(tmp_path, base, whole) -> None:
    model = whole["reward_model"] / "checkpoint"
    judge = ModelScore(load_reward_model(model, CPU))
    spec = small_spec("rft", base, tmp_path / "run")
    arguments = {**spec.arguments, "stage": {"reward": {"reward_model": {"folder": str(model)}}}}
    execute.run(dataclasses.replace(spec, arguments=arguments), Silent())
    for row in rows(tmp_path / "run" / "rollouts.jsonl"):
        assert row["score"] == pytest.approx(judge.score(row["prompt"], row["sampled"]), rel=FLOAT32_MODEL)
