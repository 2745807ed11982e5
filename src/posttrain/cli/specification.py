"""From a method or a run file and options to a checked :class:`RunSpec`, without importing what it names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from posttrain.errors import UserError
from posttrain.runs.recipe_file import checked_fields
from posttrain.runs.spec import EMBEDDED, RunSpec
from posttrain.settings.catalogue import method as described
from posttrain.settings.catalogue import method_names
from posttrain.settings.documents import read_document
from posttrain.settings.presets import NONE, Preset, arguments_over, preset
from posttrain.settings.tasks import resolved_task
from posttrain.settings.tree import Place

SUFFIXES = (".yaml", ".yml")
TASK_PREFIX = "task."


@dataclass(frozen=True)
class Written:
    """What a person wrote, with the way back to where it stands."""

    content: Mapping[str, Any]
    place: Place = field(default_factory=lambda: Place("key of a run"))


def written_run(target: str) -> Written:
    """A run file's keys, or just the method.

    Raises:
        UserError: an unknown method, an unreadable file, an unknown key.
    """
    if not target.endswith(SUFFIXES):
        described(target)
        return Written({"method": target})
    document = read_document(Path(target))
    place = Place("key of a run file", origin=document.origin)
    if not document.content.get("method"):
        raise UserError(f"{target} names no method; add a line such as method: {method_names()[-1]}")
    return Written(document.content, place)


def run_spec(
    written: Written, options: Mapping[str, Any], assignments: Sequence[str], preset_name: str | None = None
) -> RunSpec:
    """The run that is meant: a preset, what is written over it, options over that, assignments over the arguments.

    Args:
        written: the keys of a run file, or the method alone.
        options: fields of :class:`RunSpec`; ``None`` was not given.
        assignments: ``path=value``; paths of the task begin with ``task.``.
        preset_name: a file under ``presets/``, or ``none``; not given: ``tiny`` for the embedded model.

    Raises:
        UserError: anything unknown or unfit, with file and line where there is one.
    """
    content = _without_rivals(written.content, options) | {k: v for k, v in options.items() if v is not None}
    if isinstance(content.get("task"), str):
        content["task"] = {"name": content["task"]}
    chosen = chosen_preset(preset_name, str(content.get("model", EMBEDDED)))
    content = {**chosen.run, **content}
    if chosen.task is not None and not content.get("task") and not content.get("data"):
        content["task"] = dict(chosen.task)
    values = checked_fields(content, written.place)
    method = str(values["method"])
    _refuse_unknown_method(method, written.place)
    of_task = [a.removeprefix(TASK_PREFIX) for a in assignments if a.startswith(TASK_PREFIX)]
    of_method = [a for a in assignments if not a.startswith(TASK_PREFIX)]
    values["arguments"] = _arguments(chosen, method, values["arguments"], of_method, written.place)
    values["task"] = _task(values["task"], of_task, written.place)
    values["out"] = values["out"] or f"runs/{method}-seed{values['seed']}"
    return RunSpec(**values)


def _without_rivals(content: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """A task given as an option takes the place of a file's data, and the other way round."""
    rivals = {"task": "data", "data": "task"}
    dropped = {rival for name, rival in rivals.items() if options.get(name) is not None and options.get(rival) is None}
    return {key: value for key, value in content.items() if key not in dropped}


def _refuse_unknown_method(name: str, place: Place) -> None:
    try:
        described(name)
    except UserError as error:
        raise UserError(f"{error}{place.origin(('method',))}") from None


def chosen_preset(name: str | None, model: str) -> Preset:
    """The preset that is named; without a name, the tiny one for the embedded model and none for others."""
    return preset(name or ("tiny" if model == EMBEDDED else NONE))


def _arguments(
    chosen: Preset, method: str, given: Mapping[str, Any], assignments: Sequence[str], place: Place
) -> dict[str, Any]:
    inner = Place(f"setting of {method}", origin=lambda path: place.origin(("arguments", *path)))
    arguments = arguments_over(chosen, method, given, assignments, inner)
    if "steps" in arguments:
        raise UserError("the number of steps is no argument of a method; give it with --steps, or as the key steps")
    return arguments


def _task(given: Mapping[str, Any] | None, assignments: Sequence[str], place: Place) -> dict[str, Any] | None:
    if given is None:
        if assignments:
            raise UserError(f"--set {TASK_PREFIX}{assignments[0]} needs --task NAME")
        return None
    inner = replace(Place(f"setting of task {given.get('name')}", ("task",)), origin=place.origin)
    return resolved_task(given, assignments, inner)
