"""Training some parameters by name."""

import dataclasses

import pytest
import torch

from fixtures.models import tiny_policy
from fixtures.toy import toy_problems
from fixtures.training import SMALL_SUPERVISION, run_recipe
from posttrain.adapters.chosen import Chosen
from posttrain.errors import UserError
from posttrain.recipe import Recipe
from posttrain.stage import Stage
from posttrain.stages import supervised


def adapted(names: str, steps: int = 2) -> Stage:
    return dataclasses.replace(supervised.stage(toy_problems(), steps, SMALL_SUPERVISION), adapter=Chosen(names))


def test_only_the_chosen_ones_move() -> None:
    policy, before = tiny_policy(), tiny_policy()
    run_recipe(Recipe((adapted("norm"),)), policy)
    kept = dict(before.model.named_parameters())
    for name, parameter in policy.model.named_parameters():
        assert torch.equal(parameter, kept[name]) != ("norm" in name)
        assert parameter.requires_grad


def test_all_of_them_is_plain_training() -> None:
    chosen, plain = tiny_policy(), tiny_policy()
    run_recipe(Recipe((adapted("."),)), chosen)
    run_recipe(Recipe((supervised.stage(toy_problems(), 2, SMALL_SUPERVISION),)), plain)
    for one, other in zip(chosen.trainable(), plain.trainable(), strict=True):
        assert torch.equal(one, other)


def test_a_name_that_nothing_has_is_refused() -> None:
    with pytest.raises(UserError, match=r"no parameter's name matches 'lm_tail'; the model has names such as "):
        run_recipe(Recipe((adapted("lm_tail"),)), tiny_policy())
