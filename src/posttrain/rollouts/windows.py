"""How long a hint is: a law that draws it from a window, which opens towards short ones."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import torch
from torch import Generator

from posttrain.schedules import Cosine
from posttrain.types import Duration, Fraction, Progress


@dataclass(frozen=True)
class BetaWindow:
    """Prefix-RFT's law: ``int((low + (high - low) Beta(alpha, beta)) parts)`` (2507.01679, released code).

    ``low`` falls by a half cosine from ``start`` to ``end``, ``high`` stays, so that hints become shorter on average
    and more different from each other. A window of one point is a fixed fraction.

    Args:
        high: upper end of the window (0.95).
        start: lower end at the first step (0.95).
        end: lower end once ``over`` has passed (0.05).
        over: how long the lower end falls (the whole stage).
        alpha, beta: above 0; of the Beta distribution within the window (1 and 1, which is uniform).
    """

    high: float = 0.95
    start: float = 0.95
    end: float = 0.05
    over: Duration = field(default_factory=lambda: Fraction(1.0))
    alpha: float = 1.0
    beta: float = 1.0

    def __post_init__(self) -> None:
        """Refuse fractions outside the unit interval, and windows that are upside down."""
        if not (0 <= self.start <= self.high <= 1 and 0 <= self.end <= self.high):
            raise ValueError(f"a window needs 0 <= start, end <= high <= 1, got {self.start}, {self.end}, {self.high}")
        if self.alpha <= 0 or self.beta <= 0:
            raise ValueError(f"alpha and beta must be above 0, got {self.alpha} and {self.beta}")

    def low(self, now: Progress) -> float:
        """The lower end of the window at this step."""
        return Cosine(self.start, self.end, self.over)(now)

    def __call__(self, parts: int, now: Progress, generator: Generator) -> int:
        """How many of ``parts`` are given; all of them only where the window reaches 1."""
        low = self.low(now)
        numbers = random.Random(int(torch.randint(1 << 62, (1,), generator=generator)))
        fraction = low + (self.high - low) * numbers.betavariate(self.alpha, self.beta)
        return int(fraction * parts)
