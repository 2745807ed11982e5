"""``posttrain list``: the methods that there are."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from posttrain.settings.catalogue import methods


def list_methods(
    as_json: Annotated[bool, typer.Option("--json", help="A list of objects, for programs.")] = False,
) -> None:
    """List the methods with their papers and the axes on which they differ."""
    if as_json:
        rows = [{"name": m.name, "paper": m.paper, "arxiv": m.arxiv, "axes": list(m.axes)} for m in methods()]
        typer.echo(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    table = Table(box=None, pad_edge=False)
    for column in ("method", "what it does", "axes", "arXiv"):
        table.add_column(column, no_wrap=column in ("method", "arXiv"), overflow="fold")
    for method in methods():
        table.add_row(f"[bold]{method.name}[/]", method.title, ", ".join(method.axes), method.arxiv)
    Console().print(table)
