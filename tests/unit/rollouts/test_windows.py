"""The window that hint lengths are drawn from."""

import math

import pytest
import torch

from posttrain.durations import Fraction, Steps
from posttrain.rollouts.windows import BetaWindow
from posttrain.types import Progress
from tolerances import ROUNDING, STANDARD_ERRORS

MANY = 1_000_000
"""So many parts that the rounding of a length does not show."""


def at(step: int, total: int = 500) -> Progress:
    return Progress(step, total, seed=0)


def fractions(law: BetaWindow, now: Progress, count: int = 2000) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.tensor([law(MANY, now, generator) / MANY for _ in range(count)], dtype=torch.float64)


@pytest.mark.parametrize(
    ("step", "low"),
    [(0, 0.95), (125, 0.5 + 0.45 * math.cos(math.pi / 4)), (250, 0.5), (500, 0.05), (600, 0.05)],
)
def test_the_lower_end_falls_by_a_half_cosine(step: int, low: float) -> None:
    assert BetaWindow().window(at(step)) == pytest.approx((low, 0.95), abs=ROUNDING)


def test_it_never_rises_and_starts_as_a_point() -> None:
    lows = [BetaWindow().window(at(step))[0] for step in range(501)]
    assert lows == sorted(lows, reverse=True)
    assert set(fractions(BetaWindow(), at(0), 20).tolist()) == {0.95}


@pytest.mark.parametrize("over", [Steps(100), Fraction(0.2)])
def test_it_may_end_before_the_stage(over) -> None:
    law = BetaWindow(over=over)
    assert law.window(at(99))[0] > 0.05
    assert law.window(at(100))[0] == pytest.approx(0.05, abs=ROUNDING)


@pytest.mark.parametrize("step", [250, 400, 500])
def test_lengths_are_uniform_in_the_window(step: int) -> None:
    law = BetaWindow()
    low, high = law.window(at(step))
    drawn = (fractions(law, at(step)) - low) / (high - low)
    assert float(drawn.min()) > -ROUNDING - 1 / MANY / (high - low)
    assert float(drawn.max()) < 1
    assert abs(float(drawn.mean()) - 1 / 2) < STANDARD_ERRORS * math.sqrt(1 / 12 / len(drawn))
    quarter = float((drawn < 1 / 4).double().mean())
    assert abs(quarter - 1 / 4) < STANDARD_ERRORS * math.sqrt(3 / 16 / len(drawn))


def test_another_beta_distribution_has_its_mean() -> None:
    drawn = fractions(BetaWindow(1.0, 0.0, 0.0, alpha=2.0, beta=3.0), at(0))
    assert abs(float(drawn.mean()) - 2 / 5) < STANDARD_ERRORS * math.sqrt(6 / 150 / len(drawn))


def test_a_window_that_is_upside_down_is_turned() -> None:
    assert BetaWindow(high=0.1, start=0.3, end=0.6).window(at(0)) == (0.1, 0.3)


@pytest.mark.parametrize(("parts", "count"), [(1, 0), (2, 1), (7, 6), (20, 19), (21, 19), (0, 0)])
def test_lengths_are_rounded_down(parts: int, count: int) -> None:
    assert BetaWindow()(parts, at(0), torch.Generator()) == count


@pytest.mark.parametrize(
    "settings", [{"high": 1.1}, {"start": -0.1}, {"end": 1.5}, {"alpha": 0.0}, {"beta": -1.0}], ids=str
)
def test_impossible_windows_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"between 0 and 1|above 0"):
        BetaWindow(**settings)
