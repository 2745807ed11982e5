"""What selections share: batches of candidates, the tokens of an answer, emphasis, and a session without memory."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from posttrain.policy import Policy
from posttrain.signals import EMPHASIS
from posttrain.types import Origin, Progress, TrainingSequence

WRITTEN = (int(Origin.GIVEN), int(Origin.SAMPLED))


@dataclass(frozen=True)
class Quota:
    """How much of each batch of candidates is trained on.

    Args:
        share: of the sequences of a batch, rounded up, at least one (0.25).
        candidates: sequences in a batch (4); the last one of a step may be shorter.
    """

    share: float = 0.25
    candidates: int = 4

    def __post_init__(self) -> None:
        """Refuse to keep nothing, or more than there is."""
        if not 0 < self.share <= 1:
            raise ValueError(f"share must be above 0 and at most 1, got {self.share}")
        if self.candidates < 1:
            raise ValueError(f"candidates must be at least 1, got {self.candidates}")

    @property
    def everything(self) -> bool:
        """Whether no choice is left."""
        return self.share == 1

    def count(self, candidates: int) -> int:
        """How many of ``candidates`` are kept."""
        return max(1, math.ceil(round(candidates * self.share, 9)))  # 0.28 of 25 is 7, whatever its binary digits

    def best(self, scores: Sequence[float]) -> list[int]:
        """The indices of the highest scores, in their order; of equal scores the first."""
        ranked = sorted(range(len(scores)), key=lambda i: (-scores[i], i))
        return sorted(ranked[: self.count(len(scores))])


def batches(sequences: Sequence[TrainingSequence], size: int) -> Iterator[Sequence[TrainingSequence]]:
    """Runs of ``size`` sequences, the last one possibly shorter."""
    for at in range(0, len(sequences), size):
        yield sequences[at : at + size]


def written(sequence: TrainingSequence) -> Tensor:
    """Bool["l"]: the tokens of the answer, given or sampled, that something predicts."""
    answer = torch.isin(sequence.origin, torch.tensor(WRITTEN))
    answer[0] = False
    return answer


def emphasised(sequence: TrainingSequence, term: str, factors: Tensor) -> TrainingSequence:
    """The sequence with its emphasis in a term multiplied by ``factors``, Float["l"]; without one it counts as 1."""
    name = f"{EMPHASIS}{term}"
    before = sequence.signals.get(name)
    after = factors if before is None else before * factors
    return dataclasses.replace(sequence, signals={**sequence.signals, name: after})


@dataclass(frozen=True)
class Memoryless:
    """A session that chooses by the same rule at any time.

    Args:
        rule: (sequences, moment) -> those that are kept.
    """

    rule: Callable[[Sequence[TrainingSequence], Progress], list[TrainingSequence]]

    def __call__(self, sequences: Sequence[TrainingSequence], policy: Policy, now: Progress) -> list[TrainingSequence]:
        """What the rule keeps."""
        return self.rule(sequences, now)

    def state_dict(self) -> dict[str, Any]:
        """Nothing is remembered."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Nothing was remembered."""
