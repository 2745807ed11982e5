"""Rows of a parquet file in verl's schema, with the ``hint`` column that UFT adds to it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from posttrain.data.place import Row, described
from posttrain.data.row import RawRow
from posttrain.errors import UserError
from posttrain.types import Demonstration

ALWAYS = ("prompt", "reward_model", "data_source")
DEMONSTRATED = ("hint", "answer")
ROWS_AT_A_TIME, BUFFER_BYTES = 256, 1 << 20
"""Of a parquet file, whose own row groups may be as long as the file."""


def read_verl(path: Path, demonstrated: bool) -> Iterator[RawRow]:
    """The rows in order; ``demonstrated`` says whether the columns of the demonstration must be there.

    Raises:
        UserError: not a parquet file, a missing column, or a cell of the wrong kind.
    """
    for number, cells in enumerate(_table(path, demonstrated), 1):
        place = Row(path, number)
        yield RawRow(
            place=place,
            prompt=_prompt(place, cells["prompt"]),
            truth=_truth(place, cells["reward_model"]),
            source=place.text("data_source", cells["data_source"]),
            demonstrations=_demonstrations(place, cells, demonstrated),
            truth_column="reward_model.ground_truth",
            source_column="data_source",
            demonstration_column="hint",
        )


def _table(path: Path, demonstrated: bool) -> Iterator[dict[str, Any]]:
    """The cells of the rows, some rows in memory at a time."""
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path, buffer_size=BUFFER_BYTES, pre_buffer=False) as file:
            present = file.schema_arrow.names
            missing = [name for name in (*ALWAYS, *(DEMONSTRATED if demonstrated else ())) if name not in present]
            if missing:
                raise UserError(f"{path}: the column {missing[0]!r} is missing; there are {', '.join(present)}")
            columns = [name for name in (*ALWAYS, *DEMONSTRATED) if name in present]
            for batch in file.iter_batches(ROWS_AT_A_TIME, columns=columns):
                yield from batch.to_pylist()
    except (pyarrow.ArrowException, OSError) as error:
        raise UserError(f"{path} cannot be read as parquet: {str(error).splitlines()[0]}") from error


def _prompt(place: Row, value: object) -> str:
    if not isinstance(value, list) or not all(isinstance(message, dict) for message in value):
        raise place.fault("prompt", f"a chat was expected (a list of messages), got {described(value)}")
    if len(value) != 1:
        raise place.fault("prompt", f"exactly one message was expected, got {len(value)}")
    return place.text("prompt", value[0].get("content"))


def _truth(place: Row, value: object) -> object:
    if not isinstance(value, dict) or "ground_truth" not in value:
        raise place.fault("reward_model", f"the field 'ground_truth' is missing in {described(value)}")
    truth: object = value["ground_truth"]
    return truth


def _demonstrations(place: Row, cells: dict[str, Any], demonstrated: bool) -> tuple[Demonstration, ...]:
    if not demonstrated and not cells.get("hint"):
        return ()
    chunks = place.chunks("hint", cells["hint"])
    solution = place.text("answer", cells.get("answer"))
    reasoning = "".join(chunks)
    if not solution.startswith(reasoning):
        raise place.fault("answer", "it does not start with the chunks of 'hint' joined together")
    return (Demonstration(chunks, solution[len(reasoning) :]),)
