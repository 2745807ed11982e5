"""How long something lasts within a stage: a number of steps, or a fraction of them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Steps:
    """A duration as a number of optimisation steps (``count`` >= 0)."""

    count: int

    def __post_init__(self) -> None:
        """Refuse a negative count."""
        if self.count < 0:
            raise ValueError(f"a number of steps cannot be negative, got {self.count}")

    def of(self, total_steps: int) -> int:
        """The duration in steps; ``total_steps`` does not matter."""
        return self.count


@dataclass(frozen=True)
class Fraction:
    """A duration as a fraction of the stage, 0 <= ``of_stage`` <= 1."""

    of_stage: float

    def __post_init__(self) -> None:
        """Refuse anything outside the unit interval."""
        if not 0 <= self.of_stage <= 1:
            raise ValueError(f"a fraction of a stage lies between 0 and 1, got {self.of_stage}")

    def of(self, total_steps: int) -> int:
        """The duration in steps, rounded to the nearest whole step."""
        return round(self.of_stage * total_steps)


Duration = Steps | Fraction
