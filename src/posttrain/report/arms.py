"""A comparison's folder: its arms, each a method with a run per seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from posttrain.errors import UserError
from posttrain.report.pairs import in_order
from posttrain.report.palette import position
from posttrain.report.read import HELDOUT, RECIPE, Row, RunRecord, read_json, read_rows, read_run

ROWS, PAIRED, TUNING, BASE = "comparison.json", "paired.json", "tuning.json", "base.json"

RESAMPLES = 2_000
"""Of an arm's own interval: its ends are read to a tenth of a point, and a page should not take long."""


@dataclass(frozen=True, eq=False)
class Arm:
    """One method: a row and, where its folder exists, a run per seed, in the order of the seeds."""

    method: str
    rows: tuple[Row, ...]
    runs: tuple[RunRecord, ...]

    @property
    def accuracy(self) -> float | None:
        """The mean over seeds; unknown if one of them is."""
        return self.mean("accuracy")

    def mean(self, key: str) -> float | None:
        """The mean of a number over seeds; unknown if one of them is."""
        known = [row[key] for row in self.rows if row.get(key) is not None]
        return sum(known) / len(known) if known and len(known) == len(self.rows) else None

    def values(self, key: str) -> list[object]:
        """The different values of a setting over the seeds: one, if the arm was tuned once."""
        found: list[object] = []
        for row in self.rows:
            if row.get(key) not in found:
                found.append(row.get(key))
        return found

    @property
    def interval(self) -> tuple[float, float] | None:
        """95%: of one seed its own over problems, of several by bootstrap over seeds and problems."""
        if len(self.rows) == 1:
            ends = self.rows[0].get("ci95")
            return None if ends is None or None in ends else (ends[0], ends[1])
        return _bootstrapped(self.runs) if len(self.runs) == len(self.rows) else None


@dataclass(frozen=True, eq=False)
class Comparison:
    """Everything in a comparison's folder.

    Args:
        path: the folder.
        arms: in the order of the palette.
        paired: differences of accuracy between arms.
        tuning: what was tried on the validation split.
        base: the untrained model's summary; empty if it was not measured.
    """

    path: Path
    arms: tuple[Arm, ...]
    paired: tuple[Row, ...]
    tuning: tuple[Row, ...]
    base: Row

    @property
    def runs(self) -> list[RunRecord]:
        """All runs of all arms."""
        return [run for arm in self.arms for run in arm.runs]

    @property
    def seeds(self) -> int:
        """The largest number of seeds of an arm."""
        return max((len(arm.rows) for arm in self.arms), default=0)


def read_comparison(folder: Path) -> Comparison:
    """Read a comparison's folder; it need not have finished.

    Raises:
        UserError: it holds no comparison.
    """
    rows = read_json(folder / ROWS)
    if not rows:
        raise UserError(f"{str(folder)!r} holds no comparison: there are no rows in {ROWS}")
    methods = sorted({str(row["method"]) for row in rows}, key=position)
    return Comparison(
        path=folder,
        arms=tuple(_arm(folder, method, rows) for method in methods),
        paired=in_order(read_json(folder / PAIRED) or []),
        tuning=_tuning(folder / TUNING),
        base=read_json(folder / BASE) or {},
    )


def _arm(folder: Path, method: str, rows: Sequence[Row]) -> Arm:
    own = tuple(sorted((row for row in rows if row["method"] == method), key=lambda row: row.get("seed") or 0))
    runs = [folder / str(row["run"]) for row in own if row.get("run") is not None]
    return Arm(method, own, tuple(read_run(path) for path in runs if (path / RECIPE).is_file()))


def _tuning(path: Path) -> tuple[Row, ...]:
    """What was tried, arm by arm; under ``rows`` or as a plain list."""
    content = read_json(path) or []
    rows = content["rows"] if isinstance(content, dict) else content
    return tuple(sorted(rows, key=lambda row: position(str(row["method"]))))


def tried(row: Row) -> dict[str, object]:
    """The settings of a tuning row by name: the one that was varied, or all that the row names."""
    if "setting" in row:
        return {str(row["setting"]): row.get("value")}
    return {name: row[name] for name in ("learning_rate", "credit") if name in row}


def _bootstrapped(runs: Sequence[RunRecord]) -> tuple[float, float] | None:
    """The interval of the mean accuracy, drawn anew over seeds and problems, as it is done for differences."""
    answers = [read_rows(run.path / HELDOUT) for run in runs]
    problems = [[row.get("example_id") for row in rows] for rows in answers]
    if not problems[0] or any(ids != problems[0] for ids in problems):
        return None
    # Late: it needs torch, and a page without several seeds does not.
    from posttrain.evaluation.accuracy import paired_difference, wilson

    correct = [[row.get("correct") is True for row in rows] for rows in answers]
    alike = {answer for row in correct for answer in row}
    if len(alike) == 1:
        # Drawing anew from answers that are all alike shows no spread at all, which would claim too much.
        return wilson(len(problems[0]) if True in alike else 0, len(problems[0]))
    nothing = [[False] * len(rows) for rows in answers]
    return paired_difference(correct, nothing, resamples=RESAMPLES)[1]
