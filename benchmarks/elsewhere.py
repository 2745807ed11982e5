"""The section of ``docs/performance.md`` that sets what was measured beside what another processor gave before.

``benchmarks/results/elsewhere`` holds works as ``make bench`` stored them there, moved by hand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.sections import in_both

WHAT = """The works above as an earlier commit of this library did them on another processor, with the same versions of
the peers; there nobody compiled training passes of reinforcement. Ratios depend on the processor: the faster it
multiplies matrices, the more weighs all that is not a product, which is where contestants differ. *Products* is the
rate of those that the work cannot do without, each timed alone.
"""


def elsewhere(found: Sequence[Mapping[str, Any]], folder: Path) -> list[str]:
    """A row per work that was measured in both places."""
    both = in_both(found, folder)
    if not both:
        return []
    lines = ["## The same on another processor", "", WHAT]
    lines += [
        "| work | wanted | ratio above | products above | ratio there | products there |",
        "|---|---|---|---|---|---|",
    ]
    for one, other in both:
        wanted = "" if one["wanted"] is None else f"{one['wanted']:g}"
        lines.append(
            f"| {one['work']['name']} | {wanted} | {' | '.join(f'{x}' for x in (*cells(one), *cells(other)))} |"
        )
    commits = ", ".join(dict.fromkeys(other["machine"]["commit"] for _, other in both))
    return [*lines, "", f"Commits there: {commits}.", ""]


def cells(one: Mapping[str, Any]) -> tuple[str, str]:
    """A work's ratio, and the rate of its products."""
    ratio = one["ratio"]
    return f"**{ratio['median']:.2f}** [{ratio['least']:.2f}, {ratio['most']:.2f}]", f"{rate(one) / 1e9:,.0f} GFLOP/s"


def rate(one: Mapping[str, Any]) -> float:
    """Operations per second of the products that a work cannot do without."""
    least = one["least"]
    return float(least["operations"] / (least["passes"] + least["turns"]))
