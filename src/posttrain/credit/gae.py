"""Credit of a critic: how much better each token turned out than the value of the state in which it was chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from posttrain.credit.groups import without_variance
from posttrain.credit.token_rewards import KlPenalty, LogRatio, Outcome, read, spread
from posttrain.types import TrainingSequence


def generalised_advantages(rewards: Tensor, values: Tensor, gamma: float, lam: float) -> Tensor:
    """``A_t = d_t + gamma lam A_{t+1}`` with ``d_t = r_t + gamma V_{t+1} - V_t`` (1506.02438, equation 16).

    Args:
        rewards: Float["n"], what each step earned.
        values: Float["n"], of the states in which the steps were taken; after the last one nothing follows.
        gamma: discount.
        lam: 1 looks at the whole future, 0 only as far as the next value.

    Returns:
        Float["n"] in float64.
    """
    following = torch.cat([values[1:], values.new_zeros(1)])[: len(values)]
    surprises = (rewards + gamma * following - values).tolist()
    advantages, later = [], 0.0
    for surprise in reversed(surprises):  # plain numbers: a tensor per step would take a hundred times as long
        later = surprise + gamma * lam * later
        advantages.append(later)
    return torch.tensor(advantages[::-1], dtype=torch.float64)


@dataclass(frozen=True)
class Whitened:
    """``(A - mean) / sqrt(variance + epsilon)`` over all sampled tokens of the stream's step (TRL, verl).

    Args:
        epsilon: 1e-8; the variance is the unbiased one. Advantages that are all equal become exactly 0.
    """

    epsilon: float = 1e-8

    def __call__(self, advantages: Sequence[Tensor]) -> list[Tensor]:
        """Float["n"] per sequence -> the same, with mean 0 and variance 1 together."""
        every = torch.cat(list(advantages))
        if not len(every) or without_variance(every):
            return [torch.zeros_like(a) for a in advantages]
        mean, scale = every.mean(), (every.var(correction=1) + self.epsilon).rsqrt()
        return [(a - mean) * scale for a in advantages]


@dataclass(frozen=True)
class Gae:
    """Generalised advantage estimation over sampled tokens, with the values of the critic before the update.

    ``returns``, what the critic is trained towards, are the advantages plus the old values, before any whitening. A row
    that the length limit cut off ends like any other: the state after its last token was never valued, so there is
    nothing to go on with (TRL and verl do the same); ``Outcome.cut_off`` says what such an answer is worth.

    Args:
        outcome: what the text earns: its verdict, or a log-ratio of frozen policies.
        penalty: what leaving a frozen policy costs.
        gamma: discount per sampled token.
        lam: how far ahead is looked.
        whitening: of the advantages; ``None`` takes them as they are.
    """

    outcome: Outcome | LogRatio = Outcome()
    penalty: KlPenalty = KlPenalty()
    gamma: float = 1.0
    lam: float = 0.95
    whitening: Whitened | None = Whitened()
    compares = False
    provides = frozenset({"advantages", "returns"})

    def __post_init__(self) -> None:
        """Refuse a discount that grows."""
        if not (0 <= self.gamma <= 1 and 0 <= self.lam <= 1):
            raise ValueError(f"gamma and lam lie between 0 and 1, got {self.gamma} and {self.lam}")

    @property
    def reads_rewards(self) -> bool:
        """If its outcome does."""
        return self.outcome.reads_rewards

    @property
    def needs(self) -> frozenset[str]:
        """The values before the update, and whatever rewards and penalty read."""
        return frozenset({"old_values"}) | self.outcome.needs | self.penalty.needs

    def __call__(self, sequences: Sequence[TrainingSequence]) -> list[Mapping[str, Tensor]]:
        """``advantages`` and ``returns`` per sequence, 0 on everything that was not sampled."""
        values = [read(s, "old_values") for s in sequences]
        rewards = [self.outcome(s) + self.penalty(s) for s in sequences]
        advantages = [generalised_advantages(r, v, self.gamma, self.lam) for r, v in zip(rewards, values)]
        returns = [a + v for a, v in zip(advantages, values)]
        if self.whitening is not None:
            advantages = self.whitening(advantages)
        return [
            {"advantages": spread(a, s), "returns": spread(r, s)} for a, r, s in zip(advantages, returns, sequences)
        ]
