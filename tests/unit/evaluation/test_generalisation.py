"""The gap between what is known and what is new."""

import math

import pytest
import torch

from posttrain.evaluation.generalisation import generalisation_gap
from tolerances import ROUNDING, STANDARD_ERRORS


def outcomes(share: float, seeds: int = 2, problems: int = 300, seed: int = 0) -> list[list[float]]:
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(seeds, problems, generator=generator) < share).double().tolist()


def test_the_gap_is_inside_minus_outside() -> None:
    found = generalisation_gap([[1.0, 1.0, 0.0, 0.0]], [[1.0, 0.0, 0.0, 0.0, 0.0]])
    assert (found.inside, found.outside, found.gap) == (0.5, 0.2, 0.3)
    assert generalisation_gap([[0.0, 1.0]], [[1.0, 1.0]]).gap == -0.5


def test_the_same_problems_inside_and_outside_have_no_gap() -> None:
    same = outcomes(0.4)
    found = generalisation_gap(same, same, resamples=500)
    low, high = found.ci95
    assert found.gap == 0.0
    assert low < 0.0 < high


def test_a_real_gap_excludes_zero() -> None:
    low, high = generalisation_gap(outcomes(0.7), outcomes(0.4, problems=200, seed=1), resamples=500).ci95
    assert 0 < low < 0.3 < high


def test_the_interval_is_as_wide_as_two_independent_samples_say() -> None:
    near, far = outcomes(0.5, 1, 400), outcomes(0.5, 1, 100, seed=1)
    low, high = generalisation_gap(near, far, resamples=2000).ci95
    expected = 2 * 1.96 * math.sqrt(0.25 / 400 + 0.25 / 100)
    assert abs((high - low) / expected - 1) < STANDARD_ERRORS / math.sqrt(1000)


def test_a_constant_quality_has_no_interval() -> None:
    assert generalisation_gap([[1.0] * 5], [[0.5] * 3], resamples=50).ci95 == (0.5, 0.5)


def test_seeds_are_drawn_for_both_sets_together() -> None:
    moody = [[1.0] * 50, [0.0] * 50] * 2
    assert generalisation_gap(moody, moody, resamples=200).ci95 == pytest.approx((0.0, 0.0), abs=ROUNDING)


@pytest.mark.parametrize(("near", "far"), [([[1.0]], [[1.0], [1.0]]), ([[]], [[1.0]]), ([[1.0]], [[]]), ([], [])])
def test_sets_that_cannot_be_compared_are_refused(near, far) -> None:
    with pytest.raises(ValueError, match="the same seeds"):
        generalisation_gap(near, far)
