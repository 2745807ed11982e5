"""The two result files of the theory: their rows, and writing them whole or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class ExplorationRow:
    """One run until pass@1 reached one half; a row of ``theory.json``.

    Args:
        height: H of the tree.
        branching: B of the tree.
        method: ``"rft"`` or ``"uft"``.
        seed: draws the right leaf, the hints and the rollouts; both methods of a seed share the right leaf.
        leaves: explored leaves; only a lower bound of the cost where ``solved`` is false.
        solved: false means that the cap of leaves ended the run (a censored observation).
        pass_at_1: exact, at the end, in [0, 1].
    """

    height: int
    branching: int
    method: str
    seed: int
    leaves: int
    solved: bool
    pass_at_1: float


@dataclass(frozen=True)
class AnnealingRow:
    """One run of fixed budget; a row of ``annealing.json``.

    Args:
        method: ``"rft"``, ``"r3"``, ``"staged"``, ``"cosine"`` (UFT without its likelihood term) or ``"uft"``.
        height: H of the tree.
        branching: B of the tree.
        seed: draws the right leaf, the hints and the rollouts.
        pass_at_1: exact and un-hinted, at the end, in [0, 1].
        leaves: sampled answers, the same for every method.
    """

    method: str
    height: int
    branching: int
    seed: int
    pass_at_1: float
    leaves: int


def write_rows(path: Path, rows: Sequence[ExplorationRow] | Sequence[AnnealingRow]) -> None:
    """Write ``rows`` to ``path`` as a JSON list of objects, one per line; an interrupted write leaves no trace."""
    text = "[\n" + ",\n".join("  " + json.dumps(asdict(row)) for row in rows) + "\n]\n"
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        unfinished.write_text(text, encoding="utf-8")
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
