"""The critic's loss: how far the value of each state is from what came of it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from posttrain.forward import Forward
from posttrain.types import TokenBatch, TrainingSequence


@dataclass(frozen=True)
class ClippedValue:
    """``max((V - R)^2, (clip(V, V_old - clip, V_old + clip) - R)^2) / 2`` with the returns ``R`` of the credit.

    The clip keeps several updates on the same returns from moving the critic far (PPO's released code, TRL, verl).

    Args:
        clip: in units of the reward (0.2); infinity is the plain squared error.
    """

    clip: float = 0.2
    needs = frozenset({"old_values", "returns"})

    def __post_init__(self) -> None:
        """Refuse an interval that holds nothing."""
        if self.clip <= 0:
            raise ValueError(f"clip must be above 0, got {self.clip}; infinity turns it off")

    def inert(self, sequence: TrainingSequence) -> bool:
        """Never: the critic is right by chance only."""
        return False

    def __call__(self, forward: Forward, batch: TokenBatch) -> Tensor:
        """Float["b l"]; index t speaks about the state in which token t was chosen."""
        values = forward.values
        old, returns = (batch.signals[name].to(values.dtype) for name in ("old_values", "returns"))
        near = old + (values - old).clamp(-self.clip, self.clip)
        return torch.maximum((values - returns).square(), (near - returns).square()) / 2
