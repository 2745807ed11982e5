"""A run whose loss, gradients or weights are no longer finite: a result like any other, kept in its folder."""

from __future__ import annotations

from pathlib import Path

from posttrain.errors import UserError
from posttrain.runs import folder

DIVERGED = "diverged.json"


class Diverged(UserError):
    """Training went to infinity; the same settings would take it there again."""


def record(path: Path, error: Diverged) -> None:
    """Write into the run's folder why it ended, so that it is not started again."""
    folder.write_json(path / DIVERGED, {"reason": str(error)})


def reason(path: Path) -> str | None:
    """Why the run in a folder ended without a result; ``None`` if it did not diverge."""
    there = path / DIVERGED
    return str(folder.read_json(there)["reason"]) if there.is_file() else None
