"""Pictures for documents that cannot hold a page: the same charts as PNG."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from posttrain.report import formats
from posttrain.report.arm_curves import learning_chart
from posttrain.report.arms import read_comparison
from posttrain.report.chart import Chart, Line, segments
from posttrain.report.palette import colour

if TYPE_CHECKING:
    from matplotlib.axes import Axes

STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 10.5,
    "axes.edgecolor": "#b5b5b5",
    "axes.labelcolor": "#333333",
    "text.color": "#333333",
    "xtick.color": "#333333",
    "ytick.color": "#333333",
}


def write_curves_png(folder: Path, out: Path) -> Path:
    """Draw a comparison's learning curves.

    Args:
        folder: of the comparison.
        out: the file; it is replaced when the picture is complete.

    Raises:
        UserError: the folder holds no comparison.
    """
    chart = learning_chart(read_comparison(folder))
    unfinished = out.with_name(f".{out.name}.unfinished")
    try:
        _save(chart, unfinished)
        unfinished.replace(out)
    finally:
        unfinished.unlink(missing_ok=True)
    return out


def _save(chart: Chart, path: Path) -> None:
    # Late: matplotlib costs most of a second, and only pictures need it.
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(STYLE):
        # Never without any height: the strip of a chart without lanes is just a margin.
        strip = max(0.05, 0.26 * len(chart.lanes))
        figure = Figure(figsize=(8.2, 4.6 + strip), layout="constrained")
        axes, under = figure.subplots(2, 1, sharex=True, height_ratios=(4.6, strip))
        for line in chart.lines:
            _draw_line(axes, line)
        _draw_levels(axes, chart)
        _finish(axes, chart)
        _draw_lanes(under, chart)
        figure.savefig(path, format="png", dpi=160)


def _draw_line(axes: Axes, line: Line) -> None:
    shade = colour(line.colour).light
    if line.band:
        xs, low, high = zip(*line.band)
        axes.fill_between(xs, low, high, color=shade, alpha=0.13, linewidth=0)
    for index, stretch in enumerate(segments(line.points)):
        xs, ys = zip(*stretch)
        name = line.name if index == 0 else None
        axes.plot(xs, ys, "o-", color=shade, linewidth=1.9, markersize=4, label=name)


def _draw_levels(axes: Axes, chart: Chart) -> None:
    grey = colour("quiet").light
    for level in chart.levels:
        axes.axhline(level.y, color=grey, linestyle=(0, (5, 3)), linewidth=1.3, label=level.name)
        if level.interval is not None:
            axes.axhspan(*level.interval, color=grey, alpha=0.1, linewidth=0)


def _draw_lanes(axes: Axes, chart: Chart) -> None:
    """Bars under the axis, first lane on top."""
    for index, lane in enumerate(chart.lanes):
        axes.barh(
            -index, lane.end - lane.start, left=lane.start, height=0.8, color=colour(lane.colour).light, alpha=0.25
        )
        axes.annotate(lane.name, (lane.start, -index), (5, 0), textcoords="offset points", va="center", fontsize=8.5)
    axes.set_axis_off()


def _finish(axes: Axes, chart: Chart) -> None:
    low, high = chart.x_range()
    axes.set_xlim(low, high + 0.01 * (high - low))
    axes.set_ylim(0, chart.y_range()[1] * 1.06)
    axes.yaxis.set_major_formatter(lambda value, _: formats.percent_tick(round(value, 9)))
    axes.set_xlabel(chart.x_label)
    axes.set_title(chart.title, loc="left", fontsize=12, pad=10)
    axes.grid(axis="y", color="#e6e6e6", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(which="both", length=0, labelbottom=True)
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5), labelspacing=0.7)
