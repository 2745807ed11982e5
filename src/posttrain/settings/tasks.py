"""Tasks from their description ``{"name": "countdown", "counts": [3]}``; tasks need no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from posttrain.errors import UserError
from posttrain.settings.building import constructed
from posttrain.settings.catalogue import task
from posttrain.settings.overrides import overridden, parse
from posttrain.settings.schema import Chosen
from posttrain.settings.tree import Place, default_fields, fields_over, plain

if TYPE_CHECKING:
    from posttrain.tasks.base import Task


def build_task(description: Mapping[str, Any]) -> Task:
    """The task that a description names, with its settings.

    Raises:
        UserError: an unknown task or setting, or a value that does not fit.
    """
    built: Task = constructed(_settled(description, (), Place(_subject(description), ("task",))), "task")
    return built


def resolved_task(
    description: Mapping[str, Any], assignments: Sequence[str] = (), place: Place | None = None
) -> dict[str, Any]:
    """The description with ``path=value`` assignments on top and every default filled in.

    Raises:
        UserError: as for :func:`build_task`.
    """
    tree = _settled(description, assignments, place or Place(_subject(description), ("task",)))
    constructed(tree, "task")
    return {"name": tree.part.name, **plain(tree.part, tree)}


def _settled(description: Mapping[str, Any], assignments: Sequence[str], place: Place) -> Chosen:
    if not isinstance(description.get("name"), str):
        raise UserError(f"a task needs a name, as in {{name: countdown}}{place.origin(place.path)}")
    part = task(description["name"])
    given = {key: value for key, value in description.items() if key != "name"}
    tree = fields_over(Chosen(part, default_fields(part)), given, place)
    return overridden(tree, parse(assignments), place)


def _subject(description: Mapping[str, Any]) -> str:
    return f"setting of task {description.get('name')}"
