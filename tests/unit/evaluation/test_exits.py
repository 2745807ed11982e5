"""Answers at several depths: those of the models that end there."""

import pytest

from fixtures.folders import deep_policy
from fixtures.toy import toy_examples, toy_verify
from posttrain.blocks import up_to
from posttrain.engines.huggingface import HuggingFaceEngine
from posttrain.errors import UserError
from posttrain.evaluation.accuracy import answer_all
from posttrain.evaluation.exits import answer_at_depths
from posttrain.sampling import Sampling

EXAMPLES, SAMPLING = toy_examples(5), Sampling(0.0, 8)


@pytest.mark.parametrize("architecture", ["qwen2", "llama", "gpt2"])
def test_every_depth_answers_like_the_policy_that_ends_there(architecture: str) -> None:
    policy, engine = deep_policy(architecture), HuggingFaceEngine()
    engine.load(policy, version=7)
    found = answer_at_depths((1, 3, 4), policy, engine, EXAMPLES, toy_verify, SAMPLING, 1, 0)
    assert engine.version == 7
    for depth, answers in found.items():
        engine.load(up_to(policy, depth), version=0)
        assert answers == answer_all(EXAMPLES, toy_verify, engine, policy.text, SAMPLING, 1, 0)
    assert found[1] != found[4] != found[3]


def test_the_engine_writes_with_the_whole_policy_afterwards_even_if_a_depth_is_missing() -> None:
    policy, engine = deep_policy("qwen2"), HuggingFaceEngine()
    engine.load(policy, version=7)
    with pytest.raises(UserError, match="cannot end after 9"):
        answer_at_depths((1, 9), policy, engine, EXAMPLES, toy_verify, SAMPLING, 1, 0)
    after = answer_all(EXAMPLES, toy_verify, engine, policy.text, SAMPLING, 1, 0)
    engine.load(policy, version=7)
    assert after == answer_all(EXAMPLES, toy_verify, engine, policy.text, SAMPLING, 1, 0)
