"""Learning from a teacher's whole distribution over the next token, in the states that a row of tokens leads to.

With ``p`` the policy and ``q`` the teacher, both at the sampling temperature, the gradients along the policy's tempered
logits are ``p (log p/q - KL)`` of the reverse divergence, ``p - q`` of the forward one and ``p - onehot`` of the hard
target. All but the hard target are 0 where the policy is the teacher, and nowhere else.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from posttrain.divergences import kl
from posttrain.forward import Forward
from posttrain.types import TokenBatch, TrainingSequence


@dataclass(frozen=True)
class ReverseKl:
    """``KL(policy || teacher)``: seeks what the teacher finds likely, and gives up what it does not.

    Args:
        teacher: a frozen policy.
    """

    teacher: str = "teacher"

    @property
    def needs(self) -> frozenset[str]:
        """The teacher's distributions."""
        return frozenset({f"policy/{self.teacher}"})

    def inert(self, sequence: TrainingSequence) -> bool:
        """Never."""
        return False

    def __call__(self, forward: Forward, batch: TokenBatch) -> Tensor:
        """Float["b l"], in nats."""
        return forward.against(self.teacher, kl)


@dataclass(frozen=True)
class ForwardKl:
    """``KL(teacher || policy)``: covers all that the teacher does; its cross-entropy less the teacher's entropy.

    Args:
        teacher: a frozen policy.
    """

    teacher: str = "teacher"

    @property
    def needs(self) -> frozenset[str]:
        """The teacher's distributions."""
        return frozenset({f"policy/{self.teacher}"})

    def inert(self, sequence: TrainingSequence) -> bool:
        """Never."""
        return False

    def __call__(self, forward: Forward, batch: TokenBatch) -> Tensor:
        """Float["b l"], in nats."""
        return forward.against(self.teacher, lambda logits, taught: kl(taught, logits))


@dataclass(frozen=True)
class HardTarget:
    """``-log p(argmax q)``: the teacher's first choice and nothing of its doubt; a teacher's top token is enough.

    Args:
        teacher: a frozen policy.
    """

    teacher: str = "teacher"

    @property
    def needs(self) -> frozenset[str]:
        """The teacher's distributions."""
        return frozenset({f"policy/{self.teacher}"})

    def inert(self, sequence: TrainingSequence) -> bool:
        """Never."""
        return False

    def __call__(self, forward: Forward, batch: TokenBatch) -> Tensor:
        """Float["b l"], in nats."""
        return forward.against(self.teacher, _surprise_at_the_choice)


@dataclass(frozen=True)
class JensenShannon:
    """``m KL(teacher || mixture) + (1 - m) KL(policy || mixture)``, mixture ``m q + (1 - m) p`` (GKD, 2306.13649).

    Divided by ``m`` it tends to the forward divergence as ``m`` goes to 0, divided by ``1 - m`` to the reverse one as
    ``m`` goes to 1; at 0 and 1 themselves it is those (as in TRL), where the formula would be 0.

    Args:
        mixing: the teacher's part ``m`` of the mixture, from 0 to 1.
        teacher: a frozen policy.
    """

    mixing: float = 0.5
    teacher: str = "teacher"

    def __post_init__(self) -> None:
        """Refuse parts that do not make a whole."""
        if not 0 <= self.mixing <= 1:
            raise ValueError(f"mixing lies between 0 and 1, got {self.mixing}")

    @property
    def needs(self) -> frozenset[str]:
        """The teacher's distributions."""
        return frozenset({f"policy/{self.teacher}"})

    def inert(self, sequence: TrainingSequence) -> bool:
        """Never."""
        return False

    def __call__(self, forward: Forward, batch: TokenBatch) -> Tensor:
        """Float["b l"], in nats."""
        return forward.against(self.teacher, self.between)

    def between(self, logits: Tensor, taught: Tensor) -> Tensor:
        """Float["n v"] of the policy, Float["n v"] of the teacher -> Float["n"], at most ``log 2`` for even mixing."""
        if self.mixing in (0, 1):
            return kl(logits, taught) if self.mixing else kl(taught, logits)
        own, other = torch.log_softmax(logits, -1), torch.log_softmax(taught, -1)
        mixture = torch.logaddexp(other + math.log(self.mixing), own + math.log1p(-self.mixing))
        return self.mixing * kl(other, mixture) + (1 - self.mixing) * kl(own, mixture)


def _surprise_at_the_choice(logits: Tensor, taught: Tensor) -> Tensor:
    return -torch.log_softmax(logits, -1).gather(-1, taught.argmax(-1, keepdim=True))[:, 0]
