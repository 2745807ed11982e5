"""Differences between arms, whichever way round they were written down."""

from __future__ import annotations

from collections.abc import Sequence

from posttrain.report.palette import position
from posttrain.report.read import Row


def in_order(rows: Sequence[Row]) -> tuple[Row, ...]:
    """Every difference as later method minus earlier one, in the palette's order; those of the last method first."""
    facing = [row if position(row["first"]) > position(row["second"]) else turned(row) for row in rows]
    by_second = sorted(facing, key=lambda row: position(row["second"]))
    return tuple(sorted(by_second, key=lambda row: position(row["first"]), reverse=True))


def between(rows: Sequence[Row], first: str, second: str) -> Row | None:
    """The difference ``first - second``, ``None`` if nobody computed it."""
    for row in rows:
        if (row["first"], row["second"]) == (first, second):
            return row
        if (row["first"], row["second"]) == (second, first):
            return turned(row)
    return None


def turned(row: Row) -> Row:
    """The same difference seen from the other side."""
    difference, ends = row.get("difference"), row.get("ci95")
    return {
        **row,
        "first": row["second"],
        "second": row["first"],
        "difference": None if difference is None else -difference,
        "ci95": None if ends is None or None in ends else [-ends[1], -ends[0]],
    }
