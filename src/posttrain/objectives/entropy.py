"""The entropy bonus: keep the policy from closing too early."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from posttrain.forward import Forward
from posttrain.types import TokenBatch, TrainingSequence


@dataclass(frozen=True)
class NegativeEntropy:
    """``-H`` of the predictive distribution at the sampling temperature, in nats: minimised, entropy grows."""

    needs = frozenset[str]()

    def inert(self, sequence: TrainingSequence) -> bool:
        """Never."""
        return False

    def __call__(self, forward: Forward, batch: TokenBatch) -> Tensor:
        """Float["b l"]."""
        return -forward.entropy
