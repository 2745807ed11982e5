"""Rows of a JSON-lines file."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from posttrain.data.place import Row, described
from posttrain.data.row import RawRow
from posttrain.errors import UserError
from posttrain.types import Demonstration

KEYS = ("prompt", "answer", "task", "demonstration", "demonstrations", "rejected", "facts")
PARTS = ("chunks", "tail")
"""Of a demonstration that is written as an object."""
SIMILAR, DIFFERENT = 0.8, 2
"""A key is a misspelt one if it shares so much of its letters with it, and has at most so many that it does not."""


def read_json_lines(path: Path) -> Iterator[RawRow]:
    """The rows in order, an object per line; empty lines are skipped but counted.

    Raises:
        UserError: not UTF-8, a line that is no object, a missing prompt, a misspelt key, or a field of the wrong kind.
    """
    for number, line in enumerate(_lines(path), 1):
        if line.strip():
            yield _row(Row(path, number), line)


def _lines(path: Path) -> Iterator[str]:
    """The lines of the file, one in memory at a time."""
    number = 0
    try:
        # Decoding runs ahead of the lines; what it lets pass at first is refused with the line that it stands in.
        with path.open(encoding="utf-8-sig", errors="surrogateescape") as file:
            for number, line in enumerate(file, 1):  # noqa: B007
                line.encode(errors="surrogateescape").decode()
                yield line.removesuffix("\n")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}, row {number}: it cannot be read as UTF-8 text ({error})") from error
    except OSError as error:
        raise UserError(f"{path} cannot be read as UTF-8 text: {error}") from error


def _row(place: Row, line: str) -> RawRow:
    try:
        cells = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{place.path}, row {place.number}: not valid JSON ({error})") from error
    if not isinstance(cells, dict):
        raise UserError(f"{place.path}, row {place.number}: an object was expected, got {described(cells)}")
    if "prompt" not in cells:
        close = difflib.get_close_matches("prompt", cells, n=1)
        raise place.fault("prompt", f"it is missing; is it {close[0]!r}?" if close else "it is missing")
    _refuse_misspelt(place, cells, KEYS)
    task = cells.get("task")
    demonstrations = _demonstrations(place, cells)
    return RawRow(
        place=place,
        prompt=place.text("prompt", cells["prompt"]),
        truth=cells.get("answer"),
        source=None if task is None else place.text("task", task),
        demonstrations=demonstrations,
        truth_column="answer",
        source_column="task",
        demonstration_column="demonstration",
        rejected=_rejected(place, cells, demonstrations),
        facts=_facts(place, cells),
    )


def _refuse_misspelt(place: Row, cells: Mapping[str, object], known: Sequence[str]) -> None:
    """Other keys are none of our business, but what looks like one that is missing would be lost without a word."""
    missing = [name for name in known if name not in cells]
    for key in cells:
        close = [] if key in known else difflib.get_close_matches(key.casefold(), missing, n=1, cutoff=SIMILAR)
        if close and _letters_apart(key.casefold(), close[0]) <= DIFFERENT:
            raise place.fault(key, f"there is no such key; is it {close[0]!r}? if not, rename it or leave it out")


def _letters_apart(one: str, other: str) -> int:
    """How many letters of the two have no counterpart in the other's order; a replaced one counts twice."""
    shared = sum(block.size for block in difflib.SequenceMatcher(None, one, other).get_matching_blocks())
    return len(one) + len(other) - 2 * shared


def _facts(place: Row, cells: Mapping[str, object]) -> Mapping[str, object]:
    facts = cells.get("facts")
    if facts is not None and not isinstance(facts, dict):
        raise place.fault("facts", f"an object was expected, got {described(facts)}")
    return facts or {}


def _demonstrations(place: Row, cells: Mapping[str, object]) -> tuple[Demonstration, ...]:
    several = cells.get("demonstrations")
    if several is not None and not isinstance(several, list):
        raise place.fault("demonstrations", f"a list was expected, got {described(several)}")
    one = cells.get("demonstration")
    single = () if one is None else (_demonstration(place, "demonstration", one),)
    return single + tuple(_demonstration(place, "demonstrations", value) for value in several or ())


def _rejected(place: Row, cells: Mapping[str, object], demonstrations: Sequence[Demonstration]) -> str | None:
    value = cells.get("rejected")
    if value is None:
        return None
    text = _demonstration(place, "rejected", value).text
    if demonstrations and text == demonstrations[0].text:
        raise place.fault("rejected", "it is the demonstration itself, which cannot be preferred to itself")
    return text


def _demonstration(place: Row, column: str, value: object) -> Demonstration:
    if isinstance(value, str):
        return Demonstration(tuple(place.text(column, value).splitlines(keepends=True)))
    if isinstance(value, dict):
        _refuse_misspelt(place, value, PARTS)
        tail = value.get("tail", "")
        if not isinstance(tail, str):
            raise place.fault(column, f"the tail must be text, got {described(tail)}")
        return Demonstration(place.chunks(column, value.get("chunks")), tail)
    return Demonstration(place.chunks(column, value))
