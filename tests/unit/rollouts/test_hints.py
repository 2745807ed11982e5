"""Hint laws against their tables, formulas and moments."""

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from posttrain.durations import Fraction, Steps
from posttrain.rollouts.hints import BinomialCosine, NoHints, StagedHints, UniformHints, cut_points
from posttrain.types import Progress
from tolerances import STANDARD_ERRORS

SEPARATION = {
    1: [0, 1],
    2: [0, 1, 2],
    3: [0, 1, 2, 3],
    4: [0, 1, 2, 3, 4],
    5: [0, 1, 2, 3, 4, 5],
    6: [0, 1, 2, 4, 5, 6],
    7: [0, 1, 3, 4, 6, 7],
    8: [0, 2, 3, 5, 6, 8],
    9: [0, 2, 4, 5, 7, 9],
    10: [0, 2, 4, 6, 8, 10],
    11: [0, 2, 4, 7, 9, 11],
    12: [0, 2, 5, 7, 10, 12],
}


def after(steps_done: int, total: int = 500) -> Progress:
    """The moment of step ``steps_done + 1``, counted from 1 as the schedule does."""
    return Progress(steps_done, total, seed=0)


def draws(law, parts: int, now: Progress, count: int = 2000) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.tensor([float(law(parts, now, generator)) for _ in range(count)])


@pytest.mark.parametrize(("chunks", "points"), SEPARATION.items())
def test_the_cut_points_of_up_to_five_parts(chunks: int, points: list[int]) -> None:
    assert cut_points(chunks, 5) == points


@given(st.integers(1, 60), st.integers(1, 12))
def test_parts_are_not_empty_and_end_with_the_last_chunk(chunks: int, most_parts: int) -> None:
    points = cut_points(chunks, most_parts)
    sizes = [b - a for a, b in itertools.pairwise(points)]
    assert points[0] == 0
    assert points[-1] == chunks
    assert len(sizes) == min(chunks, most_parts)
    assert min(sizes) >= 1
    assert max(sizes) - min(sizes) <= 2


@pytest.mark.parametrize(
    ("step", "probability"),
    [(1, 0.05 + 0.45 * (1 + math.cos(math.pi / 300))), (150, 0.5), (300, 0.05), (301, 0.0), (500, 0.0)],
)
def test_the_expected_fraction_of_300_hinted_steps_out_of_500(step: int, probability: float) -> None:
    assert BinomialCosine().probability(after(step - 1)) == pytest.approx(probability)


@pytest.mark.parametrize("hinted", [Steps(300), Fraction(0.6), Steps(1), Steps(0)])
def test_exactly_the_hinted_steps_carry_hints(hinted) -> None:
    law = BinomialCosine(hinted=hinted)
    probabilities = [law.probability(after(step)) for step in range(500)]
    assert [p > 0 for p in probabilities] == [step < hinted.of(500) for step in range(500)]
    assert probabilities == sorted(probabilities, reverse=True)


@pytest.mark.parametrize("step", [1, 60, 150, 240, 300])
@pytest.mark.parametrize("parts", [1, 3, 5])
def test_mean_and_variance_are_those_of_the_binomial(step: int, parts: int) -> None:
    law, now = BinomialCosine(), after(step - 1)
    p, k = law.probability(now), draws(law, parts, now)
    variance = parts * p * (1 - p)
    fourth = variance * (1 + 3 * (parts - 2) * p * (1 - p))
    count = len(k)
    assert abs(float(k.mean()) - parts * p) < STANDARD_ERRORS * math.sqrt(variance / count)
    spread = math.sqrt(max(fourth - variance**2, 0.0) / count)
    assert abs(float(k.var()) - variance) < STANDARD_ERRORS * spread + variance / count


@pytest.mark.parametrize("fractions", [(1.1, 0.0), (0.5, -0.1)])
def test_impossible_fractions_are_refused(fractions: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        BinomialCosine(*fractions)


def test_certain_fractions_are_certain() -> None:
    everything = BinomialCosine(1.0, 1.0)
    assert set(draws(everything, 5, after(0), 100).tolist()) == {5.0}
    assert set(draws(BinomialCosine(0.0, 0.0), 5, after(0), 100).tolist()) == {0.0}


@pytest.mark.parametrize("step", [1, 499])
def test_uniform_hints_have_all_lengths_equally_often_for_ever(step: int) -> None:
    k = draws(UniformHints(), 5, after(step), 6000)
    error = (torch.bincount(k.long(), minlength=6) / 6000 - 1 / 6).abs() / math.sqrt(5 / 36 / 6000)
    assert float(error.max()) < STANDARD_ERRORS
    mean, spread = float(k.mean()) / 5, math.sqrt(35 / 12 / 6000) / 5
    assert abs(mean - UniformHints().probability(after(step))) < STANDARD_ERRORS * spread


STAGES = {1: 5, 49: 5, 50: 4, 99: 4, 100: 3, 150: 2, 200: 1, 249: 1, 250: 0, 300: 0, 301: 0, 500: 0}


@pytest.mark.parametrize(("step", "given"), STAGES.items())
def test_staged_hints_lose_a_part_every_fifty_steps(step: int, given: int) -> None:
    assert StagedHints(Steps(300))(5, after(step - 1), torch.Generator()) == given


def test_staged_hints_of_a_phase_shorter_than_their_parts_stay_in_range() -> None:
    lengths = [StagedHints(Steps(2))(5, after(step), torch.Generator()) for step in range(4)]
    assert lengths == [4, 3, 0, 0]


def test_no_hints_is_never_a_hint() -> None:
    assert NoHints()(5, after(0), torch.Generator()) == 0
