"""What the budget between demonstrations and pairs becomes at its ends."""

import dataclasses
import itertools

import pytest
import torch

from fixtures.models import tiny_policy, weights
from fixtures.toy import toy_problems
from fixtures.training import CPU, SMALL_PREFERENCES, SMALL_SUPERVISION, run_recipe
from posttrain.curation.allocation import Costs
from posttrain.errors import UserError
from posttrain.loop import finish, start, train
from posttrain.methods import budget, dpo, sft
from posttrain.objectives.preference import BradleyTerry
from posttrain.recipe import Recipe
from posttrain.stage import Problems
from posttrain.types import Fraction

SMALL = {"supervision": SMALL_SUPERVISION, "preferences": SMALL_PREFERENCES}
PROBLEMS = toy_problems(20)


def made(**settings) -> Recipe:
    return budget.recipe(PROBLEMS, **{**SMALL, **settings})


def on(recipe: Recipe, stage: int) -> Problems:
    """The problems of a stage."""
    return dataclasses.replace(PROBLEMS, examples=recipe.stages[stage].streams[0].examples)


def counts(recipe: Recipe) -> dict[str, tuple[int, int]]:
    """Examples and steps by stage."""
    return {stage.name: (len(stage.streams[0].examples), stage.steps) for stage in recipe.stages}


def bit_equal(one: Recipe, other: Recipe) -> None:
    policies = [tiny_policy(), tiny_policy()]
    for recipe, policy in zip((one, other), policies):
        run_recipe(recipe, policy)
    first, second = map(weights, policies)
    start_weights = weights(tiny_policy())
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not any(torch.equal(first[name], start_weights[name]) for name in first)


def test_everything_for_demonstrations_is_supervision_bit_for_bit() -> None:
    recipe = made(share=1.0, budget=9, steps=3)
    assert counts(recipe) == {"supervised": (9, 3)}
    bit_equal(recipe, sft.recipe(on(recipe, 0), steps=3, supervision=SMALL_SUPERVISION))


def test_everything_for_pairs_is_preference_optimisation_from_the_base_bit_for_bit() -> None:
    recipe = made(share=0.0, budget=9, steps=3)
    assert counts(recipe) == {"preference": (9, 3)}
    bit_equal(recipe, dpo.recipe(on(recipe, 0), steps=3, preferences=SMALL_PREFERENCES))


def test_the_second_stage_refers_to_what_the_first_one_made_of_the_base() -> None:
    recipe, policy = made(share=0.5, budget=16, steps=2), tiny_policy()
    first, second = recipe.stages
    session = start(first, policy, seed=0)
    train(session, CPU, lambda record: True)
    finish(session)
    between = weights(policy)
    session = start(second, policy, seed=0)
    train(session, CPU, lambda record: True)
    reference = dict(session.frozen["reference"].model.named_parameters())
    assert all(torch.equal(reference[name], value) for name, value in between.items())
    assert not any(torch.equal(value, between[name]) for name, value in weights(policy).items())
    assert not any(torch.equal(between[name], value) for name, value in weights(tiny_policy()).items())


def test_shares_are_nested_and_the_pools_have_no_prompt_in_common() -> None:
    shares = (0.1, 0.25, 0.5, 0.75)
    recipes = [made(share=share) for share in shares]
    shown = [[e.id for e in on(recipe, 0).examples] for recipe in recipes]
    paired = [[e.id for e in on(recipe, 1).examples] for recipe in recipes]
    assert [len(ids) for ids in shown] == [2, 5, 10, 15]
    assert [len(ids) for ids in paired] == [18, 15, 10, 5]
    for smaller, larger in itertools.pairwise(shown):
        assert larger[: len(smaller)] == smaller
    for larger, smaller in itertools.pairwise(paired):
        assert larger[: len(smaller)] == smaller
    for recipe in recipes:
        assert not {e.prompt for e in on(recipe, 0).examples} & {e.prompt for e in on(recipe, 1).examples}
    shared = made(share=0.5, prompts="shared")
    assert on(shared, 0).examples == on(shared, 1).examples


def test_dearer_pairs_are_fewer_and_nothing_else_changes() -> None:
    cheap, dear = (made(share=0.5, budget=12, costs=Costs(1, pair)) for pair in (1, 3))
    assert (counts(cheap)["preference"][0], counts(dear)["preference"][0]) == (6, 2)
    assert on(cheap, 0).examples == on(dear, 0).examples


@pytest.mark.parametrize(
    ("share", "expected"),
    [
        (0.0, {"preference": (20, 10)}),
        (0.1, {"supervised": (2, 2), "preference": (18, 9)}),  # 2 examples in an update: 2 passes are 2 updates
        (0.5, {"supervised": (10, 5), "preference": (10, 5)}),
        (0.75, {"supervised": (15, 8), "preference": (5, 3)}),
        (1.0, {"supervised": (20, 10)}),
    ],
)
def test_two_passes_over_the_examples_of_each_stage(share: float, expected: dict[str, tuple[int, int]]) -> None:
    assert counts(made(share=share, epochs=2)) == expected
    assert counts(made(share=share, epochs=2, steps=77)) == expected


def test_without_epochs_the_first_stage_passes_over_its_examples_as_often_as_the_last() -> None:
    assert counts(made(share=0.25, steps=15)) == {"supervised": (5, 5), "preference": (15, 15)}
    assert counts(made(share=0.25, steps=500))["preference"] == (15, 500)
    assert counts(made(share=1.0, steps=500)) == {"supervised": (20, 500)}
    assert counts(made(share=0.25, steps=0)) == {"supervised": (5, 0), "preference": (15, 0)}


def test_an_update_never_holds_an_example_twice() -> None:
    recipe = budget.recipe(PROBLEMS, share=0.1, steps=1)
    assert [stage.streams[0].prompts_per_step for stage in recipe.stages] == [2, 16]


def test_without_a_budget_there_is_one_for_every_problem_whatever_it_costs() -> None:
    (only,) = budget.recipe(toy_problems(100), share=0.0, costs=Costs(0.29, 0.29)).stages
    assert len(only.streams[0].examples) == 100  # as floats, 100 * 0.29 is less than 29


def test_its_defaults() -> None:
    first, second = budget.recipe(toy_problems(100)).stages
    assert counts(Recipe((first, second))) == {"supervised": (25, 167), "preference": (75, 500)}
    assert (first.streams[0].prompts_per_step, second.streams[0].prompts_per_step) == (16, 16)
    assert second.terms[0].objective.loss == BradleyTerry(1.0)
    assert second.learning_rate.over == Fraction(0.1)


def test_only_the_examples_for_pairs_need_them() -> None:
    shown = {e.id for e in on(made(share=0.5), 0).examples}
    lacking = tuple(dataclasses.replace(e, facts={}) if e.id in shown else e for e in PROBLEMS.examples)
    assert budget.recipe(dataclasses.replace(PROBLEMS, examples=lacking), share=0.5, **SMALL)
    with pytest.raises(UserError, match="no rejected answer"):
        budget.recipe(dataclasses.replace(PROBLEMS, examples=lacking), share=0.25, **SMALL)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"budget": 21}, "only 20 training examples"),
        ({"budget": 0.5}, "too small"),
        ({"share": 1.5}, "between 0 and 1"),
        ({"epochs": 0}, "epochs must be above 0"),
        ({"steps": -1}, "steps cannot be negative"),
    ],
)
def test_settings_that_could_not_be_carried_out_are_refused(settings, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        made(**settings)
