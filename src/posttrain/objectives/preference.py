"""Preferences: the loss of a pair of answers by how much more the policy has moved towards the preferred one.

The margin of a pair is ``log p(preferred) / p_reference(preferred) - log p(rejected) / p_reference(rejected)``, with
log-probabilities of whole answers: sums over their tokens, never means.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from posttrain.forward import Forward
from posttrain.signals import WHOLE_GROUPS
from posttrain.types import Origin, TokenBatch, TrainingSequence


@dataclass(frozen=True)
class BradleyTerry:
    """DPO: ``-log sigmoid(beta * margin)`` (2305.18290, equation 7).

    Args:
        beta: above 0; the larger, the nearer the policy stays to the reference (0.1 in the paper, 0.5 for summaries).
    """

    beta: float = 0.1

    def __post_init__(self) -> None:
        """Refuse what would turn the preference round, or off."""
        if self.beta <= 0:
            raise ValueError(f"beta must be above 0, got {self.beta}")

    def __call__(self, margin: Tensor) -> Tensor:
        """Float["n"] -> Float["n"], ``log 2`` where the policy is the reference."""
        return -logsigmoid(self.beta * margin)


@dataclass(frozen=True)
class SquaredMargin:
    """IPO: ``(margin - 1 / (2 tau))^2``, so that the margin has an end (2310.12036, equation 17).

    The margin is one of sums, as the paper writes it; other implementations take means over tokens.

    Args:
        tau: above 0; the larger, the nearer the policy stays to the reference.
    """

    tau: float = 0.1

    def __post_init__(self) -> None:
        """Refuse what would turn the preference round, or ask for an infinite margin."""
        if self.tau <= 0:
            raise ValueError(f"tau must be above 0, got {self.tau}")

    def __call__(self, margin: Tensor) -> Tensor:
        """Float["n"] -> Float["n"]."""
        return (margin - 1 / (2 * self.tau)).square()


@dataclass(frozen=True)
class PairedPreference:
    """The loss of each pair, on every token of both its answers.

    A pair is a group of one sequence whose signal ``preference`` is 1 and one where it is -1. Under the share
    ``PerGroup`` the weighted sum is the mean over pairs. An answer is what is trained of it: the given and sampled
    tokens that have a weight in some term. Sequences of other streams, without the signal, have the value 0.

    Args:
        loss: of a margin.
    """

    loss: BradleyTerry | SquaredMargin = BradleyTerry()
    needs = frozenset({"preference", "reference_logprobs", WHOLE_GROUPS})

    def inert(self, sequence: TrainingSequence) -> bool:
        """Never: a pair always pulls, however clear it is."""
        return False

    def __call__(self, forward: Forward, batch: TokenBatch) -> Tensor:
        """Float["b l"].

        Raises:
            ValueError: a group is not one preferred and one rejected answer.
        """
        current = forward.logprobs
        answer = answer_tokens(forward, batch)
        moved = torch.where(answer, current - batch.signals["reference_logprobs"].to(current.dtype), 0.0).sum(1)
        return loss_of_pairs(self.loss, moved, answer, batch)


def loss_of_pairs(loss: Callable[[Tensor], Tensor], worth: Tensor, answer: Tensor, batch: TokenBatch) -> Tensor:
    """The loss of each pair's margin, ``worth(preferred) - worth(rejected)``, on every token of both its sequences.

    Args:
        loss: Float["n"] margins -> Float["n"].
        worth: Float["b"], what each answer is worth.
        answer: Bool["b l"], its tokens.
        batch: with the signal ``preference``.

    Returns:
        Float["b l"]; 0 in sequences without a preference.

    Raises:
        ValueError: a group is not one preferred and one rejected answer.
    """
    side = _sides(batch.signals["preference"], answer).to(worth.dtype)
    _check_pairs(side, batch.group)
    margins = worth.new_zeros(int(batch.group.max()) + 1).index_add(0, batch.group, side * worth)
    values = torch.where(side != 0, loss(margins)[batch.group], 0.0)
    return values[:, None].expand(answer.shape)


def answer_tokens(forward: Forward, batch: TokenBatch) -> Tensor:
    """Bool["b l"]: the given and sampled tokens that have a weight in some term."""
    return forward.positions & ((batch.origin == int(Origin.GIVEN)) | (batch.origin == int(Origin.SAMPLED)))


def _sides(preference: Tensor, answer: Tensor) -> Tensor:
    """Float["b"]: the preference of each answer; 0 where it has none."""
    return torch.where(answer, preference, 0.0).sum(1) / answer.sum(1).clamp(min=1)


def _check_pairs(side: Tensor, group: Tensor) -> None:
    groups = int(group.max()) + 1
    preferred, rejected = (torch.bincount(group[side == value], minlength=groups) for value in (1, -1))
    known = bool(((side == 0) | (side.abs() == 1)).all())
    if not known or not bool((preferred == rejected).all()) or bool((preferred > 1).any()):
        raise ValueError(
            "a preference needs groups of one preferred answer and one rejected answer, all of their tokens"
        )
