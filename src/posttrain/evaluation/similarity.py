"""Diversity as the lack of similarity between two texts of a set, averaged over its pairs.

The encoders and judges of the literature are models of their own; they are passed as functions. The ones here need no
model: they tell texts apart by the words in them, and serve small experiments and tests.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import torch
from torch import Tensor

from posttrain.evaluation.ngrams import ORDERS, Words, ngrams, spaced_words

Encode = Callable[[Sequence[str]], Tensor]
"""Texts -> Float["k d"], a vector for each."""
Judgement = Literal["entailment", "neutral", "contradiction"]
Judge = Callable[[Sequence[tuple[str, str]]], Sequence[tuple[Judgement, float]]]
"""(premise, hypothesis) pairs -> for each the most likely relation, and its probability in 0 … 1."""
SIGNS: dict[Judgement, float] = {"entailment": -1.0, "neutral": 0.0, "contradiction": 1.0}


@dataclass(frozen=True)
class EmbeddingDiversity:
    """``1 - mean cosine`` over all pairs of a set (the paper's SentBERT, with its sentence encoder).

    Args:
        encode: texts to vectors. Vectors of zeros are alike, and at right angles to every other.
    """

    encode: Encode

    def __call__(self, texts: Sequence[str]) -> float:
        """In 0 … 2; 0 where all are the same.

        Raises:
            ValueError: fewer than two texts.
        """
        _need_pairs(texts)
        return _one_minus_cosine(self.encode(texts))


@dataclass(frozen=True)
class NgramCosineDiversity:
    """``1 - mean cosine`` of the texts' n-gram counts, averaged over n.

    Args:
        orders: the n; those of which no text has an n-gram are left out.
        words: splits a text.
    """

    orders: tuple[int, ...] = ORDERS
    words: Words = spaced_words

    def __call__(self, texts: Sequence[str]) -> float:
        """In 0 … 1; 0 where all are the same.

        Raises:
            ValueError: fewer than two texts.
        """
        _need_pairs(texts)
        split = [self.words(text) for text in texts]
        made = [[ngrams(row, n) for row in split] for n in self.orders]
        parts = [_one_minus_cosine(_counts(rows)) for rows in made if any(rows)]
        return sum(parts) / len(parts) if parts else 0.0


@dataclass(frozen=True)
class EntailmentDiversity:
    """The mean over pairs of ``w(a, b) + w(b, a)``: +p for a contradiction, -p for an entailment, 0 otherwise.

    Higher is more diverse, as in the paper's table; its code computes one minus this, which turns the order around.

    Args:
        judge: a natural-language-inference model. It is asked about both directions of every pair of a set, which
            grows with the square of the set.
    """

    judge: Judge

    def __call__(self, texts: Sequence[str]) -> float:
        """In -2 … 2; -2 where all entail each other surely.

        Raises:
            ValueError: fewer than two texts.
        """
        _need_pairs(texts)
        pairs = list(combinations(texts, 2))
        judged = self.judge([*pairs, *((b, a) for a, b in pairs)])
        return sum(SIGNS[judgement] * probability for judgement, probability in judged) / len(pairs)


@dataclass(frozen=True)
class HashedWords:
    """An encoder without a model: counts of words, in as many bins as there are dimensions.

    Args:
        dimensions: bins; words that share one are taken for the same.
        words: splits a text.
    """

    dimensions: int = 512
    words: Words = spaced_words

    def __call__(self, texts: Sequence[str]) -> Tensor:
        """Float["k d"], the same in every process."""
        counts = torch.zeros(len(texts), self.dimensions, dtype=torch.float64)
        for row, text in zip(counts, texts):
            for word in self.words(text):
                row[self._bin(word)] += 1
        return counts

    def _bin(self, word: Hashable) -> int:
        return int.from_bytes(hashlib.blake2b(repr(word).encode(), digest_size=8).digest(), "big") % self.dimensions


def overlap(pairs: Sequence[tuple[str, str]]) -> list[tuple[Judgement, float]]:
    """A judge without a model: what has all its words in the premise is entailed, what shares none contradicts it."""
    return [(_relation(set(spaced_words(a)), set(spaced_words(b))), 1.0) for a, b in pairs]


def _relation(premise: set[str], hypothesis: set[str]) -> Judgement:
    if hypothesis <= premise:
        return "entailment"
    return "neutral" if hypothesis & premise else "contradiction"


def _one_minus_cosine(vectors: Tensor) -> float:
    """Of Float["k d"], k >= 2: one minus the mean over pairs."""
    rows = vectors.double()
    norms = rows.norm(dim=-1, keepdim=True)
    # A coordinate of its own for "nothing" gives vectors of zeros a direction.
    blank = (norms == 0).double()
    directions = torch.cat([rows / (norms + blank), blank], -1)
    # The squared length of the sum holds every pair's cosine twice, and those of each with itself.
    between = directions.sum(0).square().sum() - directions.square().sum()
    return 1.0 - float(between) / (len(rows) * (len(rows) - 1))


def _counts(rows: Sequence[Sequence[Hashable]]) -> Tensor:
    """Float["k d"]: how often each of the d different things stands in each row."""
    places = {thing: at for at, thing in enumerate(dict.fromkeys(thing for row in rows for thing in row))}
    counts = torch.zeros(len(rows), len(places), dtype=torch.float64)
    for row, things in zip(counts, rows):
        for thing in things:
            row[places[thing]] += 1
    return counts


def _need_pairs(texts: Sequence[str]) -> None:
    if len(texts) < 2:
        raise ValueError(f"the diversity of a set needs at least two texts, got {len(texts)}")
