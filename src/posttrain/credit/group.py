"""Credit relative to the group: a rollout is as good as it is better than the others of its prompt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from posttrain.credit.groups import relative_to_group, without_variance
from posttrain.types import TrainingSequence


@dataclass(frozen=True)
class Standardised:
    """GRPO: ``(r - mean) / (std + epsilon)`` with the unbiased standard deviation (2402.03300; verl and TRL).

    Args:
        epsilon: keeps a group without variance at 0.
    """

    epsilon: float = 1e-6
    compares = True
    reads_rewards = True
    needs = frozenset[str]()
    provides = frozenset({"advantages"})

    def __call__(self, sequences: Sequence[TrainingSequence]) -> list[Mapping[str, Tensor]]:
        """``advantages`` per sequence."""
        return relative_to_group(sequences, self.relative)

    def relative(self, rewards: Tensor) -> Tensor:
        """Float["g"] -> Float["g"]; a group without variance gets exact zeros."""
        centred = rewards - rewards.mean()
        # Rounding of the mean must not become an advantage once it is divided by epsilon.
        flat = without_variance(rewards)
        return torch.zeros_like(rewards) if flat else centred / (rewards.std(correction=1) + self.epsilon)


@dataclass(frozen=True)
class Centred:
    """Dr. GRPO: ``r - mean`` (2503.20783)."""

    compares = True
    reads_rewards = True
    needs = frozenset[str]()
    provides = frozenset({"advantages"})

    def __call__(self, sequences: Sequence[TrainingSequence]) -> list[Mapping[str, Tensor]]:
        """``advantages`` per sequence."""
        return relative_to_group(sequences, self.relative)

    def relative(self, rewards: Tensor) -> Tensor:
        """Float["g"] -> Float["g"], summing to 0."""
        return torch.zeros_like(rewards) if without_variance(rewards) else rewards - rewards.mean()


@dataclass(frozen=True)
class LeaveOneOut:
    """RLOO: ``r - mean of the others`` (2402.14740), that is Centred times g / (g - 1)."""

    compares = True
    reads_rewards = True
    needs = frozenset[str]()
    provides = frozenset({"advantages"})

    def __call__(self, sequences: Sequence[TrainingSequence]) -> list[Mapping[str, Tensor]]:
        """``advantages`` per sequence."""
        return relative_to_group(sequences, self.relative)

    def relative(self, rewards: Tensor) -> Tensor:
        """Float["g"] -> Float["g"], summing to 0."""
        if without_variance(rewards):
            return torch.zeros_like(rewards)
        return (rewards - rewards.mean()) * len(rewards) / (len(rewards) - 1)
