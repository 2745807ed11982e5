"""A price on length: another reward, less what the answer's length costs.

Source: Making Small Language Models Efficient Reasoners (arXiv 2505.07961): accuracy minus a penalty on the length,
with several penalties trained at once, each told apart by the prompt. The shapes below are our reading; the public
texts do not give the formula.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from posttrain.errors import UserError
from posttrain.protocols import Reward
from posttrain.types import Example, Origin, Rollout, Verdict

LEVEL = "length_level"
"""The fact of an example that names its level."""


class LengthShape(Protocol):
    """What a length costs."""

    def __call__(self, fraction: float) -> float:
        """A length as a share of the longest, in 0 … 1 -> its price in 0 … 1, never falling."""
        ...


@dataclass(frozen=True)
class Linear:
    """Every token costs the same."""

    def __call__(self, fraction: float) -> float:
        """The share itself."""
        return fraction


@dataclass(frozen=True)
class Cosine:
    """Half a cosine: flat where answers are very short or very long, steep between."""

    def __call__(self, fraction: float) -> float:
        """``(1 - cos(pi fraction)) / 2``."""
        return (1 - math.cos(math.pi * fraction)) / 2


@dataclass(frozen=True)
class Hinge:
    """Free up to a target, then linear.

    Args:
        target: share of the longest length that costs nothing, in 0 … 1, 1 excluded.
    """

    target: float = 0.5

    def __post_init__(self) -> None:
        """Refuse a target at which nothing is left to cost anything."""
        if not 0 <= self.target < 1:
            raise ValueError(f"the target is a share of the longest length, from 0 to below 1, got {self.target}")

    def __call__(self, fraction: float) -> float:
        """``max(0, fraction - target) / (1 - target)``."""
        return max(0.0, fraction - self.target) / (1 - self.target)


@dataclass(frozen=True, eq=False)
class LengthPenalised:
    """``score - strength x shape(min(1, length / longest))`` of another reward's scores.

    The length is the number of sampled tokens, end-of-sequence included. What could not be judged stays so.

    Args:
        reward: judges the answers.
        longest: the length in tokens that costs the whole strength; longer ones cost no more.
        strength: of the penalty, one for all examples, or by the level that an example's facts name.
        shape: of the price.
        penalised: ``"all"`` answers, or the ``"correct"`` ones (of full score) alone, so that a hard problem is no
            reason to give up early and a truncated answer is not punished twice.

    Raises:
        ValueError: no longest length, or a negative strength.
    """

    reward: Reward
    longest: int
    strength: float | Mapping[str, float]
    shape: LengthShape = Linear()
    penalised: Literal["all", "correct"] = "all"

    def __post_init__(self) -> None:
        """Refuse prices that are none."""
        if self.longest < 1:
            raise ValueError(f"longest must be at least 1 token, got {self.longest}")
        strengths = self.strength.values() if isinstance(self.strength, Mapping) else [self.strength]
        if not all(strength >= 0 for strength in strengths):
            raise ValueError(f"a length penalty cannot be negative, got {self.strength}")

    def __call__(self, group: Sequence[Rollout]) -> tuple[Verdict, ...]:
        """One verdict per rollout, in order.

        Raises:
            UserError: an example names no level where strengths go by level, or an unknown one.
        """
        return tuple(self._priced(rollout, v) for rollout, v in zip(group, self.reward(group), strict=True))

    def _priced(self, rollout: Rollout, verdict: Verdict) -> Verdict:
        strength = self._strength(rollout.example)
        if verdict.score is None or (self.penalised == "correct" and not verdict.correct):
            return verdict
        length = int((rollout.origin == int(Origin.SAMPLED)).sum())
        price = strength * self.shape(min(1.0, length / self.longest))
        return dataclasses.replace(verdict, score=verdict.score - price)

    def _strength(self, example: Example) -> float:
        if not isinstance(self.strength, Mapping):
            return self.strength
        level = str(example.facts.get(LEVEL))
        if level not in self.strength:
            known = ", ".join(self.strength)
            raise UserError(f"example {example.id!r} has the {LEVEL} {level!r}; its facts must name one of {known}")
        return self.strength[level]
