"""Percentile intervals of means, by drawing with replacement."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Generator, Tensor

PORTION = 1000
"""Resamples made at a time; the memory of one is that of the sample."""
LEVELS = (0.025, 0.975)


def interval(resample: Callable[[int, Generator], Tensor], seed: int, resamples: int) -> tuple[float, float]:
    """The 95% percentile interval.

    Args:
        resample: (count, generator) -> Float["count"], that many resampled values of the quantity.
        seed: of the draws.
        resamples: how many values there are in all.
    """
    generator = torch.Generator().manual_seed(seed)
    values = torch.cat([resample(size, generator) for size in _portions(resamples)])
    low, high = torch.quantile(values, torch.tensor(LEVELS, dtype=torch.float64)).tolist()
    return low, high


def resampled_means(values: Tensor, count: int, generator: Generator) -> Tensor:
    """Float["count"]: means of Float["seeds problems"], both drawn with replacement, as weighted sums."""
    weights = [times_drawn(size, count, generator) / size for size in values.shape]
    return ((weights[0] @ values) * weights[1]).sum(1)


def times_drawn(size: int, count: int, generator: Generator) -> Tensor:
    """Float["count size"]: how often each of ``size`` things is drawn in ``size`` draws."""
    draws = torch.randint(size, (count, size), generator=generator)
    return torch.zeros(count, size, dtype=torch.float64).scatter_add_(1, draws, torch.ones_like(draws).double())


def mean_interval(values: Sequence[float], seed: int = 0, resamples: int = 10_000) -> tuple[float, float]:
    """The interval of the mean of independent values."""
    row = torch.tensor(values, dtype=torch.float64)
    return interval(lambda count, generator: times_drawn(len(row), count, generator) @ row / len(row), seed, resamples)


def _portions(total: int) -> list[int]:
    return [min(PORTION, total - at) for at in range(0, total, PORTION)]
