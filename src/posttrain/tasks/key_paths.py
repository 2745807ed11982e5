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
from random import Random
from typing import ClassVar

from posttrain.errors import UserError
from posttrain.tasks.answers import LastMatch, missing, right, wrong
from posttrain.tasks.splits import distinct_problems
from posttrain.types import Demonstration, Example, Split, Verdict

SYMBOLS = "abcdefgh"
ACTIONS = "wxyz"
KEY_LENGTH = 6
END = "."
SEPARATORS = re.compile(r"[\s,;>|-]+")
START = ""
"""The previous action at the first step."""

Table = Mapping[tuple[str, str], str]


@dataclass(frozen=True)
class KeyPaths:
    """A key of 6 symbols out of 8, answered by ``horizon`` actions out of 4 and a full stop, e.g. ``wyxxzw.``.

    Args:
        horizon: actions per problem, H >= 1.
        corrupted: the chance in 0–1 that an intermediate step of a *training* demonstration is replaced by a wrong
            action. The last step and the answer stay right.
        table_seed: which hidden table; tasks that differ here are different tasks.

    Raises:
        UserError: a horizon below 1 or a chance outside 0–1.
    """

    name: ClassVar[str] = "key_paths"
    horizon: int = 6
    corrupted: float = 0.0
    table_seed: int = 0

    def __post_init__(self) -> None:
        """Refuse settings without meaning."""
        if self.horizon < 1:
            raise UserError(f"key paths need a horizon of at least 1, got {self.horizon}")
        if not 0 <= self.corrupted <= 1:
            raise UserError(f"the corrupted share of steps lies between 0 and 1, got {self.corrupted}")

    def examples(self, split: Split, count: int, seed: int) -> tuple[Example, ...]:
        """Distinct keys with the path as chunks of one action; see :class:`posttrain.tasks.base.Task`."""
        table = hidden_table(self.table_seed)
        drawn = distinct_problems(_draw_key, lambda key: f"key_paths/{key}", split, count, seed)
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

    def _example(self, name: str, key: str, table: Table, split: Split, seed: int) -> Example:
        path = follow(table, key, self.horizon)
        share = self.corrupted if split == "train" else 0.0
        shown = _corrupt(path, share, Random(f"{seed}/{name}"))
        return Example(name, f"{key}:", path, (Demonstration(tuple(shown), END),), {"horizon": self.horizon})


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


def _draw_key(rng: Random) -> str:
    return "".join(rng.choices(SYMBOLS, k=KEY_LENGTH))
