"""Named presets: settings that suit a kind of model, below everything that a person sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from posttrain.errors import unknown
from posttrain.settings.catalogue import method as described
from posttrain.settings.documents import read_document
from posttrain.settings.overrides import overridden, parse, settled
from posttrain.settings.refusals import refuse_unfit
from posttrain.settings.tree import Place, is_given, plain

FOLDER = Path(__file__).parent.parent / "presets"
NONE = "none"


@dataclass(frozen=True)
class Preset:
    """One file of ``presets/``.

    Args:
        name: the file's name.
        settings: full path of a method's setting -> value; a method that lacks one passes over it.
        methods: per method, settings that suit it better than those.
        run: fields of a run (steps, training examples …).
        task: what is trained on where no task and no file is named.
    """

    name: str
    settings: Mapping[str, Any]
    methods: Mapping[str, Mapping[str, Any]]
    run: Mapping[str, Any]
    task: Mapping[str, Any] | None


def preset(name: str) -> Preset:
    """The preset of that name; ``none`` changes nothing.

    Raises:
        UserError: there is no such preset.
    """
    if name == NONE:
        return Preset(NONE, {}, {}, {}, None)
    known = sorted(path.stem for path in FOLDER.glob("*.yaml"))
    if name not in known:
        raise unknown("preset", name, [*known, NONE])
    content = read_document(FOLDER / f"{name}.yaml").content
    return Preset(name, content["settings"], content["methods"], content["run"], content["task"])


def settings_for(chosen: Preset, method: str) -> dict[str, Any]:
    """The preset's settings that the method has, its own before those for all."""
    shared = {path: value for path, value in chosen.settings.items() if _has(method, path)}
    return {**shared, **chosen.methods.get(method, {})}


def in_words(chosen: Preset, method: str) -> str:
    """What the preset sets for a method, on one line."""
    listed = ", ".join(f"{path.rpartition('.')[2]}={value}" for path, value in settings_for(chosen, method).items())
    return f"preset {chosen.name} for {method}: {listed}"


def _has(method: str, path: str) -> bool:
    part = described(method).settings
    return path.split(".")[0] in part.fields


def arguments_over(
    chosen: Preset, method: str, arguments: Mapping[str, Any], assignments: Sequence[str], place: Place
) -> dict[str, Any]:
    """A method's arguments: the preset's, a person's over them, assignments over these.

    Raises:
        UserError: as for :func:`posttrain.settings.overrides.apply`.
    """
    tree = settled(method, settings_for(chosen, method))
    tree = overridden(tree, {tuple(str(key).split(".")): value for key, value in arguments.items()}, place)
    tree = overridden(tree, parse(assignments), Place(f"setting of {method}"))
    refuse_unfit(tree, place)
    written: dict[str, Any] = plain(tree.part, tree, keep=is_given)
    return written
