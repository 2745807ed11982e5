"""Which split a problem belongs to, and drawing distinct problems of one split.

The split is a property of the problem itself: a stable hash of its canonical key. Two generators with different
seeds and sizes can therefore never put one problem into two splits.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from random import Random
from typing import TypeVar, get_args

from posttrain.errors import UserError, unknown
from posttrain.types import Split

Problem = TypeVar("Problem")

SIXTEENTHS: dict[Split, range] = {"validation": range(1), "heldout": range(1, 3), "train": range(3, 16)}
"""How the hash values are shared out: 1/16 validation, 1/8 held-out, the rest training."""

FRUITLESS_DRAWS = 20_000
"""Draws in a row without a new problem after which a split counts as exhausted."""


def split_of(key: str) -> Split:
    """The split of the problem with this canonical key (equal problems must have equal keys)."""
    sixteenth = hashlib.blake2b(key.encode(), digest_size=8).digest()[0] % 16
    return next(split for split, share in SIXTEENTHS.items() if sixteenth in share)


def check_request(split: str, count: int) -> None:
    """Refuse an unknown split or a negative count.

    Raises:
        UserError: either of them.
    """
    if split not in get_args(Split):
        raise unknown("split", split, get_args(Split))
    if count < 0:
        raise UserError(f"the number of examples cannot be negative, got {count}")


def distinct_problems(
    draw: Callable[[Random], Problem | None],
    key: Callable[[Problem], str],
    split: Split,
    count: int,
    seed: int,
) -> Iterator[tuple[str, Problem]]:
    """Draw problems until ``count`` distinct ones of the split were found.

    Args:
        draw: one random problem, or ``None`` for an unlucky attempt.
        key: its canonical key; also decides the split.
        split: which split to keep.
        count: how many, at least 0.
        seed: any integer; the draws depend on it and on the split.

    Yields:
        Pairs of canonical key and problem.

    Raises:
        UserError: the split seems to have fewer problems; the sentence says how many were found.
    """
    check_request(split, count)
    rng = Random(f"{split}/{seed}")
    seen: set[str] = set()
    fruitless = 0
    while len(seen) < count:
        if fruitless == FRUITLESS_DRAWS:
            found = f"only {len(seen)} {split} problems exist with these settings"
            raise UserError(f"{found}, {count} were asked for; ask for fewer")
        fruitless += 1
        problem = draw(rng)
        name = None if problem is None else key(problem)
        if problem is None or name is None or name in seen or split_of(name) != split:
            continue
        fruitless = 0
        seen.add(name)
        yield name, problem
