"""A preset changes many settings at once, so it is said when one is used."""

from __future__ import annotations

from collections.abc import Sequence

import typer

from posttrain.cli.specification import chosen_preset
from posttrain.settings.presets import NONE, in_words


def announce(name: str | None, model: str, methods: Sequence[str]) -> None:
    """Print what the preset that is used, if there is one, sets for each method."""
    chosen = chosen_preset(name, model)
    if chosen.name == NONE:
        return
    for method in methods:
        typer.echo(in_words(chosen, method))
    typer.echo("(--preset none leaves it out)")
