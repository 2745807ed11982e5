"""Mean log-probabilities of answers, on paper and by other routes."""

import dataclasses
import math

import pytest
import torch

from fixtures.models import bigram_policy, random_table, tiny_policy
from fixtures.sequences import rollout, spell
from fixtures.toy import toy_pool
from fixtures.training import run
from posttrain.batching import PerToken
from posttrain.curation.likelihood import mean, mean_logprobs, scored
from posttrain.engines.huggingface import HuggingFaceEngine
from posttrain.errors import UserError
from posttrain.recipe import Workspace
from posttrain.rollouts.demonstrations import Demonstrations
from posttrain.rollouts.on_policy import OnPolicy
from posttrain.stages import supervised
from posttrain.stages.supervised import Supervision
from posttrain.types import Demonstration, Example, Rollout
from tolerances import MODEL, ROUNDING

TABLE = random_table(5)
STEPS = torch.log_softmax(TABLE, -1)


def answers() -> list[Rollout]:
    """Four that differ in prompt, length and both."""
    return [
        rollout([1, 2, 3, 4, 0], spell("ppggg")),
        rollout([3, 2, 3, 4, 0], spell("ppggg")),
        rollout([2, 4, 0], spell("pgg")),
        rollout([3, 0], spell("gg")),
    ]


def test_it_is_the_mean_over_response_tokens_and_the_prompt_does_not_count() -> None:
    found = mean_logprobs(answers(), bigram_policy(TABLE), 1000)
    first = float(STEPS[2, 3] + STEPS[3, 4] + STEPS[4, 0]) / 3
    assert found[0] == pytest.approx(first, abs=ROUNDING)
    assert found[1] == pytest.approx(first, abs=ROUNDING)
    assert found[2] == pytest.approx(float(STEPS[2, 4] + STEPS[4, 0]) / 2, abs=ROUNDING)
    assert found[3] == pytest.approx(float(STEPS[3, 0]), abs=ROUNDING)  # nothing predicts its first token


def test_the_end_may_be_left_out() -> None:
    found = mean_logprobs(answers()[:3], bigram_policy(TABLE), 1000, end_counts=False)
    assert found[0] == pytest.approx(float(STEPS[2, 3] + STEPS[3, 4]) / 2, abs=ROUNDING)
    assert found[2] == pytest.approx(float(STEPS[2, 4]), abs=ROUNDING)


@pytest.mark.parametrize("end_counts", [True, False])
def test_padding_and_order_do_not_matter(end_counts: bool) -> None:
    policy, rows = tiny_policy(), answers()[:3]
    apart = [mean_logprobs([row], policy, 1, end_counts)[0] for row in rows]
    assert mean_logprobs(rows, policy, 1000, end_counts) == pytest.approx(apart, abs=MODEL)
    assert mean_logprobs(rows[::-1], policy, 1000, end_counts) == pytest.approx(apart[::-1], abs=MODEL)
    assert mean_logprobs([], policy, 1000, end_counts) == []


def workspace(**settings) -> Workspace:
    return Workspace(tiny_policy(**settings), HuggingFaceEngine(), seed=0)


def test_its_negative_is_the_loss_that_training_begins_with() -> None:
    problems = toy_pool()
    found = scored(problems.examples, Demonstrations(), workspace(), 1000, end_counts=True)
    for example, fits in zip(problems.examples, found.fits):
        assert len(fits) == len(example.demonstrations)
        for place, demonstration in enumerate(example.demonstrations):
            single = dataclasses.replace(example, demonstrations=(demonstration,))
            alone = dataclasses.replace(problems, examples=(single,))
            (record,) = run(supervised.stage(alone, 1, Supervision(1, share=PerToken())), tiny_policy())
            assert record.losses["likelihood"] == pytest.approx(-fits[place], abs=MODEL)


def test_what_is_longer_than_the_context_has_no_score() -> None:
    examples = toy_pool().examples
    lengths = {len(e.prompt) + len(d.text) + 1 for e in examples for d in e.demonstrations}
    context = sorted(lengths)[len(lengths) // 2]
    found = scored(examples, Demonstrations(), workspace(context=context), 1000, end_counts=True)
    for example, fits in zip(examples, found.fits):
        fitting = [k for k, d in enumerate(example.demonstrations) if len(example.prompt) + len(d.text) + 1 <= context]
        assert sorted(fits) == fitting
    assert 0 < sum(map(len, found.fits)) < sum(len(e.demonstrations) for e in examples)


def test_an_answer_without_a_token_to_score_is_out_of_the_choice() -> None:
    answers = (Demonstration(("a",)), Demonstration(("ab",)))
    bare = Example("bare", "", None, answers)
    both, one = (scored((bare,), Demonstrations(), workspace(), 1000, end_counts=end).fits[0] for end in (True, False))
    assert sorted(both) == [0, 1]
    assert sorted(one) == [1]
    asked = dataclasses.replace(bare, prompt="1")
    assert sorted(scored((asked,), Demonstrations(), workspace(), 1000, end_counts=False).fits[0]) == [0, 1]


def test_a_likelihood_that_is_no_number_is_refused() -> None:
    space = workspace()
    with torch.no_grad():
        space.policy.model.get_output_embeddings().weight.fill_(math.nan)
    with pytest.raises(UserError, match="of demonstration 1 of example 'toy-0' is nan"):
        scored(toy_pool(3).examples, Demonstrations(), space, 1000, end_counts=True)


def test_a_source_that_writes_something_else_is_refused() -> None:
    space = workspace()
    space.engine.load(space.policy, 0)
    with pytest.raises(ValueError, match="rollout per demonstration"):
        scored(toy_pool(3).examples, OnPolicy(2), space, 1000, end_counts=True)


def test_the_mean_of_nothing_is_unknown() -> None:
    assert math.isnan(mean([]))
    assert mean(iter([1.0, 2.0])) == 1.5
