"""Credit of a teacher: how much likelier it finds each token that the policy chose than the policy itself did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from posttrain.credit.token_rewards import read, spread
from posttrain.types import TrainingSequence


@dataclass(frozen=True)
class TeacherRatio:
    """``max(log p_teacher, floor) - log p_old`` as the advantage of each sampled token, raw and immediate.

    No verdict, no baseline, no look ahead, no normalisation (2603.26666): ascending it along the policy's
    log-probabilities descends, on average, the divergence KL(policy || teacher) in the states that were visited.

    Args:
        teacher: a frozen policy.
        floor: the least log-probability that the teacher is taken to give, in nats.
    """

    teacher: str = "teacher"
    floor: float = -20.0
    compares = False
    reads_rewards = False
    provides = frozenset({"advantages"})

    @property
    def needs(self) -> frozenset[str]:
        """The log-probabilities of teacher and policy before the update."""
        return frozenset({f"{self.teacher}_logprobs", "old_logprobs"})

    def __call__(self, sequences: Sequence[TrainingSequence]) -> list[Mapping[str, Tensor]]:
        """``advantages`` per sequence, 0 on everything that was not sampled."""
        return [{"advantages": spread(self._ratio(s), s)} for s in sequences]

    def _ratio(self, sequence: TrainingSequence) -> Tensor:
        return read(sequence, f"{self.teacher}_logprobs").clamp(min=self.floor) - read(sequence, "old_logprobs")
