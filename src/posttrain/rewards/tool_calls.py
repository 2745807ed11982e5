"""Tool calls, read by one parser wherever they come from, and graded by what is wrong with them."""

from __future__ import annotations

import ast
import threading
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from posttrain.errors import UserError
from posttrain.types import TOOLS, Example, Rollout, Verdict

_QUIET = threading.Lock()

PREFILLED = "prefilled"
"""The fact that holds the beginning of the call where the prompt ends with it."""

Signatures = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Expression:
    """The source of an argument that is no literal."""

    source: str


@dataclass(frozen=True, eq=False)
class Call:
    """A call as it was written.

    Args:
        name: of the tool.
        arguments: parameter -> literal value, or :class:`Expression`.
    """

    name: str
    arguments: Mapping[str, object]


def parse_call(text: str, tools: Signatures) -> Call | None:
    """``name(argument, parameter=argument)`` in the grammar of Python, and nothing beside it; ``None`` otherwise.

    Nothing is executed. Arguments without a parameter take those of the tool in their order; more of them than the
    tool has get names that no tool has.
    """
    stripped = text.strip()
    node = _parsed(stripped)
    if not isinstance(node, ast.Call) or ast.get_source_segment(stripped, node) != stripped:
        return None
    name = _dotted(node.func)
    # Python reads ｆ as f; a name that is spelt otherwise is another one here.
    if name is None or not stripped.startswith(name):
        return None
    if any(isinstance(a, ast.Starred) for a in node.args) or any(k.arg is None for k in node.keywords):
        return None
    order = [*tools.get(name, ()), *(f"argument {n + 1}" for n in range(len(node.args)))]
    pairs = [*zip(order, node.args), *((str(k.arg), k.value) for k in node.keywords)]
    arguments = {parameter: _value(value, stripped) for parameter, value in pairs}
    return Call(name, arguments) if len(arguments) == len(pairs) else None  # Python refuses repetitions


def _parsed(text: str) -> ast.expr | None:
    with _QUIET, warnings.catch_warnings():  # which changes what all threads see, and takes it back
        warnings.simplefilter("ignore")  # of odd literals
        try:
            return ast.parse(text, mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None


def _dotted(node: ast.expr) -> str | None:
    """``tool`` or ``module.tool``; without recursion, because text decides how deep it goes."""
    names = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(names)]) if isinstance(node, ast.Name) else None


def _value(node: ast.expr, text: str) -> object:
    try:
        value: object = ast.literal_eval(node)
    except (ValueError, TypeError, RecursionError, MemoryError):
        return Expression(ast.get_source_segment(text, node) or "")
    return value


@dataclass(frozen=True)
class Grades:
    """What a call is worth by its worst fault, in the order in which faults are looked for (TL-Training, 2412.15495).

    As published it is not monotone: three kinds of parameter faults with the right tool score below a wrong tool.

    Args:
        no_call: not a call, or of a tool that is not offered.
        wrong_tool: offered, but not the gold one.
        made_up_surplus_and_missing: parameters of all three kinds of fault.
        made_up_and_another: parameters that the tool has not, and surplus or missing ones.
        surplus_and_missing: parameters of the tool that the gold call has not, and the other way round.
        made_up: parameters that the tool has not.
        surplus_or_missing: one of the two.
        wrong_value: the right parameters, one with another value.
        right: the gold call.
    """

    no_call: float = -2.0
    wrong_tool: float = -1.5
    made_up_surplus_and_missing: float = -1.8
    made_up_and_another: float = -1.3
    surplus_and_missing: float = -1.0
    made_up: float = -0.8
    surplus_or_missing: float = -0.5
    wrong_value: float = -0.25
    right: float = 1.0

    def judge(self, call: Call | None, gold: Call, tools: Signatures) -> Verdict:
        """The verdict on a call; ``valid`` says whether it calls an offered tool."""
        if call is None:
            return Verdict(self.no_call, "no call", valid=False)
        if call.name not in tools:
            return Verdict(self.no_call, "unknown tool", valid=False)
        if call.name != gold.name:
            return Verdict(self.wrong_tool, "wrong tool", valid=True)
        written, wanted, known = set(call.arguments), set(gold.arguments), set(tools[call.name])
        faults = (bool(written - known), bool(written & known - wanted), bool(wanted - written))
        if any(faults):
            words = [w for w, found in zip(("made-up", "surplus", "missing"), faults) if found]
            return Verdict(self._parameters(*faults), f"{' and '.join(words)} parameters", valid=True)
        if any(not _same(call.arguments[p], gold.arguments[p]) for p in wanted):
            return Verdict(self.wrong_value, "wrong value", valid=True)
        return Verdict(self.right, "right", valid=True)

    def _parameters(self, made_up: bool, surplus: bool, missing: bool) -> float:
        if made_up:
            both = self.made_up_surplus_and_missing if surplus and missing else self.made_up_and_another
            return both if surplus or missing else self.made_up
        return self.surplus_and_missing if surplus and missing else self.surplus_or_missing


def _same(value: object, gold: object) -> bool:
    """Equal values; true is not 1."""
    return value == gold and isinstance(value, bool) == isinstance(gold, bool)


@dataclass(frozen=True)
class GradedToolCalls:
    """Rollouts that should be one call: the answer of an example is the gold call, its tools are a fact.

    Args:
        grades: what each kind of fault is worth.
    """

    grades: Grades = Grades()

    def __call__(self, group: Sequence[Rollout]) -> tuple[Verdict, ...]:
        """One verdict per rollout, in order.

        Raises:
            UserError: an example offers no tools, or its answer calls none of them.
        """
        return tuple(self.judge(rollout.response, rollout.example) for rollout in group)

    def judge(self, response: str, example: Example) -> Verdict:
        """The grade of a response, put behind the beginning of the call where the prompt has it."""
        tools = offered_tools(example)
        gold = gold_call(example)
        if gold is None:
            raise UserError(
                f"the answer of example {example.id!r} calls none of its tools: {str(example.answer)[:80]!r}"
            )
        call = parse_call(f"{example.facts.get(PREFILLED, '')}{response}", tools)
        return self.grades.judge(call, gold, tools)


def offered_tools(example: Example) -> Signatures:
    """The tools of an example.

    Raises:
        UserError: it has none, or they are something else than names with lists of parameters.
    """
    tools = example.facts.get(TOOLS)
    if not tools:
        raise UserError(f"example {example.id!r} offers no tools; give them as the fact {TOOLS!r}")
    if not isinstance(tools, Mapping) or not all(isinstance(names, list | tuple) for names in tools.values()):
        raise UserError(f"the tools of example {example.id!r} must be names, each with a list of its parameters")
    return tools


def gold_call(example: Example) -> Call | None:
    """The call that an example's answer is, ``None`` if it calls none of the example's tools."""
    tools = offered_tools(example)
    call = parse_call(str(example.answer), tools)
    return call if call is not None and call.name in tools else None
