"""Likelihood: the loss of supervised fine-tuning and of UFT's hints."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from posttrain.forward import Forward
from posttrain.types import TokenBatch, TrainingSequence


@dataclass(frozen=True)
class CrossEntropy:
    """``-log p(token)``, in nats."""

    needs = frozenset[str]()

    def inert(self, sequence: TrainingSequence) -> bool:
        """Never: a member token always has a gradient."""
        return False

    def __call__(self, forward: Forward, batch: TokenBatch) -> Tensor:
        """Float["b l"]."""
        return -forward.logprobs
