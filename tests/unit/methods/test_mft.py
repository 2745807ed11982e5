"""Settings of masked fine-tuning: defaults of the released code, and what is refused."""

import dataclasses

import pytest
import torch

from fixtures.models import tiny_policy, weights
from fixtures.toy import toy_problems
from fixtures.training import run
from posttrain.batching import PerToken
from posttrain.errors import UserError
from posttrain.methods import mft
from posttrain.rollouts.corrupted_copy import CorruptedCopy
from posttrain.rollouts.corruption import Masked, UniformRate
from posttrain.types import Progress


def stage(**changes):
    (made,) = mft.recipe(toy_problems(), **changes).stages
    return made


def test_it_has_the_defaults_of_the_released_code() -> None:
    made = stage()
    (stream,), (term,) = made.streams, made.terms
    assert stream.source == CorruptedCopy(Masked(UniformRate(0.05, 0.95)), plain=0.0)
    assert (stream.prompts_per_step, stream.reward, term.share) == (64, None, PerToken())
    assert (made.optimiser.betas, made.optimiser.weight_decay, made.optimiser.clip_norm) == ((0.9, 0.95), 0.1, 1.0)
    rates = [made.learning_rate_at(Progress(step, 500, 0)) for step in range(500)]
    assert rates[:10] == sorted(set(rates[:10]))
    assert set(rates[10:]) == {3e-6}


def test_a_tokenizer_without_the_mask_is_told_so_in_a_sentence() -> None:
    with pytest.raises(UserError, match="cannot represent this text"):
        run(dataclasses.replace(stage(copy=CorruptedCopy(instruction="=")), steps=1), tiny_policy())


def test_a_missing_demonstration_is_refused() -> None:
    problems = toy_problems()
    first = dataclasses.replace(problems.examples[0], demonstrations=())
    with pytest.raises(UserError, match="'toy-0' has no demonstration"):
        mft.recipe(dataclasses.replace(problems, examples=(first, *problems.examples[1:])))


@pytest.mark.parametrize(("less", "fits"), [(0, True), (1, False)])
def test_a_copy_that_makes_a_text_too_long_for_the_model_is_refused_before_anything_moves(
    less: int, fits: bool
) -> None:
    """Demonstrations that fit by themselves, doubled."""
    copied = stage(steps=1, copy=CorruptedCopy(Masked(mask="."), instruction="\n"))
    text, examples = tiny_policy().text, copied.streams[0].examples
    longest = max(len(text.encode(e.prompt + e.demonstrations[0].text * 2)) + 2 for e in examples)
    policy = tiny_policy(context=longest - less)
    assert all(text.length(example) <= policy.context for example in examples)
    if fits:
        run(copied, policy)
        return
    before = weights(policy)
    with pytest.raises(UserError, match=rf"makes {longest} tokens of example 'toy-\d', more than the model's context"):
        run(copied, policy)
    assert all(torch.equal(value, before[name]) for name, value in weights(policy).items())
