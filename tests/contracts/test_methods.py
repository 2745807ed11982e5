"""What every method promises: a documented file, sensible defaults, and training that runs."""

import dataclasses
import inspect
import re
from types import ModuleType

import pytest

from fixtures.code_lines import code_lines
from fixtures.models import Stranger, tiny_policy, weights
from fixtures.tools import byte_policy, tool_problems
from fixtures.toy import toy_problems
from fixtures.training import (
    SMALL,
    SMALL_ACTOR_CRITIC,
    SMALL_DISTILLATION,
    SMALL_PREFERENCES,
    SMALL_RANKING,
    SMALL_SUPERVISION,
    run_recipe,
)
from fixtures.walking import modules
from posttrain.curation.levels import ThreeLevels
from posttrain.data.spool import Spool
from posttrain.errors import UserError
from posttrain.policy import Policy
from posttrain.recipe import Later, Recipe
from posttrain.rollouts.corrupted_copy import CorruptedCopy
from posttrain.rollouts.corruption import Masked
from posttrain.stage import Problems, Stage

MOST_LINES_OF_CODE = 60
METHODS = pytest.mark.parametrize("method", modules("methods"), ids=lambda module: module.__name__.rpartition(".")[2])
SMALL_SETTINGS = {
    "reinforcement": SMALL,
    "supervision": SMALL_SUPERVISION,
    "copy": CorruptedCopy(Masked(mask="."), instruction="\n"),  # in letters that the small model knows
    "preferences": SMALL_PREFERENCES,
    "ranking": SMALL_RANKING,
    "levels": ThreeLevels("a", "b", "c"),
    "actor_critic": SMALL_ACTOR_CRITIC,
    "distillation": SMALL_DISTILLATION,
    "teacher": Stranger(),
}
ELSEWHERE = {"tl_training": (tool_problems, byte_policy)}
"""Methods that need more of a problem than the toy ones have, with problems and a policy that suit them."""


def problems_and_policy(method: ModuleType) -> tuple[Problems, Policy]:
    problems, policy = ELSEWHERE.get(method.__name__.rpartition(".")[2], (toy_problems, tiny_policy))
    return problems(), policy()


def small(method: ModuleType, problems: Problems, steps: int) -> Recipe:
    """The method with every group of settings that it has made small."""
    known = inspect.signature(method.recipe).parameters
    chosen = {name: value for name, value in SMALL_SETTINGS.items() if name in known}
    return method.recipe(problems, steps=steps, **chosen)


def stages(recipe: Recipe) -> list[Stage]:
    """The parts of a recipe that train."""
    return [part for part in recipe.stages if isinstance(part, Stage)]


@METHODS
@pytest.mark.parametrize("line", [r"Paper: \S.*\(.+, \d{4}\)", r"arXiv: \d{4}\.\d{4,5}$", r"Axes: [a-z]+(, [a-z]+)*$"])
def test_its_docstring_names_paper_number_and_axes(method: ModuleType, line: str) -> None:
    assert re.search(f"^{line}", method.__doc__, flags=re.MULTILINE)


@METHODS
def test_its_recipe_is_documented_and_takes_settings_by_name_only(method: ModuleType) -> None:
    problems, *settings = inspect.signature(method.recipe).parameters.values()
    assert problems.name == "problems"
    assert all(s.kind is inspect.Parameter.KEYWORD_ONLY for s in settings)
    assert all(s.default is not inspect.Parameter.empty for s in settings)
    assert method.recipe.__doc__


@METHODS
def test_it_is_short(method: ModuleType) -> None:
    assert code_lines(inspect.getsource(method)) <= MOST_LINES_OF_CODE


@METHODS
def test_it_has_defaults_for_everything(method: ModuleType) -> None:
    recipe = method.recipe(problems_and_policy(method)[0], steps=500)
    assert isinstance(recipe, Recipe)
    assert [part.steps for part in recipe.stages if isinstance(part, Stage | Later)][-1] == 500


@METHODS
def test_negative_steps_are_refused(method: ModuleType) -> None:
    with pytest.raises(UserError, match="steps cannot be negative"):
        method.recipe(problems_and_policy(method)[0], steps=-1)


@METHODS
def test_it_trains_two_steps(method: ModuleType) -> None:
    problems, policy = problems_and_policy(method)
    before = weights(policy)
    recipe = small(method, problems, steps=2)
    records = run_recipe(recipe, policy)
    assert len(records) == recipe.total_steps
    known = {part.name: part for part in recipe.stages if isinstance(part, Stage)}
    for record in records:
        assert record.collection.sequences
        name = record.now.scope[0]
        if name in known:  # a later stage is composed only now
            assert set(record.losses) == {term.name for term in known[name].terms}
    moved = {name for name, value in weights(policy).items() if not bool((value == before[name]).all())}
    adapted = any(isinstance(part, Stage) and part.adapter is not None for part in recipe.stages)
    assert moved
    assert adapted or moved == set(before)


@METHODS
def test_examples_that_wait_in_a_file_train_the_same(method: ModuleType) -> None:
    trained = []
    for kept in (tuple, Spool):
        problems, policy = problems_and_policy(method)
        run_recipe(small(method, dataclasses.replace(problems, examples=kept(problems.examples)), steps=1), policy)
        trained.append(weights(policy))
    assert all(bool((value == trained[1][name]).all()) for name, value in trained[0].items())
