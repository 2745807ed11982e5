"""What every diversity metric promises."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixtures.parts import diversity_metrics
from fixtures.walking import Case
from posttrain.evaluation.ngrams import ExpectationAdjusted
from tolerances import MODEL

METRICS = pytest.mark.parametrize("case", diversity_metrics(), ids=str)
TEXTS = st.lists(st.text("ab c.\n", max_size=12), min_size=2, max_size=6)
VARIED = ["one two three four five six", "six seven eight nine ten one", "a b c d e f"]


@METRICS
@given(texts=TEXTS)
def test_any_texts_have_a_finite_diversity(case: Case, texts: list[str]) -> None:
    assert math.isfinite(case.construct()(texts))


@METRICS
@given(texts=TEXTS, order=st.randoms(use_true_random=False))
def test_the_order_of_the_texts_does_not_matter(case: Case, texts: list[str], order) -> None:
    metric = case.construct()
    assert metric(order.sample(texts, len(texts))) == pytest.approx(metric(texts), abs=MODEL)


@METRICS
def test_the_same_text_over_and_over_is_less_diverse_than_different_ones(case: Case) -> None:
    metric = case.construct()
    assert metric(VARIED[:1] * 3) < metric(VARIED)


def test_the_walk_finds_the_adjusted_share() -> None:
    assert ExpectationAdjusted in [case.part for case in diversity_metrics()]
