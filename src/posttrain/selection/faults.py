"""Emphasis on the tokens where a fault would be, by how much the policy prefers the faulty variant."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from posttrain.errors import UserError
from posttrain.selection.candidates import Memoryless, emphasised, written
from posttrain.types import Progress, TrainingSequence


class Strength(Protocol):
    """What is added to the weight of a marked token, given the mean losses on the marked tokens of both variants."""

    @property
    def needs(self) -> frozenset[str]:
        """The signals of a model that the losses come from."""
        ...

    def __call__(self, correct: float, faulty: float) -> float:
        """At least 0. Nats per token; ``nan`` where the losses are not needed, equal where only one is known."""
        ...


@dataclass(frozen=True)
class RatioOfLosses:
    """``correct / (correct + faulty)``: above 1/2 where the policy prefers the faulty variant.

    Args:
        epsilon: keeps it defined where both losses are 0; shared out so that equal losses always give 1/2.
    """

    epsilon: float = 1e-6
    needs = frozenset({"old_logprobs"})

    def __post_init__(self) -> None:
        """Refuse what would divide 0 by 0."""
        if self.epsilon <= 0:
            raise ValueError(f"epsilon must be above 0, got {self.epsilon}")

    def __call__(self, correct: float, faulty: float) -> float:
        """Between 0 and 1."""
        return (correct + self.epsilon / 2) / (correct + faulty + self.epsilon)


@dataclass(frozen=True)
class Static:
    """The same for every pair and at any time; no pass over the variants is made."""

    needs = frozenset[str]()

    def __call__(self, correct: float, faulty: float) -> float:
        """1."""
        return 1.0


@dataclass(frozen=True)
class ClippedRatio:
    """``correct / faulty - 1``, clipped.

    With one granularity alone (the other of ``line`` and ``token`` 0, this one 1) a marked token's weight is the ratio
    itself, between 1 and ``1 + most``. Granularities add up: with both at 1 a token that is marked by its line and by
    itself weighs at most ``1 + 2 most``.

    Args:
        most: the most that is added for each granularity (2, our reading: up to 3 with one granularity, 5 with both).
    """

    most: float = 2.0
    needs = frozenset({"old_logprobs"})

    def __post_init__(self) -> None:
        """Refuse a bound below the weight of every other token."""
        if self.most < 0:
            raise ValueError(f"most cannot be negative, got {self.most}")

    def __call__(self, correct: float, faulty: float) -> float:
        """Between 0 and ``most``; a faulty loss of 0 gives the bound unless the correct one is 0 too."""
        ratio = correct / max(faulty, sys.float_info.min)
        return min(max(ratio - 1, 0.0), self.most)


@dataclass(frozen=True)
class Logistic:
    """``sigmoid((correct - faulty) / temperature)``.

    Args:
        temperature: nats over which it turns (1).
    """

    temperature: float = 1.0
    needs = frozenset({"old_logprobs"})

    def __post_init__(self) -> None:
        """Refuse a division by 0."""
        if self.temperature <= 0:
            raise ValueError(f"temperature must be above 0, got {self.temperature}")

    def __call__(self, correct: float, faulty: float) -> float:
        """Between 0 and 1."""
        return float(torch.sigmoid(torch.tensor((correct - faulty) / self.temperature, dtype=torch.float64)))


@dataclass(frozen=True)
class FaultEmphasis:
    """FAIT (2503.16913): correct texts alone are trained on, their marked tokens the more the likelier the fault is.

    A token's weight is ``1 + line * s * M_line + token * s * M_token`` with the marks M of
    :class:`posttrain.rollouts.contrasts.Contrasts` and the strength s of each granularity, without a gradient. The
    closed form is our reading: no public source has the paper's. Where the faulty text has no mark, because something
    is merely missing from it, neither variant is preferred: both losses count as equal.

    Args:
        line: how much the tokens of differing lines are raised (1; our reading).
        token: how much the differing tokens are raised on top of that (1; our reading).
        strength: from the losses of both variants to the weight added.
        term: the term of the loss.
    """

    line: float = 1.0
    token: float = 1.0
    strength: RatioOfLosses | Static | ClippedRatio | Logistic = RatioOfLosses()
    term: str = "likelihood"

    def __post_init__(self) -> None:
        """Refuse weights that could fall below those of unmarked tokens."""
        if self.line < 0 or self.token < 0:
            raise ValueError(f"line and token cannot be negative, got {self.line} and {self.token}")

    @property
    def needs(self) -> frozenset[str]:
        """What the strength reads."""
        return self.strength.needs

    @property
    def emphasises(self) -> frozenset[str]:
        """The term whose marked tokens are raised."""
        return frozenset({self.term})

    def start(self, seed: int) -> Memoryless:
        """Nothing is drawn and nothing remembered."""
        return Memoryless(self._choose)

    def _choose(self, sequences: Sequence[TrainingSequence], now: Progress) -> list[TrainingSequence]:
        if not all("faulty" in s.rollout.labels for s in sequences):
            raise UserError("FaultEmphasis needs to know which texts are faulty; collect them with Contrasts")
        faulty = {_pair(s): s for s in sequences if s.rollout.labels["faulty"]}
        correct = [s for s in sequences if not s.rollout.labels["faulty"]]
        return [self._emphasised(s, faulty[_pair(s)]) if s.rollout.labels["paired"] else s for s in correct]

    def _emphasised(self, correct: TrainingSequence, faulty: TrainingSequence) -> TrainingSequence:
        factors = torch.ones(len(correct.tokens), dtype=torch.float64)
        for signal, amount in (("fault/line", self.line), ("fault/token", self.token)):
            marks = _marked(correct, signal)
            if bool(marks.any()):
                strength = self.strength(*self._losses(correct, faulty, signal))
                factors = factors + amount * strength * marks
        return emphasised(correct, self.term, factors)

    def _losses(self, correct: TrainingSequence, faulty: TrainingSequence, signal: str) -> tuple[float, float]:
        if not self.needs:
            return math.nan, math.nan
        ours, theirs = _mean_loss(correct, signal), _mean_loss(faulty, signal)
        return ours, ours if math.isnan(theirs) else theirs


def _pair(sequence: TrainingSequence) -> tuple[object, float]:
    return sequence.group, sequence.rollout.labels["pair"]


def _marked(sequence: TrainingSequence, signal: str) -> Tensor:
    return (sequence.signals[signal] > 0) & written(sequence)


def _mean_loss(sequence: TrainingSequence, signal: str) -> float:
    """Nats per marked token, ``nan`` where nothing is marked."""
    return float(-sequence.signals["old_logprobs"][_marked(sequence, signal)].double().mean())
