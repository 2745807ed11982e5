"""How far two distributions over the next token are apart: estimates from sampled tokens, and the exact divergence.

With ``d = log p_reference(token) - log p(token)`` the estimators are k1 = -d, k2 = d^2 / 2 and k3 = exp(d) - d - 1
(Schulman, "Approximating KL divergence", 2020). On samples of the policy k1 and k3 are unbiased as values.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

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


Estimator = Literal["k1", "k2", "k3"]
"""The estimators' names in settings."""
ESTIMATORS: dict[Estimator, Callable[[Tensor], Tensor]] = {"k1": k1, "k2": k2, "k3": k3}


def check_estimator(name: str) -> None:
    """Refuse what is none, for parts that are made in Python and not from settings.

    Raises:
        ValueError: with the names that there are.
    """
    if name not in ESTIMATORS:
        raise ValueError(f"unknown KL estimator {name!r}; known: {', '.join(ESTIMATORS)}")


def kl(logits: Tensor, others: Tensor) -> Tensor:
    """``KL(p || q)`` of the distributions behind two sets of logits, in nats.

    Args:
        logits: Float["n v"], p.
        others: Float["n v"], q.

    Returns:
        Float["n"], never negative.
    """
    p, q = torch.log_softmax(logits, -1), torch.log_softmax(others, -1)
    return (p.exp() * (p - q)).sum(-1)
