"""``recipe.yaml``: the written truth of a run."""

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from posttrain.errors import UserError
from posttrain.runs.folder import RECIPE, plain, write_text
from posttrain.runs.spec import RunSpec
from posttrain.settings.catalogue import method
from posttrain.settings.documents import read_document
from posttrain.settings.overrides import settled
from posttrain.settings.reading import read_dataclass
from posttrain.settings.schema import Chosen, Leaf, Part
from posttrain.settings.source import read_module
from posttrain.settings.tree import Place, default_fields, fields_over


def write(folder: Path, spec: RunSpec) -> None:
    """Write the spec, every default filled in."""
    content = {key: value for key, value in dataclasses.asdict(spec).items() if value is not None and key != "out"}
    write_text(folder / RECIPE, yaml.safe_dump(plain(content), sort_keys=False, allow_unicode=True))


def read(folder: Path) -> RunSpec:
    """The spec of a run's folder.

    Raises:
        UserError: no recipe is there, or something in it is unknown or does not fit, with its line.
    """
    path = folder / RECIPE
    if not path.is_file():
        raise UserError(f"{str(folder)!r} is no run: it has no {RECIPE}")
    document = read_document(path)
    values = checked_fields(document.content, Place("key of a run", origin=document.origin))
    if not values["method"]:
        raise UserError(f"{str(path)!r} names no method")
    method(values["method"])
    settings = Place(f"setting of {values['method']}", origin=lambda inner: document.origin(("arguments", *inner)))
    settled(values["method"], values["arguments"], settings)
    return RunSpec(**{**values, "out": str(folder)})


def checked_fields(content: Mapping[str, Any], place: Place) -> dict[str, Any]:
    """The values of all fields of a :class:`RunSpec`, defaults filled in; ``method`` and ``out`` are empty without one.

    Raises:
        UserError: an unknown key, or a value that its field does not allow.
    """
    part = _fields_of_a_run()
    base = Chosen(part, default_fields(part) | {"method": Leaf(""), "out": Leaf("")})
    nodes = fields_over(base, content, place).fields
    return {name: node.value for name, node in nodes.items() if isinstance(node, Leaf)}


def _fields_of_a_run() -> Part:
    module = read_module("posttrain.runs.spec")
    definition = module.definitions[RunSpec.__name__]
    assert isinstance(definition, ast.ClassDef)
    return read_dataclass(module, definition)
