"""How a budget is spent on demonstrations and on preference pairs, and which examples it buys."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from random import Random
from typing import Literal

from posttrain.errors import UserError
from posttrain.types import Example


@dataclass(frozen=True)
class Costs:
    """What one of each costs, in any one unit.

    Args:
        demonstration: above 0.
        pair: above 0.
    """

    demonstration: float = 1.0
    pair: float = 1.0

    def __post_init__(self) -> None:
        """Refuse what costs nothing, or everything."""
        if not (0 < self.demonstration < float("inf") and 0 < self.pair < float("inf")):
            raise ValueError(f"costs must be above 0 and finite, got {self}")


@dataclass(frozen=True)
class Allocation:
    """What a budget buys: numbers of examples."""

    demonstrations: int
    pairs: int

    def cost(self, costs: Costs) -> float:
        """What that costs."""
        return float(self.demonstrations * exact(costs.demonstration) + self.pairs * exact(costs.pair))


def allocated(budget: float | Fraction, share: float, costs: Costs) -> Allocation:
    """Spend ``share`` of a budget on demonstrations and what is left on pairs, in whole examples.

    ``floor(share B / c_S)`` demonstrations, then ``floor((B - spent) / c_P)`` pairs, but none at a share of 1
    (2502.11284). Decimals are taken at their word: 0.29 of 100 is 29.

    Args:
        budget: at least 0, in the unit of the costs.
        share: 0 … 1.
        costs: of one demonstration and of one pair.
    """
    if not 0 <= share <= 1:
        raise UserError(f"the share of demonstrations lies between 0 and 1, got {share}")
    if not 0 <= budget < math.inf:
        raise UserError(f"a budget cannot be negative or infinite, got {budget}")
    whole, cost = exact(budget), exact(costs.demonstration)
    demonstrations = math.floor(exact(share) * whole / cost)
    pairs = 0 if share == 1 else math.floor((whole - demonstrations * cost) / exact(costs.pair))
    return Allocation(demonstrations, pairs)


def bought(
    examples: Sequence[Example], allocation: Allocation, prompts: Literal["disjoint", "shared"], seed: int
) -> tuple[tuple[Example, ...], tuple[Example, ...]]:
    """The examples for demonstrations, and those for pairs.

    The prompts are put into one order that is drawn. Demonstrations are taken from its beginning; pairs from its end,
    or, with shared prompts, from its beginning too. A larger number of either therefore contains a smaller one.

    Args:
        examples: all there are.
        allocation: how many of each.
        prompts: whether the two may have prompts in common.
        seed: of the order.

    Raises:
        UserError: there are too few examples, or none is bought.
    """
    count, needed = len(examples), (allocation.demonstrations, allocation.pairs)
    if not any(needed):
        raise UserError("the budget is too small for a single example; raise it")
    if (sum(needed) if prompts == "disjoint" else max(needed)) > count:
        raise UserError(
            f"the budget buys {needed[0]} demonstrations and {needed[1]} pairs with {prompts} prompts, "
            f"but there are only {count} training examples; lower it or give more"
        )
    order = _by_prompt(examples, seed)
    first = tuple(order[: allocation.demonstrations])
    second = tuple((order if prompts == "shared" else order[::-1])[: allocation.pairs])
    common = {e.prompt for e in first} & {e.prompt for e in second}
    if prompts == "disjoint" and common:
        raise UserError(
            f"the prompt {sorted(common)[0][:60]!r} stands in several examples that this budget would part; lower it"
        )
    return first, second


def _by_prompt(examples: Sequence[Example], seed: int) -> list[Example]:
    """The examples with their prompts in an order drawn with the seed; those of one prompt stay together."""
    prompts = list(dict.fromkeys(e.prompt for e in examples))
    Random(f"budget/{seed}").shuffle(prompts)
    place = {prompt: at for at, prompt in enumerate(prompts)}
    return sorted(examples, key=lambda e: place[e.prompt])


def exact(number: float | Fraction) -> Fraction:
    """The number as it is written: 0.1 is a tenth, which no float is."""
    return Fraction(str(number))
