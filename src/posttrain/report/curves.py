"""The charts of one run, and the series that comparisons draw of several."""

from __future__ import annotations

from collections.abc import Sequence

from posttrain.report import formats
from posttrain.report.chart import Chart, Lane, Level, Line, Point, condensed, smoothed
from posttrain.report.palette import label
from posttrain.report.read import Row, RunRecord

GREEDY = "Greedy answers from scratch, never with a hint."
SMOOTHED_FROM = 60
"""Series with fewer points are drawn as they are."""


def split_name(recipe: Row) -> str:
    """The evaluation problems in words."""
    return "validation" if recipe.get("evaluation_split") == "validation" else "held-out"


def series(rows: Sequence[Row], key: str) -> tuple[Point, ...]:
    """One metric by step; what is unknown stays so."""
    return condensed([(row["step"], row.get(key)) for row in rows])


def window(points: int) -> int:
    """How many neighbouring points a smoothed line averages."""
    return 1 if points < SMOOTHED_FROM else max(3, points // 20) | 1


def accuracy_band(evaluations: Sequence[Row]) -> tuple[tuple[float, float, float], ...]:
    """The evaluations' own intervals."""
    return tuple(
        (row["step"], row["ci95"][0], row["ci95"][1])
        for row in evaluations
        if row.get("ci95") is not None and None not in row["ci95"]
    )


def base_level(base: Row) -> tuple[Level, ...]:
    """The untrained model as a line to compare with, if it was measured."""
    if base.get("accuracy") is None:
        return ()
    ends = base.get("ci95")
    known = (ends[0], ends[1]) if ends is not None and None not in ends else None
    return (Level(f"base {formats.share(base['accuracy'])}", base["accuracy"], known),)


def hinted_lane(name: str, colour: str, metrics: Sequence[Row]) -> tuple[Lane, ...]:
    """The steps in which sampled answers began with a hint; none if there were no such steps."""
    steps = [row["step"] for row in metrics if _hinted(row)]
    return (Lane(name, colour, min(steps) - 1, max(steps)),) if steps else ()


def _hinted(row: Row) -> bool:
    return row.get("response_tokens") is not None and (row.get("hint_fraction") or 0) > 0


def stage_lanes(metrics: Sequence[Row]) -> tuple[Lane, ...]:
    """A bar per stage where there are several."""
    spans: dict[str, list[int]] = {}
    for row in metrics:
        spans.setdefault(str(row.get("stage")), []).append(row["step"])
    if len(spans) < 2:
        return ()
    return tuple(Lane(f"stage: {name}", "quiet", min(steps) - 1, max(steps)) for name, steps in spans.items())


def learning_chart(run: RunRecord) -> Chart:
    """Accuracy on the evaluation problems by step."""
    points = tuple((row["step"], row.get("accuracy")) for row in run.evaluations)
    line = Line(label(run.method), run.method, points, accuracy_band(run.evaluations), marks="dots")
    lanes = (*stage_lanes(run.metrics), *hinted_lane("answers begin with hints", "given", run.metrics))
    title, note = f"Accuracy on {split_name(run.recipe)} problems", f"{GREEDY} Band: 95% interval over problems."
    return Chart(title, "step", (line,), "share", note, base_level(run.base), lanes)


def training_charts(run: RunRecord) -> list[Chart]:
    """Everything else that was measured by step; a chart about which nothing is known is left out."""
    charts = [*_sampling_charts(run), *_loss_charts(run), *_plain_charts(run)]
    return [chart for chart in charts if not chart.empty]


def reward_chart(title: str, metrics: Sequence[Row]) -> Chart:
    """Mean reward of all rows, and apart of those that began with a hint and those that did not."""
    parts = (("from scratch", "sampled", "reward_scratch"), ("after a hint", "given", "reward_hinted"))
    lines = [line for name, colour, key in parts for line in step_lines(name, colour, metrics, key)]
    if all(row.get("reward_hinted") is None for row in metrics):
        return Chart(title, "step", step_lines("all answers", "sampled", metrics, "reward"))
    return Chart(title, "step", (*step_lines("all answers", "ink", metrics, "reward"), *lines))


def hint_chart(metrics: Sequence[Row]) -> Chart:
    """The realised hint fraction of the steps that sampled."""
    sampled = [row if row.get("response_tokens") is not None else {"step": row["step"]} for row in metrics]
    known = sampled if any(_hinted(row) for row in metrics) else []
    lines = step_lines("", "given", known, "hint_fraction")
    return Chart("Hint fraction", "step", lines, "share", "Share of a demonstration's parts that was given.")


def step_lines(name: str, colour: str, metrics: Sequence[Row], key: str) -> tuple[Line, ...]:
    """One metric, smoothed if there are many steps."""
    points = series(metrics, key)
    return smoothed(name, colour, points, window(len(points)))


def _sampling_charts(run: RunRecord) -> list[Chart]:
    if not run.samples:
        return []
    metrics = run.metrics
    form = (
        *step_lines("right form", "sampled", metrics, "valid"),
        *step_lines("cut off at the limit", "given", metrics, "cut_off"),
    )
    groups = step_lines("", "sampled", metrics, "informative_groups")
    note = "Groups whose answers differ in reward: the only ones that a comparison within the group learns from."
    entropy = step_lines("", "sampled", metrics, "entropy_estimate")
    length = step_lines("", "sampled", metrics, "response_tokens")
    return [
        reward_chart("Reward", metrics),
        hint_chart(metrics),
        Chart("Informative groups", "step", groups, "share", note),
        Chart("Form of the answers", "step", form, "share"),
        Chart("Entropy estimate", "step", entropy, note="Nats per sampled token."),
        Chart("Length of answers", "step", length, note="Sampled tokens per answer."),
    ]


def _loss_charts(run: RunRecord) -> list[Chart]:
    keys = dict.fromkeys(key for row in run.metrics for key in row if key.startswith("loss/"))
    note = "What the term adds to the loss, its coefficient included."
    return [
        Chart(f"Loss: {key.removeprefix('loss/')}", "step", step_lines("", "ink", run.metrics, key), note=note)
        for key in keys
    ]


def _plain_charts(run: RunRecord) -> list[Chart]:
    tokens = (
        Line("trained", "ink", series(run.metrics, "tokens_trained")),
        *([Line("sampled", "sampled", series(run.metrics, "tokens_sampled"))] if run.samples else []),
    )
    return [
        Chart("Tokens so far", "step", tokens),
        Chart("Gradient norm", "step", step_lines("", "ink", run.metrics, "gradient_norm"), note="Before it is cut."),
        Chart("Learning rate", "step", (Line("", "ink", series(run.metrics, "learning_rate")),)),
    ]
