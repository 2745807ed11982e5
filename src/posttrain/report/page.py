"""From a template to one file that needs nothing else."""

from __future__ import annotations

import os
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from posttrain.report import formats, palette
from posttrain.report.chart import Chart
from posttrain.report.svg import SIZES, draw


def write_page(template: str, path: Path, colours: list[str], **content: Any) -> Path:
    """Fill a template and write it whole.

    Args:
        template: a file in ``templates``.
        path: where to.
        colours: keys of the palette that the page uses.
        content: the template's variables.
    """
    light, dark = palette.css_rules([*palette.ROLES, *colours])
    page = _environment().get_template(template).render(light=Markup(light), dark=Markup(dark), **content)
    _write_whole(path, page)
    return path


def drawn(chart: Chart, size: str) -> Markup:
    """The chart in one of the named sizes."""
    return draw(chart, SIZES[size])


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    shown = ("share", "interval", "points", "count", "number", "flops", "duration", "text", "words")
    environment.filters |= {name: getattr(formats, name) for name in shown}
    environment.filters |= {"label": palette.label, "colour": palette.css_class}
    environment.globals["drawn"] = drawn
    environment.globals["unknown"] = formats.UNKNOWN
    return environment


def _write_whole(path: Path, page: str) -> None:
    """A reader never sees half a page, whatever stops the writing."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    unfinished = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(page)
        # A temporary file is private by default; a report is for everyone who may read its folder.
        unfinished.chmod(0o644)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
