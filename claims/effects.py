"""What was measured of each method: the difference to a baseline of the same comparison, and the verdict."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from claim import MEASURED_FILE, Claim
from measures import Better
from table import CLAIMS

RESULTS = Path(__file__).parent.parent / "results"
Verdict = Literal["shown", "not shown", "reversed"]


FINE = 3
"""Decimals of what is neither points nor tokens."""


@dataclass(frozen=True)
class Effect:
    """One measured difference.

    Args:
        claim: where it was measured.
        arm, baseline: names of arms; the claim is that the first is better.
        method: the method of the arm.
        outcome: what was measured.
        unit: of the difference; none for a bare number.
        better: whether more of the outcome is better, or less.
        difference: mean of the arm less that of the baseline.
        low, high: the ends of its 95% interval.
        seeds: runs of each arm.
    """

    claim: Claim
    arm: str
    baseline: str
    method: str
    outcome: str
    unit: str
    better: Better
    difference: float
    low: float
    high: float
    seeds: int

    @property
    def verdict(self) -> Verdict:
        """Whether the interval excludes 0, and on which side."""
        if self.low <= 0 <= self.high:
            return "not shown"
        return "shown" if (self.low > 0) == (self.better == "more") else "reversed"

    @property
    def size(self) -> str:
        """The difference with its unit."""
        return f"{signed(self.difference, self.unit)} {self.unit}".strip()

    @property
    def interval(self) -> str:
        """Its interval."""
        return f"[{signed(self.low, self.unit)}, {signed(self.high, self.unit)}]"


def signed(value: float, unit: str) -> str:
    """A difference, as precisely as its unit deserves."""
    return f"{value:+.{decimals(unit)}f}"


def decimals(unit: str) -> int:
    """How many of them numbers of this unit are shown with."""
    return 1 if unit in ("points", "tokens") else FINE


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
    yield from _of_accuracy(claim, folder or RESULTS / claim.name)
    yield from _of_outcomes(claim, folder or RESULTS / claim.name)


def _of_accuracy(claim: Claim, folder: Path) -> Iterator[Effect]:
    if not (folder / "paired.json").exists():
        return
    pairs = {(row["first"], row["second"]): row for row in json.loads((folder / "paired.json").read_text())}
    methods = arms(claim.command)
    for arm, baseline in claim.effects:
        sign, row = (1, pairs[arm, baseline]) if (arm, baseline) in pairs else (-1, pairs[baseline, arm])
        low, high = sorted(100 * sign * end for end in row["ci95"])
        difference = 100 * sign * row["difference"]
        method, seeds = methods[arm], row["seeds"]
        yield Effect(claim, arm, baseline, method, "accuracy", "points", "more", difference, low, high, seeds)


def _of_outcomes(claim: Claim, folder: Path) -> Iterator[Effect]:
    if not (folder / MEASURED_FILE).exists():
        return
    methods = arms(claim.command)
    for row in json.loads((folder / MEASURED_FILE).read_text())["outcomes"]:
        said = row["name"], row["unit"], row["better"]
        for pair in row["differences"]:
            arm, baseline, (low, high) = pair["first"], pair["second"], pair["ci95"]
            method = methods.get(arm, claim.method)
            yield Effect(claim, arm, baseline, method, *said, pair["difference"], low, high, pair["seeds"])


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
