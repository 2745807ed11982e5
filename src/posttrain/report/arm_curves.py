"""The charts of a comparison: one line per arm, the mean over its seeds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import log2

from posttrain.report.arms import Arm, Comparison
from posttrain.report.chart import Chart, Lane, Line, Point
from posttrain.report.curves import (
    GREEDY,
    accuracy_band,
    base_level,
    hint_chart,
    hinted_lane,
    reward_chart,
    split_name,
    step_lines,
)
from posttrain.report.palette import label
from posttrain.report.read import Row, RunRecord

Axis = Callable[[RunRecord, int], float | None]
"""(run, step) -> where on the x axis the step lies."""


def learning_chart(comparison: Comparison) -> Chart:
    """Accuracy by step, all arms."""
    lines = tuple(line for arm in comparison.arms for line in _accuracy_line(arm, by_step))
    split = split_name(comparison.runs[0].recipe) if comparison.runs else "held-out"
    title, note = f"Accuracy on {split} problems", f"{GREEDY} {_band_note(comparison)}"
    return Chart(title, "step", lines, "share", note, base_level(comparison.base), lanes(comparison))


def spending_charts(comparison: Comparison) -> list[Chart]:
    """Accuracy by what was sampled so far: hinted completions are shorter, so the two axes differ."""
    charts = []
    for key, name in (("completions_sampled", "completions sampled"), ("tokens_sampled", "tokens sampled")):
        arms = [arm for arm in comparison.arms if any(run.samples for run in arm.runs)]
        lines = tuple(line for arm in arms for line in _accuracy_line(arm, _by_spent(key)))
        charts.append(Chart(f"Accuracy by {name}", name, lines, "share", levels=base_level(comparison.base)))
    return [chart for chart in charts if not chart.empty]


def lanes(comparison: Comparison) -> tuple[Lane, ...]:
    """When each arm's answers began with hints, and when an arm of several stages began to sample."""
    found: list[Lane] = []
    for arm in comparison.arms:
        metrics = arm.runs[0].metrics if arm.runs else ()
        found += _supervised_lane(arm.method, metrics)
        found += hinted_lane(f"{label(arm.method)}: answers begin with hints", arm.method, metrics)
    return tuple(found)


def _supervised_lane(method: str, metrics: Sequence[Row]) -> tuple[Lane, ...]:
    """Steps without sampling, in an arm that samples later: its x axis runs ahead of its budget."""
    idle = [row["step"] for row in metrics if row.get("response_tokens") is None]
    if not idle or len(idle) == len(metrics):
        return ()
    return (Lane(f"{label(method)}: supervised, nothing sampled", method, min(idle) - 1, max(idle)),)


def arm_charts(arm: Arm) -> list[Chart]:
    """What is special to an arm: reward by origin of the row, for those whose answers begin with hints."""
    metrics = mean_metrics(arm)
    if hint_chart(metrics).empty:
        return []
    return [reward_chart(f"{label(arm.method)}: reward by origin of the row", metrics)]


def shared_charts(comparison: Comparison) -> list[Chart]:
    """Metrics of sampled answers, all arms in one chart."""
    groups = "Groups whose answers differ in reward: the only ones that a comparison within the group learns from."
    charts = [
        _shared(comparison, "Reward of answers from scratch", "reward_scratch", "number", ""),
        _shared(comparison, "Informative groups", "informative_groups", "share", groups),
        _shared(comparison, "Entropy estimate", "entropy_estimate", "number", "Nats per sampled token."),
        _shared(comparison, "Length of answers", "response_tokens", "number", "Sampled tokens per answer."),
        hint_fractions(comparison),
    ]
    return [chart for chart in charts if not chart.empty]


def hint_fractions(comparison: Comparison) -> Chart:
    """The realised hint fraction of the hinted arms."""
    lines: list[Line] = []
    for arm in comparison.arms:
        if not hint_chart(metrics := mean_metrics(arm)).empty:
            lines += step_lines(label(arm.method), arm.method, metrics, "hint_fraction")
    return Chart("Hint fraction", "step", tuple(lines), "share", "Share of a demonstration's parts that was given.")


