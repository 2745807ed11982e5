"""Shares of different n-grams against values worked by hand, and their limits."""

import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posttrain.evaluation.ngrams import Distinct, ExpectationAdjusted, ngrams, spaced_words
from tolerances import MODEL, ROUNDING, VISIBLE

TEXTS = st.lists(st.text("abc ", max_size=15), min_size=1, max_size=5)


def letters(text: str) -> list[str]:
    return list(text)


def test_words_stand_between_spaces_without_full_stops_and_line_breaks() -> None:
    assert spaced_words("one two.  three\nfour.") == ["one", "two", "threefour"]
    assert spaced_words(" .\n") == []


def test_ngrams_are_runs_of_words() -> None:
    assert ngrams("abcd", 2) == [("a", "b"), ("b", "c"), ("c", "d")]
    assert ngrams("ab", 3) == []


def test_the_share_of_different_ones_by_hand() -> None:
    # Single words: a b a c, 3 of 4 different; pairs: (a b) (a c), both.
    assert Distinct(orders=(1,))(["a b", "a c"]) == 0.75
    assert Distinct(orders=(2,))(["a b", "a c"]) == 1.0
    assert Distinct(orders=(1, 2))(["a b", "a c"]) == 0.875


def test_the_adjusted_share_by_hand() -> None:
    expected = 3 / (10 * (1 - 0.9**4))
    assert ExpectationAdjusted(10, (1,))(["a b", "a c"]) == pytest.approx(expected, abs=ROUNDING)


def test_orders_without_ngrams_are_left_out_and_nothing_at_all_is_zero() -> None:
    assert Distinct()(["a b", "a c"]) == Distinct(orders=(1, 2))(["a b", "a c"])
    for metric in (Distinct(), ExpectationAdjusted()):
        assert metric(["", " "]) == 0.0


@given(texts=TEXTS)
def test_in_an_endless_vocabulary_the_adjusted_share_is_the_plain_one(texts: list[str]) -> None:
    assert ExpectationAdjusted(10**12)(texts) == pytest.approx(Distinct()(texts), abs=MODEL)


@given(texts=TEXTS)
def test_adjusting_never_lowers_the_share(texts: list[str]) -> None:
    assert ExpectationAdjusted(5)(texts) >= Distinct()(texts) - ROUNDING


def test_words_drawn_evenly_get_one_at_every_length_where_the_plain_share_falls() -> None:
    numbers, vocabulary = random.Random(0), 200

    def mean(metric, length: int) -> float:
        texts = [" ".join(str(numbers.randrange(vocabulary)) for _ in range(length)) for _ in range(300)]
        return statistics.fmean(metric([text]) for text in texts)

    lengths = (5, 50, 500)
    assert [mean(ExpectationAdjusted(vocabulary, (1,)), n) for n in lengths] == pytest.approx([1.0] * 3, abs=VISIBLE)
    plain = [mean(Distinct((1,)), n) for n in lengths]
    assert plain[0] > plain[1] > 2 * plain[2]


def test_for_pairs_it_may_pass_one() -> None:
    numbers = random.Random(0)
    text = " ".join(str(numbers.randrange(20)) for _ in range(400))
    assert ExpectationAdjusted(20, (2,))([text]) > 2.0


def test_identical_texts_have_the_least_share() -> None:
    assert Distinct((1,), letters)(["abc"] * 4) == 0.25
    assert Distinct((1,), letters)(["abc", "def", "ghi", "jkl"]) == 1.0


def test_a_vocabulary_of_one_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 2 words"):
        ExpectationAdjusted(1)
