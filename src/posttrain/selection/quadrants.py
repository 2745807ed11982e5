"""Joint pruning of samples and tokens by quadrants of the error-uncertainty plane."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from posttrain.errors import UserError
from posttrain.selection.candidates import Memoryless, batches, emphasised, written
from posttrain.selection.plane import (
    Band,
    Quadrant,
    bisected_edge,
    context_scores,
    imbalance,
    kept,
    perplexities,
    quadrants,
)
from posttrain.types import Progress, TrainingSequence


@dataclass(frozen=True)
class Quadrants:
    """Q-Tuning (2509.23873, Algorithm 1): what to train on of each batch, from one pass of the policy over it.

    Sequences with high perplexity and low entropy (misconceptions) and with low perplexity and high entropy
    (calibration) are kept; both high (noise) and both low (redundant) are dropped. The edges of the quadrants are
    bisected until about ``samples`` of the batch is inside. Where that is too little, the sequences farthest from the
    diagonal are added; where ties make it too much, the nearest to it go (our reading). Of misconceptions only the
    ``tokens`` with the lowest context score are trained on, the others stay in the context.

    Args:
        samples: share of each batch that is kept, rounded down, at least one sequence (0.125, the headline's).
        tokens: share of a misconception's answer that is kept, rounded down, at least one token (0.5, the headline's).
        neighbours: weight of a token's neighbours in its score (lambda, 0.5).
        candidates: sequences in a batch (8, the paper's per device).
        band: what lies between the quadrants belongs to none (Algorithm 1), or a cross divides the plane (version 1).
        supplemented: whether what was added keeps all its tokens, as Algorithm 1 literally says, or is treated as a
            misconception where its perplexity stands out more than its entropy.
        rounds: of bisection (10).
        term: the term of the loss whose tokens are pruned.
    """

    samples: float = 0.125
    tokens: float = 0.5
    neighbours: float = 0.5
    candidates: int = 8
    band: Band = "strict"
    supplemented: Literal["strict", "by_sign"] = "strict"
    rounds: int = 10
    term: str = "likelihood"
    needs = frozenset({"old_logprobs", "old_entropy"})

    def __post_init__(self) -> None:
        """Refuse shares of nothing."""
        if not (0 < self.samples <= 1 and 0 < self.tokens <= 1):
            raise ValueError(f"samples and tokens are shares above 0 and up to 1, got {self.samples} and {self.tokens}")
        if not 0 <= self.neighbours <= 1:
            raise ValueError(f"neighbours is a weight between 0 and 1, got {self.neighbours}")
        if self.candidates < 1 or self.rounds < 1:
            raise ValueError("candidates and rounds must be at least 1")

    @property
    def emphasises(self) -> frozenset[str]:
        """The term whose tokens are pruned."""
        return frozenset({self.term})

    def start(self, seed: int) -> Memoryless:
        """Nothing is drawn and nothing remembered."""
        return Memoryless(self._choose)

    def _choose(self, sequences: Sequence[TrainingSequence], now: Progress) -> list[TrainingSequence]:
        return [s for batch in batches(sequences, self.candidates) for s in self._pruned(batch)]

    def _pruned(self, batch: Sequence[TrainingSequence]) -> list[TrainingSequence]:
        losses = [_answer(s, "old_logprobs", -1.0) for s in batch]
        doubts = torch.stack([_answer(s, "old_entropy").mean() for s in batch])
        means = torch.stack([nats.mean() for nats in losses])
        if not bool(torch.isfinite(torch.cat([means, doubts])).all()):
            return list(batch)  # the loop stops at what is not finite
        treated = self.treatment(perplexities(means), doubts)
        return [
            self._without_outliers(sequence, nats) if treatment == Quadrant.MISCONCEPTION else sequence
            for sequence, nats, treatment in zip(batch, losses, treated)
            if treatment != Quadrant.MIDDLE
        ]

    def treatment(self, perplexity: Tensor, entropy: Tensor) -> list[Quadrant]:
        """As what each of a batch is treated.

        Args:
            perplexity: Float["n"] in float64, of the answer.
            entropy: Float["n"] in float64, mean of the predictions.

        Returns:
            MISCONCEPTION: kept without its outliers; CALIBRATION: kept whole; MIDDLE: dropped.
        """
        edge = bisected_edge(perplexity, entropy, self.samples, self.rounds)
        found = quadrants(perplexity, entropy, edge, self.band)
        lean = imbalance(perplexity, entropy)
        inside = kept(found).tolist()
        ranked = sorted(range(len(found)), key=lambda i: (not inside[i], -abs(float(lean[i])), i))
        treated = [Quadrant.MIDDLE] * len(found)
        for i in ranked[: share_of(len(found), self.samples)]:
            outlying = self.supplemented == "by_sign" and float(lean[i]) > 0
            added = Quadrant.MISCONCEPTION if outlying else Quadrant.CALIBRATION
            treated[i] = Quadrant(int(found[i])) if inside[i] else added
        return treated

    def _without_outliers(self, sequence: TrainingSequence, nats: Tensor) -> TrainingSequence:
        """Weight 0 on the answer's tokens with the highest scores; of equal ones the later go first."""
        lowest = context_scores(nats, self.neighbours).argsort(stable=True)[: share_of(len(nats), self.tokens)]
        keep = torch.zeros(len(nats), dtype=torch.float64)
        keep[lowest] = 1.0
        factors = torch.ones(len(sequence.tokens), dtype=torch.float64)
        factors[written(sequence)] = keep
        return emphasised(sequence, self.term, factors)


def share_of(count: int, share: float) -> int:
    """``share`` of ``count``, rounded down, at least one; 0.29 of 100 is 29 whatever its binary digits."""
    return max(1, math.floor(round(share * count, 9)))


def _answer(sequence: TrainingSequence, signal: str, sign: float = 1.0) -> Tensor:
    """Float["t"] in float64: a signal on the tokens of the answer."""
    tokens = written(sequence)
    if not bool(tokens.any()):
        raise UserError(f"example {sequence.rollout.example.id!r} has no answer whose perplexity could be taken")
    return sign * sequence.signals[signal][tokens].double()
