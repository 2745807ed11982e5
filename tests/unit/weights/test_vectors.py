"""Differences of weights: taken in float32, added, compared, replaced by a control."""

import math

import pytest
import torch

from fixtures.models import bigram_policy, random_table, tiny_policy, weights
from posttrain.engines.huggingface import HuggingFaceEngine
from posttrain.errors import UserError
from posttrain.policy import Policy
from posttrain.recipe import Workspace
from posttrain.weights.vectors import AddVector, RandomOfEqualNorm, add, cosines, difference, norms, shuffled
from tolerances import ROUNDING, STANDARD_ERRORS

MANY = 10_000


def table(seed: int) -> Policy:
    return bigram_policy(random_table(5, seed))


def workspace(policy: Policy, **remembered: Policy) -> Workspace:
    return Workspace(policy, HuggingFaceEngine(), seed=0, remembered=remembered)


def test_adding_and_taking_away_is_nothing_up_to_rounding() -> None:
    policy, vector = tiny_policy(), difference(tiny_policy(seed=1), tiny_policy())
    add(policy, vector)
    other = weights(tiny_policy(seed=1))
    for name, value in weights(policy).items():
        torch.testing.assert_close(value, other[name], rtol=0, atol=ROUNDING)
    add(policy, vector, scale=-1.0)
    for name, value in weights(policy).items():
        torch.testing.assert_close(value, weights(tiny_policy())[name], rtol=0, atol=ROUNDING)


def test_where_the_difference_is_zero_weights_stay_bit_for_bit() -> None:
    plus, minus, policy = table(0), table(0), table(1)
    with torch.no_grad():
        plus.model.table[2, 3] += 0.1
    before = policy.model.table.detach().clone()
    add(policy, difference(plus, minus), scale=3.0)
    changed = (policy.model.table.detach() != before).nonzero().tolist()
    assert changed == [[2, 3]]


def test_the_order_of_additions_does_not_matter() -> None:
    first, second = difference(table(1), table(0)), difference(table(2), table(0))
    one, other = table(0), table(0)
    for vector in (first, second):
        add(one, vector)
    for vector in (second, first):
        add(other, vector)
    torch.testing.assert_close(one.model.table, other.model.table, rtol=0, atol=ROUNDING)


def test_differences_are_taken_in_float32_whatever_the_weights_are() -> None:
    plus, minus = table(0), table(0)
    for policy in (plus, minus):
        policy.model.bfloat16()
    with torch.no_grad():
        plus.model.table.fill_(1.0)
        minus.model.table.fill_(2**-9)
    vector = difference(plus, minus)["table"]
    assert vector.dtype == torch.float32
    assert set(vector.flatten().tolist()) == {1 - 2**-9}  # in bfloat16 it would be 1


def test_norms_and_cosines_per_parameter() -> None:
    one = {"a": torch.tensor([3.0, 4.0]), "b": torch.zeros(2)}
    other = {"a": torch.tensor([4.0, -3.0]), "b": torch.ones(2)}
    assert norms(one) == {"a": 5.0, "b": 0.0}
    assert cosines(one, other)["a"] == pytest.approx(0.0, abs=ROUNDING)
    assert cosines(one, one)["a"] == pytest.approx(1.0, abs=ROUNDING)
    assert math.isnan(cosines(one, other)["b"])


def test_shuffling_keeps_the_numbers_and_loses_the_direction() -> None:
    vector = {"a": torch.randn(100, 100, generator=torch.Generator().manual_seed(0))}
    mixed = shuffled(vector, seed=1)
    assert torch.equal(mixed["a"].flatten().sort().values, vector["a"].flatten().sort().values)
    assert abs(cosines(vector, mixed)["a"]) < STANDARD_ERRORS / MANY**0.5
    assert torch.equal(shuffled(vector, 1)["a"], mixed["a"])


def test_the_control_has_the_size_but_not_the_direction() -> None:
    vector = {"a": torch.randn(100, 100, generator=torch.Generator().manual_seed(0)).double(), "b": torch.zeros(3)}
    noise = RandomOfEqualNorm()(vector, seed=5)
    assert norms(noise)["a"] == pytest.approx(norms(vector)["a"], rel=ROUNDING)
    assert noise["b"].tolist() == [0.0, 0.0, 0.0]
    assert abs(cosines(vector, noise)["a"]) < STANDARD_ERRORS / MANY**0.5
    assert torch.equal(RandomOfEqualNorm()(vector, seed=5)["a"], noise["a"])
    assert not torch.equal(RandomOfEqualNorm()(vector, seed=6)["a"], noise["a"])


def test_the_interlude_adds_the_multiple_of_a_difference() -> None:
    policy, plus, minus = table(0), table(1), table(2)
    expected = policy.model.table.detach() + 0.5 * (plus.model.table - minus.model.table).detach()
    AddVector("plus", "minus", scale=0.5).run(workspace(policy, plus=plus, minus=minus))
    torch.testing.assert_close(policy.model.table.detach(), expected, rtol=0, atol=ROUNDING)
    assert AddVector("plus", "minus", scale=0.5).name == "add 0.5 x (plus - minus)"


def test_a_scale_of_zero_adds_nothing() -> None:
    policy = table(0)
    AddVector("plus", "minus", scale=0.0).run(workspace(policy, plus=table(1), minus=table(2)))
    assert torch.equal(policy.model.table, table(0).model.table)


def test_the_interlude_can_add_the_control() -> None:
    policy, plus, minus = table(0), table(1), table(2)
    AddVector("plus", "minus", direction=RandomOfEqualNorm()).run(workspace(policy, plus=plus, minus=minus))
    added, learned = difference(policy, table(0)), difference(plus, minus)
    assert norms(added)["table"] == pytest.approx(norms(learned)["table"], rel=ROUNDING * 10)
    assert abs(cosines(added, learned)["table"]) < 0.9


def test_policies_that_were_not_kept_are_refused() -> None:
    with pytest.raises(UserError, match="no part of the recipe kept the policy 'minus'"):
        AddVector("plus", "minus").run(workspace(table(0), plus=table(1)))
