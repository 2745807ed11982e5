"""Best-of-N against enumeration."""

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from posttrain.evaluation.best_of_n import Pool, kl_bound, pool
from posttrain.evaluation.diversity import per_input
from posttrain.evaluation.ngrams import Distinct
from tolerances import MODEL, ROUNDING, STANDARD_ERRORS, VISIBLE

SCORES = st.lists(st.sampled_from([0.0, 0.1, 1.0]) | st.floats(-3, 3), min_size=1, max_size=7)


def of(scores: list[float]) -> Pool:
    return Pool(tuple(map(str, range(len(scores)))), tuple(scores))


@given(scores=SCORES)
def test_the_expected_score_is_the_mean_over_all_sets(scores: list[float]) -> None:
    for n in range(1, len(scores) + 1):
        every = [max(chosen) for chosen in itertools.combinations(scores, n)]
        assert of(scores).expected_score(n) == pytest.approx(sum(every) / len(every), abs=MODEL)


@given(scores=SCORES)
def test_more_samples_never_lower_the_score(scores: list[float]) -> None:
    expected = [of(scores).expected_score(n) for n in range(1, len(scores) + 1)]
    assert all(later >= sooner - ROUNDING for sooner, later in itertools.pairwise(expected))
    assert expected[0] == pytest.approx(sum(scores) / len(scores), abs=ROUNDING)
    assert expected[-1] == max(scores)


def test_the_best_of_one_is_any_sample() -> None:
    drawn = of([0.0, 5.0, 1.0, 2.0]).best(1, 4000, torch.Generator().manual_seed(0))
    spread = math.sqrt(0.25 * 0.75 / 4000)
    for response in "0123":
        assert abs(drawn.count(response) / 4000 - 0.25) < STANDARD_ERRORS * spread


def test_draws_have_the_expected_score() -> None:
    scores = [0.0, 5.0, 1.0, 2.0, 2.0, 4.0]
    drawn = [scores[int(r)] for r in of(scores).best(3, 4000, torch.Generator().manual_seed(0))]
    values = torch.tensor(drawn)
    error = float(values.std()) / math.sqrt(4000)
    assert abs(float(values.mean()) - of(scores).expected_score(3)) < STANDARD_ERRORS * error


def test_equal_scores_are_decided_by_chance() -> None:
    drawn = of([1.0, 1.0, 1.0]).best(3, 300, torch.Generator().manual_seed(0))
    assert {drawn.count(r) > 50 for r in "012"} == {True}


def test_the_best_of_the_whole_pool_is_its_best_every_time() -> None:
    assert of([0.0, 5.0, 1.0]).best(3, 4, torch.Generator().manual_seed(0)) == ("1",) * 4


def test_pools_give_the_diversity_of_best_of_n_per_input() -> None:
    pools = [Pool(("a b", "c d", "e f", "g h"), (0.0, 1.0, 2.0, 3.0)), Pool(("i", "j", "k", "l"), (3.0, 2.0, 1.0, 0.0))]
    generator = torch.Generator().manual_seed(0)
    metric = Distinct((1,))
    spreads = [per_input(metric, [p.best(n, 8, generator) for p in pools]).mean for n in (1, 4)]
    assert spreads[0] > spreads[1] == pytest.approx(1 / 8, abs=ROUNDING)


def test_a_score_sees_prompt_and_response() -> None:
    made = pool("1=", ["a", "bb"], lambda prompt, response: len(prompt) + 10 * len(response))
    assert made == Pool(("a", "bb"), (12.0, 22.0))


def divergence(probabilities: list[float], n: int) -> float:
    """KL of the best of n from what it samples, the samples' scores rising with their index: exact."""
    below = [0.0, *itertools.accumulate(probabilities)]
    chosen = [high**n - low**n for low, high in itertools.pairwise(below)]
    return sum(q * math.log(q / p) for p, q in zip(probabilities, chosen) if q > 0)


@given(weights=st.lists(st.floats(0.01, 1.0), min_size=1, max_size=8), n=st.integers(1, 20))
def test_the_divergence_never_exceeds_the_bound(weights: list[float], n: int) -> None:
    probabilities = [w / sum(weights) for w in weights]
    assert divergence(probabilities, n) <= kl_bound(n) + MODEL


def test_the_bound_is_reached_by_a_fine_distribution_and_zero_for_one_sample() -> None:
    assert kl_bound(1) == 0.0
    assert kl_bound(16) == pytest.approx(math.log(16) - 15 / 16, abs=ROUNDING)
    assert divergence([1e-4] * 10_000, 16) == pytest.approx(kl_bound(16), abs=VISIBLE)


def test_what_cannot_be_chosen_from_is_refused() -> None:
    for responses, scores in (((), ()), (("a",), (1.0, 2.0)), (("a",), (math.nan,)), (("a",), (math.inf,))):
        with pytest.raises(ValueError, match=r"no pool|finite"):
            Pool(responses, scores)
    for n in (0, 3):
        with pytest.raises(ValueError, match="between 1 and the 2"):
            of([1.0, 2.0]).expected_score(n)
        with pytest.raises(ValueError, match="between 1 and the 2"):
            of([1.0, 2.0]).best(n, 1, torch.Generator())
    with pytest.raises(ValueError, match="at least 1"):
        kl_bound(0)
