"""``posttrain demo``: supervised, reinforced and unified fine-tuning side by side on the embedded model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from posttrain.cli import checks, failures, options


def demo(
    quick: Annotated[
        bool, typer.Option("--quick", help="Key paths instead of the default task: about a minute.")
    ] = False,
    out: options.Out = None,
    steps: options.Steps = None,
) -> None:
    """Train SFT, RFT and UFT side by side on the embedded model and write a report."""
    checks.at_least(1, {"steps": steps})
    folder = out or ("runs/demo-quick" if quick else "runs/demo")
    checks.not_a_file(folder)
    failures.working_folder.set(Path(folder))
    from posttrain.runs.demo import demo as carry_out
    from posttrain.runs.terminal import Terminal

    with Terminal() as display:
        carry_out(out=Path(folder), quick=quick, steps=steps, display=display)
    typer.echo(f"report: {Path(folder) / 'report.html'}")
