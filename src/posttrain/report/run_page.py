"""The page of one run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from posttrain.report import formats
from posttrain.report.curves import learning_chart, split_name, training_charts
from posttrain.report.page import write_page
from posttrain.report.palette import label
from posttrain.report.read import Row, RunRecord, read_run
from posttrain.report.samples import final_answers, final_reasons, moments

REPORT = "report.html"


def write_run_page(folder: Path) -> Path:
    """Write ``report.html`` into a run's folder, from what is there; the run need not have finished.

    Raises:
        UserError: the folder holds no run.
    """
    run = read_run(folder)
    return write_page(
        "run.html.j2",
        folder / REPORT,
        [run.method],
        run=run,
        title=f"{label(run.method)} on {run.task}",
        split=split_name(run.recipe),
        last=last_evaluation(run),
        learning=learning_chart(run),
        charts=training_charts(run),
        moments=moments(folder),
        reasons=final_reasons(folder),
        answers=final_answers(folder),
        costs=costs(run.spent),
        phases=phases(run.profile),
        versions=(run.summary or {}).get("versions") or {},
    )


def last_evaluation(run: RunRecord) -> Row | None:
    """The result: the last evaluation after the base's, or nothing yet."""
    trained = [row for row in run.evaluations if row["step"] > 0]
    return trained[-1] if trained else None


def costs(spent: Row) -> list[tuple[str, str]]:
    """What a run used up, in words."""
    return [
        ("completions sampled", formats.count(spent.get("completions_sampled"))),
        ("tokens sampled", formats.count(spent.get("tokens_sampled"))),
        ("tokens trained", formats.count(spent.get("tokens_trained"))),
        ("optimiser updates", formats.count(spent.get("updates"))),
        ("operations", formats.flops(spent.get("flops"))),
        ("time in training steps", formats.duration(spent.get("training_seconds"))),
        ("time in all", formats.duration(spent.get("seconds"))),
    ]


def phases(profile: Sequence[Row]) -> list[tuple[str, str, float]]:
    """Where the time of the steps went: the phase, its time per step in words, and its share of the whole.

    The first step is left out if there are others: in it, kernels are chosen and memory is taken for the first time.
    """
    rows = profile[1:] or profile
    total = sum(row["seconds"] for row in rows)
    names = [name for name in (rows[0] if rows else {}) if name not in ("step", "seconds", "beside")]
    spent = {name: sum(row[name] for row in rows) for name in names}
    return [(name, f"{1000 * seconds / len(rows):,.1f} ms", seconds / total) for name, seconds in spent.items()]
