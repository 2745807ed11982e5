"""Policy gradients of tokens that somebody else wrote: a shaped probability takes the place of the ratio."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from posttrain.forward import Forward
from posttrain.objectives.clipped import Clip, ClippedPolicy
from posttrain.types import Origin, TokenBatch, TrainingSequence


@dataclass(frozen=True)
class Saturating:
    """``p / (p + gamma)``: tokens that the policy finds improbable are pushed too (LUFFY, 2504.14945).

    The weight on a token's log-probability is ``p gamma / (p + gamma)^2``, greatest (1/4) at p = gamma and close to
    p / gamma below it, where the unshaped weight is p.

    Args:
        gamma: above 0; where the weight is greatest (0.1).
    """

    gamma: float = 0.1

    def __post_init__(self) -> None:
        """Refuse a shape that is 1 everywhere and has no gradient."""
        if self.gamma <= 0:
            raise ValueError(f"gamma must be above 0, got {self.gamma}")

    def __call__(self, logprobs: Tensor) -> Tensor:
        """Float["b l"] log-probabilities -> Float["b l"], without a division that could overflow."""
        return torch.sigmoid(logprobs - math.log(self.gamma))


@dataclass(frozen=True)
class Power:
    """``p ^ exponent``: 1 is no shaping, the importance ratio to a behaviour policy that was certain.

    Args:
        exponent: above 0; 0.5 is LUFFY's square root.
    """

    exponent: float = 1.0

    def __post_init__(self) -> None:
        """Refuse a shape that is constant or falls with the probability."""
        if self.exponent <= 0:
            raise ValueError(f"exponent must be above 0, got {self.exponent}")

    def __call__(self, logprobs: Tensor) -> Tensor:
        """Float["b l"] log-probabilities -> Float["b l"]."""
        return (self.exponent * logprobs).exp()


@dataclass(frozen=True)
class Logarithm:
    """``log p``: the likelihood, weighted by the advantage."""

    def __call__(self, logprobs: Tensor) -> Tensor:
        """The log-probabilities themselves."""
        return logprobs


@dataclass(frozen=True)
class ShapedPolicy:
    """``-A f(p)`` on given tokens, whose writer is taken to have been certain, and a surrogate on sampled ones.

    Args:
        shaping: f.
        sampled: the surrogate on every other token (LUFFY: the ratio without a clip).
    """

    shaping: Saturating | Power | Logarithm = Saturating()
    sampled: ClippedPolicy = ClippedPolicy(clip=Clip(float("inf"), float("inf")))
    needs = frozenset({"advantages"})

    def inert(self, sequence: TrainingSequence) -> bool:
        """Where every advantage is zero, as in a group without variance."""
        return self.sampled.inert(sequence)

    def __call__(self, forward: Forward, batch: TokenBatch) -> Tensor:
        """Float["b l"]."""
        current = forward.logprobs
        shaped = -batch.signals["advantages"].to(current.dtype) * self.shaping(current)
        return torch.where(batch.origin == int(Origin.GIVEN), shaped, self.sampled(forward, batch))
