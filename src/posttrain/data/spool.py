"""Examples that wait in a temporary file, so that a data set may be larger than memory."""

from __future__ import annotations

import errno
import os
import pickle
import sys
import tempfile
import weakref
from array import array
from collections.abc import Iterable, Sequence
from typing import Any, overload

from posttrain.data.identity import repeated_among
from posttrain.data.subset import Subset
from posttrain.errors import UserError
from posttrain.types import Example

BUFFER_BYTES = 1 << 20
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
NONE = -1
"""Chunks of a demonstration that is not there."""


class Spool(Sequence[Example]):
    """Examples with different ids, kept in a file; memory holds eight bytes of each.

    Every access reads an example anew: two of them give examples that are alike, not the same one. Threads may read at
    the same time, and so may a forked process; a pickled spool becomes one of its own. The file has no name and is gone
    when the object or its process is, whatever ended it. It stands where Python puts temporary files, which the
    environment variable ``TMPDIR`` decides.

    Args:
        examples: gone through once; none of them is held.

    Raises:
        UserError: two examples share an id, one holds what cannot be pickled, or there is no room for the file.
    """

    def __init__(self, examples: Iterable[Example]) -> None:
        self._ends, hashes, fewest = array("q", [0]), array("q"), sys.maxsize
        try:
            with tempfile.TemporaryFile(buffering=BUFFER_BYTES) as file:
                for example in examples:
                    self._ends.append(self._ends[-1] + file.write(_record(example)))
                    hashes.append(hash(example.id))
                    fewest = min(fewest, _chunks(example))
                file.flush()
                self._descriptor = os.dup(file.fileno())
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise  # where the examples come from, something else went wrong
            raise UserError(
                f"the examples cannot be kept in a temporary file in {tempfile.tempdir} ({error}); "
                "set TMPDIR to a folder with more room"
            ) from error
        weakref.finalize(self, os.close, self._descriptor)
        self._fewest_chunks = fewest if self and fewest != NONE else None
        repeated = repeated_among(self, hashes)
        if repeated is not None:
            raise UserError(f"two examples share the id {repeated!r}; ids must be unique")

    @property
    def fewest_chunks(self) -> int | None:
        """The smallest number of chunks of a first demonstration; ``None`` if an example has none, or there is none."""
        return self._fewest_chunks

    def __len__(self) -> int:
        return len(self._ends) - 1

    @overload
    def __getitem__(self, at: int) -> Example: ...

    @overload
    def __getitem__(self, at: slice) -> Subset: ...

    def __getitem__(self, at: int | slice) -> Example | Subset:
        """An example, read from the file, or those of a slice as a subset, of which none is read yet."""
        if isinstance(at, slice):
            return Subset(self, range(len(self))[at])
        number = range(len(self))[at]
        start, end = self._ends[number], self._ends[number + 1]
        example: Example = pickle.loads(os.pread(self._descriptor, end - start, start))
        return example

    def __reduce__(self) -> tuple[Any, ...]:
        """Its examples: a file without a name cannot be found by another process."""
        return Spool, (list(self),)


def stored(examples: Sequence[Example]) -> Spool | None:
    """The spool that examples are read from, ``None`` where they come from elsewhere."""
    while isinstance(examples, Subset):
        examples = examples.examples
    return examples if isinstance(examples, Spool) else None


def _record(example: Example) -> bytes:
    try:
        return pickle.dumps(example, pickle.HIGHEST_PROTOCOL)
    except (pickle.PicklingError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise UserError(
            f"example {example.id!r} holds what cannot be pickled ({error}); let its checker make a plain value of it"
        ) from error


def _chunks(example: Example) -> int:
    return len(example.demonstrations[0].chunks) if example.demonstrations else NONE
