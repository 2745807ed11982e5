"""Differences with their intervals on one axis. Places are percentages: the drawing stretches, the text does not."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from posttrain.report import formats
from posttrain.report.read import Row
from posttrain.report.scale import Scale, round_ticks


def axis(rows: Sequence[Row]) -> list[float]:
    """Ticks that cover every difference, every interval and 0."""
    values = [0.0]
    for row in rows:
        values += [end for end in (row.get("difference"), *(row.get("ci95") or ())) if end is not None]
    low, high = min(values), max(values)
    return round_ticks(low, high, 4) if high > low else [-0.01, 0.0, 0.01]


def track(row: Row, ticks: Sequence[float]) -> Markup:
    """One row of the plot: 0, the interval, the difference; what is not known is not drawn."""
    scale = Scale(ticks[0], ticks[-1], 2, 98)
    parts = [_line("zero", scale(0), scale(0), 0, 24)]
    kind = " excludes" if row.get("shown") else ""
    ends = row.get("ci95")
    if ends is not None and None not in ends:
        parts.append(_line(f"whisker{kind}", scale(ends[0]), scale(ends[1]), 12, 12))
    if row.get("difference") is not None:
        dot = Markup('<circle class="middle{}" cx="{:.2f}%" cy="12" r="5"/>')
        parts.append(dot.format(kind, scale(row["difference"])))
    told = f"{formats.points(row.get('difference'))} {formats.interval(row.get('ci95'))}"
    opening = Markup('<svg role="img" aria-label="{}">').format(told)
    return opening + Markup("").join(parts) + Markup("</svg>")


def ruler(ticks: Sequence[float]) -> Markup:
    """The axis under the rows, in points."""
    scale = Scale(ticks[0], ticks[-1], 2, 98)
    shape = Markup('<text x="{:.2f}%" y="15" text-anchor="middle">{}</text>')
    labels = [shape.format(scale(value), formats.signed_tick(value)) for value in ticks]
    return Markup('<svg aria-hidden="true">') + Markup("").join(labels) + Markup("</svg>")


def _line(kind: str, x1: float, x2: float, y1: float, y2: float) -> Markup:
    shape = Markup('<line class="{}" x1="{:.2f}%" x2="{:.2f}%" y1="{}" y2="{}"/>')
    return shape.format(kind, x1, x2, y1, y2)
