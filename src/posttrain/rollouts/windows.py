"""How long a hint is: a law that draws it from a window, which opens towards short ones."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import torch
from torch import Generator

from posttrain.durations import Duration, Fraction
from posttrain.schedules import Cosine
from posttrain.types import Progress


@dataclass(frozen=True)
class BetaWindow:
    """Prefix-RFT's law: ``int((low + (high - low) Beta(alpha, beta)) parts)`` (2507.01679, released code).

    One end of the window moves by a half cosine from ``start`` to ``end``, the other one stays at ``high``, so that
    hints become shorter on average and more different from each other. A window of one point is a fixed fraction.

    Args:
        high: the end of the window that stays (0.95).
        start: the other end at the first step (0.95).
        end: the other end once ``over`` has passed (0.05).
        over: how long it moves (the whole stage).
        alpha, beta: above 0; of the Beta distribution within the window (1 and 1, which is uniform).
    """

    high: float = 0.95
    start: float = 0.95
    end: float = 0.05
    over: Duration = field(default_factory=lambda: Fraction(1.0))
    alpha: float = 1.0
    beta: float = 1.0

    def __post_init__(self) -> None:
        """Refuse fractions outside the unit interval, and what is no Beta distribution."""
        ends = (self.high, self.start, self.end)
        if not all(0 <= end <= 1 for end in ends):
            raise ValueError(f"the ends of a window lie between 0 and 1, got {ends}")
        if self.alpha <= 0 or self.beta <= 0:
            raise ValueError(f"alpha and beta must be above 0, got {self.alpha} and {self.beta}")

    def window(self, now: Progress) -> tuple[float, float]:
        """Its lower and its upper end at this step."""
        moving = Cosine(self.start, self.end, self.over)(now)
        return min(moving, self.high), max(moving, self.high)

    def __call__(self, parts: int, now: Progress, generator: Generator) -> int:
        """How many of ``parts`` are given; all of them only where the window reaches 1."""
        low, high = self.window(now)
        numbers = random.Random(int(torch.randint(1 << 62, (1,), generator=generator)))
        fraction = low + (high - low) * numbers.betavariate(self.alpha, self.beta)
        return int(min(fraction, 1.0) * parts)
