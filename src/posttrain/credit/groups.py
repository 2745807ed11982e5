"""What credits that compare rollouts share: the rewards of each group, and one number for all tokens of a rollout."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence

import torch
from torch import Tensor

from posttrain.types import TrainingSequence


def members_by_group(sequences: Sequence[TrainingSequence]) -> dict[Hashable, list[int]]:
    """The indices of every group's sequences, groups in the order in which they appear."""
    groups: dict[Hashable, list[int]] = {}
    for index, sequence in enumerate(sequences):
        groups.setdefault(sequence.group, []).append(index)
    return groups


def rewards_of(sequences: Sequence[TrainingSequence]) -> Tensor:
    """Float["g"], in float64.

    Raises:
        ValueError: a sequence was not judged.
    """
    return torch.tensor([s.rollout.reward for s in sequences], dtype=torch.float64)


def without_variance(rewards: Tensor) -> bool:
    """Whether the group says nothing: all rewards are equal."""
    return bool((rewards == rewards[0]).all())


def relative_to_group(
    sequences: Sequence[TrainingSequence], advantages: Callable[[Tensor], Tensor]
) -> list[Mapping[str, Tensor]]:
    """One advantage per rollout, on all of its tokens.

    Args:
        sequences: of any number of groups.
        advantages: Float["g"] rewards of a group -> Float["g"].

    Returns:
        Per sequence ``{"advantages": Float["l"]}``.
    """
    out: list[Mapping[str, Tensor]] = [{} for _ in sequences]
    for indices in members_by_group(sequences).values():
        values = advantages(rewards_of([sequences[i] for i in indices]))
        for i, value in zip(indices, values.tolist()):
            out[i] = {"advantages": torch.full((sequences[i].length,), value, dtype=values.dtype)}
    return out
