"""Credit without a critic for what tokens earn: the whole of it, relative to the group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from posttrain.credit.group import Centred, LeaveOneOut, Standardised
from posttrain.credit.groups import members_by_group
from posttrain.credit.token_rewards import KlPenalty, LogRatio, Outcome
from posttrain.types import TrainingSequence


@dataclass(frozen=True)
class Compared:
    """What a rollout earned in total, penalty included, compared with the others of its prompt.

    With ``Outcome()`` and no penalty it is the comparison itself.

    Args:
        outcome: what the text earns: its verdict, or a log-ratio of frozen policies.
        penalty: what leaving a frozen policy costs.
        comparison: of the totals of a group.
    """

    outcome: Outcome | LogRatio = Outcome()
    penalty: KlPenalty = KlPenalty()
    comparison: Standardised | Centred | LeaveOneOut = LeaveOneOut()
    compares = True
    provides = frozenset({"advantages"})

    @property
    def reads_rewards(self) -> bool:
        """If its outcome does."""
        return self.outcome.reads_rewards

    @property
    def needs(self) -> frozenset[str]:
        """Whatever rewards and penalty read."""
        return self.outcome.needs | self.penalty.needs

    def __call__(self, sequences: Sequence[TrainingSequence]) -> list[Mapping[str, Tensor]]:
        """``advantages`` per sequence, one number for all of its tokens."""
        totals = [(self.outcome(s) + self.penalty(s)).sum() for s in sequences]
        out: list[Mapping[str, Tensor]] = [{} for _ in sequences]
        for indices in members_by_group(sequences).values():
            advantages = self.comparison.relative(torch.stack([totals[i] for i in indices]))
            for i, advantage in zip(indices, advantages):
                out[i] = {"advantages": advantage.expand(len(sequences[i].tokens)).clone()}
        return out
