"""Advantages worked by hand."""

import math

import pytest
import torch

from posttrain.credit.group import Centred, LeaveOneOut, Standardised
from tolerances import FLOAT32_RECORD, ROUNDING

REWARDS = [1.0, 0.1, 0.1, 0.0]  # mean 0.3, sum of squared deviations 0.66


@pytest.mark.parametrize(
    ("credit", "expected"),
    [
        (Centred(), [0.7, -0.2, -0.2, -0.3]),
        (LeaveOneOut(), [1.0 - 0.2 / 3, 0.1 - 1.1 / 3, 0.1 - 1.1 / 3, 0.0 - 1.2 / 3]),
        (Standardised(0.0), [x / math.sqrt(0.66 / 3) for x in (0.7, -0.2, -0.2, -0.3)]),
        (Standardised(1.0), [x / (math.sqrt(0.66 / 3) + 1.0) for x in (0.7, -0.2, -0.2, -0.3)]),
    ],
)
def test_worked_by_hand(credit, expected: list[float]) -> None:
    assert credit.relative(torch.tensor(REWARDS, dtype=torch.float64)).tolist() == pytest.approx(expected, abs=ROUNDING)


@pytest.mark.parametrize("credit", [Standardised(), Centred(), LeaveOneOut()])
@pytest.mark.parametrize("reward", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("size", [1, 3, 7])
def test_a_group_without_variance_is_exactly_zero(credit, reward: float, size: int) -> None:
    assert credit.relative(torch.full((size,), reward, dtype=torch.float64)).tolist() == [0.0] * size


def test_the_usual_epsilon_hardly_shrinks() -> None:
    usual = Standardised().relative(torch.tensor([1.0, 0.0], dtype=torch.float64))
    assert usual.tolist() == pytest.approx([math.sqrt(0.5), -math.sqrt(0.5)], abs=FLOAT32_RECORD)
    assert float(usual.abs().max()) < math.sqrt(0.5)
