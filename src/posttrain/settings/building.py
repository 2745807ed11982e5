"""From settings to a method's arguments, and back to plain values. Building imports what it builds, torch included."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from posttrain.errors import UserError
from posttrain.settings.catalogue import STAGE
from posttrain.settings.overrides import settled
from posttrain.settings.schema import Chosen, Node
from posttrain.settings.tree import plain

if TYPE_CHECKING:
    from posttrain.changes import StageChanges


def build(method: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The keyword arguments of a method's ``recipe``, every one of them.

    Args:
        method: its name.
        arguments: nested plain values; parts by name, e.g. ``{"hints": {"binomial_cosine": {"start": 0.9}}}``.

    Raises:
        UserError: something unknown, something of the wrong kind, or a value that a part refuses, with its path.
    """
    tree = settled(method, arguments)
    return {name: constructed(node, name) for name, node in tree.fields.items() if name != STAGE}


def build_changes(method: str, arguments: Mapping[str, Any]) -> StageChanges:
    """What the arguments change about the method's stages.

    Raises:
        UserError: as for :func:`build`.
    """
    changes: StageChanges = constructed(settled(method, arguments).fields[STAGE], STAGE)
    return changes


def resolved(method: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """All settings of a method as plain values, defaults filled in; building from them gives equal objects.

    Raises:
        UserError: as for :func:`build`, except for values that only a part can refuse.
    """
    tree = settled(method, arguments)
    written: dict[str, Any] = plain(tree.part, tree)
    return written


def constructed(node: Node, path: str) -> Any:
    """The value or object that a node describes; ``path`` names it in errors.

    Raises:
        UserError: a part refuses its values.
    """
    if not isinstance(node, Chosen):
        return node.value
    fields = {name: constructed(child, f"{path}.{name}") for name, child in node.fields.items()}
    try:
        return getattr(importlib.import_module(node.part.module), node.part.attribute)(**fields)
    except ValueError as error:
        raise UserError(f"{path}: {error}") from error
