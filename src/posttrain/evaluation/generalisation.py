"""How much of a quality is lost on problems from elsewhere: in-distribution minus out-of-distribution.

Source: Understanding the Effects of RLHF on LLM Generalisation and Diversity (arXiv 2310.06452). Train on a slice of
the problems (lengths up to a bound, some of the subjects), then measure on held-out problems of that slice and on those
of its complement.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from posttrain.evaluation.bootstrap import interval, times_drawn


@dataclass(frozen=True)
class Gap:
    """A generalisation gap.

    Args:
        inside: mean quality in distribution.
        outside: mean quality out of distribution.
        gap: ``inside - outside``; negative if it is better elsewhere.
        ci95: of the gap, bootstrapped over seeds (shared by both sets) and over the problems of each set.
    """

    inside: float
    outside: float
    gap: float
    ci95: tuple[float, float]


def generalisation_gap(
    inside: Sequence[Sequence[float]],
    outside: Sequence[Sequence[float]],
    seed: int = 0,
    resamples: int = 10_000,
) -> Gap:
    """The gap of a method.

    Args:
        inside: [seeds][problems], the quality of each answer in distribution: correct or not, a score, a win.
        outside: the same out of distribution, on any number of problems; seeds paired by index.
        seed: of the bootstrap.
        resamples: bootstrap samples.

    Raises:
        ValueError: the two have different numbers of seeds, or one has no problems.
    """
    near, far = (torch.tensor(rows, dtype=torch.float64) for rows in (inside, outside))
    if len(near) != len(far) or not near.numel() or not far.numel():
        raise ValueError("a gap needs the same seeds inside and outside, and problems in both")

    def resampled(count: int, generator: Generator) -> Tensor:
        seeds = times_drawn(len(near), count, generator) / len(near)

        def means(rows: Tensor) -> Tensor:
            problems = times_drawn(rows.shape[1], count, generator) / rows.shape[1]
            return ((seeds @ rows) * problems).sum(1)

        return means(near) - means(far)

    ends = interval(resampled, seed, resamples)
    return Gap(float(near.mean()), float(far.mean()), float(near.mean() - far.mean()), ends)
