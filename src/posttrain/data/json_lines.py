"""Rows of a JSON-lines file."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from posttrain.data.place import Row, described
from posttrain.data.row import RawRow
from posttrain.errors import UserError
from posttrain.types import Demonstration


def read_json_lines(path: Path) -> Iterator[RawRow]:
    """The rows in order, an object per line; empty lines are skipped but counted.

    Raises:
        UserError: not UTF-8, a line that is no object, a missing prompt, or a field of the wrong kind.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (UnicodeDecodeError, OSError) as error:
        raise UserError(f"{path} cannot be read as UTF-8 text: {error}") from error
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield _row(Row(path, number), line)


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
    task = cells.get("task")
    return RawRow(
        place=place,
        prompt=place.text("prompt", cells["prompt"]),
        truth=cells.get("answer"),
        source=None if task is None else place.text("task", task),
        demonstrations=_demonstrations(place, cells),
        truth_column="answer",
        source_column="task",
        demonstration_column="demonstration",
        facts=_facts(place, cells.get("facts")),
    )


def _facts(place: Row, value: object) -> Mapping[str, object]:
    if not isinstance(value, dict | None):
        raise place.fault("facts", f"an object was expected, got {described(value)}")
    return value or {}


def _demonstrations(place: Row, cells: Mapping[str, object]) -> tuple[Demonstration, ...]:
    several = cells.get("demonstrations")
    if several is not None and not isinstance(several, list):
        raise place.fault("demonstrations", f"a list was expected, got {described(several)}")
    one = cells.get("demonstration")
    single = () if one is None else (_demonstration(place, "demonstration", one),)
    return single + tuple(_demonstration(place, "demonstrations", value) for value in several or ())


def _demonstration(place: Row, column: str, value: object) -> Demonstration:
    if isinstance(value, str):
        return Demonstration(tuple(place.text(column, value).splitlines(keepends=True)))
    if isinstance(value, dict):
        tail = value.get("tail", "")
        if not isinstance(tail, str):
            raise place.fault(column, f"the tail must be text, got {described(tail)}")
        return Demonstration(place.chunks(column, value.get("chunks")), tail)
    return Demonstration(place.chunks(column, value))
