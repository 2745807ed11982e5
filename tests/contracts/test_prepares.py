"""What every part promises that computes something of a whole minibatch."""

import dataclasses
from typing import Any

import pytest
import torch
from torch import Tensor

from fixtures.models import tiny_policy, weights
from fixtures.parts import prepares
from fixtures.sequences import ragged
from fixtures.walking import Case
from posttrain.types import TrainingSequence
from tolerances import GRADIENT

PREPARES = pytest.mark.parametrize("case", prepares(), ids=str)
ROWS = ragged(8, temperature=0.8)
LONGEST = max(len(s.tokens) for s in ROWS)


def tensors(quantity: Any) -> list[Tensor]:
    """Every tensor of a quantity, in order."""
    if isinstance(quantity, Tensor):
        return [quantity]
    if dataclasses.is_dataclass(quantity):
        return [t for f in dataclasses.fields(quantity) for t in tensors(getattr(quantity, f.name))]
    return [t for part in (quantity.values() if hasattr(quantity, "values") else quantity) for t in tensors(part)]


def same(one: Any, other: Any) -> None:
    assert any(bool(t.any()) for t in tensors(one))
    for a, b in zip(tensors(one), tensors(other), strict=True):
        torch.testing.assert_close(b, a, rtol=GRADIENT, atol=GRADIENT)


@PREPARES
@pytest.mark.parametrize("budget", [4 * LONGEST, 1], ids=["2x4", "8x1"])
def test_no_cut_changes_it(case: Case, budget: int) -> None:
    policy = tiny_policy()
    same(case.construct()(ROWS, policy, 8 * LONGEST), case.construct()(ROWS, policy, budget))


@PREPARES
def test_the_order_of_sequences_does_not_matter(case: Case) -> None:
    policy = tiny_policy()
    same(case.construct()(ROWS, policy, 1000), case.construct()(ROWS[::-1], policy, 1000))


@PREPARES
def test_weights_gradients_and_modules_are_as_they_were(case: Case) -> None:
    policy = tiny_policy()
    for parameter in policy.trainable():
        parameter.grad = torch.ones_like(parameter)
    before, hooks = weights(policy), count_of_hooks(policy)
    case.construct()(ROWS, policy, 4 * LONGEST)
    assert all(torch.equal(before[name], value) for name, value in weights(policy).items())
    assert all(bool((p.grad == 1).all()) and p.requires_grad for p in policy.trainable())
    assert count_of_hooks(policy) == hooks


def count_of_hooks(policy) -> int:
    return sum(len(module._forward_pre_hooks) for module in policy.model.modules())


@PREPARES
def test_it_is_detached(case: Case) -> None:
    assert not any(t.requires_grad for t in tensors(case.construct()(ROWS, tiny_policy(), 1000)))


@PREPARES
def test_the_weights_of_the_stages_terms_do_not_matter(case: Case) -> None:

    def weighed(row: TrainingSequence) -> TrainingSequence:
        return dataclasses.replace(row, weights={"term": torch.rand(len(row.tokens))})

    policy = tiny_policy()
    same(case.construct()(ROWS, policy, 1000), case.construct()([weighed(row) for row in ROWS], policy, 1000))


@PREPARES
def test_it_is_a_frozen_value_with_a_name(case: Case) -> None:
    part = case.construct()
    assert part.provides
    assert case.construct() == part
    with pytest.raises(dataclasses.FrozenInstanceError):
        part.anything = 1
