"""Reads what runs and comparisons leave in their folders, finished or not."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from posttrain.errors import UserError

RECIPE, METRICS, EVALUATIONS = "recipe.yaml", "metrics.jsonl", "evaluations.jsonl"
ROLLOUTS, HELDOUT = "rollouts.jsonl", "heldout.jsonl"
BASE, SUMMARY, PROFILE = "base.json", "summary.json", "profile.jsonl"

Row = Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class RunRecord:
    """A run's folder without its many rollouts.

    Args:
        path: the folder.
        recipe: what was resolved, and ``recipe_text`` as it stands in the file.
        metrics: a row per finished step.
        evaluations: a row per evaluation, the base at step 0 among them.
        base: the untrained model's summary; empty if it was not measured.
        summary: ``None`` for a run that has not finished.
        profile: where the time of each step went; empty unless it was asked for.
    """

    path: Path
    recipe: Row
    recipe_text: str
    metrics: tuple[Row, ...]
    evaluations: tuple[Row, ...]
    base: Row
    summary: Row | None
    profile: tuple[Row, ...] = ()

    @property
    def method(self) -> str:
        """The method's name."""
        return str(self.recipe.get("method"))

    @property
    def task(self) -> str:
        """What was trained on, in a word."""
        task = self.recipe.get("task")
        if isinstance(task, Mapping):
            return str(task.get("name"))
        return Path(str(self.recipe.get("data"))).name

    @property
    def samples(self) -> bool:
        """Whether the policy wrote anything in training, so that there are rewards."""
        return any(row.get("response_tokens") is not None for row in self.metrics)

    @property
    def spent(self) -> Row:
        """What was used up: of the whole run, or so far."""
        if self.summary is not None:
            return self.summary
        last = self.metrics[-1] if self.metrics else {}
        return {**last, "training_seconds": last.get("seconds_total"), "seconds": None}


def read_run(folder: Path) -> RunRecord:
    """Read a run's folder.

    Raises:
        UserError: it holds no run.
    """
    if not (folder / RECIPE).is_file():
        raise UserError(f"{str(folder)!r} is no run: it has no {RECIPE}")
    text = (folder / RECIPE).read_text(encoding="utf-8")
    summary = read_json(folder / SUMMARY)
    return RunRecord(
        path=folder,
        recipe=yaml.safe_load(text) or {},
        recipe_text=text,
        metrics=read_rows(folder / METRICS),
        evaluations=read_rows(folder / EVALUATIONS),
        base=read_json(folder / BASE) or {},
        summary=summary,
        profile=read_rows(folder / PROFILE),
    )


def read_json(path: Path) -> Any:
    """The content of a JSON file, ``None`` if there is no such file; what is not a finite number is unknown."""
    return _parsed(path.read_text(encoding="utf-8")) if path.is_file() else None


def read_rows(path: Path) -> tuple[Row, ...]:
    """The rows of a JSON-lines file, none if it does not exist; a last line that was torn off is left out."""
    if not path.is_file():
        return ()
    # Not splitlines: a model's answer may hold separators that it would take for the end of a row.
    lines = path.read_text(encoding="utf-8").split("\n")
    return tuple(_parsed(line) for line in lines[:-1] if line)


def _parsed(text: str) -> Any:
    return json.loads(text, parse_constant=lambda _: None)
