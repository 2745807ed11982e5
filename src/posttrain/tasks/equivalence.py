"""When two written mathematical answers are the same: by their writing, as numbers, or by symbolic algebra."""

from __future__ import annotations

import importlib.util
import logging
import re
import warnings
from dataclasses import dataclass, field
from typing import Protocol

from posttrain.errors import UserError
from posttrain.rewards.isolated import IsolatedPool, Unfinished
from posttrain.tasks.answers import right, wrong
from posttrain.tasks.normal_form import normal_form
from posttrain.types import Verdict

LONGEST_ANSWER = 2_000
"""Characters; a longer answer to a question with a short one is wrong without being read."""

PLAIN_NUMBER = re.compile(r"[-+]?(?:[0-9]{1,30}(?:\.[0-9]{0,30})?|\.[0-9]{1,30})")


class Equivalence(Protocol):
    """A rule that compares an answer with the right one."""

    def __call__(self, answer: str, gold: str) -> Verdict:
        """1.0 if they are the same, 0.1 if not, a verdict without score if it could not be found out."""
        ...


@dataclass(frozen=True)
class SameWriting:
    """Equal normal forms: fast, needs nothing, misses answers that are equal only by calculation."""

    def __call__(self, answer: str, gold: str) -> Verdict:
        """See :func:`posttrain.tasks.normal_form.normal_form`."""
        if len(answer) > LONGEST_ANSWER:
            return wrong("answer too long")
        return right() if normal_form(answer) == normal_form(gold) else wrong("another writing")


@dataclass(frozen=True)
class SameNumber:
    """Both are plain numbers that differ by less than ``tolerance``; thousands, ``$`` and ``%`` are ignored.

    The rule of UFT's reward for GSM8K, AIME and AMC.

    Args:
        tolerance: largest accepted difference, above 0.
    """

    tolerance: float = 1e-5

    def __call__(self, answer: str, gold: str) -> Verdict:
        """Raises ``ValueError`` if the right answer is no number, for that is a fault of the data."""
        expected = _number(gold)
        if expected is None:
            raise ValueError(f"the right answer {gold!r} is not a number")
        value = _number(answer)
        if value is None:
            return wrong("not a number")
        return right() if abs(value - expected) < self.tolerance else wrong("wrong value")


@dataclass(frozen=True)
class SameMathematics:
    """Equal writing, or else equal by the library math-verify, which runs in processes that can be killed.

    Args:
        deadline_s: seconds for one comparison; afterwards the answer is unscorable.

    Raises:
        UserError: math-verify is not installed.
    """

    deadline_s: float = 5.0
    _agree: IsolatedPool[bool] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Refuse to start without the library; processes start with the comparisons that need them."""
        if importlib.util.find_spec("math_verify") is None:
            raise UserError("checking mathematics needs math-verify; install it with: pip install posttrain[math]")
        object.__setattr__(self, "_agree", IsolatedPool(symbolically_equal, self.deadline_s, import_math_verify))

    def __call__(self, answer: str, gold: str) -> Verdict:
        """The writing first, because it is decided at once; then the algebra."""
        verdict = SameWriting()(answer, gold)
        if verdict.correct or len(answer) > LONGEST_ANSWER:
            return verdict
        outcome = self._agree(answer, gold)
        if isinstance(outcome, Unfinished):
            return Verdict(None, outcome.reason, valid=True)
        return right() if outcome.value else wrong("another value")


def import_math_verify() -> None:
    """Load the library in a child process; its advice about its own time limits is not needed there."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import math_verify  # noqa: F401
    logging.getLogger("math_verify").setLevel(logging.ERROR)


def symbolically_equal(answer: str, gold: str) -> bool:
    """What math-verify says. Its own time limits are off: they need signals, and the caller has a deadline.

    Answers are wrapped in dollar signs, without which the library reads nothing in many of them. What it cannot read
    in the answer counts as different.

    Raises:
        ValueError: nothing can be read in the right answer.
    """
    import math_verify

    expected = math_verify.parse(dollars(gold), parsing_timeout=None)
    if not expected:
        raise ValueError(f"math-verify reads nothing in the right answer {gold!r}")
    found = math_verify.parse(dollars(answer), parsing_timeout=None)
    return bool(math_verify.verify(expected, found, timeout_seconds=None))


def dollars(text: str) -> str:
    """The text as one inline formula."""
    return f"${text.strip().strip('$').strip()}$"


def _number(text: str) -> float | None:
    plain = re.sub(r"[,\s$%\\]", "", text).rstrip(".")
    return float(plain) if PLAIN_NUMBER.fullmatch(plain) else None
