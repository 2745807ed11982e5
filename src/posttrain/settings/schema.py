"""What a setting may be: kinds of values, parts with their fields, and trees of chosen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

ScalarName = Literal["int", "float", "bool", "str", "None", "Mapping"]


@dataclass(frozen=True)
class Scalar:
    """A plain value; ``Mapping`` is a mapping that is checked elsewhere."""

    name: ScalarName


@dataclass(frozen=True)
class Words:
    """One of a few fixed values (``Literal``)."""

    values: tuple[str | int | bool | None, ...]


@dataclass(frozen=True)
class Row:
    """A tuple: one kind per place, or ``repeated``, any number of the first kind."""

    items: tuple[Kind, ...]
    repeated: bool


@dataclass(frozen=True, eq=False)
class Part:
    """A dataclass, or a function with keyword-only arguments, that settings construct.

    Args:
        name: how it is written in settings (a class's name in snake case).
        module, attribute: where it lives.
        title: first line of its docstring.
        fields: in the order of its signature.
        constants: its plain class attributes.
    """

    name: str
    module: str
    attribute: str
    title: str
    fields: Mapping[str, Field]
    constants: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Choice:
    """Any of several kinds; parts among them are written by name."""

    options: tuple[Kind, ...]

    @property
    def parts(self) -> dict[str, Part]:
        """The options that are parts, by name."""
        return {option.name: option for option in self.options if isinstance(option, Part)}


Kind = Scalar | Words | Row | Part | Choice


@dataclass(frozen=True, eq=False)
class Field:
    """One setting of a part.

    Args:
        name: of the argument.
        kind: what it may be.
        annotation: its source text.
        default: ``None`` where a value is required.
        default_text: the source text of the default, empty where there is none.
        doc: what its part's docstring says about it.
    """

    name: str
    kind: Kind
    annotation: str
    default: Node | None
    default_text: str
    doc: str


@dataclass(frozen=True)
class Leaf:
    """A plain value; ``given`` tells a person's choice from a default."""

    value: Any
    given: bool = False


@dataclass(frozen=True)
class Chosen:
    """A part with a node for each of its fields; ``given`` tells whether a person named the part."""

    part: Part
    fields: Mapping[str, Node]
    given: bool = False


Node = Leaf | Chosen
