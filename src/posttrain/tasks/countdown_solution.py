"""Building a Countdown problem backwards: combine the numbers at random, the last value is the target."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

LARGEST_VALUE = 999
"""By default no step of a solution exceeds this: long multiplication is not what the task is about."""


@dataclass(frozen=True)
class Expression:
    """A number, or two expressions joined by an operator.

    Args:
        value: its value, a positive whole number.
        operator: one of ``+ - * /``, empty for a plain number.
        operands: the two sides, empty for a plain number.
    """

    value: int
    operator: str = ""
    operands: tuple[Expression, ...] = ()

    def written(self, space: str, outermost: bool = True) -> str:
        """As text, brackets around everything but numbers and the whole, ``space`` on both sides of an operator."""
        if not self.operands:
            return str(self.value)
        left, right = (operand.written(space, outermost=False) for operand in self.operands)
        text = f"{left}{space}{self.operator}{space}{right}"
        return text if outermost else f"({text})"


@dataclass(frozen=True)
class Step:
    """One operation of a solution.

    Args:
        left, operator, right, value: ``left operator right = value``, all positive whole numbers.
        remaining: the numbers that can still be used afterwards, ``value`` last.
    """

    left: int
    operator: str
    right: int
    value: int
    remaining: tuple[int, ...]


@dataclass(frozen=True)
class Solution:
    """A worked solution: its steps in order and the whole expression."""

    steps: tuple[Step, ...]
    expression: Expression


def combine(rng: Random, numbers: tuple[int, ...], largest_value: int = LARGEST_VALUE) -> Solution | None:
    """Join the numbers two by two with random operators until one is left; every step stays positive and whole.

    Returns:
        The solution, or ``None`` if two numbers came together that nothing within ``largest_value`` joins.
    """
    pool = [Expression(number) for number in numbers]
    steps: list[Step] = []
    while len(pool) > 1:
        left, right = (pool.pop(rng.randrange(len(pool))) for _ in range(2))
        values = results(left.value, right.value, largest_value)
        if not values:
            return None
        operator = rng.choice(sorted(values))
        pool.append(Expression(values[operator], operator, (left, right)))
        remaining = tuple(expression.value for expression in pool)
        steps.append(Step(left.value, operator, right.value, values[operator], remaining))
    return Solution(tuple(steps), pool[0])


def results(left: int, right: int, largest_value: int = LARGEST_VALUE) -> dict[str, int]:
    """Per operator the value of ``left operator right``, where it is a positive whole number up to the largest."""
    values = {"+": left + right} if left + right <= largest_value else {}
    if left > right:
        values["-"] = left - right
    if left * right <= largest_value:
        values["*"] = left * right
    if left % right == 0:
        values["/"] = left // right
    return values
