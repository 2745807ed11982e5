"""Draws a chart as SVG that takes its colours and its font from the page around it."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from posttrain.report import formats
from posttrain.report.chart import Chart, Line, segments
from posttrain.report.palette import css_class
from posttrain.report.scale import Scale, inner_ticks, round_ticks, spread

LANE_HEIGHT = 18


@dataclass(frozen=True)
class Size:
    """The drawing's own units; the page scales it to the width that there is.

    Args:
        width, height: of the drawing without its lanes.
        label_margin: room at the right for the names of the lines; 0 leaves them to the legend.
        ticks: about how many on the x axis.
    """

    width: int
    height: int
    label_margin: int = 0
    ticks: int = 5


SIZES = {
    "wide": Size(960, 380, label_margin=84, ticks=10),
    "narrow": Size(400, 300),
    "small": Size(340, 215),
}


@dataclass(frozen=True)
class _Frame:
    chart: Chart
    size: Size
    x: Scale
    y: Scale
    y_ticks: list[float]


def draw(chart: Chart, size: Size) -> Markup:
    """The chart as an ``<svg>`` element."""
    frame = _frame(chart, size)
    height = size.height + LANE_HEIGHT * len(chart.lanes)
    parts = [*_grid(frame), *_levels(frame), *_bands(frame)]
    for line in chart.lines:
        parts += _line(frame, line)
    parts += [*_lanes(frame), *(_end_labels(frame) if size.label_margin else [])]
    opening = Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="{}">')
    return opening.format(size.width, height, chart.title) + Markup("").join(parts) + Markup("</svg>")


def _frame(chart: Chart, size: Size) -> _Frame:
    ticks = round_ticks(*chart.y_range(), 4)
    right = size.width - (size.label_margin if len(chart.named) > 1 else 0) - 12
    # About 7 units per character: a label such as -0.00025 needs more room than the usual 50.
    left = max(50, 14 + 7 * max(len(_written(chart, value)) for value in ticks))
    x = Scale(*chart.x_range(), left, right)
    return _Frame(chart, size, x, Scale(ticks[0], ticks[-1], size.height - 44, 12), ticks)


def _written(chart: Chart, value: float) -> str:
    return formats.percent_tick(value) if chart.unit == "share" else formats.tick(value)


def _grid(frame: _Frame) -> list[Markup]:
    parts = []
    for value in frame.y_ticks:
        place = frame.y(value)
        kind = "axis" if value == 0 else "grid"
        parts.append(_segment(kind, frame.x.start, place, frame.x.end, place))
        parts.append(_label(frame.x.start - 7, place + 4, "end", _written(frame.chart, value)))
    bottom = frame.y.start
    for value, label in frame.chart.x_ticks or _ordinary_ticks(frame):
        parts.append(_segment("axis", frame.x(value), bottom, frame.x(value), bottom + 4))
        parts.append(_label(frame.x(value), bottom + 18, "middle", label))
    parts.append(_label((frame.x.start + frame.x.end) / 2, bottom + 36, "middle", frame.chart.x_label, "quiet"))
    return parts


def _ordinary_ticks(frame: _Frame) -> list[tuple[float, str]]:
    """Whole numbers only: nothing happens between two steps, completions or tokens."""
    values = inner_ticks(frame.x.low, frame.x.high, frame.size.ticks)
    return [(value, formats.tick(value)) for value in values if value == round(value)]


def _levels(frame: _Frame) -> list[Markup]:
    parts = []
    for level in frame.chart.levels:
        if level.interval is not None:
            low, high = (frame.y(end) for end in level.interval)
            shape = Markup('<rect class="{} band" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"/>')
            width = frame.x.end - frame.x.start
            parts.append(shape.format(css_class("quiet"), frame.x.start, high, width, low - high))
        parts.append(_segment("level", frame.x.start, frame.y(level.y), frame.x.end, frame.y(level.y)))
        parts.append(_label(frame.x.end - 4, frame.y(level.y) - 6, "end", level.name, "quiet"))
    return parts


def _bands(frame: _Frame) -> list[Markup]:
    """All bands lie behind all lines."""
    shape = Markup('<polygon class="{} band" points="{}"/>')
    return [
        shape.format(
            css_class(line.colour),
            _places(frame, [(x, high) for x, _, high in line.band] + [(x, low) for x, low, _ in reversed(line.band)]),
        )
        for line in frame.chart.lines
        if line.band
    ]


def _line(frame: _Frame, line: Line) -> list[Markup]:
    parts = []
    for stretch in segments(line.points):
        if len(stretch) > 1:
            shape = Markup('<polyline class="{} {}" points="{}"/>')
            parts.append(shape.format(css_class(line.colour), line.weight, _places(frame, stretch)))
        if len(stretch) == 1 or line.marks == "dots":
            parts += [_dot(frame, line, x, y) for x, y in stretch]
    return parts


def _dot(frame: _Frame, line: Line, x: float, y: float) -> Markup:
    value = formats.share(y) if frame.chart.unit == "share" else formats.number(y)
    shape = Markup('<circle class="{} dot" cx="{:.1f}" cy="{:.1f}" r="{}"><title>{}</title></circle>')
    told = f"{line.name}, {frame.chart.x_label} {formats.tick(x)}: {value}".removeprefix(", ")
    return shape.format(css_class(line.colour), frame.x(x), frame.y(y), 1.6 if line.weight == "faint" else 3, told)


def _lanes(frame: _Frame) -> list[Markup]:
    parts = []
    for index, lane in enumerate(frame.chart.lanes):
        top = frame.size.height + index * LANE_HEIGHT
        start, end = frame.x(lane.start), frame.x(lane.end)
        shape = Markup('<rect class="{} lane" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{}" rx="3"/>')
        parts.append(shape.format(css_class(lane.colour), start, top, max(2.0, end - start), LANE_HEIGHT - 3))
        parts.append(_label(start + 6, top + 11.5, "start", lane.name, "small"))
    return parts


def _end_labels(frame: _Frame) -> list[Markup]:
    """Each line's name at its last known point, moved apart where lines end close together."""
    if len(frame.chart.named) < 2:
        return []
    ends = [(line, segments(line.points)) for line in frame.chart.named]
    last = [(line, stretches[-1][-1]) for line, stretches in ends if stretches]
    places = spread([frame.y(y) for _, (_, y) in last], 16, frame.y.end, frame.y.start)
    shape = Markup('<text class="{} name" x="{:.1f}" y="{:.1f}">{}</text>')
    return [
        shape.format(css_class(line.colour), frame.x(x) + 8, place + 4, line.name)
        for (line, (x, _)), place in zip(last, places)
    ]


def _places(frame: _Frame, points: list[tuple[float, float]]) -> str:
    return " ".join(f"{frame.x(x):.1f},{frame.y(y):.1f}" for x, y in points)


def _segment(kind: str, x1: float, y1: float, x2: float, y2: float) -> Markup:
    shape = Markup('<line class="{}" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"/>')
    return shape.format(kind, x1, y1, x2, y2)


def _label(x: float, y: float, anchor: str, text: str, kind: str = "tick") -> Markup:
    shape = Markup('<text class="{}" x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>')
    return shape.format(kind, x, y, anchor, text)
