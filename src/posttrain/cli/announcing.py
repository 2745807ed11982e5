"""A preset changes many settings at once, so it is said when one is used."""

from __future__ import annotations

import typer

from posttrain.cli.specification import chosen_preset
from posttrain.runs.spec import EMBEDDED
from posttrain.settings.presets import NONE


def announce(name: str | None, model: str | None) -> None:
    """Print the preset that is used and what it sets, if there is one."""
    chosen = chosen_preset(name, model or EMBEDDED)
    if chosen.name == NONE:
        return
    listed = ", ".join(f"{path.rpartition('.')[2]}={value}" for path, value in chosen.settings.items())
    typer.echo(f"preset {chosen.name} (--preset none leaves it out): {listed}")
