"""Laying what a person gives over what is there: checked values, part names, and nothing unknown."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from posttrain.errors import UserError, unknown
from posttrain.settings.schema import Choice, Chosen, Kind, Leaf, Node, Part
from posttrain.settings.values import INFINITIES, UnfitError, expected, fitting

Path = tuple[str, ...]


@dataclass(frozen=True)
class Place:
    """Where in the settings a value stands, to name it in an error.

    Args:
        subject: what is being set, e.g. ``"setting of uft"``.
        path: names from the outside in.
        origin: path -> where a person wrote it, e.g. ``" (run.yaml, line 7)"``; empty if nowhere.
    """

    subject: str
    path: Path = ()
    origin: Callable[[Path], str] = lambda path: ""

    def inside(self, *names: str) -> Place:
        """A place further in."""
        return replace(self, path=(*self.path, *names))

    def unknown(self, name: str, known: Mapping[str, object] | set[str]) -> UserError:
        """A name that means nothing here."""
        inner = self.inside(name)
        dotted = ".".join(inner.path)
        error = unknown(self.subject, dotted, [".".join((*self.path, other)) for other in known])
        return UserError(f"{error}{self.origin(inner.path)}")

    def refused(self, reason: str) -> UserError:
        """A value that cannot stand here."""
        return UserError(f"{'.'.join(self.path)} {reason}{self.origin(self.path)}")


def default_fields(part: Part) -> dict[str, Node]:
    """The defaults of a part's fields, without those that need a value."""
    return {name: field.default for name, field in part.fields.items() if field.default is not None}


def laid_over(kind: Kind, base: Node | None, given: Any, place: Place) -> Node:
    """``given`` where ``base`` was.

    A part is named by a word, by a mapping from its name to its settings, or, where the same part already stands, by
    some of its settings alone. A part that already stands keeps what is not given; any other starts from its defaults.

    Raises:
        UserError: something unknown, missing or of the wrong kind, with its path.
    """
    if isinstance(kind, Part):
        if not isinstance(given, Mapping):
            raise _mismatch(kind, given, place)
        return fields_over(_standing(kind, base), given, place)
    if isinstance(kind, Choice) and kind.parts:
        return _chosen(kind, base, given, place)
    return _leaf(kind, given, place)


def fields_over(chosen: Chosen, given: Mapping[str, Any], place: Place) -> Chosen:
    """The part with some fields given anew.

    Raises:
        UserError: as for :func:`laid_over`.
    """
    nodes = dict(chosen.fields)
    for name, value in given.items():
        field = chosen.part.fields.get(str(name))
        if field is None:
            raise place.unknown(str(name), chosen.part.fields)
        nodes[field.name] = laid_over(field.kind, nodes.get(field.name), value, place.inside(field.name))
    missing = [name for name in chosen.part.fields if name not in nodes]
    if missing:
        raise place.refused(f"= {chosen.part.name} lacks a value for {missing[0]}")
    return replace(chosen, fields=nodes)


def _chosen(kind: Choice, base: Node | None, given: Any, place: Place) -> Node:
    parts = kind.parts
    if isinstance(given, str) and given in parts:
        return fields_over(replace(_standing(parts[given], base), given=True), {}, place)
    if not isinstance(given, Mapping):
        return _leaf(kind, given, place)
    named = [name for name in given if name in parts]
    if not named and isinstance(base, Chosen):
        stray = [str(name) for name in given if name not in base.part.fields]
        if stray:
            raise place.unknown(stray[0], {*base.part.fields, *parts})
        return fields_over(base, given, place)
    if len(given) != 1:
        raise _mismatch(kind, given, place)
    if not named:
        raise place.unknown(str(next(iter(given))), parts)
    part, place = parts[named[0]], place.inside(named[0])
    inner = _settings_of(part, given[part.name], place)
    return fields_over(replace(_standing(part, base), given=True), inner, place)


def _settings_of(part: Part, value: Any, place: Place) -> Mapping[str, Any]:
    """A part with a single field may be given that field's value alone, as in ``steps: 300``."""
    if value is not None and not part.fields and value != {}:
        raise place.refused(f"has no settings, got {value!r}")
    if isinstance(value, Mapping):
        return value
    if value is not None and len(part.fields) > 1:
        raise _mismatch(part, value, place)
    return {} if value is None else dict.fromkeys(part.fields, value)


def _standing(part: Part, base: Node | None) -> Chosen:
    return base if isinstance(base, Chosen) and base.part is part else Chosen(part, default_fields(part))


def _leaf(kind: Kind, given: Any, place: Place) -> Leaf:
    try:
        return Leaf(fitting(kind, given), given=True)
    except UnfitError:
        raise _mismatch(kind, given, place) from None


def _mismatch(kind: Kind, given: Any, place: Place) -> UserError:
    return place.refused(f"needs {expected(kind)}, got {given!r}")


def places_named(chosen: Chosen, name: str) -> list[Path]:
    """Every path to a field called ``name`` in the parts that stand now; nothing below such a field."""
    if name in chosen.part.fields:
        return [(name,)]
    below = {key: node for key, node in chosen.fields.items() if isinstance(node, Chosen)}
    return [(key, *path) for key, node in below.items() for path in places_named(node, name)]


def plain(kind: Kind, node: Node, keep: Callable[[Node], bool] = lambda node: True) -> Any:
    """A tree as the plain values that :func:`laid_over` takes.

    Args:
        kind: of the node's place.
        node: the tree.
        keep: which fields are written.
    """
    if isinstance(node, Leaf):
        return _plain_value(node.value)
    fields = node.part.fields
    inner = {name: plain(fields[name].kind, child, keep) for name, child in node.fields.items() if keep(child)}
    if isinstance(kind, Part):
        return inner
    if not inner:
        return node.part.name
    # A part that is nothing but one value, such as a number of steps, is written as that.
    alone = len(fields) == 1 and all(field.default is None for field in fields.values())
    return {node.part.name: next(iter(inner.values())) if alone else inner}


def is_given(node: Node) -> bool:
    """Whether a person chose anything in it."""
    return node.given or (isinstance(node, Chosen) and any(is_given(child) for child in node.fields.values()))


def _plain_value(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain_value(element) for element in value]
    return str(value) if str(value) in INFINITIES else value
