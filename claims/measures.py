"""By what else a model can be measured than by its accuracy on the problems that it was trained for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from posttrain.policy import Policy

Better = Literal["more", "less"]
Pairs = tuple[tuple[str, str], ...]
Quantity = Callable[[Policy], Sequence[float]]
"""A model -> a number per problem, the problems in the same order for every model."""


@dataclass(frozen=True)
class Outcome:
    """What is compared, and what is claimed of it.

    Args:
        name: what it is, for tables.
        unit: of its numbers; none for a bare number.
        better: whether more of it is better, or less.
        effects: arms and their baselines: the first is claimed to be better than the second.
    """

    name: str
    unit: str
    better: Better
    effects: Pairs = ()


@dataclass(frozen=True)
class Measure:
    """A way of measuring a model.

    Args:
        outcome: what is compared.
        quantity: how a model is measured.
    """

    outcome: Outcome
    quantity: Quantity
