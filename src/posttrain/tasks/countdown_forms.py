"""How a Countdown problem and its solution are written: the authors' way, and a short one for tiny models."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from posttrain.tasks.answers import Extraction, LastMatch
from posttrain.tasks.countdown_solution import Solution
from posttrain.tasks.reasoning_prompt import answer_tail, reasoning_prompt
from posttrain.types import Demonstration


class CountdownForm(Protocol):
    """Prompt, solution text and the place of the answer belong together; a form is one choice of all three."""

    @property
    def extraction(self) -> Extraction:
        """Finds the expression in a response."""
        ...

    def prompt(self, numbers: tuple[int, ...], target: int) -> str:
        """Everything before the response."""
        ...

    def demonstration(self, solution: Solution) -> Demonstration:
        """The solution in chunks, and the answer block."""
        ...


@dataclass(frozen=True)
class AuthorsForm:
    """The text of UFT's released data: one spoken line per step, then ``<answer>``.

    Args:
        extraction: where the answer is looked for; ``LastLine()`` is the rule of the released code.
    """

    extraction: Extraction = field(default_factory=LastMatch)

    def prompt(self, numbers: tuple[int, ...], target: int) -> str:
        """The reasoning prompt with the question."""
        listed = ", ".join(map(str, numbers))
        question = (
            f"Using the numbers [{listed}], create an equation that equals {target}. You can use basic arithmetic "
            "operations (+, -, *, /) and each number can only be used once."
        )
        return reasoning_prompt(question, "(1 + 2) / 3")

    def demonstration(self, solution: Solution) -> Demonstration:
        """A chunk per operation and one that states the equation."""
        steps = [f"{step.left} {step.operator} {step.right} = {step.value}\n" for step in solution.steps]
        equation = solution.expression.written(space=" ")
        return Demonstration((*steps, f"Therefore, the final equation is {equation}"), answer_tail(equation))


@dataclass(frozen=True)
class CompactForm:
    r"""A few characters per step, with the numbers that are left written out so that nothing must be remembered.

    The problem ``44 19 35 : 98`` is solved by the chunks ``19+35=54 ; 44 54`` and ``44+54=98 ; 98``, a line each, and
    the tail ``= 44+(19+35)``.

    Args:
        extraction: the expression is what stands on the last line that begins with ``=``.
    """

    extraction: Extraction = field(default=LastMatch(r"^=[ \t]*([^\n]*)$"))

    def prompt(self, numbers: tuple[int, ...], target: int) -> str:
        """The numbers, a colon and the target on one line."""
        return f"{' '.join(map(str, numbers))} : {target}\n"

    def demonstration(self, solution: Solution) -> Demonstration:
        """A line per operation with the numbers that remain after it."""
        steps = (
            f"{step.left}{step.operator}{step.right}={step.value} ; {' '.join(map(str, step.remaining))}\n"
            for step in solution.steps
        )
        return Demonstration(tuple(steps), f"= {solution.expression.written(space='')}")
