"""The clipped policy-gradient surrogate and its variants of ratio level and clip."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from posttrain.forward import Forward
from posttrain.types import Origin, TokenBatch, TrainingSequence

Written = Literal["given", "sampled"]
"""Who may have written a token that has a ratio, as settings name the origins."""


@dataclass(frozen=True)
class TokenRatio:
    """Importance ratio of each token: PPO, GRPO (1707.06347, 2402.03300)."""

    def __call__(self, log_ratio: Tensor, members: Tensor) -> Tensor:
        """Float["b l"] log ratios -> Float["b l"] ratios."""
        return log_ratio.exp()


@dataclass(frozen=True)
class SequenceRatio:
    """One ratio per sequence, the geometric mean over the tokens that have one: GSPO (2507.18071)."""

    def __call__(self, log_ratio: Tensor, members: Tensor) -> Tensor:
        """Float["b l"] log ratios, Bool["b l"] tokens that have one -> Float["b l"], constant along a row."""
        masked = torch.where(members, log_ratio, 0.0)
        mean = masked.sum(1, keepdim=True) / members.sum(1, keepdim=True).clamp(min=1)
        return mean.exp().expand_as(log_ratio)


@dataclass(frozen=True)
class Clip:
    """``-min(r A, clip(r, 1 - low, 1 + high) A)``.

    Args:
        low, high: PPO and GRPO 0.2 / 0.2; DAPO 0.2 / 0.28; GSPO 3e-4 / 4e-4; infinity is plain importance sampling.
        dual: a bound ``c`` > 1 on the loss of negative advantages, ``min(loss, -c A)`` (dual clip, 1912.09729);
            infinity turns it off.
    """

    low: float = 0.2
    high: float = 0.2
    dual: float = float("inf")

    def __post_init__(self) -> None:
        """Refuse intervals that do not contain 1."""
        if self.low < 0 or self.high < 0 or self.dual <= 1:
            raise ValueError(f"a clip needs low >= 0, high >= 0 and dual > 1, got {self}")

    def __call__(self, ratio: Tensor, advantages: Tensor) -> Tensor:
        """Float["b l"] ratios and advantages -> Float["b l"] losses."""
        clipped = ratio.clamp(1 - self.low, 1 + self.high)
        loss = -torch.minimum(ratio * advantages, clipped * advantages)
        if self.dual == float("inf"):
            return loss
        return torch.where(advantages < 0, torch.minimum(loss, -self.dual * advantages), loss)


@dataclass(frozen=True)
class ClippedPolicy:
    """The clipped surrogate, on sampled tokens unless told otherwise.

    With one update per collection the policy that is updated is the one that sampled: the ratio is 1, its gradient that
    of the log-probability, and no old log-probabilities are computed for it. Where credit or a selection reads the
    signal ``old_logprobs``, the ratio is taken against it and is 1 up to the rounding of two passes. With several
    updates the stage computes it with the trainer's own weights before the first; an engine's numbers are never used.

    Args:
        ratio: per token or per sequence.
        clip: the interval.
        origins: whose tokens have a ratio. Given tokens have one only where the term is over them too, as in methods
            that put a demonstration into the policy loss; a token of another origin has neither ratio nor gradient.
    """

    ratio: TokenRatio | SequenceRatio = TokenRatio()
    clip: Clip = Clip()
    origins: tuple[Written, ...] = ("sampled",)
    needs = frozenset({"advantages"})

    def __post_init__(self) -> None:
        """Refuse a surrogate of nothing."""
        if not self.origins:
            raise ValueError("origins names nobody, so that no token has a gradient; the usual is ('sampled',)")

    def inert(self, sequence: TrainingSequence) -> bool:
        """Where every advantage is zero, as in a group without variance."""
        return not bool(sequence.signals["advantages"].any())

    def __call__(self, forward: Forward, batch: TokenBatch) -> Tensor:
        """Float["b l"]."""
        current = forward.logprobs
        old = batch.signals["old_logprobs"].to(current.dtype) if "old_logprobs" in batch.signals else current.detach()
        written = [batch.origin == int(Origin[name.upper()]) for name in self.origins]
        # A token without weight, as by its emphasis, is not predicted: its log-probability is no number to divide by.
        members = torch.stack(written).any(0) & forward.positions
        log_ratio = torch.where(members, current - old, 0.0)
        return self.clip(self.ratio(log_ratio, members), batch.signals["advantages"].to(current.dtype))
