"""The examples of a file, usable wherever a task is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from posttrain.data.checkers import Checker
from posttrain.errors import UserError
from posttrain.tasks.splits import check_request, split_of
from posttrain.types import Example, Split, Verdict


@dataclass(frozen=True)
class Entry:
    """A row that was read.

    Args:
        example: its ``facts`` hold ``data_source`` and ``row``.
        problem: equal for rows with the same problem; decides the split.
    """

    example: Example
    problem: str


@dataclass(frozen=True)
class DataFile:
    """Examples of a file with what checks them; fits :class:`posttrain.tasks.base.Task`.

    Args:
        path: the file.
        entries: its rows in order.
        checkers: by data source.
    """

    path: Path
    entries: tuple[Entry, ...]
    checkers: Mapping[str, Checker]

    @property
    def name(self) -> str:
        """The file's name without its ending."""
        return self.path.stem

    @property
    def all_examples(self) -> tuple[Example, ...]:
        """Every row in the file's order, whatever its split."""
        return tuple(entry.example for entry in self.entries)

    def split(self, split: Split) -> tuple[Example, ...]:
        """All rows of one split, in the file's order. Rows with the same problem are always in the same split."""
        check_request(split, 0)
        return tuple(entry.example for entry in self.entries if split_of(entry.problem) == split)

    def examples(self, split: Split, count: int, seed: int) -> tuple[Example, ...]:
        """``count`` rows of a split in an order drawn with ``seed``; a smaller count gives the first of a larger one.

        Raises:
            UserError: the split has fewer rows.
        """
        check_request(split, count)
        rows: Sequence[Example] = self.split(split)
        if count > len(rows):
            raise UserError(f"{self.path} has {len(rows)} {split} rows, {count} were asked for; ask for fewer")
        return tuple(Random(f"{split}/{seed}").sample(rows, len(rows))[:count])

    def verify(self, response: str, example: Example) -> Verdict:
        """Judge a response by the rule of the row's data source."""
        return self.checkers[example.facts["data_source"]].verify(response, example)
