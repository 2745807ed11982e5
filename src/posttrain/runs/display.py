"""What a run tells the person who waits for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol


class Display(Protocol):
    """Told of everything that happens; prints it, or does not."""

    def say(self, sentence: str) -> None:
        """Something a person should know once."""
        ...

    def begin(self, activity: str, total: int) -> None:
        """An activity of ``total`` units starts; one at a time."""
        ...

    def advance(self, done: int, note: str = "") -> None:
        """``done`` units of the current activity are finished."""
        ...

    def samples(self, step: int, rows: Sequence[Mapping[str, Any]]) -> None:
        """A few completions sampled at ``step``, as rows of ``rollouts.jsonl``."""
        ...


class Silent:
    """Says nothing: for tests and for runs inside other runs."""

    def say(self, sentence: str) -> None:
        """Nothing."""

    def begin(self, activity: str, total: int) -> None:
        """Nothing."""

    def advance(self, done: int, note: str = "") -> None:
        """Nothing."""

    def samples(self, step: int, rows: Sequence[Mapping[str, Any]]) -> None:
        """Nothing."""
