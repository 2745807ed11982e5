"""Shaped probabilities in numbers."""

import math

import pytest
import torch

from fixtures.sequences import sequence, spell
from fixtures.stated import Stated, row, stated_batch
from posttrain.objectives.clipped import ClippedPolicy
from posttrain.objectives.shaped import Logarithm, Power, Saturating, ShapedPolicy
from tolerances import MODEL, ROUNDING


@pytest.mark.parametrize(
    ("shaping", "p", "value", "weight"),
    [
        (Saturating(), 0.1, 0.5, 0.25),  # the greatest weight, where p = gamma
        (Saturating(), 1.0, 1 / 1.1, 0.1 / 1.21),
        (Saturating(), 0.3, 0.75, 0.03 / 0.16),
        (Saturating(0.5), 0.5, 0.5, 0.25),
        (Saturating(), 1e-6, 1e-6 / 0.100001, 1e-7 / 0.100001**2),
        (Power(), 0.3, 0.3, 0.3),
        (Power(0.5), 0.25, 0.5, 0.25),
        (Logarithm(), 0.25, math.log(0.25), 1.0),
    ],
)
def test_values_and_weights_on_the_log_probability(shaping, p: float, value: float, weight: float) -> None:
    logprobs = torch.tensor([[math.log(p)]], dtype=torch.float64, requires_grad=True)
    shaped = shaping(logprobs)
    assert float(shaped.detach()) == pytest.approx(value, abs=ROUNDING)
    shaped.sum().backward()
    assert float(logprobs.grad) == pytest.approx(weight, abs=ROUNDING)


def test_no_token_has_a_greater_weight_than_a_quarter_and_rare_ones_ten_times_the_unshaped() -> None:
    p = torch.logspace(-8, 0, 200, dtype=torch.float64)
    logprobs = p.log().requires_grad_()
    Saturating()(logprobs).sum().backward()
    assert float(logprobs.grad.max()) <= 0.25
    assert float(logprobs.grad[0] / p[0]) == pytest.approx(10.0, rel=MODEL)


def test_impossible_tokens_and_certain_ones_stay_finite() -> None:
    logprobs = torch.tensor([[-1e4, -200.0, 0.0]], requires_grad=True)
    for shaping in (Saturating(), Power(0.5), Logarithm()):
        (gradient,) = torch.autograd.grad(shaping(logprobs).sum(), logprobs)
        assert bool(gradient.isfinite().all())


@pytest.mark.parametrize("part", [lambda: Saturating(0.0), lambda: Power(-1.0)])
def test_shapes_without_a_slope_are_refused(part) -> None:
    with pytest.raises(ValueError, match="above 0"):
        part()


PATTERN = spell("pggss")
ADVANTAGES = [2.0, 2.0, -1.0, 2.0, -1.0]


def test_given_tokens_are_shaped_and_sampled_ones_have_a_ratio_without_a_clip() -> None:
    logprobs = row(0.0, math.log(0.1), math.log(0.3), math.log(0.8), math.log(0.1))
    old = [0.0, -3.0, -3.0, math.log(0.2), math.log(0.4)]  # what is given has no ratio, whatever it was
    loss = ShapedPolicy()(Stated(logprobs), stated_batch(PATTERN, advantages=ADVANTAGES, old_logprobs=old))
    assert loss[0, 1:].tolist() == pytest.approx([-2 * 0.5, 0.75, -2 * 4, 1 / 4], abs=ROUNDING)
    loss[0, 1:].sum().backward()
    weights = [-2 * 0.25, 0.03 / 0.16, -8.0, 1 / 4]
    assert logprobs.grad[0, 1:].tolist() == pytest.approx(weights, abs=ROUNDING)


def test_the_surrogate_of_sampled_tokens_is_a_choice() -> None:
    logprobs = row(0.0, -1.0, -1.0, math.log(0.8), math.log(0.1))
    old = [0.0, 0.0, 0.0, math.log(0.2), math.log(0.4)]
    batch = stated_batch(PATTERN, advantages=ADVANTAGES, old_logprobs=old)
    loss = ShapedPolicy(sampled=ClippedPolicy())(Stated(logprobs), batch)
    assert loss[0, 3:].tolist() == pytest.approx([-2.4, 0.8], abs=ROUNDING)


@pytest.mark.parametrize(("advantage", "inert"), [(0.0, True), (0.5, False), (-0.5, False)])
def test_only_zero_advantages_are_inert(advantage: float, inert: bool) -> None:
    assert ShapedPolicy().inert(sequence([1, 2], spell("pg"), advantages=advantage)) is inert
