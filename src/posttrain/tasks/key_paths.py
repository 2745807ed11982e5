"""Key paths: walk H steps through a hidden table, the reward comes only at the end.

A problem is a string of key symbols. At step h the right action is a fixed function of the h-th symbol (repeated
cyclically) and of the previous action; the function is a random table that nobody is told. A policy that knows the
format but not the table succeeds with probability 4^-H, which makes exploration the whole difficulty. Source: the
search tree with a sparse reward of UFT (arXiv 2505.16984, section 4), made learnable across problems.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import ClassVar

from posttrain.errors import UserError
from posttrain.tasks.answers import LastMatch, missing, right, wrong
from posttrain.tasks.splits import distinct_problems
from posttrain.types import REJECTED, Demonstration, Example, Split, Verdict

SYMBOLS = "abcdefghijklmnopqrstuv"
ACTIONS = "wxyz"
END = "."
SEPARATORS = re.compile(r"[\s,;>|-]+")
START = ""
"""The previous action at the first step."""

Table = Mapping[tuple[str, str], str]


@dataclass(frozen=True)
class KeyPaths:
    """A key of symbols, answered by ``horizon`` actions out of 4 and a full stop, e.g. ``bdfage:`` by ``wyxxzw.``.

    Training demonstrations can be faulty in two ways, and their answers stay checkable in both. Random faults differ
    from one demonstration to the next. Misconceptions are shared: about some entries of the table all annotators
    believe the same wrong thing, and they walk on from where it takes them.

    ``facts["rejected"]`` is the first demonstration with one more wrong step, for methods that learn from preferences.

    Args:
        horizon: actions per problem, H >= 1.
        key_length: symbols of a key, at least 1; walks longer than the key go through it again.
        symbols: how many different key symbols there are, 2–22.
        corrupted: the chance in 0–1 that an intermediate step of a *training* demonstration is replaced by a wrong
            action. The last step stays right.
        misconceptions: the share in 0–1 of the table's entries about which annotators believe something wrong.
        slip: the chance in 0–1 that an annotator acts on such a belief in a *training* demonstration.
        annotators: how many people, at least 1, wrote a demonstration of each *training* problem; those of a problem
            may be equal.
        table_seed: which hidden table; tasks that differ here are different tasks.

    Raises:
        UserError: a horizon or annotators below 1, too few or many symbols, or a chance outside 0–1.
    """

    name: ClassVar[str] = "key_paths"
    horizon: int = 6
    key_length: int = 6
    symbols: int = 8
    corrupted: float = 0.0
    misconceptions: float = 0.0
    slip: float = 0.7
    annotators: int = 1
    table_seed: int = 0

    def __post_init__(self) -> None:
        """Refuse settings without meaning."""
        if self.horizon < 1:
            raise UserError(f"key paths need a horizon of at least 1, got {self.horizon}")
        if self.annotators < 1:
            raise UserError(f"key paths need at least 1 annotator, got {self.annotators}")
        if self.key_length < 1:
            raise UserError(f"key paths need a key_length of at least 1, got {self.key_length}")
        if not 2 <= self.symbols <= len(SYMBOLS):
            raise UserError(f"key paths have 2 to {len(SYMBOLS)} symbols, got {self.symbols}")
        if not (0 <= self.corrupted <= 1 and 0 <= self.misconceptions <= 1 and 0 <= self.slip <= 1):
            raise UserError("the chances corrupted, misconceptions and slip lie between 0 and 1")

    def examples(self, split: Split, count: int, seed: int) -> tuple[Example, ...]:
        """Distinct keys with the path as chunks of one action; see :class:`posttrain.tasks.base.Task`."""
        table = hidden_table(self.table_seed)
        draw_key = partial(_draw_key, SYMBOLS[: self.symbols], self.key_length)
        drawn = distinct_problems(draw_key, lambda key: f"key_paths/{key}", split, count, seed)
        return tuple(self._example(name, key, table, split, seed) for name, key in drawn)

    def verify(self, response: str, example: Example) -> Verdict:
        """1.0 if all actions are right, 0.1 for exactly ``horizon`` actions, otherwise 0.

        ``example.answer`` is the string of right actions. Case and separators (white space and ``,;>|-``) do not
        matter, the full stop may be missing; anything else in the response does.
        """
        actions = LastMatch(rf"\A([{ACTIONS}]{{{len(example.answer)}}}){re.escape(END)}?\Z")(
            SEPARATORS.sub("", response.lower())
        )
        if actions is None:
            return missing("not a path")
        return right() if actions == example.answer else wrong("wrong path")

    def _annotated(self, key: str, table: Table, rng: Random) -> str:
        """The path that an annotator writes down for a training problem."""
        beliefs = wrong_beliefs(self.table_seed, self.misconceptions)
        path = ""
        for step in range(self.horizon):
            entry = (key[step % len(key)], path[-1:])
            acts_on_belief = rng.random() < self.slip
            path += beliefs[entry] if entry in beliefs and acts_on_belief else table[entry]
        return _corrupt(path, self.corrupted, rng) if self.corrupted else path

    def _example(self, name: str, key: str, table: Table, split: Split, seed: int) -> Example:
        path = follow(table, key, self.horizon)
        shown = [path]
        if split == "train":
            writers = [f"{seed}/{name}", *(f"{seed}/{name}/{number}" for number in range(1, self.annotators))]
            shown = [self._annotated(key, table, Random(writer)) for writer in writers]
        facts = {
            "horizon": self.horizon,
            REJECTED: _with_a_slip(shown[0], path, Random(f"rejected/{seed}/{name}")) + END,
        }
        return Example(name, f"{key}:", path, tuple(Demonstration(tuple(walk), END) for walk in shown), facts)


def wrong_beliefs(table_seed: int, share: float) -> Table:
    """The entries of the table that annotators have wrong, and what they believe instead.

    A larger share adds entries to those of a smaller one.
    """
    rng = Random(f"beliefs/{table_seed}")
    drawn = {entry: (rng.random(), rng.choice(ACTIONS.replace(right, ""))) for entry, right in _entries(table_seed)}
    return {entry: belief for entry, (at, belief) in drawn.items() if at < share}


def _entries(table_seed: int) -> list[tuple[tuple[str, str], str]]:
    return list(hidden_table(table_seed).items())


def hidden_table(table_seed: int) -> Table:
    """The right action for every pair of key symbol and previous action (empty at the first step)."""
    rng = Random(f"table/{table_seed}")
    return {(symbol, previous): rng.choice(ACTIONS) for symbol in SYMBOLS for previous in (START, *ACTIONS)}


def follow(table: Table, key: str, horizon: int) -> str:
    """The right path: ``horizon`` actions."""
    path = ""
    for step in range(horizon):
        path += table[key[step % len(key)], path[-1:]]
    return path


def _corrupt(path: str, share: float, rng: Random) -> str:
    def written(action: str) -> str:
        return rng.choice(ACTIONS.replace(action, "")) if rng.random() < share else action

    return "".join(map(written, path[:-1])) + path[-1:]


def _with_a_slip(shown: str, path: str, rng: Random) -> str:
    """What was shown with one step replaced by an action that neither it nor the right path has there."""
    at = rng.randrange(len(path))
    action = rng.choice([a for a in ACTIONS if a not in (shown[at], path[at])])
    return shown[:at] + action + shown[at + 1 :]


def _draw_key(symbols: str, length: int, rng: Random) -> str:
    return "".join(rng.choices(symbols, k=length))
