"""Schedules at the points where their value is known."""

import pytest

from posttrain.durations import Fraction, Steps
from posttrain.schedules import Constant, Cosine, Linear, Warmup
from posttrain.types import Progress


def at(step: int, total: int = 100) -> Progress:
    return Progress(step, total, seed=0)


@pytest.mark.parametrize(
    ("schedule", "step", "value"),
    [
        (Constant(0.3), 77, 0.3),
        (Linear(1.0, 0.0), 0, 1.0),
        (Linear(1.0, 0.0), 25, 0.75),
        (Linear(1.0, 0.0), 100, 0.0),
        (Linear(2.0, 1.0, Steps(10)), 5, 1.5),
        (Linear(2.0, 1.0, Steps(10)), 99, 1.0),
        (Cosine(1.0, 0.0), 0, 1.0),
        (Cosine(1.0, 0.0), 50, 0.5),
        (Cosine(1.0, 0.2), 100, 0.2),
        (Cosine(1.0, 0.2, Fraction(0.5)), 25, 0.6),
        (Cosine(1.0, 0.2, Fraction(0.5)), 80, 0.2),
    ],
)
def test_known_values(schedule, step: int, value: float) -> None:
    assert schedule(at(step)) == pytest.approx(value)


def test_a_warm_up_rises_by_equal_amounts_and_starts_above_zero() -> None:
    warmup = Warmup(Constant(1.0), Steps(4))
    assert [warmup(at(step)) for step in range(6)] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0, 1.0])


def test_a_warm_up_scales_what_comes_after_it() -> None:
    warmup = Warmup(Linear(1.0, 0.0), Fraction(0.1))
    assert warmup(at(4)) == pytest.approx(0.96 * 5 / 11)
    assert warmup(at(50)) == pytest.approx(0.5)


def test_no_warm_up_is_no_change() -> None:
    assert Warmup(Constant(0.7), Steps(0))(at(0)) == pytest.approx(0.7)


@pytest.mark.parametrize("schedule", [Linear(1.0, 0.5, Steps(0)), Cosine(1.0, 0.5, Steps(0))])
def test_an_empty_span_ends_after_one_step(schedule) -> None:
    assert schedule(at(1)) == pytest.approx(0.5)
