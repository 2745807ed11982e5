"""How the number of explored leaves grows with the height of the tree: medians, ratios, fitted laws.

A run that hit its cap is censored: its cost is unknown but larger. It enters a median as infinity, so a median is
reported only where it would be the same whatever the censored runs would have cost.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from posttrain.theory.rows import ExplorationRow


@dataclass(frozen=True)
class HeightSummary:
    """What one height costs, in leaves; ``None`` is an unknown (not run, or censored).

    Args:
        height: H.
        bound: B^H / 4, the lower bound for every method without the annotation (UFT, Theorem 4.2).
        rft, uft: medians over seeds.
    """

    height: int
    bound: float
    rft: float | None
    uft: float | None

    @property
    def ratio(self) -> float | None:
        """How many times more leaves RFT needs than UFT."""
        return None if self.rft is None or self.uft is None else self.rft / self.uft


@dataclass(frozen=True)
class PowerLaw:
    """leaves = scale * height^exponent; ``exponent`` is the growth order that the upper bound puts at 5 or less."""

    scale: float
    exponent: float

    def __call__(self, height: float) -> float:
        """The fitted number of leaves at a height."""
        return float(self.scale * height**self.exponent)


@dataclass(frozen=True)
class ExponentialLaw:
    """leaves = scale * factor^height; ``factor`` is the growth per level, which the lower bound puts at B."""

    scale: float
    factor: float

    def __call__(self, height: float) -> float:
        """The fitted number of leaves at a height."""
        return float(self.scale * self.factor**height)


def lower_bound(branching: int, height: int) -> float:
    """B^H / 4: leaves below which no method without the annotation is right half of the time (UFT, Theorem 4.2)."""
    return float(branching) ** height / 4


def median_leaves(rows: Sequence[ExplorationRow], method: str) -> dict[int, float]:
    """Height -> median explored leaves of one method, heights ascending; ``inf`` where censoring hides the median."""
    costs: dict[int, list[float]] = {}
    for row in rows:
        if row.method == method:
            costs.setdefault(row.height, []).append(row.leaves if row.solved else np.inf)
    return {height: float(np.median(costs[height])) for height in sorted(costs)}


def summarise(rows: Sequence[ExplorationRow]) -> list[HeightSummary]:
    """One summary per height, ascending. All rows must be of one branching."""
    (branching,) = {row.branching for row in rows}
    rft, uft = _known(median_leaves(rows, "rft")), _known(median_leaves(rows, "uft"))
    return [
        HeightSummary(height, lower_bound(branching, height), rft.get(height), uft.get(height))
        for height in sorted({row.height for row in rows})
    ]


def fit_power_law(medians: Mapping[int, float]) -> PowerLaw | None:
    """Least squares of log leaves on log height over the known medians; ``None`` with fewer than two of them."""
    known = _known(medians)
    if len(known) < 2:
        return None
    exponent, intercept = np.polyfit(np.log(list(known)), np.log(list(known.values())), 1)
    return PowerLaw(float(np.exp(intercept)), float(exponent))


def fit_exponential_law(medians: Mapping[int, float]) -> ExponentialLaw | None:
    """Least squares of log leaves on height over the known medians; ``None`` with fewer than two of them."""
    known = _known(medians)
    if len(known) < 2:
        return None
    slope, intercept = np.polyfit(list(known), np.log(list(known.values())), 1)
    return ExponentialLaw(float(np.exp(intercept)), float(np.exp(slope)))


def _known(medians: Mapping[int, float]) -> dict[int, float]:
    return {height: leaves for height, leaves in medians.items() if np.isfinite(leaves)}
