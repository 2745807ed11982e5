"""Countdown: reach a target from given numbers, each used exactly once (UFT, arXiv 2505.16984; TinyZero)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial
from random import Random
from typing import ClassVar

from posttrain.errors import UserError
from posttrain.tasks.answers import missing, right, wrong
from posttrain.tasks.arithmetic import NotArithmeticError, evaluate
from posttrain.tasks.countdown_forms import AuthorsForm, CountdownForm
from posttrain.tasks.countdown_solution import LARGEST_VALUE, Solution, combine
from posttrain.tasks.splits import distinct_problems
from posttrain.types import Example, Split, Verdict

LARGEST_NUMBER = 99
TARGETS = range(10, 101)
TOLERANCE = Fraction(1, 100_000)
OTHER_CHARACTERS = re.compile(r"[^0-9+\-*/().\s]")


@dataclass(frozen=True)
class CountdownProblem:
    """The numbers, each to be used exactly once, and the value to reach."""

    numbers: tuple[int, ...]
    target: int

    @property
    def key(self) -> str:
        """Equal for equal problems: the order of the numbers does not matter."""
        return f"countdown/{'-'.join(map(str, sorted(self.numbers)))}={self.target}"


@dataclass(frozen=True)
class Countdown:
    """Problems that are solvable by construction: numbers in 1–99, target in 10–100.

    Args:
        counts: how many numbers a problem has, drawn evenly; each between 2 and 6.
        form: how problem, solution and answer are written.
        largest_number: the numbers are drawn from 1 to this, at most 99.
        largest_value: no step of a solution exceeds this, so that tiny models need not learn long multiplication.

    Raises:
        UserError: a count outside 2–6, or none, or limits that leave no problems.
    """

    name: ClassVar[str] = "countdown"
    counts: tuple[int, ...] = (3, 4)
    form: CountdownForm = field(default_factory=AuthorsForm)
    largest_number: int = LARGEST_NUMBER
    largest_value: int = LARGEST_VALUE

    def __post_init__(self) -> None:
        """Refuse sizes that make no problem."""
        if not self.counts or not all(2 <= count <= 6 for count in self.counts):
            raise UserError(f"countdown needs 2 to 6 numbers per problem, got counts={self.counts}")
        if not 5 <= self.largest_number <= LARGEST_NUMBER or self.largest_value < self.largest_number:
            raise UserError("countdown needs 5 <= largest_number <= 99 and largest_value >= largest_number")

    def examples(self, split: Split, count: int, seed: int) -> tuple[Example, ...]:
        """Distinct problems with one worked solution each; see :class:`posttrain.tasks.base.Task`."""
        draw = partial(_draw, self.counts, self.largest_number, self.largest_value)
        problems = distinct_problems(draw, lambda drawn: drawn[0].key, split, count, seed)
        return tuple(
            Example(
                id=key,
                prompt=self.form.prompt(problem.numbers, problem.target),
                answer=problem,
                demonstrations=(self.form.demonstration(solution),),
                facts={"numbers": len(problem.numbers)},
            )
            for key, (problem, solution) in problems
        )

    def verify(self, response: str, example: Example) -> Verdict:
        """Judge the expression that ``form.extraction`` finds; ``example.answer`` is a :class:`CountdownProblem`."""
        text = self.form.extraction(response)
        return missing() if text is None else judge(text, example.answer)


def judge(text: str, problem: CountdownProblem) -> Verdict:
    """1.0 if the expression uses exactly the given numbers and reaches the target within 1e-5, otherwise 0.1.

    The order of the checks is that of UFT's reward. Two loopholes of evaluating text as a program are closed: a
    power and a decimal point between digits (1.5 is not a use of 1 and 5) are wrong answers.
    """
    if not _same_numbers(re.findall(r"[0-9]+", text), problem.numbers):
        return wrong("other numbers")
    if OTHER_CHARACTERS.search(text):
        return wrong("other characters")
    try:
        value = evaluate(text)
    except NotArithmeticError as error:
        return wrong(str(error))
    return right() if abs(value - problem.target) < TOLERANCE else wrong("wrong value")


def _same_numbers(written: Sequence[str], given: Sequence[int]) -> bool:
    # Compared as text: a run of a million digits is never turned into a number.
    return sorted(written) == sorted(map(str, given))


def _draw(
    counts: tuple[int, ...], largest_number: int, largest_value: int, rng: Random
) -> tuple[CountdownProblem, Solution] | None:
    numbers = tuple(rng.randint(1, largest_number) for _ in range(rng.choice(counts)))
    solution = combine(rng, numbers, largest_value)
    if solution is None:
        return None
    target = solution.expression.value
    return (CountdownProblem(numbers, target), solution) if target in TARGETS else None
