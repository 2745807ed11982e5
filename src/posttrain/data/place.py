"""Where in a file something is wrong."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from posttrain.errors import UserError


@dataclass(frozen=True)
class Row:
    """A row of a data file.

    Args:
        path: the file.
        number: 1-based; in a text file the line.
    """

    path: Path
    number: int

    def fault(self, column: str, problem: str) -> UserError:
        """The error that names file, row and column."""
        return UserError(f"{self.path}, row {self.number}, column {column!r}: {problem}")

    def text(self, column: str, value: object) -> str:
        """The value, which must be text with something in it."""
        if not isinstance(value, str):
            raise self.fault(column, f"text was expected, got {described(value)}")
        if not value.strip():
            raise self.fault(column, "it is empty")
        return self._writable(column, value)

    def chunks(self, column: str, value: object) -> tuple[str, ...]:
        """The value, which must be a non-empty list of texts (of which some may be mere line breaks)."""
        if not isinstance(value, list):
            raise self.fault(column, f"a list of texts was expected, got {described(value)}")
        if not value:
            raise self.fault(column, "the list is empty; a demonstration needs at least one chunk")
        for at, chunk in enumerate(value, 1):
            if not isinstance(chunk, str) or not chunk:
                raise self.fault(column, f"chunk {at} must be text with something in it, got {described(chunk)}")
        return tuple(self._writable(column, chunk) for chunk in value)

    def _writable(self, column: str, value: str) -> str:
        # JSON can spell half of a surrogate pair, which is no character and which no tokenizer takes.
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise self.fault(column, "it contains half of a surrogate pair, which is not a character") from error
        return value


def described(value: object) -> str:
    """What a value is, in a few words, for an error."""
    if value is None:
        return "nothing"
    shown = repr(value)
    return f"{type(value).__name__} {shown if len(shown) <= 60 else shown[:57] + '...'}"
