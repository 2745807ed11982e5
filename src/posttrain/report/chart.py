"""What a chart shows, without how it is drawn: the page and the PNG are drawn from the same description."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Point = tuple[float, float | None]
"""(x, y); an unknown y is a gap in the line."""


FLAT = 1e-12
"""A smaller range of values is rounding, and is drawn as none."""


@dataclass(frozen=True)
class Line:
    """A line with an optional band.

    Args:
        name: in the legend; empty leaves it out of it.
        colour: a key of the palette.
        points: in order of x.
        band: (x, low, high), in order of x.
        weight: ``faint`` for single steps behind a smoothed line.
        marks: ``dots`` where every point is a measurement that one should be able to point at.
    """

    name: str
    colour: str
    points: tuple[Point, ...]
    band: tuple[tuple[float, float, float], ...] = ()
    weight: Literal["strong", "faint"] = "strong"
    marks: Literal["dots", "none"] = "none"


@dataclass(frozen=True)
class Level:
    """A horizontal line for comparison, with its own interval if it has one."""

    name: str
    y: float
    interval: tuple[float, float] | None = None


@dataclass(frozen=True)
class Lane:
    """A bar under the axis: a phase of the run."""

    name: str
    colour: str
    start: float
    end: float


@dataclass(frozen=True)
class Chart:
    """One chart.

    Args:
        title: what the y axis is.
        x_label: what the x axis is.
        lines: drawn in order, the last on top.
        unit: ``share`` is shown in percent.
        note: how to read it, one or two sentences.
        levels, lanes: see there.
        x_ticks: (x, label) where the axis is not an ordinary one.
    """

    title: str
    x_label: str
    lines: tuple[Line, ...]
    unit: Literal["share", "number"] = "number"
    note: str = ""
    levels: tuple[Level, ...] = ()
    lanes: tuple[Lane, ...] = ()
    x_ticks: tuple[tuple[float, str], ...] = ()

    @property
    def named(self) -> tuple[Line, ...]:
        """The lines of the legend."""
        return tuple(line for line in self.lines if line.name)

    @property
    def empty(self) -> bool:
        """Whether nothing is known."""
        return not any(y is not None for line in self.lines for _, y in line.points)

    def x_range(self) -> tuple[float, float]:
        """From the first to the last x, never empty."""
        xs = [x for line in self.lines for x, _ in line.points]
        xs += [x for lane in self.lanes for x in (lane.start, lane.end)]
        low, high = min(xs, default=0.0), max(xs, default=1.0)
        return (low, high) if high > low else (low, low + 1.0)

    def y_range(self) -> tuple[float, float]:
        """All that is drawn; it includes 0 unless something is negative, so that heights can be compared."""
        ys = [y for line in self.lines for _, y in line.points if y is not None]
        ys += [y for line in self.lines for _, low, high in line.band for y in (low, high)]
        ys += [y for level in self.levels for y in (level.y, *(level.interval or ()))]
        low, high = min([0.0, *ys]), max(ys, default=1.0)
        if low < 0 and high < 0:
            high = 0.0
        return (low, high) if high - low > FLAT else (low, low + (0.1 if self.unit == "share" else 1.0))


def smoothed(name: str, colour: str, points: Sequence[Point], window: int) -> tuple[Line, ...]:
    """A noisy series: every point faintly and, where ``window`` spans more than one, a moving mean over it."""
    known = tuple(points)
    if window <= 1:
        return (Line(name, colour, known),)
    return (
        Line("", colour, known, weight="faint"),
        Line(name, colour, tuple((x, _mean_around(known, i, window)) for i, (x, _) in enumerate(known))),
    )


def _mean_around(points: tuple[Point, ...], index: int, window: int) -> float | None:
    """The mean of the known neighbours; a gap stays a gap."""
    if points[index][1] is None:
        return None
    near = points[max(0, index - window // 2) : index + window // 2 + 1]
    known = [y for _, y in near if y is not None]
    return sum(known) / len(known)


def condensed(points: Sequence[Point], most: int = 300) -> tuple[Point, ...]:
    """At most ``most`` points: means over equal spans of steps, so that long runs do not make heavy pages."""
    if len(points) <= most:
        return tuple(points)
    span = -(-len(points) // most)
    return tuple(_mean_point(points[i : i + span]) for i in range(0, len(points), span))


def _mean_point(points: Sequence[Point]) -> Point:
    known = [y for _, y in points if y is not None]
    return points[len(points) // 2][0], (sum(known) / len(known) if known else None)


def segments(points: Sequence[Point]) -> list[list[tuple[float, float]]]:
    """The stretches of known points between the gaps."""
    found: list[list[tuple[float, float]]] = [[]]
    for x, y in points:
        if y is not None:
            found[-1].append((x, y))
        elif found[-1]:
            found.append([])
    return [stretch for stretch in found if stretch]
