"""Reading a file of examples: JSON lines, or the parquet schema of verl."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from posttrain.data.checkers import Checker
from posttrain.data.data_file import DataFile
from posttrain.data.json_lines import read_json_lines
from posttrain.data.row import RawRow, entry
from posttrain.data.verl import read_verl
from posttrain.errors import UserError

GIVEN = "given"
"""The data source of rows that are checked by the caller's checker."""


def read_examples(
    path: str | Path,
    checker: Checker | None = None,
    demonstrations: Literal["required", "optional"] = "required",
) -> DataFile:
    """Read a ``.jsonl`` or ``.parquet`` file: once, row by row, into a :class:`posttrain.data.spool.Spool`.

    Memory holds a few numbers of a row, whatever its length.

    *JSON lines*: an object per line with ``prompt`` (text), ``answer`` (what the checker expects, e.g. ``"8000"`` or
    ``{"numbers": [44, 19, 35], "target": 98}``), ``task`` (who checks it, see
    :data:`posttrain.data.checkers.CHECKERS`; not needed with ``checker``) and ``demonstration``: a list of chunks, or a
    text whose lines become the chunks, or ``{"chunks": [...], "tail": "..."}`` with the answer block apart, which a
    hint then never shows. ``demonstrations`` holds a list of such values; ``rejected`` is another such value, an answer
    that the first demonstration is preferred to. It becomes ``facts["rejected"]``, a text. ``facts`` is an object with
    anything else worth knowing about the row, such as ``{"domain": "history"}``. Other keys are not read; one that
    looks like a misspelling of one of these that is missing is refused.

    *Parquet*: verl's columns ``prompt`` (a chat with one message, used verbatim), ``data_source``,
    ``reward_model.ground_truth``, and for the demonstration ``hint`` (ordered chunks) and ``answer`` (the whole
    solution: the chunks followed by the answer block).

    Args:
        path: the file; its ending decides the format.
        checker: checks every row, instead of what the rows name.
        demonstrations: whether a row without one is an error.

    Raises:
        UserError: the file is missing, unreadable or has no rows, or a row is malformed (naming row and column).
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path} is a folder, not a file" if path.is_dir() else f"there is no file {path}")
    if path.suffix not in (".jsonl", ".parquet"):
        raise UserError(f"{path}: data files end in .jsonl or .parquet")
    required = demonstrations == "required"
    rows: Iterable[RawRow] = read_verl(path, required) if path.suffix == ".parquet" else read_json_lines(path)
    checkers = {} if checker is None else {GIVEN: checker}
    entries = (entry(row, checkers, GIVEN if checker else row.source, required) for row in rows)
    file = DataFile.of(path, entries, checkers)
    if not file.all_examples:
        raise UserError(f"{path} has no rows")
    return file
