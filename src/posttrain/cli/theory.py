"""``posttrain theory``: the search-tree experiments, exact and without torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from posttrain.cli import checks, failures, options
from posttrain.errors import UserError


def theory(
    out: options.Out = None,
    seeds: Annotated[int | None, typer.Option(help="Runs per height and method.", metavar="N")] = None,
    heights: Annotated[
        str | None, typer.Option(help="Heights at which both methods run, e.g. 2,3,4.", metavar="A,B,C")
    ] = None,
    workers: Annotated[int, typer.Option(help="Processes.", metavar="N")] = 2,
    quick: Annotated[bool, typer.Option("--quick", help="Small trees only.")] = False,
) -> None:
    """Count how many answers RFT and UFT must explore in a search tree before they find its one right leaf."""
    checks.at_least(1, {"seeds": seeds, "workers": workers})
    chosen = _heights(heights)
    folder = Path(out or "runs/theory")
    checks.not_a_file(str(folder))
    failures.working_folder.set(folder)
    from posttrain.runs.folder import disk_errors
    from posttrain.runs.terminal import Terminal
    from posttrain.theory.experiment import HEIGHTS, QUICK_HEIGHTS, SEEDS, UFT_ONLY_HEIGHTS, run_theory

    both = chosen or (QUICK_HEIGHTS if quick else HEIGHTS)
    alone = () if chosen or quick else UFT_ONLY_HEIGHTS
    with Terminal() as display, disk_errors(folder):
        begun: list[int] = []

        def on_progress(done: int, total: int) -> None:
            if not begun:
                begun.append(total)
                display.begin("theory", total)
            display.advance(done)

        report = run_theory(folder, seeds or SEEDS, on_progress, both, alone, workers)
    typer.echo("\n".join(f"wrote {path}" for path in report.files))


def _heights(text: str | None) -> tuple[int, ...]:
    if text is None:
        return ()
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise UserError(f"--heights takes whole numbers with commas, as in 2,3,4, got {text!r}") from None
