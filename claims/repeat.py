"""What a second measurement of the same claims finds: ``python claims/repeat.py FOLDER``.

``FOLDER`` holds the results of an earlier measurement, as ``results/`` did then. Effects whose numbers differ from
those of now go to ``results/repeated.json``, before and now, and the page says how far they moved.
"""

from __future__ import annotations

import json
import statistics
import sys
import textwrap
from pathlib import Path
from typing import Any

from effects import RESULTS, Effect, effects_of, signed
from table import CLAIMS

FILE = RESULTS / "repeated.json"


def repeated(before: Path) -> list[dict[str, Any]]:
    """A row per effect that was measured in both, and whose numbers differ.

    Args:
        before: the folder of the earlier results.
    """
    rows = []
    for claim in CLAIMS:
        earlier = {(e.arm, e.baseline, e.outcome): e for e in effects_of(claim, before / claim.name)}
        for now in effects_of(claim):
            then = earlier.get((now.arm, now.baseline, now.outcome))
            if then is not None and (then.difference, then.low, then.high) != (now.difference, now.low, now.high):
                rows.append(row(then, now))
    return rows


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
    if not FILE.exists():
        return []
    rows = json.loads(FILE.read_text())
    points = [one for one in rows if one["unit"] == "points"]
    moved = [abs(one["now"]["difference"] - one["before"]["difference"]) for one in points]
    inside = sum(one["before"]["low"] <= one["now"]["difference"] <= one["before"]["high"] for one in rows)
    changed = [one for one in rows if one["now"]["verdict"] != one["before"]["verdict"]]
    turned = sum({one["now"]["verdict"], one["before"]["verdict"]} == {"shown", "reversed"} for one in changed)
    said_of_all = (
        f"{len(rows)} effects were measured twice, with the same commands, seeds and rates, by versions of this "
        f"library that round differently, after which runs sample other answers. {inside} second differences lie in "
        f"the first interval. Differences in points moved by {statistics.median(moved):.1f} in the median and by "
        f"{max(moved):.1f} at most. {len(changed)} verdicts changed, {turned} of them from one side to the other: "
        "intervals over three to five seeds are narrower than they ought to be, so an effect whose interval ends near "
        "0 is to be measured with more seeds before anything is built on it. The table above has the second "
        "measurements. These verdicts changed:"
    )
    lines = ["## The same, measured again", "", textwrap.fill(said_of_all, 120), ""]
    lines += ["| in | | better than | in | before | now |", "|---|---|---|---|---|---|"]
    for one in changed:
        before, now = (said(one[when], one["unit"]) for when in ("before", "now"))
        named = f"| {one['claim']} | `{one['arm']}` | {one['baseline']} | {one['outcome']} |"
        lines.append(f"{named} {before} | {now} |")
    return [*lines, ""]


def said(found: dict[str, Any], unit: str) -> str:
    """Difference, interval and verdict."""
    difference, low, high = (signed(found[name], unit) for name in ("difference", "low", "high"))
    return f"{difference} [{low}, {high}], {found['verdict']}"


def main() -> None:
    """Compare with the folder that the command line names."""
    (before,) = sys.argv[1:]
    FILE.write_text(json.dumps(repeated(Path(before)), indent=1) + "\n")


if __name__ == "__main__":
    main()
