"""Whether ids are unique, without holding them."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

import numpy as np

from posttrain.types import Example


def repeated_id(examples: Sequence[Example]) -> str | None:
    """An id that two of the examples share, ``None`` if all differ; takes some numbers of each, not its id."""
    return repeated_among(examples, array("q", (hash(e.id) for e in examples)))


def repeated_among(examples: Sequence[Example], hashes: Sequence[int]) -> str | None:
    """The same where the hashes of the ids are known; ids are compared only where those are equal.

    Args:
        examples: read again where hashes are equal.
        hashes: 64-bit numbers, one per example, equal for equal ids.
    """
    numbers = np.asarray(hashes, np.int64)
    ordered = np.sort(numbers)
    suspicious = np.isin(numbers, ordered[1:][ordered[1:] == ordered[:-1]])
    seen: set[str] = set()
    for number in np.flatnonzero(suspicious).tolist():
        name = examples[number].id
        if name in seen:
            return name
        seen.add(name)
    return None
