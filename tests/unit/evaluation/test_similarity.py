"""Diversity of pairs: cosines and judgements with known answers."""

from collections.abc import Sequence
from itertools import combinations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from posttrain.evaluation.similarity import (
    EmbeddingDiversity,
    EntailmentDiversity,
    HashedWords,
    Judgement,
    NgramCosineDiversity,
    overlap,
)
from tolerances import ROUNDING

VECTORS = {"east": [1.0, 0.0], "north": [0.0, 2.0], "north-east": [3.0, 3.0], "west": [-1.0, 0.0], "": [0.0, 0.0]}


def compass(texts: Sequence[str]) -> Tensor:
    return torch.tensor([VECTORS[text] for text in texts])


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["east", "east", "east"], 0.0),
        (["east", "north"], 1.0),
        (["east", "west"], 2.0),
        (["east", "north", "north-east"], 1 - 2 * 0.5**0.5 / 3),
        (["", ""], 0.0),
        (["", "east"], 1.0),
    ],
    ids=str,
)
def test_one_minus_the_mean_cosine(texts: list[str], expected: float) -> None:
    assert EmbeddingDiversity(compass)(texts) == pytest.approx(expected, abs=ROUNDING)


@given(st.lists(st.sampled_from(sorted(VECTORS)), min_size=2, max_size=6))
def test_the_mean_is_over_all_pairs(texts: list[str]) -> None:
    pairs = [EmbeddingDiversity(compass)(list(pair)) for pair in combinations(texts, 2)]
    assert EmbeddingDiversity(compass)(texts) == pytest.approx(sum(pairs) / len(pairs), abs=ROUNDING)


def test_ngram_cosines_by_hand() -> None:
    # Words: (1, 1, 0) and (1, 0, 1), cosine 1/2; pairs of words: nothing in common.
    assert NgramCosineDiversity((1,))(["a b", "a c"]) == pytest.approx(0.5, abs=ROUNDING)
    assert NgramCosineDiversity((1, 2))(["a b", "a c"]) == pytest.approx(0.75, abs=ROUNDING)
    assert NgramCosineDiversity()(["a b", "a c"]) == pytest.approx(0.75, abs=ROUNDING)
    assert NgramCosineDiversity()(["a b c"] * 3) == pytest.approx(0.0, abs=ROUNDING)
    assert NgramCosineDiversity()(["", ""]) == 0.0


def test_hashed_words_are_counts_that_do_not_depend_on_order_or_process() -> None:
    encode = HashedWords(dimensions=64)
    one, other, twice = encode(["a b", "b a", "a b a b"])
    assert torch.equal(one, other)
    assert torch.equal(twice, 2 * one)
    assert float(one.sum()) == 2.0
    assert one.nonzero()[:, 0].tolist() == [22, 41]  # not by Python's hash, which differs from process to process


def judging(relation: Judgement, probability: float = 1.0):
    return lambda pairs: [(relation, probability)] * len(pairs)


@pytest.mark.parametrize(
    ("judge", "expected"),
    [
        (judging("entailment"), -2.0),
        (judging("neutral"), 0.0),
        (judging("contradiction"), 2.0),
        (judging("contradiction", 0.25), 0.5),
    ],
)
def test_both_directions_of_a_pair_count_and_contradiction_is_diverse(judge, expected: float) -> None:
    assert EntailmentDiversity(judge)(["a", "b", "c"]) == expected


def test_every_pair_is_judged_in_both_directions() -> None:
    asked: list[tuple[str, str]] = []

    def listening(pairs: Sequence[tuple[str, str]]) -> list[tuple[Judgement, float]]:
        asked.extend(pairs)
        return [("neutral", 1.0)] * len(pairs)

    EntailmentDiversity(listening)(["a", "b", "c"])
    assert sorted(asked) == [("a", "b"), ("a", "c"), ("b", "a"), ("b", "c"), ("c", "a"), ("c", "b")]


def test_one_direction_alone_is_half_of_it() -> None:
    # "a b" entails "a", which is neutral about "a b".
    assert EntailmentDiversity(overlap)(["a b", "a"]) == -1.0
    assert EntailmentDiversity(overlap)(["a", "b"]) == 2.0
    assert EntailmentDiversity(overlap)(["a b", "b a"]) == -2.0


@pytest.mark.parametrize("metric", [EmbeddingDiversity(compass), NgramCosineDiversity(), EntailmentDiversity(overlap)])
@pytest.mark.parametrize("texts", [[], ["east"]])
def test_one_text_has_no_pairs(metric, texts: list[str]) -> None:
    with pytest.raises(ValueError, match="at least two texts"):
        metric(texts)
