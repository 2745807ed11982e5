"""Plain values against kinds: what fits, what it becomes, and how a person is told what was expected."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from posttrain.settings.schema import Choice, Kind, Part, Row, Scalar, Words

NOUNS = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "str": "text",
    "None": "null",
    "Mapping": "a mapping",
}


INFINITIES = ("inf", "-inf")
"""Infinity is written as text: JSON has no number for it."""


class UnfitError(ValueError):
    """A value that its kind does not allow."""


def fitting(kind: Kind, value: Any) -> Any:
    """``value`` as its kind has it: 1 becomes 1.0 for a number, a list becomes a tuple.

    Raises:
        UnfitError: it does not fit. Parts never fit; they are not plain values.
    """
    if isinstance(kind, Scalar):
        return _scalar(kind, value)
    if isinstance(kind, Words) and any(value == word and type(value) is type(word) for word in kind.values):
        return value
    if isinstance(kind, Row):
        return _row(kind, value)
    if isinstance(kind, Choice):
        return _first(kind, value)
    raise UnfitError


def _scalar(kind: Scalar, value: Any) -> Any:
    if kind.name == "float" and value in INFINITIES:
        return float(value)
    number = isinstance(value, (int, float)) and not isinstance(value, bool) and not math.isnan(value)
    if kind.name == "float" and number:
        return float(value)
    if kind.name == "int" and number and math.isfinite(value) and value == int(value):
        return int(value)
    same = {"bool": bool, "str": str, "None": type(None), "Mapping": Mapping}.get(kind.name)
    if same is not None and isinstance(value, same):
        return value
    raise UnfitError


def _row(kind: Row, value: Any) -> tuple[Any, ...]:
    if not isinstance(value, (list, tuple)):
        raise UnfitError
    kinds = kind.items * len(value) if kind.repeated else kind.items
    if len(kinds) != len(value):
        raise UnfitError
    return tuple(fitting(item, element) for item, element in zip(kinds, value))


def _first(kind: Choice, value: Any) -> Any:
    for option in kind.options:
        try:
            return fitting(option, value)
        except UnfitError:
            continue
    raise UnfitError


def expected(kind: Kind) -> str:
    """What a kind allows, in words."""
    if isinstance(kind, Scalar):
        return NOUNS[kind.name]
    if isinstance(kind, Words):
        return _either([str(word) for word in kind.values])
    if isinstance(kind, Part):
        return f"a mapping with settings of {kind.name}" if kind.fields else kind.name
    if isinstance(kind, Choice):
        return _either([option.name if isinstance(option, Part) else expected(option) for option in kind.options])
    if kind.repeated:
        return f"a list, each of it {expected(kind.items[0])}"
    return f"a list of {len(kind.items)}: {', '.join(expected(item) for item in kind.items)}"


def _either(words: list[str]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}" if len(words) > 1 else words[0]
