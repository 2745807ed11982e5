"""``recipe.yaml``: the written truth of a run."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import yaml

from posttrain.errors import UserError, unknown
from posttrain.runs.folder import RECIPE, plain, write_text
from posttrain.runs.spec import RunSpec

FIELDS = tuple(f.name for f in dataclasses.fields(RunSpec))


def write(folder: Path, spec: RunSpec) -> None:
    """Write the spec, every default filled in."""
    content = {key: value for key, value in dataclasses.asdict(spec).items() if value is not None and key != "out"}
    write_text(folder / RECIPE, yaml.safe_dump(plain(content), sort_keys=False, allow_unicode=True))


def read(folder: Path) -> RunSpec:
    """The spec of a run's folder.

    Raises:
        UserError: no recipe is there, or a key in it is unknown.
    """
    path = folder / RECIPE
    if not path.is_file():
        raise UserError(f"{str(folder)!r} is no run: it has no {RECIPE}")
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    for key in content:
        if key not in FIELDS:
            raise unknown(f"key in {path}", key, FIELDS)
    return RunSpec(out=str(folder), **content)
