"""What online selections are measured against: as many sequences, chosen blindly or by their loss alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from posttrain.selection.candidates import Memoryless, Quota, batches, written
from posttrain.types import Progress, TrainingSequence


@dataclass(frozen=True)
class AtRandom:
    """Any sequences, each equally likely: the same budget without a criterion.

    Args:
        quota: how much of how many.
    """

    quota: Quota = Quota()
    needs = frozenset[str]()
    emphasises = frozenset[str]()

    def start(self, seed: int) -> Memoryless:
        """The draw depends on the run's seed and the step alone."""
        return Memoryless(self._choose)

    def _choose(self, sequences: Sequence[TrainingSequence], now: Progress) -> list[TrainingSequence]:
        numbers = now.generator("selection")
        kept: list[TrainingSequence] = []
        for batch in batches(sequences, self.quota.candidates):
            scores = torch.rand(len(batch), generator=numbers).tolist()
            kept += [batch[i] for i in self.quota.best(scores)]
        return kept


@dataclass(frozen=True)
class HighestLoss:
    """The sequences with the largest mean loss per answer token ("MaxLoss").

    Args:
        quota: how much of how many.
    """

    quota: Quota = Quota()
    needs = frozenset({"old_logprobs"})
    emphasises = frozenset[str]()

    def start(self, seed: int) -> Memoryless:
        """Nothing is drawn."""
        return Memoryless(self._choose)

    def _choose(self, sequences: Sequence[TrainingSequence], now: Progress) -> list[TrainingSequence]:
        kept: list[TrainingSequence] = []
        for batch in batches(sequences, self.quota.candidates):
            kept += [batch[i] for i in self.quota.best([mean_loss(s) for s in batch])]
        return kept


def mean_loss(sequence: TrainingSequence) -> float:
    """Nats per answer token under the policy, 0 without any; infinity where it is no number: the loop stops there."""
    answer = written(sequence)
    if not bool(answer.any()):
        return 0.0
    loss = float(-sequence.signals["old_logprobs"][answer].double().mean())
    return float("inf") if math.isnan(loss) else loss
