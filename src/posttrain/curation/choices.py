"""Which of several answers to a prompt are kept, given how likely the policy finds each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Generator


class Choice(Protocol):
    """A rule."""

    def __call__(self, fits: Mapping[int, float], numbers: Generator) -> list[int]:
        """The places of the answers that are kept, the best first.

        Args:
            fits: by place, the mean log-probability per token of every answer that can be trained on.
            numbers: random ones that belong to this prompt alone.
        """
        ...


@dataclass(frozen=True)
class MostLikely:
    """GRAPE: those that the policy finds likeliest; among equals the earlier one.

    Args:
        count: how many of each prompt, at least 1; a prompt with fewer answers keeps them all.
    """

    count: int = 1

    def __post_init__(self) -> None:
        """Refuse to keep nothing."""
        if self.count < 1:
            raise ValueError(f"count must be at least 1, got {self.count}")

    def __call__(self, fits: Mapping[int, float], numbers: Generator) -> list[int]:
        """The likeliest first."""
        return sorted(fits, key=lambda place: (-fits[place], place))[: self.count]


@dataclass(frozen=True)
class LeastLikely:
    """The opposite, a control: those with the highest perplexity.

    Args:
        count: how many of each prompt, at least 1.
    """

    count: int = 1

    def __post_init__(self) -> None:
        """Refuse to keep nothing."""
        if self.count < 1:
            raise ValueError(f"count must be at least 1, got {self.count}")

    def __call__(self, fits: Mapping[int, float], numbers: Generator) -> list[int]:
        """The unlikeliest first."""
        return sorted(fits, key=lambda place: (fits[place], place))[: self.count]


@dataclass(frozen=True)
class Drawn:
    """A control: drawn evenly, whatever the policy finds.

    Args:
        count: how many of each prompt, at least 1, without repetition.
    """

    count: int = 1

    def __post_init__(self) -> None:
        """Refuse to keep nothing."""
        if self.count < 1:
            raise ValueError(f"count must be at least 1, got {self.count}")

    def __call__(self, fits: Mapping[int, float], numbers: Generator) -> list[int]:
        """In the order of the draw."""
        places = sorted(fits)
        return [places[k] for k in torch.randperm(len(places), generator=numbers).tolist()[: self.count]]


@dataclass(frozen=True)
class Fixed:
    """A control: the answers of one writer, who has the same place at every prompt.

    Args:
        place: which answer, counted from 0.
    """

    place: int = 0

    def __post_init__(self) -> None:
        """Refuse places that nobody has."""
        if self.place < 0:
            raise ValueError(f"place is counted from 0, got {self.place}")

    def __call__(self, fits: Mapping[int, float], numbers: Generator) -> list[int]:
        """That one; nothing where there is none."""
        return [self.place] if self.place in fits else []


@dataclass(frozen=True)
class Everything:
    """A control: all of them."""

    def __call__(self, fits: Mapping[int, float], numbers: Generator) -> list[int]:
        """In their order."""
        return sorted(fits)