def pass_chart(base: Row) -> Chart:
    """The base's pass@k."""
    known = {int(k): value for k, value in (base.get("pass_at_k") or {}).items()}
    line = Line("", "ink", tuple((log2(k), value) for k, value in sorted(known.items())), marks="dots")
    ticks = tuple((log2(k), str(k)) for k in sorted(known))
    return Chart("The base's pass@k", "k, sampled answers per problem", (line,), "share", x_ticks=ticks)


def mean_metrics(arm: Arm) -> list[Row]:
    """The arm's metrics by step, each the mean of the seeds that know it; only steps that every seed has reached."""
    by_seed = [{row["step"]: row for row in run.metrics} for run in arm.runs]
    if not by_seed:
        return []
    steps = sorted(set.intersection(*(set(rows) for rows in by_seed)))
    return [_mean_row([rows[step] for rows in by_seed]) for step in steps]


def _mean_row(rows: Sequence[Row]) -> Row:
    return {key: _mean_value([row.get(key) for row in rows]) for key in rows[0]}


def _mean_value(values: Sequence[object]) -> object:
    numbers = [value for value in values if isinstance(value, int | float)]
    return sum(numbers) / len(numbers) if numbers else values[0]


def _shared(comparison: Comparison, title: str, key: str, unit: str, note: str) -> Chart:
    lines: list[Line] = []
    for arm in comparison.arms:
        if any(run.samples for run in arm.runs):
            # One strong line each: single steps of six arms behind each other would show nothing.
            lines += step_lines(label(arm.method), arm.method, mean_metrics(arm), key)[-1:]
    return Chart(title, "step", tuple(lines), "share" if unit == "share" else "number", note)


def _accuracy_line(arm: Arm, axis: Axis) -> tuple[Line, ...]:
    points = _points(arm, axis)
    if not points:
        return ()
    band = _own_band(arm.runs[0], axis) if len(arm.runs) == 1 else _range_band(points)
    line: tuple[Point, ...] = tuple((x, sum(ys) / len(ys)) for x, ys in points)
    return (Line(label(arm.method), arm.method, line, band, marks="dots"),)


def _points(arm: Arm, axis: Axis) -> list[tuple[float, list[float]]]:
    """Per step that every seed has evaluated: its mean place on the axis, and the seeds' accuracies."""
    by_seed = [{row["step"]: row.get("accuracy") for row in run.evaluations} for run in arm.runs]
    steps = sorted(set.intersection(*(set(rows) for rows in by_seed))) if by_seed else []
    found = []
    for step in steps:
        xs = [axis(run, step) for run in arm.runs]
        ys = [rows[step] for rows in by_seed]
        places, values = [x for x in xs if x is not None], [y for y in ys if y is not None]
        if len(places) == len(values) == len(arm.runs):
            found.append((sum(places) / len(places), values))
    # Where nothing is spent between two evaluations they share a place: the later one is what the arm goes on from.
    return list(dict(found).items())


def _range_band(points: Sequence[tuple[float, list[float]]]) -> tuple[tuple[float, float, float], ...]:
    return tuple((x, min(ys), max(ys)) for x, ys in points)


def _own_band(run: RunRecord, axis: Axis) -> tuple[tuple[float, float, float], ...]:
    placed = [(axis(run, int(step)), low, high) for step, low, high in accuracy_band(run.evaluations)]
    return tuple((x, low, high) for x, low, high in placed if x is not None)


def _band_note(comparison: Comparison) -> str:
    if comparison.seeds > 1:
        return f"Line: mean of {comparison.seeds} seeds. Band: lowest to highest seed."
    return "Band: 95% interval over problems of the one seed."


def by_step(run: RunRecord, step: int) -> float:
    """The ordinary axis."""
    return float(step)


def _by_spent(key: str) -> Axis:
    def place(run: RunRecord, step: int) -> float | None:
        if step == 0:
            return 0.0
        return next((row.get(key) for row in run.metrics if row["step"] == step), None)

    return place
