"""How the page shows what was measured besides the accuracy of a comparison."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from claim import MEASURED_FILE, Claim
from effects import decimals, effects_of

Row = Mapping[str, Any]


def outcomes(claim: Claim, folder: Path) -> list[str]:
    """A table of all outcomes by arm, the claimed differences, and what was tried if the file says so."""
    stored = json.loads((folder / MEASURED_FILE).read_text())
    return [*_by_arm(stored["outcomes"]), *_differences(claim, folder), *_tried(stored.get("tried", []))]


def _by_arm(rows: Sequence[Row]) -> list[str]:
    heads = [f"{row['name']}{_unit(row)} (n = {row['problems']})" for row in rows]
    names = list(dict.fromkeys(arm for row in rows for arm in row["arms"]))
    lines = ["Means over seeds:", "", f"| | {' | '.join(heads)} |", f"|---|{'---|' * len(heads)}"]
    if any(row["base"] is not None for row in rows):
        lines.append(f"| base | {' | '.join(_number(row['base'], row['unit']) for row in rows)} |")
    for name in names:
        cells = [
            _number(statistics.fmean(row["arms"][name]), row["unit"]) if name in row["arms"] else "–" for row in rows
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return [*lines, ""]


def _differences(claim: Claim, folder: Path) -> list[str]:
    found = [effect for effect in effects_of(claim, folder) if effect.outcome != "accuracy" or not claim.effects]
    lines = ["| in | difference | | 95% interval | better is | |", "|---|---|---|---|---|---|"]
    for e in found:
        lines.append(f"| {e.outcome} | {e.arm} − {e.baseline} | {e.size} | {e.interval} | {e.better} | {e.verdict} |")
    return [*lines, ""]


def _tried(rows: Sequence[Row]) -> list[str]:
    if not rows:
        return []
    by_setting: dict[str, list[str]] = {}
    for row in rows:
        cell = f"{row['value']}: {row['accuracy']:.1f}"
        by_setting.setdefault(row["setting"], []).append(f"**{cell}**" if row["chosen"] else cell)
    lines = ["Tried on the validation split (accuracy in % if nothing else is named, the value taken in bold):", ""]
    return [*lines, *(f"- {setting}: {'; '.join(cells)}" for setting, cells in by_setting.items()), ""]


def _unit(row: Row) -> str:
    return f", {row['unit']}" if row["unit"] else ""


def _cell(row: Row, name: str) -> str:
    seeds = row["arms"].get(name)
    return _number(None if seeds is None else statistics.fmean(seeds), row["unit"])


def _number(value: float | None, unit: str) -> str:
    return "–" if value is None else f"{value:.{decimals(unit)}f}"
