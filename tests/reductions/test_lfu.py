"""What learning from the undesirable becomes when its neighbour is the model itself, or does not count."""

import dataclasses

import pytest
import torch
from torch import Tensor

from fixtures.models import tiny_policy, weights
from fixtures.toy import toy_problems
from fixtures.training import SMALL_SUPERVISION, RecordingRuntime, gradient_of, run
from posttrain.methods import lfu, sft
from posttrain.objectives.undesirable import AscentInStates, AscentInWeights, RandomInWeights, StateDistance
from posttrain.recipe import Recipe
from posttrain.stage import Stage
from tolerances import GRADIENT, MODEL, VISIBLE

NEIGHBOURS = pytest.mark.parametrize("part", [AscentInWeights, AscentInStates, RandomInWeights])


def only(recipe: Recipe) -> Stage:
    (stage,) = recipe.stages
    return stage


def stage(steps: int = 1, **settings: object) -> Stage:
    return only(lfu.recipe(toy_problems(), steps=steps, supervision=SMALL_SUPERVISION, **settings))


def after(stage: Stage) -> dict[str, Tensor]:
    policy = tiny_policy()
    run(stage, policy)
    return weights(policy)


def test_without_consistency_it_is_supervision_bit_for_bit() -> None:
    plain = after(only(sft.recipe(toy_problems(), steps=3, supervision=SMALL_SUPERVISION)))
    found = after(stage(3, consistency=0.0))
    assert all(torch.equal(found[name], value) for name, value in plain.items())


@NEIGHBOURS
def test_with_a_step_of_no_length_it_is_supervision(part) -> None:
    policy = tiny_policy()
    records = run(stage(3, neighbour=part(0.0)), policy)
    assert all(record.losses["consistency"] == pytest.approx(0.0, abs=MODEL**2) for record in records)
    plain = after(only(sft.recipe(toy_problems(), steps=3, supervision=SMALL_SUPERVISION)))
    for name, value in weights(policy).items():
        torch.testing.assert_close(value, plain[name], rtol=0, atol=MODEL)


@NEIGHBOURS
def test_with_a_step_it_is_not_supervision(part) -> None:
    gradient = gradient_of(stage(neighbour=part(1.0)), tiny_policy())
    plain = gradient_of(only(sft.recipe(toy_problems(), supervision=SMALL_SUPERVISION)), tiny_policy())
    assert float((gradient - plain).norm()) > VISIBLE


def test_the_gradient_is_supervisions_and_the_distances_own() -> None:
    """Twice the coefficient is twice the difference: the two terms know nothing of each other."""
    plain = gradient_of(stage(consistency=0.0), tiny_policy())
    once, twice = (gradient_of(stage(consistency=c), tiny_policy()) - plain for c in (5.0, 10.0))
    torch.testing.assert_close(twice, 2 * once, rtol=GRADIENT, atol=GRADIENT)


def test_the_likelihood_is_of_the_demonstrations_and_not_of_the_other_draw() -> None:
    policy, plain = tiny_policy(), tiny_policy()
    (record,) = run(stage(), policy)
    (expected,) = run(only(sft.recipe(toy_problems(), steps=1, supervision=SMALL_SUPERVISION)), plain)
    assert record.losses["likelihood"] == pytest.approx(expected.losses["likelihood"], abs=MODEL)
    drawn = {name: [s.rollout.example.id for s in record.collection.sequences if s.stream == name] for name in STREAMS}
    assert len(drawn["demonstrations"]) == len(drawn["undesirable"]) == SMALL_SUPERVISION.prompts_per_step
    assert set(drawn["demonstrations"]) != set(drawn["undesirable"])
    assert record.skipped == SMALL_SUPERVISION.prompts_per_step


STREAMS = ("demonstrations", "undesirable")


@NEIGHBOURS
@pytest.mark.parametrize("budget", [60, 1], ids=["2x4", "8x1"])
def test_no_cut_into_microbatches_changes_it(part, budget: int) -> None:
    supervision = dataclasses.replace(SMALL_SUPERVISION, prompts_per_step=8)
    found = []
    for size in (10_000, budget):
        settings = dataclasses.replace(supervision, tokens_per_microbatch=size)
        runtime = RecordingRuntime()
        made = only(lfu.recipe(toy_problems(), steps=1, neighbour=part(), supervision=settings))
        (record,) = run(made, tiny_policy(), runtime)
        found.append((runtime, record))
    (whole, record), (cut, other) = found
    assert len(whole.passes) == 1 < len(cut.passes)
    torch.testing.assert_close(cut.gradients[0], whole.gradients[0], rtol=GRADIENT, atol=GRADIENT)
    assert other.losses == pytest.approx(record.losses, rel=GRADIENT)


def test_the_order_of_its_terms_does_not_matter() -> None:
    made = stage()
    turned = dataclasses.replace(made, terms=made.terms[::-1])
    assert torch.equal(gradient_of(made, tiny_policy()), gradient_of(turned, tiny_policy()))


def test_before_the_optimiser_moves_them_the_weights_are_as_they_were() -> None:
    policy = tiny_policy()
    before = weights(policy)
    run(dataclasses.replace(stage(), learning_rate=0.0), policy)
    assert all(torch.equal(before[name], value) for name, value in weights(policy).items())


def test_its_defaults_are_the_released_codes() -> None:
    made = only(lfu.recipe(toy_problems()))
    likelihood, consistency = made.terms
    assert (likelihood.coefficient, consistency.coefficient) == (1.0, 5.0)
    assert consistency.prepare == AscentInWeights(0.1, "undesirable")
    assert consistency.objective == StateDistance(0, None)
    assert [s.prompts_per_step for s in made.streams] == [16, 16]
    assert (made.optimiser.weight_decay, made.optimiser.clip_norm) == (0.0, 1.0)
