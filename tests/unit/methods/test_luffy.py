"""Settings of off-policy guidance: defaults of the released code, and what is refused."""

import dataclasses

import pytest

from fixtures.models import tiny_policy
from fixtures.toy import each, toy_problems
from fixtures.training import SMALL, run
from posttrain.batching import PerConstant
from posttrain.credit.group import Centred
from posttrain.errors import UserError
from posttrain.methods import luffy
from posttrain.objectives.clipped import Clip, ClippedPolicy
from posttrain.objectives.shaped import Saturating, ShapedPolicy
from posttrain.rollouts.demonstrations import Demonstrations
from posttrain.rollouts.mixed import Mixed
from posttrain.rollouts.on_policy import OnPolicy
from posttrain.stage import Problems
from posttrain.types import Example, Origin, Verdict


def stage(problems=None, **changes):
    (made,) = luffy.recipe(problems or toy_problems(), **changes).stages
    return made


def test_it_has_the_defaults_of_the_released_code() -> None:
    made = stage()
    policy, entropy = made.terms
    (stream,) = made.streams
    assert stream.source == Mixed((OnPolicy(7), Demonstrations(1)))
    assert (stream.prompts_per_step, stream.credit) == (128, Centred())
    infinite = float("inf")
    assert policy.objective == ShapedPolicy(Saturating(0.1), ClippedPolicy(clip=Clip(infinite, infinite)))
    assert policy.over == {Origin.GIVEN, Origin.SAMPLED}
    assert (entropy.name, entropy.coefficient, entropy.over) == ("entropy", 0.001, {Origin.SAMPLED})
    assert {term.share for term in made.terms} == {PerConstant(8192)}
    assert (made.steps, made.learning_rate, made.groups_per_update) == (500, 1e-6, 64)
    assert (made.sampling.temperature, made.sampling.max_new_tokens) == (1.0, 8192)
    assert not made.frozen_needed


def rejected(response: str, example: Example) -> Verdict:
    """The demonstration is wrong, anything else is right."""
    return Verdict(float(response != example.demonstrations[0].text), "", True)


def test_a_demonstration_that_the_verifier_rejects_is_judged_so() -> None:
    problems = Problems(toy_problems().examples, rejected, each(rejected))
    (record,) = run(dataclasses.replace(stage(problems, steps=1, reinforcement=SMALL)), tiny_policy())
    rewards = {rollout.ended == "given": rollout.reward for rollout in record.collection.rollouts}
    assert rewards == {True: 0.0, False: 1.0}


@pytest.mark.parametrize("demonstrations", [0, 3, 4])
def test_a_group_needs_answers_of_both_kinds(demonstrations: int) -> None:
    with pytest.raises(UserError, match="at least one of 3 answers to the policy"):
        stage(demonstrations_per_prompt=demonstrations, reinforcement=SMALL)


def test_a_missing_demonstration_is_refused() -> None:
    problems = toy_problems()
    first = dataclasses.replace(problems.examples[0], demonstrations=())
    with pytest.raises(UserError, match="'toy-0' has no demonstration"):
        stage(dataclasses.replace(problems, examples=(first, *problems.examples[1:])))
