"""Evaluations in which the first layers alone answer."""

import json

import pytest

from fixtures.small_runs import command, small_spec
from posttrain.blocks import up_to
from posttrain.engines.huggingface import HuggingFaceEngine
from posttrain.errors import UserError
from posttrain.loading import load_policy
from posttrain.runs.answering import answer_in_batches
from posttrain.runs.display import Silent
from posttrain.runs.execute import run
from posttrain.runs.prepare import EVALUATION_SEED
from posttrain.runs.problems import read_problems
from posttrain.runtime import local_runtime
from posttrain.sampling import Sampling


def test_a_run_is_evaluated_by_its_first_layers_and_trained_by_all(tmp_path, base):
    whole, early = (small_spec("sft", base, tmp_path / name) for name in ("whole", "early"))
    early = type(early)(**{**vars(early), "evaluation_depth": 1})
    run(whole, Silent()), run(early, Silent())
    losses = [
        [json.loads(line)["loss/likelihood"] for line in (tmp_path / name / "metrics.jsonl").read_text().splitlines()]
        for name in ("whole", "early")
    ]
    assert losses[0] == losses[1]

    policy, problems = load_policy(tmp_path / "early" / "checkpoint", local_runtime("float32")), read_problems(early)
    engine = HuggingFaceEngine()
    engine.load(up_to(policy, 1), 0)
    sampling = Sampling(0.0, min(policy.context, early.evaluation_tokens))
    answers = answer_in_batches(
        problems.evaluation, problems.verify, engine, policy.text, sampling, 1, EVALUATION_SEED, lambda done: None
    )
    written = [json.loads(line)["response"] for line in (tmp_path / "early" / "heldout.jsonl").read_text().splitlines()]
    assert written == [row[0].response for row in answers]


def test_a_depth_that_the_model_has_not_is_refused(tmp_path, base):
    spec = small_spec("sft", base, tmp_path / "run", evaluation_depth=99)
    with pytest.raises(UserError, match="cannot end after 99"):
        run(spec, Silent())
    ended = command("evaluate", "--model", base, "--task", "key_paths", "--evaluation-depth", "0")
    assert (ended.code, ended.error) == (2, "posttrain: evaluation_depth must be at least 1, got 0\n")
