"""Diversity per input and across inputs."""

import math

import pytest

from posttrain.evaluation.accuracy import Answer
from posttrain.evaluation.diversity import across_inputs, distinct_correct, per_input
from posttrain.evaluation.ngrams import Distinct
from posttrain.evaluation.similarity import NgramCosineDiversity
from tolerances import ROUNDING

WORDS = Distinct((1,))
OUTPUTS = [["a b", "a b"], ["c d", "e f"], ["a b", "c d"]]


def test_per_input_is_the_mean_over_inputs() -> None:
    found = per_input(WORDS, OUTPUTS)
    assert (found.mean, found.inputs) == (pytest.approx((0.5 + 1.0 + 1.0) / 3, abs=ROUNDING), 3)
    assert found.std == pytest.approx(math.sqrt((1 / 9 + 1 / 36 + 1 / 36) / 2), abs=ROUNDING)
    low, high = found.ci95
    assert 0.5 <= low <= found.mean <= high <= 1.0


def test_a_model_that_repeats_itself_has_no_diversity_whatever_it_says_to_others() -> None:
    stubborn = [["a b c"] * 4, ["d e f"] * 4]
    assert per_input(NgramCosineDiversity(), stubborn).mean == pytest.approx(0.0, abs=ROUNDING)
    assert across_inputs(NgramCosineDiversity(), stubborn) == pytest.approx(1.0, abs=ROUNDING)


def test_across_inputs_takes_exactly_one_output_of_each() -> None:
    assert across_inputs(lambda texts: float(len(texts)), OUTPUTS) == 3.0
    heard = []
    across_inputs(lambda texts: heard.extend(texts) or 0.0, OUTPUTS)
    assert heard == ["a b", "c d", "a b"]


def test_a_single_input_has_an_unknown_spread() -> None:
    assert math.isnan(per_input(WORDS, OUTPUTS[:1]).std)


@pytest.mark.parametrize("outputs", [[["a"], ["b"]], [["a", "b"], ["c"]], [["a", "b", "c"], ["d", "e"]], [], [[]]])
def test_single_samples_and_unequal_numbers_are_refused(outputs: list[list[str]]) -> None:
    with pytest.raises(ValueError, match="at least 2"):
        per_input(WORDS, outputs)


def answer(response: str, score: float) -> Answer:
    return Answer("x", response, score, "", True, 1)


def test_different_correct_responses_are_counted_per_problem() -> None:
    first = [answer("a", 1.0), answer("a", 1.0), answer("b", 1.0), answer("c", 0.1)]
    second = [answer("d", 0.0)] * 4
    assert distinct_correct([first, second]) == 1.0
