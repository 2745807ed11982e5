"""How the answers of a data source are checked: who verifies, what the stored answer means, which rows are one problem.

The names are those of verl's ``data_source`` column and of the tasks.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from posttrain.data.place import described
from posttrain.errors import unknown
from posttrain.rewards.tool_calls import parse_call
from posttrain.tasks.chain_sums import ChainSums
from posttrain.tasks.countdown import Countdown, CountdownProblem
from posttrain.tasks.equivalence import SameNumber
from posttrain.tasks.key_paths import ACTIONS, KeyPaths
from posttrain.tasks.knights_and_knaves import KnightsAndKnaves, KnightsProblem, puzzle_key
from posttrain.tasks.knights_logic import ATOMS, CONNECTIVES, Claim
from posttrain.tasks.mathematics import Mathematics
from posttrain.tasks.tool_calls import ToolCalls
from posttrain.types import Example, Verdict


def same_prompt(prompt: str, truth: object) -> str:
    """Rows with one prompt are one problem."""
    return f"prompt/{prompt}"


@dataclass(frozen=True)
class Checker:
    """Everything that is particular to a data source.

    Args:
        verify: judges a response against ``Example.answer``.
        answer: turns the stored ground truth into ``Example.answer``, which must be picklable; raises ``ValueError``
            with what is wrong.
        problem: from prompt and ground truth, a key that is equal for rows with the same problem.
    """

    verify: Callable[[str, Example], Verdict]
    answer: Callable[[object], Any]
    problem: Callable[[str, object], str] = same_prompt


def checker(name: str) -> Checker:
    """The checker of a data source or task.

    Raises:
        UserError: nobody checks such answers, or the library that does is not installed.
    """
    if name not in CHECKERS:
        raise unknown("data source", name, CHECKERS)
    return CHECKERS[name]()


def _countdown() -> Checker:
    return Checker(Countdown().verify, countdown_problem, lambda prompt, truth: countdown_problem(truth).key)


def _knights() -> Checker:
    return Checker(KnightsAndKnaves().verify, knights_problem, knights_key)


def _mathematics() -> Checker:
    return Checker(Mathematics().verify, written_answer)


def _numbers() -> Checker:
    return Checker(Mathematics(equivalent=SameNumber()).verify, written_answer)


def _chain_sums() -> Checker:
    return Checker(ChainSums().verify, digit)


def _key_paths() -> Checker:
    return Checker(KeyPaths().verify, path)


def _tool_calls() -> Checker:
    return Checker(ToolCalls().verify, tool_call)


CHECKERS: Mapping[str, Callable[[], Checker]] = {
    "countdown": _countdown,
    "kk_logic": _knights,
    "knights_and_knaves": _knights,
    "mathematics": _mathematics,
    "DigitalLearningGmbH/MATH-lighteval": _mathematics,
    "lighteval/MATH": _mathematics,
    "HuggingFaceH4/MATH-500": _mathematics,
    "openai/gsm8k": _numbers,
    "gsm8k": _numbers,
    "chain_sums": _chain_sums,
    "key_paths": _key_paths,
    "tool_calls": _tool_calls,
}
"""A function per name, so that reading numbers does not ask for the library that checks formulas."""


def _field(truth: object, name: str) -> object:
    if not isinstance(truth, dict) or truth.get(name) is None:
        raise ValueError(f"the field {name!r} is missing in {described(truth)}")
    value: object = truth[name]
    return value


def countdown_problem(truth: object) -> CountdownProblem:
    """From ``{"numbers": [44, 19, 35], "target": 98}``."""
    numbers, target = _field(truth, "numbers"), _field(truth, "target")
    if not isinstance(numbers, list) or not numbers or not all(type(number) is int for number in numbers):
        raise ValueError(f"numbers must be a list of whole numbers, got {described(numbers)}")
    if type(target) is not int:
        raise ValueError(f"target must be a whole number, got {described(target)}")
    return CountdownProblem(tuple(numbers), target)


def knights_problem(truth: object) -> KnightsProblem:
    """From ``{"names": ["Ada", "Bruno"], "solution": [true, false]}``, true for a knight."""
    names, solution = _field(truth, "names"), _field(truth, "solution")
    if not isinstance(names, list) or not names or not all(isinstance(name, str) and name for name in names):
        raise ValueError(f"names must be a list of texts, got {described(names)}")
    if not isinstance(solution, list) or not all(type(role) is bool for role in solution):
        raise ValueError(f"solution must be a list of true and false, got {described(solution)}")
    if len(solution) != len(names):
        raise ValueError(f"{len(names)} names but {len(solution)} roles")
    return KnightsProblem(tuple(names), tuple(solution))


def knights_key(prompt: str, truth: object) -> str:
    """The structure of the claims where the row has them as ``statements``, otherwise the prompt."""
    statements = truth.get("statements") if isinstance(truth, dict) else None
    if statements is None:
        return same_prompt(prompt, truth)
    try:
        claims = [_claim(part) for part in ast.literal_eval(statements)]
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError) as error:
        raise ValueError(f"statements cannot be read: {described(statements)}") from error
    if any(not 0 <= person < len(claims) for claim in claims for person in claim.mentions):
        raise ValueError(f"statements speak of somebody who is not there: {described(statements)}")
    return puzzle_key(claims)


def _claim(statement: Any) -> Claim:
    kind, *rest = statement
    if kind in ATOMS and len(rest) == 1 and type(rest[0]) is int:
        return Claim(kind, rest[0])
    if (kind == "not" and len(rest) == 1) or (kind in CONNECTIVES and len(rest) == 2):
        return Claim(kind, parts=tuple(_claim(part) for part in rest))
    raise ValueError(f"no statement: {statement!r}")


def written_answer(truth: object) -> str:
    """From ``{"target": "8000"}``, or the text or number alone."""
    target = _field(truth, "target") if isinstance(truth, dict) else truth
    if type(target) in (int, float):
        target = str(target)
    if not isinstance(target, str) or not target.strip():
        raise ValueError(f"the answer must be text or a number, got {described(target)}")
    return target


def digit(truth: object) -> int:
    """A whole number in 0–9."""
    if type(truth) is not int or not 0 <= truth <= 9:
        raise ValueError(f"the answer must be a digit, got {described(truth)}")
    return truth


def path(truth: object) -> str:
    """A string of actions."""
    if not isinstance(truth, str) or not truth or set(truth) - set(ACTIONS):
        raise ValueError(f"the answer must be a string of the actions {ACTIONS}, got {described(truth)}")
    return truth


def tool_call(truth: object) -> str:
    """A call as text, ``name(parameter=value)``; the tools on offer are a fact of the row."""
    if not isinstance(truth, str) or parse_call(truth, {}) is None:
        raise ValueError(f"the answer must be a call such as find(city='x'), got {described(truth)}")
    return truth
