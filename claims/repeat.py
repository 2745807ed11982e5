"""What a second measurement of the same claims finds: ``python claims/repeat.py FOLDER``.

``FOLDER`` holds the results of an earlier measurement, as ``results/`` did then. The effects of every claim whose
evidence differs from that of now go to ``results/repeated.json``, before and now, and the page says how far they moved.
"""

from __future__ import annotations

import json
import statistics
import sys
import textwrap
from pathlib import Path
from typing import Any

from claim import MEASURED_FILE
from effects import RESULTS, Effect, effects_of, signed
from table import CLAIMS

FILE = RESULTS / "repeated.json"


def repeated(before: Path) -> list[dict[str, Any]]:
    """A row per effect of the claims that were measured anew.

    Args:
        before: the folder of the earlier results.

    Raises:
        ValueError: an effect has another number of seeds than before.
    """
    rows = []
    for claim in CLAIMS:
        if not measured_anew(before / claim.name, RESULTS / claim.name):
            continue
        earlier = {(e.arm, e.baseline, e.outcome): e for e in effects_of(claim, before / claim.name)}
        for now in effects_of(claim):
            then = earlier.get((now.arm, now.baseline, now.outcome))
            if then is None:
                continue
            if then.seeds != now.seeds:
                raise ValueError(f"{claim.name} had {then.seeds} seeds before and has {now.seeds} now")
            rows.append(row(then, now))
    return rows


def measured_anew(before: Path, now: Path) -> bool:
    """Whether both folders hold evidence of effects, and not the same."""
    pairs = [(before / name, now / name) for name in ("paired.json", MEASURED_FILE)]
    return any(a.exists() and b.exists() and a.read_bytes() != b.read_bytes() for a, b in pairs)


def row(then: Effect, now: Effect) -> dict[str, Any]:
    """One effect, twice."""
    numbers = {
        name: {"difference": e.difference, "low": e.low, "high": e.high, "verdict": e.verdict}
        for name, e in (("before", then), ("now", now))
    }
    known = {"claim": now.claim.name, "arm": now.arm, "baseline": now.baseline}
    return {**known, "outcome": now.outcome, "unit": now.unit, **numbers}


def section() -> list[str]:
    """How far the stored effects moved; nothing if none was measured twice."""
    rows = json.loads(FILE.read_text()) if FILE.exists() else []
    points = [one for one in rows if one["unit"] == "points"]
    if not points:
        return []
    moved = [abs(one["now"]["difference"] - one["before"]["difference"]) for one in points]
    inside = sum(one["before"]["low"] <= one["now"]["difference"] <= one["before"]["high"] for one in rows)
    changed = [one for one in rows if one["now"]["verdict"] != one["before"]["verdict"]]
    turned = sum({one["now"]["verdict"], one["before"]["verdict"]} == {"shown", "reversed"} for one in changed)
    said_of_all = (
        f"{len(rows)} effects were measured twice, with the same settings, seeds and problems, by versions of this "
        "library that round differently, so that the runs of a seed part after some steps (`python claims/repeat.py` "
        "compares two folders of results). "
        f"{inside} second differences lie in the first interval. Differences in points moved by "
        f"{statistics.median(moved):.1f} in the median and by {max(moved):.1f} at most. {len(changed)} verdicts "
        f"changed, {turned} of them from one side to the other. This is what rounding alone moves, of teachers and "
        "bases that other claims had trained as well; other seeds would move more, and percentile intervals over three "
        "to five seeds are known to be too narrow. An effect whose interval ends near 0 is to be measured with more "
        "seeds before anything is built on it. These verdicts changed:"
    )
    lines = ["## The same, measured again", "", textwrap.fill(said_of_all, 120), ""]
    lines += ["| in | | better than | in | before | now |", "|---|---|---|---|---|---|"]
    for one in changed:
        before, now = (said(one[when], one["unit"]) for when in ("before", "now"))
        named = f"| {one['claim']} | `{one['arm']}` | {one['baseline']} | {one['outcome']} |"
        lines.append(f"{named} {before} | {now} |")
    return [*lines, ""]


def said(found: dict[str, Any], unit: str) -> str:
    """Difference with its unit, interval and verdict."""
    difference, low, high = (signed(found[name], unit) for name in ("difference", "low", "high"))
    return f"{difference} {unit}".strip() + f" [{low}, {high}], {found['verdict']}"


def main() -> None:
    """Compare with the folder that the command line names."""
    if len(sys.argv) != 2:
        sys.exit("name the folder of the earlier results: python claims/repeat.py FOLDER")
    before = sys.argv[1]
    FILE.write_text(json.dumps(repeated(Path(before)), indent=1) + "\n")


if __name__ == "__main__":
    main()
