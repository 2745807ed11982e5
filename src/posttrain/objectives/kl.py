"""Staying near a frozen policy: estimates from sampled tokens, and the exact divergence.

With ``d = log p_reference(token) - log p(token)`` the estimators are k1 = -d, k2 = d^2 / 2 and k3 = exp(d) - d - 1
(Schulman, "Approximating KL divergence", 2020). On samples of the policy k1 and k3 are unbiased as values; as losses
that are differentiated their gradients differ: k1's has mean zero, k2's is the gradient of KL(policy || reference).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from posttrain.policy import Forward
from posttrain.types import TokenBatch, TrainingSequence

K3_BOUND = 10.0
"""The largest value of k3 that counts (UFT's released code, and verl)."""


def k1(d: Tensor) -> Tensor:
    """``log p - log p_reference``."""
    return -d


def k2(d: Tensor) -> Tensor:
    """Half the squared log-ratio, never negative."""
    return d.square() / 2


def k3(d: Tensor) -> Tensor:
    """``exp(d) - d - 1``, never negative ("low-variance KL"), bounded as in UFT's released code."""
    below = d.clamp(max=K3_BOUND)  # beyond it an overflowing exp would make the gradient nan
    return (below.exp() - below - 1).clamp(max=K3_BOUND)


@dataclass(frozen=True)
class EstimatedKl:
    """One of the three estimators against the log-probabilities of the frozen policy ``reference``.

    Args:
        estimator: ``"k1"``, ``"k2"`` or ``"k3"``.
    """

    estimator: str = "k3"
    needs = frozenset({"reference_logprobs"})

    def __post_init__(self) -> None:
        """Refuse an unknown estimator."""
        if self.estimator not in _ESTIMATORS:
            raise ValueError(f"unknown KL estimator {self.estimator!r}; known: {', '.join(_ESTIMATORS)}")

    def inert(self, sequence: TrainingSequence) -> bool:
        """Never: the policy may have moved."""
        return False

    def __call__(self, forward: Forward, batch: TokenBatch) -> Tensor:
        """Float["b l"], in nats."""
        current = forward.logprobs
        return _ESTIMATORS[self.estimator](batch.signals["reference_logprobs"].to(current.dtype) - current)


@dataclass(frozen=True)
class ExactKl:
    """``KL(policy || reference)`` over the whole vocabulary at each token: the form of UFT's equations 3.1 and 3.3."""

    needs = frozenset({"policy/reference"})

    def inert(self, sequence: TrainingSequence) -> bool:
        """Never: the policy may have moved."""
        return False

    def __call__(self, forward: Forward, batch: TokenBatch) -> Tensor:
        """Float["b l"], in nats."""
        return forward.against("reference", _divergence)


def _divergence(logits: Tensor, reference: Tensor) -> Tensor:
    p, q = torch.log_softmax(logits, -1), torch.log_softmax(reference, -1)
    return (p.exp() * (p - q)).sum(-1)


_ESTIMATORS = {"k1": k1, "k2": k2, "k3": k3}
