"""Things that are finished in any order, each with its place among those that were asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

Thing = TypeVar("Thing")

Arriving = Sequence[Thing] | Iterator[tuple[int, Thing]]
"""All of them in their order; or one after the other as they are finished, each with its place, which counts from 0."""


def placed(things: Arriving[Thing]) -> Iterator[tuple[int, Thing]]:
    """Each with its place, in order of arrival."""
    yield from enumerate(things) if isinstance(things, Sequence) else things


def in_order(things: Arriving[Thing], count: int) -> list[Thing]:
    """All ``count`` of them, in the order of their places.

    Raises:
        ValueError: not every place came once.
    """
    arrived = list(placed(things))
    if sorted(place for place, _ in arrived) != list(range(count)):
        raise ValueError(f"{count} were asked for, but these places came: {[place for place, _ in arrived]}")
    return [thing for _, thing in sorted(arrived, key=lambda pair: pair[0])]
