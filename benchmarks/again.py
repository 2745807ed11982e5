"""The section of ``docs/performance.md`` that sets what was measured beside an earlier run on the same machine.

``benchmarks/results/earlier`` holds works as ``make bench`` stored them then, moved by hand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.sections import in_both

WHAT = """The works above in an earlier run on the same processor. Rounds share their processes and the state of the
machine, so that two runs may lie further apart than the rounds of one. A star: the peer had other settings then, those
that were the fastest when they were tried.
"""


def again(found: Sequence[Mapping[str, Any]], folder: Path) -> list[str]:
    """A row per work that was measured in both runs."""
    both = in_both(found, folder)
    if not both:
        return []
    lines = ["## The same in an earlier run", "", WHAT]
    lines += ["| work | ratio | before | ours | before | peer | before |", "|---|---|---|---|---|---|---|"]
    lines += [f"| {one['work']['name']} | {' | '.join(cells(one, other))} |" for one, other in both]
    commits = ", ".join(dict.fromkeys(other["machine"]["commit"] for _, other in both))
    return [*lines, "", f"Commits before: {commits}.", ""]


def cells(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Ratios and seconds of both runs, in pairs."""
    peers = [run["contestants"][run["peer"]] for run in (one, other)]
    star = "" if peers[0]["settings"] == peers[1]["settings"] else " *"
    ratios = [f"**{run['ratio']['median']:.2f}**" for run in (one, other)]
    ours = [f"{run['contestants']['posttrain']['seconds']['median']:.2f} s" for run in (one, other)]
    theirs = [f"{peer['seconds']['median']:.2f} s" for peer in peers]
    return [*ratios, *ours, theirs[0], theirs[1] + star]
