"""What stands between stages, and what the parts of a recipe hand on."""

from dataclasses import dataclass

import pytest
import torch

from fixtures.models import tiny_policy
from fixtures.toy import toy_examples, toy_problems
from fixtures.training import SMALL_SUPERVISION, run_recipe
from posttrain.engines.huggingface import HuggingFaceEngine
from posttrain.errors import UserError
from posttrain.recipe import Later, Recipe, Workspace, composed
from posttrain.stage import Problems, Stage
from posttrain.stages import supervised
from posttrain.types import Example


@dataclass(frozen=True)
class Halve:
    """Keeps the policy, halves its weights and the examples."""

    name: str = "halve"

    def run(self, workspace: Workspace) -> Workspace:
        kept = workspace.keeping("whole", workspace.policy.frozen_copy())
        with torch.no_grad():
            for parameter in workspace.policy.trainable():
                parameter.mul_(0.5)
        return kept.with_examples("half", toy_examples(4))


def problems_of(examples: tuple[Example, ...]) -> Problems:
    whole = toy_problems()
    return Problems(examples, whole.verify, whole.reward)


def after_halving(workspace: Workspace) -> Stage:
    return supervised.stage(problems_of(workspace.examples["half"]), 2, SMALL_SUPERVISION)


def workspace() -> Workspace:
    return Workspace(tiny_policy(), HuggingFaceEngine(), seed=0)


def test_an_interlude_hands_on_weights_and_examples() -> None:
    policy = tiny_policy()
    before = policy.frozen_copy()
    recipe = Recipe((Halve(), Later("supervised", 2, after_halving)))
    assert (recipe.total_steps, recipe.steps_before(1)) == (2, 0)
    records = run_recipe(recipe, policy)
    assert [r.now.step for r in records] == [0, 1]
    drawn = {s.rollout.example.id for r in records for s in r.collection.sequences}
    assert drawn <= {e.id for e in toy_examples(4)}
    changed = [torch.equal(a, b) for a, b in zip(policy.trainable(), before.model.parameters(), strict=True)]
    assert not any(changed)


def test_what_was_kept_does_not_move() -> None:
    made = Halve().run(workspace())
    original = tiny_policy()
    for kept, parameter in zip(made.recalled("whole").model.parameters(), original.trainable(), strict=True):
        assert torch.equal(kept, parameter)
        assert not kept.requires_grad


def test_what_was_not_kept_is_named() -> None:
    with pytest.raises(UserError, match=r"kept the policy 'base'; put Keep\('base'\)"):
        workspace().recalled("base")


def test_a_later_stage_is_what_was_announced() -> None:
    made = Halve().run(workspace())
    assert composed(Later("supervised", 2, after_halving), made).steps == 2
    with pytest.raises(ValueError, match="became"):
        composed(Later("supervised", 3, after_halving), made)


def test_a_recipe_has_something_to_train_and_different_names() -> None:
    with pytest.raises(UserError, match="different names"):
        Recipe((Halve(), Halve()))
    with pytest.raises(UserError, match="at least one stage that trains"):
        Recipe((Halve(),))
