"""What was measured of each method: the difference to a baseline of the same comparison, and the verdict."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from table import CLAIMS, Claim

RESULTS = Path(__file__).parent.parent / "results"
Verdict = Literal["shown", "not shown", "reversed"]


@dataclass(frozen=True)
class Effect:
    """One measured difference.

    Args:
        claim: where it was measured.
        arm, baseline: names of arms; the claim is that the first is better.
        method: the method of the arm.
        difference: mean accuracy of the arm less that of the baseline, in points.
        low, high: the ends of its 95% interval, in points.
        seeds: runs of each arm.
    """

    claim: Claim
    arm: str
    baseline: str
    method: str
    difference: float
    low: float
    high: float
    seeds: int

    @property
    def verdict(self) -> Verdict:
        """Whether the interval excludes 0, and on which side."""
        return "shown" if self.low > 0 else "reversed" if self.high < 0 else "not shown"


def effects() -> list[Effect]:
    """All effects that claims name and that have been measured, in the order of the table."""
    return [effect for claim in CLAIMS for effect in effects_of(claim)]


def effects_of(claim: Claim, folder: Path | None = None) -> Iterator[Effect]:
    """Those of one claim; none if it has not been measured.

    Args:
        claim: which.
        folder: of the comparison; by default the stored results.

    Raises:
        KeyError: the comparison lacks a pair that the claim names.
    """
    path = (folder or RESULTS / claim.name) / "paired.json"
    if not path.exists():
        return
    pairs = {(row["first"], row["second"]): row for row in json.loads(path.read_text())}
    methods = arms(claim.command)
    for arm, baseline in claim.effects:
        sign, row = (1, pairs[arm, baseline]) if (arm, baseline) in pairs else (-1, pairs[baseline, arm])
        low, high = sorted(100 * sign * end for end in row["ci95"])
        difference = 100 * sign * row["difference"]
        yield Effect(claim, arm, baseline, methods[arm], difference, low, high, row["seeds"])


def arms(command: str) -> dict[str, str]:
    """Name -> method of the arms of a ``posttrain compare`` command; empty for other commands."""
    words = command.split()
    if words[:2] != ["posttrain", "compare"]:
        return {}
    end = next((at for at, word in enumerate(words) if word.startswith("--")), len(words))
    return {word.partition("=")[0]: word.rpartition("=")[2] for word in words[2:end]}


def anchor(claim: Claim) -> str:
    """Where the claim stands on the page, as Markdown makes it from the heading."""
    return re.sub(r"[^\w\- ]", "", claim.title.lower()).replace(" ", "-")
