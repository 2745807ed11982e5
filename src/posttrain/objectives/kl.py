"""Staying near a frozen policy: estimates from sampled tokens, and the exact divergence.

As losses that are differentiated the estimators differ: the gradient of k1 has mean zero on samples of the policy, that
of k2 is on average the gradient of KL(policy || reference).
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from posttrain.divergences import ESTIMATORS, Estimator, check_estimator, kl
from posttrain.forward import Forward
from posttrain.types import TokenBatch, TrainingSequence


@dataclass(frozen=True)
class EstimatedKl:
    """One of the three estimators against the log-probabilities of the frozen policy ``reference``.

    Args:
        estimator: which of the three.
    """

    estimator: Estimator = "k3"
    needs = frozenset({"reference_logprobs"})

    def __post_init__(self) -> None:
        """Refuse an unknown estimator."""
        check_estimator(self.estimator)

    def inert(self, sequence: TrainingSequence) -> bool:
        """Never: the policy may have moved."""
        return False

    def __call__(self, forward: Forward, batch: TokenBatch) -> Tensor:
        """Float["b l"], in nats."""
        current = forward.logprobs
        return ESTIMATORS[self.estimator](batch.signals["reference_logprobs"].to(current.dtype) - current)


@dataclass(frozen=True)
class ExactKl:
    """``KL(policy || reference)`` over the whole vocabulary at each token: the form of UFT's equations 3.1 and 3.3."""

    needs = frozenset({"policy/reference"})

    def inert(self, sequence: TrainingSequence) -> bool:
        """Never: the policy may have moved."""
        return False

    def __call__(self, forward: Forward, batch: TokenBatch) -> Tensor:
        """Float["b l"], in nats."""
        return forward.against("reference", kl)
