"""Chain sums: add up digits modulo 10, one running sum after the other.

The smallest task with a chain of thought: a model that knows single steps still fails on long chains, and the length
sets how often it fails.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from random import Random
from typing import ClassVar

from posttrain.errors import UserError
from posttrain.tasks.answers import LastMatch, missing, right, wrong
from posttrain.tasks.splits import distinct_problems
from posttrain.types import REJECTED, Demonstration, Example, Split, Verdict

NUMBER = re.compile(r"\+?0{0,8}([0-9])\.?")


@dataclass(frozen=True)
class ChainSums:
    """``3815=`` is answered by ``3,1,2,7#7``: the running sums modulo 10, then ``#`` and the last of them.

    ``facts["rejected"]`` is an answer with one wrong step, for methods that learn from preferences.

    Args:
        digits: how many digits a problem has, drawn evenly; each at least 2.

    Raises:
        UserError: a length below 2, or none.
    """

    name: ClassVar[str] = "chain_sums"
    digits: tuple[int, ...] = (6, 7, 8)

    def __post_init__(self) -> None:
        """Refuse lengths that make no sum."""
        if not self.digits or min(self.digits) < 2:
            raise UserError(f"chain sums need at least 2 digits per problem, got digits={self.digits}")

    def examples(self, split: Split, count: int, seed: int) -> tuple[Example, ...]:
        """Distinct digit strings with a chunk per running sum; see :class:`posttrain.tasks.base.Task`."""
        drawn = distinct_problems(
            partial(_draw, self.digits), lambda digits: f"chain_sums/{digits}", split, count, seed
        )
        return tuple(_example(name, digits) for name, digits in drawn)

    def verify(self, response: str, example: Example) -> Verdict:
        """Judge what follows the last ``#``; ``example.answer`` is the sum modulo 10, a whole number in 0–9.

        The running sums before it are not judged.
        """
        text = LastMatch(r"#([^#]*)\Z")(response)
        if not text:
            return missing()
        number = NUMBER.fullmatch(text)
        if number is None:
            return wrong("not a single digit")
        return right() if int(number[1]) == example.answer else wrong("wrong digit")


def _draw(lengths: tuple[int, ...], rng: Random) -> str:
    return "".join(rng.choices("0123456789", k=rng.choice(lengths)))


def _example(name: str, digits: str) -> Example:
    sums = [total % 10 for total in accumulate(map(int, digits))]
    facts = {"digits": len(digits), REJECTED: _written(_with_a_slip(sums, Random(f"rejected/{name}"))).text}
    return Example(name, f"{digits}=", sums[-1], (_written(sums),), facts)


def _written(sums: Sequence[int]) -> Demonstration:
    return Demonstration((*(f"{value}," for value in sums[:-1]), str(sums[-1])), f"#{sums[-1]}")


def _with_a_slip(sums: Sequence[int], rng: Random) -> list[int]:
    """One step is added up wrongly, and everything after it goes on from there: the end is always wrong."""
    at, error = rng.randrange(len(sums)), rng.randint(1, 9)
    return [*sums[:at], *((value + error) % 10 for value in sums[at:])]
