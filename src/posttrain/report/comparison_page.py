"""The page of a comparison."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from posttrain.report import forest
from posttrain.report.arm_curves import arm_charts, learning_chart, pass_chart, shared_charts, spending_charts
from posttrain.report.arms import Arm, Comparison, read_comparison, tried
from posttrain.report.curves import split_name
from posttrain.report.headline import headline
from posttrain.report.page import write_page
from posttrain.report.run_page import REPORT
from posttrain.report.samples import Moment, moments


@dataclass(frozen=True, eq=False)
class ArmSamples:
    """What an arm wrote, from the run of its first seed."""

    arm: Arm
    seed: object
    moments: list[Moment]


def write_comparison_page(folder: Path) -> Path:
    """Write ``report.html`` into a comparison's folder, from what is there; the comparison need not have finished.

    Raises:
        UserError: the folder holds no comparison.
    """
    comparison = read_comparison(folder)
    ticks = forest.axis(comparison.paired)
    return write_page(
        "comparison.html.j2",
        folder / REPORT,
        _methods(comparison),
        comparison=comparison,
        title=_title(comparison),
        headline=headline(comparison),
        split=split_name(comparison.runs[0].recipe) if comparison.runs else "held-out",
        learning=learning_chart(comparison),
        pass_at_k=pass_chart(comparison.base),
        spending=spending_charts(comparison),
        shared=shared_charts(comparison),
        by_origin=[chart for arm in comparison.arms for chart in arm_charts(arm)],
        tracks=[(row, forest.track(row, ticks)) for row in comparison.paired],
        ruler=forest.ruler(ticks),
        samples=_samples(comparison),
        tuning=[(row, tried(row)) for row in comparison.tuning],
        versions=_versions(comparison),
    )


def _methods(comparison: Comparison) -> list[str]:
    """Every method that the page names, the tuned and the paired ones included."""
    named = [arm.method for arm in comparison.arms]
    named += [str(row["method"]) for row in comparison.tuning]
    return list(dict.fromkeys(named))


def _title(comparison: Comparison) -> str:
    tasks = dict.fromkeys(run.task for run in comparison.runs)
    return f"Comparison on {', '.join(tasks)}" if tasks else "Comparison"


def _samples(comparison: Comparison) -> list[ArmSamples]:
    """Arms in which nothing was sampled have nothing to show here."""
    return [
        ArmSamples(arm, arm.runs[0].recipe.get("seed"), moments(arm.runs[0].path))
        for arm in comparison.arms
        if arm.runs and arm.runs[0].samples
    ]


def _versions(comparison: Comparison) -> list[Mapping[str, str]]:
    """The software of the runs: one set, or several if they were not all made by the same."""
    found: list[Mapping[str, str]] = []
    for run in comparison.runs:
        versions = (run.summary or {}).get("versions")
        if versions and versions not in found:
            found.append(versions)
    return found
