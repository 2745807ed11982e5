"""The theory's one picture: explored leaves against the height of the tree."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from posttrain.theory.growth import fit_exponential_law, fit_power_law, lower_bound, median_leaves
from posttrain.theory.rows import ExplorationRow

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = {"rft": "#c4501b", "uft": "#1f5fa8"}
INK = "#333333"
QUIET = "#8a8a8a"
STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 10.5,
    "axes.edgecolor": "#b5b5b5",
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "svg.hashsalt": "posttrain",
}


def draw_exploration(rows: Sequence[ExplorationRow], out: Path) -> tuple[Path, Path]:
    """Draw median explored leaves against height on a log axis, with the bound B^H/4 and the fitted laws.

    Seeds are faint points; a run that its cap ended is an open triangle pointing up at what it had explored.

    Args:
        rows: runs of one branching.
        out: existing folder.

    Returns:
        The paths of ``theory.png`` and ``theory.svg``.
    """
    # Late: matplotlib costs most of a second, and only this function needs it.
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    (branching,) = {row.branching for row in rows}
    with rc_context(STYLE):
        figure = Figure(figsize=(8.2, 5.2), layout="constrained")
        axes = figure.add_subplot()
        for method in ("rft", "uft"):
            _draw_runs(axes, rows, method)
        _draw_laws(axes, rows)
        _draw_bound(axes, branching, max(row.height for row in rows))
        _finish(axes, rows, branching)
        png, svg = out / "theory.png", out / "theory.svg"
        _save(figure, png, {})
        # Without its date the same rows give the same file.
        _save(figure, svg, {"Date": None})
    return png, svg


def _save(figure: Figure, path: Path, metadata: dict[str, None]) -> None:
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        figure.savefig(unfinished, format=path.suffix[1:], dpi=160, metadata=metadata)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _draw_bound(axes: Axes, branching: int, tallest: int) -> None:
    heights = np.linspace(1, tallest, 200)
    label = f"lower bound without annotation, {branching}$^H$/4"
    axes.plot(heights, branching**heights / 4, color=QUIET, linestyle=(0, (5, 3)), linewidth=1.4, label=label)


def _draw_laws(axes: Axes, rows: Sequence[ExplorationRow]) -> None:
    """Draw each fitted law over the heights it was fitted to, not beyond."""
    polynomial, exponential = _known_medians(rows, "uft"), _known_medians(rows, "rft")
    if law := fit_power_law(polynomial):
        label = f"fit to UFT, {law.scale:.2g} $\\cdot$ $H^{{{law.exponent:.2f}}}$"
        heights = np.linspace(min(polynomial), max(polynomial), 200)
        axes.plot(heights, [law(height) for height in heights], color=COLOURS["uft"], linewidth=1.3, label=label)
    if growth := fit_exponential_law(exponential):
        label = f"fit to RFT, {growth.scale:.2g} $\\cdot$ {growth.factor:.2f}$^H$"
        heights = np.linspace(min(exponential), max(exponential), 200)
        axes.plot(heights, [growth(height) for height in heights], color=COLOURS["rft"], linewidth=1.3, label=label)


def _known_medians(rows: Sequence[ExplorationRow], method: str) -> dict[int, float]:
    return {height: leaves for height, leaves in median_leaves(rows, method).items() if np.isfinite(leaves)}


def _draw_runs(axes: Axes, rows: Sequence[ExplorationRow], method: str) -> None:
    colour = COLOURS[method]
    runs = [row for row in rows if row.method == method]
    solved, censored = [row for row in runs if row.solved], [row for row in runs if not row.solved]
    medians = _known_medians(rows, method)
    label = f"{method.upper()}, median"
    axes.plot(list(medians), list(medians.values()), "o", color=colour, markersize=7, zorder=4, label=label)
    axes.plot(
        [row.height for row in solved],
        [row.leaves for row in solved],
        ".",
        color=colour,
        alpha=0.2,
        markersize=7,
        markeredgewidth=0,
        zorder=3,
    )
    if censored:
        axes.plot(
            [row.height for row in censored],
            [row.leaves for row in censored],
            "^",
            color=colour,
            markerfacecolor="none",
            markersize=8,
            zorder=5,
            label=f"{method.upper()}, given up unsolved",
        )


def _finish(axes: Axes, rows: Sequence[ExplorationRow], branching: int) -> None:
    heights = sorted({row.height for row in rows})
    most = max(row.leaves for row in rows)
    axes.set_yscale("log")
    axes.set_ylim(min(lower_bound(branching, heights[0]), min(row.leaves for row in rows)) / 2, most * 4)
    axes.set_xlim(heights[0] - 0.5, heights[-1] + 0.5)
    axes.set_xticks(heights)
    axes.set_xlabel(f"height of the tree, H (branching {branching}, one right leaf)")
    axes.set_ylabel("leaves explored until pass@1 ≥ 0.5")
    seeds = len({row.seed for row in rows})
    axes.set_title(
        f"Exploration with and without hints: {seeds} seeds, each a faint point", loc="left", fontsize=12, pad=10
    )
    axes.grid(axis="y", color="#e6e6e6", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(which="both", length=0)
    axes.legend(framealpha=1, edgecolor="none", loc="lower right", fontsize=9.5, labelspacing=0.6)
