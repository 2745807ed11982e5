"""The examples of a file, usable wherever a task is."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random

from posttrain.data.checkers import Checker
from posttrain.data.spool import Spool
from posttrain.data.subset import Subset
from posttrain.errors import UserError
from posttrain.tasks.splits import SIXTEENTHS, check_request, split_of
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


@dataclass(frozen=True, eq=False)
class DataFile:
    """Examples of a file with what checks them; fits :class:`posttrain.tasks.base.Task`.

    Args:
        path: the file.
        all_examples: every row in the file's order, whatever its split.
        places: where the rows of each split stand among them, ascending.
        checkers: by data source.
    """

    path: Path
    all_examples: Spool
    places: Mapping[Split, array[int]]
    checkers: Mapping[str, Checker]

    @classmethod
    def of(cls, path: Path, entries: Iterable[Entry], checkers: Mapping[str, Checker]) -> DataFile:
        """Put rows away as they are read.

        Args:
            path: their file.
            entries: its rows in order, gone through once.
            checkers: complete when the rows are.

        Raises:
            UserError: there is no room for them.
        """
        places: dict[Split, array[int]] = {split: array("q") for split in SIXTEENTHS}

        def examples() -> Iterator[Example]:
            for number, entry in enumerate(entries):
                places[split_of(entry.problem)].append(number)
                yield entry.example

        return cls(path, Spool(examples()), places, checkers)

    @property
    def name(self) -> str:
        """The file's name without its ending."""
        return self.path.stem

    def split(self, split: Split) -> Subset:
        """All rows of one split, in the file's order. Rows with the same problem are always in the same split."""
        check_request(split, 0)
        return Subset(self.all_examples, self.places[split])

    def examples(self, split: Split, count: int, seed: int) -> Subset:
        """``count`` rows of a split in an order drawn with ``seed``; a smaller count gives the first of a larger one.

        Raises:
            UserError: the split has fewer rows.
        """
        check_request(split, count)
        places = self.places[split]
        if count > len(places):
            raise UserError(f"{self.path} has {len(places)} {split} rows, {count} were asked for; ask for fewer")
        return Subset(self.all_examples, drawn(places, count, Random(f"{split}/{seed}")))

    def verify(self, response: str, example: Example) -> Verdict:
        """Judge a response by the rule of the row's data source."""
        return self.checkers[example.facts["data_source"]].verify(response, example)


def drawn(places: array[int], count: int, rng: Random) -> array[int]:
    """``rng.sample(places, len(places))[:count]``, which would make an object of every place.

    Args:
        places: left as they are.
        count: at most as many.
        rng: drawn from once per place that is returned.
    """
    left, chosen = places[:], array("q")
    for last in range(len(left) - 1, len(left) - 1 - count, -1):
        at = rng.randrange(last + 1)
        chosen.append(left[at])
        left[at] = left[last]
    return chosen
