"""Tool calls: choose one of a few tools whose names begin alike, and copy its arguments out of a request.

A request is a pair of words and some values: ``kel tor city=omari day=sukel``. Which of 16 tools a pair means is a
hidden random table that nobody is told; which parameters a tool has stands in the prompt, and the values are copied.
The values would do for another tool on offer as well. So the tool is the hard part, decided by a few letters, and the
arguments are long and easy (after the analysis of TL-Training, arXiv 2412.15495). Some training conversations contain
a call that failed before the right one.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import ClassVar

from posttrain.errors import UserError
from posttrain.rewards.tool_calls import GradedToolCalls
from posttrain.tasks.answers import missing, right, wrong
from posttrain.tasks.splits import distinct_problems
from posttrain.types import TOOLS, Demonstration, Example, Split, Verdict

VERBS, NOUNS = ("book", "block", "find", "fetch"), ("road", "room", "rota", "route")
PARAMETERS = ("city", "date", "day", "end", "price", "start", "team", "time")
FIRST, SECOND = ("dal", "dom", "kel", "kir", "mun", "pas", "tor", "vel"), ("bex", "fip", "gaz", "hob", "jun", "lom")
CONSONANTS, VOWELS = "bdfgklmnprst", "aeiou"

Tools = Mapping[str, tuple[str, ...]]
Turn = tuple[str, str]


@dataclass(frozen=True)
class Request:
    """What a person asks for.

    Args:
        words: the pair that means a tool.
        values: parameter -> value, in the order in which they are mentioned; those of the tool and of another one.
        offered: the names of the tools on offer, sorted.
    """

    words: tuple[str, str]
    values: Mapping[str, str]
    offered: tuple[str, ...]

    @property
    def key(self) -> str:
        """Equal for equal requests, whatever else is on offer."""
        values = " ".join(f"{parameter}={self.values[parameter]}" for parameter in sorted(self.values))
        return f"tool_calls/{' '.join(self.words)} {values}"


@dataclass(frozen=True)
class ToolCalls:
    """A request is answered by one call, e.g. ``find_room(city='omari', day='sukel')``.

    Args:
        offered: tools in a prompt, the right one among them, 2–16.
        failing: the chance in 0–1 that a *training* conversation contains a failed call before the right one.
        table_seed: which hidden table and signatures; tasks that differ here are different tasks.

    Raises:
        UserError: too few or many tools, or a chance outside 0–1.
    """

    name: ClassVar[str] = "tool_calls"
    offered: int = 4
    failing: float = 0.2
    table_seed: int = 0

    def __post_init__(self) -> None:
        """Refuse settings without meaning."""
        most = len(VERBS) * len(NOUNS)
        if not 2 <= self.offered <= most:
            raise UserError(f"tool calls offer 2 to {most} tools, got {self.offered}")
        if not 0 <= self.failing <= 1:
            raise UserError(f"the chance failing lies between 0 and 1, got {self.failing}")

    def examples(self, split: Split, count: int, seed: int) -> tuple[Example, ...]:
        """Distinct requests with their call as one chunk per argument; see :class:`posttrain.tasks.base.Task`.

        Facts: ``tools``, the signatures on offer, and ``turns``, the prompt cut into who said what.
        """
        drawn = distinct_problems(self._draw, lambda request: request.key, split, count, seed)
        return tuple(self._example(name, request, split, seed) for name, request in drawn)

    def verify(self, response: str, example: Example) -> Verdict:
        """1.0 for the gold call, 0.1 for any other call of an offered tool, otherwise 0.

        ``example.answer`` is the gold call as text. Order and quotes of the arguments and white space do not matter;
        anything beside the call does.
        """
        verdict = GradedToolCalls().judge(response, example)
        if not verdict.valid:
            return missing(verdict.reason)
        return right() if verdict.reason == "right" else wrong(verdict.reason)

    def _draw(self, rng: Random) -> Request | None:
        table, signatures = hidden_table(self.table_seed), all_signatures(self.table_seed)
        words = rng.choice(FIRST), rng.choice(SECOND)
        tool = table[words]
        other, *more = rng.sample(sorted(set(signatures) - {tool}), self.offered - 1)
        # The values would do for another tool as well, so that only the words say which is meant.
        mentioned = sorted({*signatures[tool], *signatures[other]})
        if len(mentioned) == len(signatures[tool]):
            return None  # that could not be got wrong
        values = {parameter: word(rng) for parameter in rng.sample(mentioned, len(mentioned))}
        return Request(words, values, tuple(sorted((tool, other, *more))))

    def _example(self, name: str, request: Request, split: Split, seed: int) -> Example:
        signatures = all_signatures(self.table_seed)
        tool = hidden_table(self.table_seed)[request.words]
        rng = Random(f"{seed}/{name}")
        fails = split == "train" and rng.random() < self.failing
        turns = (*opening(request, signatures), *(_failed_call(request, tool, signatures, rng) if fails else ()))
        call = Demonstration(chunks(tool, {p: request.values[p] for p in signatures[tool]}), ")")
        facts = {TOOLS: {offer: signatures[offer] for offer in request.offered}, "turns": turns}
        return Example(name, "".join(text for _, text in turns), call.text, (call,), facts)


@functools.cache
def hidden_table(table_seed: int) -> Mapping[tuple[str, str], str]:
    """The tool that every pair of words means."""
    rng = Random(f"tools/{table_seed}")
    tools = sorted(all_signatures(table_seed))
    return {(first, second): rng.choice(tools) for first in FIRST for second in SECOND}


@functools.cache
def all_signatures(table_seed: int) -> Tools:
    """The parameters of every tool, two or three."""
    rng = Random(f"signatures/{table_seed}")
    names = [f"{verb}_{noun}" for verb in VERBS for noun in NOUNS]
    return {name: tuple(rng.sample(PARAMETERS, rng.choice((2, 3)))) for name in names}


def chunks(tool: str, arguments: Mapping[str, str]) -> tuple[str, ...]:
    """A call without the bracket that closes it, one argument per chunk.

    Args:
        tool: its name.
        arguments: parameter -> value, in the order in which they are written; at least one.
    """
    written = [f"{parameter}={value!r}" for parameter, value in arguments.items()]
    return (f"{tool}(", *(f"{argument}, " for argument in written[:-1]), written[-1])


def opening(request: Request, signatures: Tools) -> tuple[Turn, Turn]:
    """The first two turns of a conversation: the tools on offer, and what the person says."""
    offered = " ".join(f"{tool}({','.join(signatures[tool])})" for tool in request.offered)
    said = " ".join((*request.words, *(f"{parameter}={value}" for parameter, value in request.values.items())))
    return ("system", f"tools: {offered}\n"), ("user", f"user: {said}\ncall: ")


def _failed_call(request: Request, tool: str, signatures: Tools, rng: Random) -> tuple[Turn, Turn]:
    """A call of a tool that is not there, or with a parameter that it has not, and what comes back."""
    arguments = {p: request.values[p] for p in signatures[tool]}
    absent = sorted(set(signatures) - set(request.offered))
    if absent and rng.random() < 1 / 2:
        tool = rng.choice(absent)
        answer = f"{tool} is not defined"
    else:
        surplus = next(p for p in request.values if p not in arguments)
        arguments.pop(rng.choice(sorted(arguments)))
        arguments[surplus] = request.values[surplus]
        answer = f"unexpected keyword {surplus}"
    return ("assistant", f"{''.join(chunks(tool, arguments))})"), ("tool", f"\nerror: {answer}\ncall: ")


def word(rng: Random) -> str:
    """A value: five letters that mean nothing."""
    return "".join(rng.choice(letters) for letters in (VOWELS, CONSONANTS, VOWELS, CONSONANTS, VOWELS))
