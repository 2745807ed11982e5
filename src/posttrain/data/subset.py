"""Some examples of a sequence, in an order, without holding them."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import overload

import numpy as np

from posttrain.types import Example


@dataclass(frozen=True, eq=False)
class Subset(Sequence[Example]):
    """Example ``k`` is the one at ``places[k]``; reading it is left to the sequence.

    Args:
        examples: to choose from.
        places: where they stand in ``examples``, all different; a range or an array, which takes eight bytes of each.

    Raises:
        ValueError: a place that does not exist, or that is named twice.
    """

    examples: Sequence[Example] = field(repr=False)
    places: Sequence[int] = field(repr=False)

    def __post_init__(self) -> None:
        """Refuse places that could only fail later, and one twice: ids would not be unique any more."""
        ordered = np.sort(np.asarray(self.places, np.int64))
        if len(ordered) and not (ordered[0] >= 0 and ordered[-1] < len(self.examples)):
            raise ValueError(f"places must lie between 0 and {len(self.examples) - 1}")
        if (ordered[1:] == ordered[:-1]).any():
            raise ValueError("a subset names a place twice; every example can be in it once")

    def __len__(self) -> int:
        return len(self.places)

    @overload
    def __getitem__(self, at: int) -> Example: ...

    @overload
    def __getitem__(self, at: slice) -> Subset: ...

    def __getitem__(self, at: int | slice) -> Example | Subset:
        """The example at a place, or those of a slice as a subset, of which none is read yet."""
        return Subset(self.examples, self.places[at]) if isinstance(at, slice) else self.examples[self.places[at]]

    def __iter__(self) -> Iterator[Example]:
        return map(self.examples.__getitem__, self.places)


def those(examples: Sequence[Example], wanted: Callable[[Example], bool]) -> Subset:
    """The examples that are wanted, in their order; every one is read once, none is held."""
    return Subset(examples, array("q", (place for place, example in enumerate(examples) if wanted(example))))
