"""``path=value``: what a person changes about a method, on the command line, in a file, or from Python."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from posttrain.errors import UserError
from posttrain.settings.catalogue import STAGE
from posttrain.settings.catalogue import method as described
from posttrain.settings.documents import read_value
from posttrain.settings.refusals import refuse_unfit
from posttrain.settings.schema import Chosen, Part
from posttrain.settings.tree import Path, Place, default_fields, fields_over, is_given, places_named, plain


def apply(method: str, arguments: Mapping[str, Any], assignments: Sequence[str]) -> dict[str, Any]:
    """``arguments`` with ``assignments`` on top, checked and written out in full paths, defaults left out.

    A name that is no argument of the method but a setting further in, such as ``learning_rate``, stands for every
    setting of that name.

    Example:
        ``apply("uft", {}, ["hints.start=0.9", "credit=centred"])`` gives
        ``{"hints": {"binomial_cosine": {"start": 0.9}}, "reinforcement": {"credit": "centred"}}``.

    Raises:
        UserError: an unknown or doubly set path, or a value that does not fit.
    """
    tree = overridden(settled(method, arguments), parse(assignments), Place(f"setting of {method}"))
    refuse_unfit(tree, Place(f"setting of {method}"))
    written: dict[str, Any] = plain(tree.part, tree, keep=is_given)
    return written


def settings_named(method: str, name: str) -> list[str]:
    """The full paths that ``name`` stands for in a method with its default parts; none if it has no such setting."""
    first, *rest = name.split(".")
    tree = Chosen(described(method).arguments, default_fields(described(method).arguments))
    return [".".join((*path, *rest)) for path in _places(tree, first)]


def settled(method: str, arguments: Mapping[str, Any], place: Place | None = None) -> Chosen:
    """A method's settings as a tree: its defaults with ``arguments`` on top.

    Args:
        method: its name.
        arguments: nested, or with dotted or bare names as in :func:`apply`.
        place: where they were written.

    Raises:
        UserError: as for :func:`apply`.
    """
    settings = described(method).arguments
    tree = Chosen(settings, default_fields(settings))
    values = {tuple(str(key).split(".")): value for key, value in arguments.items()}
    place = place or Place(f"setting of {method}")
    tree = overridden(tree, values, place)
    refuse_unfit(tree, place)
    return tree


def parse(assignments: Sequence[str]) -> dict[Path, Any]:
    """``a.b=value`` as paths and values; a value is YAML.

    Raises:
        UserError: one is not of that form, or a path stands there twice.
    """
    parsed: dict[Path, Any] = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        path = tuple(name.strip().split("."))
        if not equals or not all(part.isidentifier() for part in path):
            raise UserError(f"--set takes path=value, as in --set learning_rate=1e-4, got {assignment!r}")
        if path in parsed:
            raise UserError(f"{name.strip()} is set twice; give one value")
        parsed[path] = read_value(text, f"the value of {name.strip()}")
    return parsed


def overridden(tree: Chosen, values: Mapping[Path, Any], place: Place) -> Chosen:
    """A tree with values at paths, outer paths first, so that ``hints=...`` may be refined by ``hints.end=...``.

    Raises:
        UserError: as for :func:`apply`.
    """
    done: set[Path] = set()
    own = sorted((path for path in values if path[0] in tree.part.fields), key=len)
    for path in [*own, *(path for path in values if path[0] not in tree.part.fields)]:
        for full in _full_paths(tree, path, place):
            if full in done:
                raise place.inside(*full).refused("is set twice; give one value")
            done.add(full)
            tree = fields_over(tree, _nested(full, values[path]), _written_at(place, path, full))
    return tree


def _full_paths(tree: Chosen, path: Path, place: Place) -> list[Path]:
    found = _places(tree, path[0])
    if not found:
        raise place.unknown(path[0], _names(tree.part, tree))
    return [(*prefix, *path[1:]) for prefix in found]


def _places(tree: Chosen, name: str) -> list[Path]:
    """What a name stands for: settings of the method's own before changes to its stages."""
    found = places_named(tree, name)
    return [path for path in found if path[0] != STAGE] or found


def _names(part: Part, tree: Chosen) -> set[str]:
    """Every name that may begin a path."""
    below = [node for node in tree.fields.values() if isinstance(node, Chosen)]
    return set(part.fields).union(*(_names(node.part, node) for node in below))


def _nested(path: Path, value: Any) -> dict[str, Any]:
    for name in reversed(path[1:]):
        value = {name: value}
    return {path[0]: value}


def _written_at(place: Place, written: Path, full: Path) -> Place:
    """Errors name the full path, but a person wrote a shorter one."""
    if written == full:
        return place
    return replace(place, origin=lambda path: place.origin((".".join(written), *path[len(full) :])))
