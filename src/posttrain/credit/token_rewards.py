"""What each sampled token earns: an outcome, the log-ratio of two models, a penalty for leaving a frozen policy.

Each part reads one sequence and answers with one number per sampled token, in order. Nothing else in a sequence earns
or costs anything: what was given or observed between sampled tokens is stepped over.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from posttrain.divergences import ESTIMATORS, Estimator, check_estimator
from posttrain.types import Origin, TrainingSequence


def sampled(sequence: TrainingSequence) -> Tensor:
    """Int["n"]: where the tokens stand that the policy chose; nothing chose the very first token of a sequence."""
    return (sequence.origin[1:] == int(Origin.SAMPLED)).nonzero()[:, 0] + 1


def spread(values: Tensor, sequence: TrainingSequence) -> Tensor:
    """Float["n"] of the sampled tokens -> Float["l"], 0 on all others."""
    out = values.new_zeros(len(sequence.tokens))
    out[sampled(sequence)] = values
    return out


def read(sequence: TrainingSequence, signal: str) -> Tensor:
    """Float["n"]: a signal of the sampled tokens, in float64."""
    return sequence.signals[signal][sampled(sequence)].double()


@dataclass(frozen=True)
class Outcome:
    """The score of the verdict, earned by the last sampled token.

    Args:
        bound: scores are cut to ``[-bound, bound]`` (TL-Training: 5).
        cut_off: what an answer earns that the length limit cut off; ``None``: the score of what was written.
    """

    bound: float = float("inf")
    cut_off: float | None = None
    reads_rewards = True
    needs = frozenset[str]()

    def __post_init__(self) -> None:
        """Refuse a bound that leaves nothing."""
        if self.bound <= 0:
            raise ValueError(f"bound must be above 0, got {self.bound}")

    def __call__(self, sequence: TrainingSequence) -> Tensor:
        """Float["n"]."""
        score = sequence.rollout.reward
        if self.cut_off is not None and sequence.rollout.ended == "length":
            score = self.cut_off
        return _at_end(max(-self.bound, min(self.bound, score)), len(sampled(sequence)))


@dataclass(frozen=True)
class SumAtEnd:
    """The last token earns the sum: the log-ratio of the whole text."""

    def __call__(self, ratios: Tensor) -> Tensor:
        """Float["n"] -> Float["n"]."""
        return _at_end(float(ratios.sum()), len(ratios))


@dataclass(frozen=True)
class MeanAtEnd:
    """The last token earns the mean, which does not grow with the length of the text."""

    def __call__(self, ratios: Tensor) -> Tensor:
        """Float["n"] -> Float["n"]."""
        return _at_end(float(ratios.mean()) if len(ratios) else 0.0, len(ratios))


@dataclass(frozen=True)
class TokenByToken:
    """Every token earns its own ratio; undiscounted, that is the same return from the first token on."""

    def __call__(self, ratios: Tensor) -> Tensor:
        """Float["n"] -> Float["n"]."""
        return ratios


@dataclass(frozen=True)
class LogRatio:
    """``log p_numerator - log p_denominator`` of what was sampled: how much likelier one frozen policy finds it.

    An answer that the length limit cut off earns the ratios of the tokens that it has, and none for an end.

    Args:
        numerator: the frozen policy above the line.
        denominator: the one below it.
        bound: each token's ratio is cut to ``[-bound, bound]``, in nats.
        earned: when.
    """

    numerator: str = "sft"
    denominator: str = "base"
    bound: float = float("inf")
    earned: SumAtEnd | MeanAtEnd | TokenByToken = SumAtEnd()
    reads_rewards = False

    def __post_init__(self) -> None:
        """Refuse a bound that leaves nothing, and the ratio of a policy with itself."""
        if self.bound <= 0:
            raise ValueError(f"bound must be above 0, got {self.bound}")
        if self.numerator == self.denominator:
            raise ValueError(f"the ratio of {self.numerator!r} with itself is always 1; name two frozen policies")

    @property
    def needs(self) -> frozenset[str]:
        """The log-probabilities under both."""
        return frozenset({f"{self.numerator}_logprobs", f"{self.denominator}_logprobs"})

    def __call__(self, sequence: TrainingSequence) -> Tensor:
        """Float["n"]."""
        above, below = (read(sequence, f"{name}_logprobs") for name in (self.numerator, self.denominator))
        return self.earned((above - below).clamp(-self.bound, self.bound))


@dataclass(frozen=True)
class KlPenalty:
    """Every token costs ``coefficient`` times an estimate of its divergence from a frozen policy.

    Only k1 has the divergence's gradient when it is a reward; k2 (2310.06452, released code) and k3 are biased there.

    Args:
        coefficient: 0 turns the penalty off, and the frozen policy is not kept.
        estimator: of the divergence, from the old log-probabilities.
        towards: the frozen policy to stay near.
    """

    coefficient: float = 0.05
    estimator: Estimator = "k1"
    towards: str = "reference"

    def __post_init__(self) -> None:
        """Refuse an unknown estimator, and a reward for leaving."""
        check_estimator(self.estimator)
        if self.coefficient < 0:
            raise ValueError(f"a penalty's coefficient cannot be negative, got {self.coefficient}")

    @property
    def needs(self) -> frozenset[str]:
        """The log-probabilities before the update, and under the frozen policy."""
        return frozenset({"old_logprobs", f"{self.towards}_logprobs"}) if self.coefficient else frozenset()

    def __call__(self, sequence: TrainingSequence) -> Tensor:
        """Float["n"], what each token loses as a negative number."""
        if not self.coefficient:
            return torch.zeros(len(sampled(sequence)), dtype=torch.float64)
        d = read(sequence, f"{self.towards}_logprobs") - read(sequence, "old_logprobs")
        return -self.coefficient * ESTIMATORS[self.estimator](d)


def _at_end(earned: float, count: int) -> Tensor:
    rewards = torch.zeros(count, dtype=torch.float64)
    rewards[-1:] = earned
    return rewards
