"""What direct preference optimisation is at its beginning, and with its pairs turned round."""

import dataclasses
import math

import pytest
import torch
from torch import Tensor

from fixtures.models import tiny_policy, weights
from fixtures.toy import toy_problems
from fixtures.training import SMALL_PREFERENCES, continue_run, gradient_of, run, run_recipe
from posttrain.batching import PerConstant
from posttrain.loop import start
from posttrain.methods import dpo
from posttrain.objectives.cross_entropy import CrossEntropy
from posttrain.objectives.preference import BradleyTerry, SquaredMargin
from posttrain.protocols import Term
from posttrain.rollouts.demonstrations import Demonstrations
from posttrain.stage import Problems, Stage, Stream
from posttrain.stages.preference import Preferences
from posttrain.types import Demonstration, Origin
from tolerances import GRADIENT, VISIBLE

ALL = dataclasses.replace(SMALL_PREFERENCES, prompts_per_step=8)


def stage(settings: Preferences = ALL, problems: Problems | None = None) -> Stage:
    (only,) = dpo.recipe(problems or toy_problems(), steps=1, preferences=settings).stages
    return only


def swapped(problems: Problems) -> Problems:
    """What was preferred is rejected."""
    examples = tuple(
        dataclasses.replace(
            e, demonstrations=(Demonstration((e.facts["rejected"],)),), facts={"rejected": e.demonstrations[0].text}
        )
        for e in problems.examples
    )
    return dataclasses.replace(problems, examples=examples)


def likelihood(problems: Problems) -> Tensor:
    """The gradient of the mean over examples of ``-log p(demonstration)``, a sum over tokens."""
    stream = Stream("answers", problems.examples, Demonstrations(), len(problems.examples))
    term = Term("likelihood", CrossEntropy(), frozenset({Origin.GIVEN}), PerConstant(1))
    return gradient_of(Stage("likelihood", (stream,), (term,), 1, 1e-3), tiny_policy())


def equal(one: Tensor, other: Tensor) -> None:
    assert float(one.norm()) > VISIBLE
    torch.testing.assert_close(other, one, rtol=GRADIENT, atol=GRADIENT)


@pytest.mark.parametrize("beta", [0.1, 2.0])
def test_at_first_it_is_half_beta_times_the_difference_of_the_likelihoods(beta: float) -> None:
    problems = toy_problems()
    difference = likelihood(problems) - likelihood(swapped(problems))
    settings = dataclasses.replace(ALL, loss=BradleyTerry(beta))
    equal(beta / 2 * difference, gradient_of(stage(settings), tiny_policy()))
    (record,) = run(stage(settings), tiny_policy())
    assert record.losses["preference"] == pytest.approx(math.log(2), rel=GRADIENT)


@pytest.mark.parametrize("tau", [0.1, 2.0])
def test_at_first_the_squared_loss_is_that_times_another_number(tau: float) -> None:
    problems = toy_problems()
    difference = likelihood(problems) - likelihood(swapped(problems))
    settings = dataclasses.replace(ALL, loss=SquaredMargin(tau))
    equal(difference, tau * gradient_of(stage(settings), tiny_policy()))


def test_pairs_turned_round_push_the_other_way() -> None:
    forth = gradient_of(stage(), tiny_policy())
    back = gradient_of(stage(problems=swapped(toy_problems())), tiny_policy())
    equal(-forth, back)


def test_the_reference_is_the_policy_of_the_beginning_and_never_moves() -> None:
    policy = tiny_policy()
    session = start(dataclasses.replace(stage(), steps=3), policy, seed=0)
    before = weights(policy)
    records = continue_run(session)
    frozen = dict(session.frozen["reference"].model.named_parameters())
    assert all(torch.equal(frozen[name], value) for name, value in before.items())
    assert not any(torch.equal(value, before[name]) for name, value in weights(policy).items())
    assert records[-1].losses["preference"] < records[0].losses["preference"]


def test_it_learns_to_prefer_and_how_much_the_pairs_are_cut_does_not_matter() -> None:
    policies = []
    for budget in (1, 100_000):
        policy = tiny_policy()
        settings = dataclasses.replace(SMALL_PREFERENCES, tokens_per_microbatch=budget)
        records = run_recipe(dpo.recipe(toy_problems(), steps=6, preferences=settings), policy)
        policies.append(weights(policy))
        assert records[-1].losses["preference"] < math.log(2)
    for name, value in policies[0].items():
        torch.testing.assert_close(policies[1][name], value, rtol=GRADIENT, atol=GRADIENT)
