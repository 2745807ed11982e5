"""Numbers that move with progress: ``Progress -> float``."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from posttrain.durations import Duration, Fraction
from posttrain.protocols import Schedule
from posttrain.types import Progress


@dataclass(frozen=True)
class Constant:
    """The same value throughout."""

    value: float

    def __call__(self, now: Progress) -> float:
        """The value."""
        return self.value


@dataclass(frozen=True)
class Linear:
    """From ``start`` at step 0 to ``end`` at the end of ``over``, then flat."""

    start: float
    end: float
    over: Duration = field(default_factory=lambda: Fraction(1.0))

    def __call__(self, now: Progress) -> float:
        """The interpolated value."""
        steps = max(1, self.over.of(now.total_steps))
        return self.start + (self.end - self.start) * min(1.0, now.step / steps)


@dataclass(frozen=True)
class Cosine:
    """Half a cosine from ``start`` at step 0 to ``end`` at the end of ``over``, then flat."""

    start: float
    end: float
    over: Duration = field(default_factory=lambda: Fraction(1.0))

    def __call__(self, now: Progress) -> float:
        """The value on the half cosine."""
        steps = max(1, self.over.of(now.total_steps))
        return self.end + (self.start - self.end) * 0.5 * (1 + math.cos(math.pi * min(1.0, now.step / steps)))


@dataclass(frozen=True)
class Warmup:
    """Rise linearly to ``then`` over a warm-up; the first step already has a non-zero value."""

    then: Schedule
    over: Duration

    def __call__(self, now: Progress) -> float:
        """``then``, scaled down during the warm-up."""
        steps = self.over.of(now.total_steps)
        return self.then(now) * min(1.0, (now.step + 1) / (steps + 1) if steps else 1.0)
