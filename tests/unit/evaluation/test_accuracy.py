"""Accuracies, intervals and pass@k against enumeration and known values."""

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fixtures.models import tiny_policy
from fixtures.toy import toy_examples, toy_verify
from fixtures.training import recitation
from posttrain.engines.huggingface import HuggingFaceEngine
from posttrain.evaluation.accuracy import Answer, answer_all, paired_difference, pass_at_k, summarise, wilson
from posttrain.sampling import Sampling
from posttrain.text import Text
from posttrain.types import Example, Verdict
from tolerances import ROUNDING, STANDARD_ERRORS

EXAMPLES = toy_examples(6)


def answer(score: float | None, valid: bool = True, tokens: int = 5) -> Answer:
    return Answer("x", "a", score, "", valid, tokens)


@given(st.lists(st.lists(st.booleans(), min_size=4, max_size=6), min_size=1, max_size=3), st.integers(1, 4))
def test_pass_at_k_is_the_share_of_all_subsets_with_a_correct_answer(rows: list[list[bool]], k: int) -> None:
    brute = [any(subset) for row in rows[:1] for subset in itertools.combinations(row, k)]
    first = pass_at_k([[answer(float(correct)) for correct in rows[0]]], k)
    assert first == pytest.approx(sum(brute) / len(brute), abs=ROUNDING)
    each = [pass_at_k([[answer(float(c)) for c in row]], k) for row in rows]
    together = pass_at_k([[answer(float(c)) for c in row] for row in rows], k)
    assert together == pytest.approx(sum(each) / len(each), abs=ROUNDING)


def test_pass_at_more_than_there_are_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 3 samples"):
        pass_at_k([[answer(1.0)] * 2], 3)


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [(0, 10, 0.0, 0.27753), (10, 10, 0.72247, 1.0), (5, 10, 0.23659, 0.76341), (1, 29, 0.00611, 0.17176)],
)
def test_wilsons_interval_at_known_values(successes: int, n: int, low: float, high: float) -> None:
    assert [round(end, 5) for end in wilson(successes, n)] == [low, high]


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilsons_interval_contains_the_share_and_mirrors(counts: tuple[int, int]) -> None:
    successes, n = counts
    low, high = wilson(successes, n)
    assert 0 <= low <= successes / n + ROUNDING
    assert successes / n - ROUNDING <= high <= 1
    mirrored = wilson(n - successes, n)
    assert (1 - mirrored[1], 1 - mirrored[0]) == pytest.approx((low, high), abs=ROUNDING)


def test_a_summary_counts_the_unscorable_as_wrong() -> None:
    summary = summarise([answer(1.0), answer(0.1), answer(0.0, valid=False, tokens=1), answer(None, valid=False)])
    assert (summary.accuracy, summary.valid_rate, summary.n, summary.unscorable) == (0.25, 0.5, 4, 1)
    assert summary.mean_tokens == 4.0
    assert summary.ci95 == wilson(1, 4)


def test_partial_credit_is_not_correct() -> None:
    assert [answer(score).correct for score in (1.0, 0.999, 0.1, 0.0, None)] == [True, False, False, False, False]


def test_every_problem_is_answered_from_its_prompt_alone(text: Text) -> None:
    prompts: list[str] = []
    engine = recitation(text)
    script = engine._script
    engine._script = lambda prompt, index: prompts.append(prompt) or script(prompt, index)
    answers = answer_all(EXAMPLES, toy_verify, engine, text, Sampling(0, 10), 2, seed=0)
    assert prompts == [e.prompt for e in EXAMPLES for _ in range(2)]
    assert [[a.response for a in row] for row in answers] == [["a1 .b", "a1 ."]] * 6
    assert [[a.tokens for a in row] for row in answers] == [[6, 5]] * 6
    assert [row[0].correct for row in answers] == [e.answer in "ab" for e in EXAMPLES]


def test_an_unscorable_answer_keeps_its_reason(text: Text) -> None:
    def undecided(response: str, example: Example) -> Verdict:
        return Verdict(None, "timed out", False)

    ((first,), *_) = answer_all(EXAMPLES, undecided, recitation(text), text, Sampling(0, 10), 1, seed=0)
    assert (first.score, first.reason, first.correct) == (None, "timed out", False)


def test_equal_seeds_ask_for_equal_samples(text: Text) -> None:
    engine = HuggingFaceEngine()
    engine.load(tiny_policy(), version=0)
    first, again, other = (
        [a.response for row in answer_all(EXAMPLES, toy_verify, engine, text, Sampling(1.0, 8), 3, s) for a in row]
        for s in (0, 0, 1)
    )
    assert first == again
    assert first != other


def outcomes(share: float, seeds: int = 3, problems: int = 200, seed: int = 0) -> list[list[bool]]:
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(seeds, problems, generator=generator) < share).tolist()


def test_identical_arms_do_not_differ() -> None:
    same = outcomes(0.4)
    assert paired_difference(same, same, resamples=50) == (0.0, (0.0, 0.0))


def test_arms_of_equal_strength_have_zero_in_their_interval() -> None:
    difference, (low, high) = paired_difference(outcomes(0.4), outcomes(0.4, seed=1), resamples=500)
    assert low < 0 < high
    assert low < difference < high


def test_a_real_difference_excludes_zero_and_changes_sign_with_the_order() -> None:
    strong, weak = outcomes(0.6), outcomes(0.3, seed=1)
    difference, (low, high) = paired_difference(strong, weak, resamples=500)
    assert 0 < low < difference < high
    assert paired_difference(weak, strong, resamples=500)[0] == pytest.approx(-difference)


def test_the_interval_is_as_wide_as_the_spread_over_problems() -> None:
    one, none = outcomes(0.5, seeds=1, problems=400), [[False] * 400]
    _, (low, high) = paired_difference(one, none, resamples=1000)
    expected = 2 * 1.96 * math.sqrt(0.25 / 400)
    assert abs((high - low) / expected - 1) < STANDARD_ERRORS / math.sqrt(1000)


def test_a_spread_over_seeds_widens_the_interval() -> None:
    steady = [[True] * 50 + [False] * 50] * 4
    moody = [[True] * 100, [False] * 100] * 2
    none = [[False] * 100] * 4
    widths = [high - low for _, (low, high) in (paired_difference(arm, none, resamples=500) for arm in (steady, moody))]
    assert widths[1] > widths[0]
