"""Best-of-N: the answer of highest score among N samples, the baseline of every way to align by reward.

Source: Understanding the Effects of RLHF on LLM Generalisation and Diversity (arXiv 2310.06452), N = 16. Samples are
drawn once, as a pool per prompt; the best of N are then drawn from pools, without sampling anew.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Generator

Score = Callable[[str, str], float]
"""(prompt, response) -> how good the response is: a verifier, a reward model. Measure quality with another one."""


@dataclass(frozen=True)
class Pool:
    """The samples of one prompt.

    Args:
        responses: R of them, sampled independently.
        scores: theirs, all finite; a response that could not be scored has no place in a pool.
    """

    responses: tuple[str, ...]
    scores: tuple[float, ...]

    def __post_init__(self) -> None:
        """Refuse pools that nothing can be chosen from."""
        if not self.responses or len(self.responses) != len(self.scores):
            raise ValueError(f"{len(self.responses)} responses with {len(self.scores)} scores make no pool")
        if not all(map(math.isfinite, self.scores)):
            raise ValueError("the scores of a pool must be finite; leave out what could not be scored")

    def best(self, n: int, times: int, generator: Generator) -> tuple[str, ...]:
        """The best of n, drawn without replacement, ``times`` times anew; equal scores are decided by chance.

        For per-input diversity: ``times`` outputs of best-of-n from one pool.

        Raises:
            ValueError: n is not between 1 and the size of the pool.
        """
        self._need(n)
        drawn = (torch.randperm(len(self.scores), generator=generator)[:n].tolist() for _ in range(times))
        return tuple(self.responses[max(rows, key=lambda at: self.scores[at])] for rows in drawn)

    def expected_score(self, n: int) -> float:
        """The mean score of the best of n, over all sets of n from the pool: exact, and never falling with n.

        Raises:
            ValueError: n is not between 1 and the size of the pool.
        """
        self._need(n)
        ordered, sets = sorted(self.scores), math.comb(len(self.scores), n)
        # The score at place i (from 0) is the best of the sets that take the rest from the i below it.
        return sum(score * math.comb(below, n - 1) / sets for below, score in enumerate(ordered))

    def _need(self, n: int) -> None:
        if not 1 <= n <= len(self.scores):
            raise ValueError(f"the best of n needs n between 1 and the {len(self.scores)} of the pool, got {n}")


def pool(prompt: str, responses: Sequence[str], score: Score) -> Pool:
    """The samples of ``prompt`` with their scores."""
    return Pool(tuple(responses), tuple(float(score(prompt, response)) for response in responses))


def kl_bound(n: int) -> float:
    """``log n - (n - 1) / n`` nats: the most by which best-of-n can diverge from what it samples from.

    It is reached where no two samples have the same score.

    Raises:
        ValueError: n below 1.
    """
    if n < 1:
        raise ValueError(f"the best of n needs n of at least 1, got {n}")
    return math.log(n) - (n - 1) / n
