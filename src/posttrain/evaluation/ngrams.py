"""Diversity as the share of n-grams that are different."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

ORDERS = (1, 2, 3, 4, 5)
"""The n that are averaged over (released code of arXiv 2310.06452)."""
GPT2_VOCABULARY = 50257

Words = Callable[[str], Sequence[Hashable]]
"""A text -> its words, of which n-grams are made: anything that can be compared, such as token ids."""


def spaced_words(text: str) -> list[str]:
    """What stands between spaces once full stops and line breaks are deleted, as in the released code."""
    return [word for word in text.replace(".", "").replace("\n", "").split(" ") if word]


def ngrams(words: Sequence[Hashable], n: int) -> list[tuple[Hashable, ...]]:
    """The runs of n words, in order."""
    return list(zip(*(words[at:] for at in range(n))))


@dataclass(frozen=True)
class Distinct:
    """Different n-grams / n-grams of the whole set, averaged over n. It falls with length, whatever is said.

    Args:
        orders: the n; those for which there is no n-gram are left out (the released code counts them as 0).
        words: splits a text.
    """

    orders: tuple[int, ...] = ORDERS
    words: Words = spaced_words

    def __call__(self, texts: Sequence[str]) -> float:
        """In 0 … 1; 0 of texts without words."""
        return _averaged(texts, self.orders, self.words, lambda different, total: different / total)


@dataclass(frozen=True)
class ExpectationAdjusted:
    """EAD (arXiv 2202.13587): different n-grams / how many there would be if all were drawn evenly.

    ``U / (V (1 - ((V - 1) / V)^C))`` of U different ones among C, averaged over n. Words drawn evenly from V types get
    about 1 at every length. For n above 1 it may pass 1, because there are more than V n-grams; it is not cut off.

    Args:
        vocabulary: V, the same for all that are compared (50257; of a model's own tokens, the size of its vocabulary).
        orders: the n; those for which there is no n-gram are left out (the released code counts them as 0).
        words: splits a text.
    """

    vocabulary: int = GPT2_VOCABULARY
    orders: tuple[int, ...] = ORDERS
    words: Words = spaced_words

    def __post_init__(self) -> None:
        """Refuse a vocabulary from which nothing can be chosen."""
        if self.vocabulary < 2:
            raise ValueError(f"a vocabulary has at least 2 words, got {self.vocabulary}")

    def __call__(self, texts: Sequence[str]) -> float:
        """At least 0; 0 of texts without words."""
        return _averaged(texts, self.orders, self.words, self._adjusted)

    def _adjusted(self, different: int, total: int) -> float:
        # 1 - (1 - 1/V)^C without the cancellation that a large V would bring.
        expected_share = -math.expm1(total * math.log1p(-1 / self.vocabulary))
        return different / (self.vocabulary * expected_share)


def _averaged(texts: Sequence[str], orders: Sequence[int], words: Words, ratio: Callable[[int, int], float]) -> float:
    """The mean over orders of ``ratio(different n-grams, n-grams)`` of the whole set."""
    split = [words(text) for text in texts]
    pooled = [[gram for row in split for gram in ngrams(row, n)] for n in orders]
    ratios = [ratio(len(set(grams)), len(grams)) for grams in pooled if grams]
    return sum(ratios) / len(ratios) if ratios else 0.0
