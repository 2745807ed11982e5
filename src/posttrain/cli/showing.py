"""``posttrain show``: a method or a task with its settings, or what a run did."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from posttrain.errors import UserError, unknown
from posttrain.runs.folder import RECIPE, REPORT, SUMMARY
from posttrain.settings import docstrings
from posttrain.settings.catalogue import Method, method, method_names, task, tasks
from posttrain.settings.schema import Choice, Chosen, Field, Kind, Node, Part
from posttrain.settings.tree import default_fields, plain


def show(
    target: Annotated[str, typer.Argument(metavar="METHOD|TASK|FOLDER", help="What to look at.")],
    source: Annotated[bool, typer.Option("--source", help="Also print the method's file.")] = False,
) -> None:
    """Show a method or a task with all its settings, or the recipe and the results of a run."""
    if target in method_names():
        _print_method(method(target), source)
    elif target in tasks():
        _print_part(Console(), task(target), f"task {target}")
    elif Path(target).is_dir():
        _print_run(Path(target))
    else:
        raise unknown("method, task or folder", target, [*method_names(), *tasks()])


def _print_run(path: Path) -> None:
    """The recipe and the results of a run.

    Raises:
        UserError: the folder holds no run.
    """
    if not (path / RECIPE).is_file():
        raise UserError(f"{str(path)!r} is no run: it has no {RECIPE}")
    console = Console()
    console.print(Syntax((path / RECIPE).read_text(encoding="utf-8").rstrip(), "yaml", background_color="default"))
    if not (path / SUMMARY).is_file():
        console.print(f"not finished; go on with: posttrain run --resume {path}", highlight=False, soft_wrap=True)
        return
    print_results(path, console)


def print_results(path: Path, console: Console) -> None:
    """The results of a finished run."""
    table = Table(box=None, pad_edge=False, show_header=False)
    for name, value in json.loads((path / SUMMARY).read_text(encoding="utf-8")).items():
        table.add_row(f"[bold]{name}[/]", _short(value))
    console.print(table)
    if (path / REPORT).is_file():
        console.print(f"report: {path / REPORT}", highlight=False, soft_wrap=True)


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, dict):
        return ", ".join(f"{name} {_short(inner)}" for name, inner in value.items())
    return " … ".join(_short(inner) for inner in value) if isinstance(value, list) else str(value)


def _print_method(described: Method, source: bool) -> None:
    console = Console()
    console.print(Text(described.name, style="bold"))
    console.print(Text(docstrings.readable(described.docstring)))
    console.print()
    _print_part(console, described.arguments, "Settings, for --set or under arguments: in a run file")
    console.print(f"source: {described.path}", highlight=False, soft_wrap=True)
    if source:
        console.print(Syntax(described.path.read_text(encoding="utf-8"), "python", background_color="default"))


def _print_part(console: Console, part: Part, title: str) -> None:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    table.add_column("setting", no_wrap=True)
    table.add_column("default", overflow="fold")
    table.add_column("meaning", overflow="fold")
    for row in setting_rows(Chosen(part, default_fields(part))):
        table.add_row(Text(row.label), Text(row.default), Text(row.meaning))
    console.print(table)


@dataclass(frozen=True)
class Row:
    """A line about one setting; the label's indentation says what it belongs to."""

    label: str
    default: str = ""
    meaning: str = ""


def setting_rows(chosen: Chosen, indent: str = "") -> Iterator[Row]:
    """A row per setting, those of the parts that may be chosen below it."""
    for name, field in chosen.part.fields.items():
        node = chosen.fields.get(name)
        options = [] if _is_one_value(node) else _options(field.kind, node)
        several = not isinstance(field.kind, Part)
        yield Row(f"{indent}{name}", "" if node is None or not several else _default(field, node), _meaning(field))
        for option in options:
            if several and option.part.fields:
                yield Row(f"{indent}  {option.part.name}:")
            yield from setting_rows(option, f"{indent}{'    ' if several else '  '}")


def _options(kind: Kind, node: Node | None) -> list[Chosen]:
    """The parts that may stand here, with their defaults; the one that stands with its own."""
    parts = [kind] if isinstance(kind, Part) else list(kind.parts.values()) if isinstance(kind, Choice) else []
    fresh = [Chosen(part, default_fields(part)) for part in parts]
    return [node if isinstance(node, Chosen) and node.part is option.part else option for option in fresh]


def _is_one_value(node: Node | None) -> bool:
    """Whether a part is nothing but a number, as a duration is."""
    return isinstance(node, Chosen) and any(field.default is None for field in node.part.fields.values())


def _default(field: Field, node: Node) -> str:
    written = plain(field.kind, node)
    if isinstance(node, Chosen) and not _is_one_value(node):
        return node.part.name
    if isinstance(written, dict):
        return ", ".join(f"{name}: {value}" for name, value in written.items())
    return "null" if written is None else str(written).lower() if isinstance(written, bool) else str(written)


def _meaning(field: Field) -> str:
    names = list(field.kind.parts) if isinstance(field.kind, Choice) else []
    doc = docstrings.readable(field.doc)
    return f"{doc} [{' | '.join(names)}]".strip() if names else doc
