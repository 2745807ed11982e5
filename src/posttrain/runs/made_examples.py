"""Data sets that a recipe made, as text of plain Python values and back, so that a checkpoint can hold them.

What a task keeps in an example (an answer of its own kind) comes back as the same kind, not as a mapping.
"""

from __future__ import annotations

import ast
import dataclasses
import importlib
from collections.abc import Mapping, Sequence
from typing import Any

from posttrain.types import Example

KIND = "__kind__"
"""Marks a mapping that was a dataclass; its value is ``module:name``."""
PACKAGE = "posttrain."
"""Reading builds classes of this package only: a checkpoint of somebody else's must not name what to call."""


def as_text(examples: Sequence[Example]) -> str:
    """Examples as a Python literal.

    Raises:
        ValueError: an example holds something that is neither a plain value nor a dataclass of this package.
    """
    text = repr([_plain(example) for example in examples])
    try:
        ast.literal_eval(text)
    except (ValueError, SyntaxError) as error:
        raise ValueError("an example that a recipe made holds something that is no plain value") from error
    return text


def from_text(text: str) -> tuple[Example, ...]:
    """The examples that :func:`as_text` wrote.

    Raises:
        ValueError: the text names a class that is no dataclass of this package.
    """
    return tuple(map(_restored, ast.literal_eval(text)))


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        kind = f"{type(value).__module__}:{type(value).__qualname__}"
        if not kind.startswith(PACKAGE):
            raise ValueError(f"an example that a recipe made holds a {kind}, which a checkpoint cannot hold")
        return {KIND: kind} | {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(map(_plain, value))
    return value


def _restored(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return type(value)(map(_restored, value))
    if not isinstance(value, dict):
        return value
    fields = {key: _restored(inner) for key, inner in value.items() if key != KIND}
    return _class_named(value[KIND])(**fields) if KIND in value else fields


def _class_named(kind: str) -> Any:
    module, _, name = kind.partition(":")
    found = getattr(importlib.import_module(module), name, None) if module.startswith(PACKAGE) else None
    if not (isinstance(found, type) and dataclasses.is_dataclass(found)):
        raise ValueError(f"a checkpoint names {kind!r}, which is no dataclass of this package")
    return found
