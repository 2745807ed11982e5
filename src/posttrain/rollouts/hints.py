"""How long a hint is: laws over the number of parts of a demonstration that are given.

A demonstration of ``n`` chunks is cut into ``parts = min(most_parts, n)`` nearly equal parts; a law draws how many of
them are given. Steps are counted from 1 here, as the released code of UFT does: with ``hinted`` = 300 exactly the
steps 1 … 300 carry hints, p(300) = ``end``, and from step 301 on there are none. The paper's (t + 1) / T_hint with
t < T_hint counted from 0 is the same thing.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Generator

from posttrain.durations import Duration, Fraction
from posttrain.types import Progress

HintLaw = Callable[[int, Progress, Generator], int]
"""(parts, progress, generator) -> how many of the parts are given, 0 … parts."""


def cut_points(chunks: int, most_parts: int) -> list[int]:
    """After how many chunks each part ends: ``cut_points(7, 5) == [0, 1, 3, 4, 6, 7]``.

    Python's rounding (halves to even), as in the released code's ``separation`` table.
    """
    parts = min(most_parts, chunks)
    return [round(i / parts * chunks) for i in range(parts)] + [chunks]


@dataclass(frozen=True)
class BinomialCosine:
    """UFT's law (Algorithm 1): Binomial(parts, p), p annealed by a cosine from ``start`` to ``end``, then no hints.

    Args:
        start: expected fraction at the beginning (p_high in the paper).
        end: expected fraction at the last hinted step (p_low).
        hinted: how long there are hints (T_hint: 300 of 500 steps).
    """

    start: float = 0.95
    end: float = 0.05
    hinted: Duration = field(default_factory=lambda: Fraction(0.6))

    def __post_init__(self) -> None:
        """Refuse probabilities outside the unit interval."""
        if not (0 <= self.end <= 1 and 0 <= self.start <= 1):
            raise ValueError(f"hint fractions lie between 0 and 1, got start {self.start} and end {self.end}")

    def probability(self, now: Progress) -> float:
        """The expected hint fraction at this step."""
        step, hinted = now.step + 1, self.hinted.of(now.total_steps)
        if step > hinted:
            return 0.0
        return self.end + 0.5 * (self.start - self.end) * (1 + math.cos(math.pi * step / hinted))

    def __call__(self, parts: int, now: Progress, generator: Generator) -> int:
        """The number of successes in ``parts`` draws."""
        return int((torch.rand(parts, generator=generator) < self.probability(now)).sum())


@dataclass(frozen=True)
class UniformHints:
    """R3's law: every length from none to all parts is equally likely, for the whole training."""

    def probability(self, now: Progress) -> float:
        """The expected hint fraction: one half."""
        return 0.5

    def __call__(self, parts: int, now: Progress, generator: Generator) -> int:
        """A uniform draw from 0 … parts."""
        return int(torch.randint(parts + 1, (1,), generator=generator))


@dataclass(frozen=True)
class StagedHints:
    """A stepwise reverse curriculum: all parts first, one fewer after each equal span of the hinted phase.

    ``k = clip(parts - t // (T_hint // (parts + 1)), 0, parts)``, as in UFT's released code.
    """

    hinted: Duration = field(default_factory=lambda: Fraction(0.6))

    def __call__(self, parts: int, now: Progress, generator: Generator) -> int:
        """The same number for every example with as many parts."""
        step, hinted = now.step + 1, self.hinted.of(now.total_steps)
        if step > hinted:
            return 0
        return min(parts, max(0, parts - step // max(1, hinted // (parts + 1))))


@dataclass(frozen=True)
class NoHints:
    """Never a hint: with this law a hinted source is plain on-policy sampling."""

    def __call__(self, parts: int, now: Progress, generator: Generator) -> int:
        """Zero."""
        return 0
