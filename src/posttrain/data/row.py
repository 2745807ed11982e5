"""From a row as it was read to an example with its checker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from posttrain.data.checkers import Checker, checker
from posttrain.data.data_file import Entry
from posttrain.data.place import Row
from posttrain.errors import UserError
from posttrain.types import REJECTED, Demonstration, Example


@dataclass(frozen=True)
class RawRow:
    """The parts of a row, whatever the format.

    Args:
        place: file and row, for errors.
        prompt: text, verbatim.
        truth: the stored answer, not yet understood.
        source: the data source or task, ``None`` if the row names none.
        demonstrations: possibly none.
        rejected: an answer that the first demonstration is preferred to, if the row has one.
        truth_column, source_column, demonstration_column: what the format calls them.
        facts: what else the row says.
    """

    place: Row
    prompt: str
    truth: object
    source: str | None
    demonstrations: tuple[Demonstration, ...]
    truth_column: str
    source_column: str
    demonstration_column: str
    rejected: str | None = None
    facts: Mapping[str, object] = field(default_factory=dict)


def entry(row: RawRow, checkers: dict[str, Checker], source: str | None, demonstrated: bool) -> Entry:
    """The example of a row; a checker met for the first time is added to ``checkers``.

    Raises:
        UserError: no checker, an answer that it cannot use, or no demonstration where ``demonstrated`` asks for one.
    """
    if source is None:
        raise row.place.fault(row.source_column, "it names no task, so that nothing could check the answer")
    if source not in checkers:
        try:
            checkers[source] = checker(source)
        except UserError as error:
            raise row.place.fault(row.source_column, str(error)) from error
    if demonstrated and not row.demonstrations:
        raise row.place.fault(row.demonstration_column, "there is no demonstration")
    if row.truth is None:
        raise row.place.fault(row.truth_column, "there is no answer to check against")
    try:
        answer = checkers[source].answer(row.truth)
        problem = checkers[source].problem(row.prompt, row.truth)
    except ValueError as error:
        raise row.place.fault(row.truth_column, str(error)) from error
    facts = {**row.facts, "data_source": source, "row": row.place.number}
    facts |= {} if row.rejected is None else {REJECTED: row.rejected}
    name = f"{row.place.path.stem}:{row.place.number}"
    return Entry(Example(name, row.prompt, answer, row.demonstrations, facts), problem)
