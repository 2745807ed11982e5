"""YAML as people write it: numbers such as ``1e-4`` are numbers, a key stands once, and every key knows its line."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from posttrain.errors import UserError


class _Loader(yaml.SafeLoader):
    """Safe YAML with the floats of YAML 1.2: in YAML 1.1 ``1e-4`` is a text."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9]+(?:\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)


@dataclass(frozen=True)
class Document:
    """A YAML file.

    Args:
        path: of the file.
        content: its mapping.
        lines: path of keys -> line, counted from 1.
    """

    path: Path
    content: Mapping[str, Any]
    lines: Mapping[tuple[str, ...], int]

    def origin(self, path: tuple[str, ...]) -> str:
        """Where the innermost known part of a path of keys stands, as the end of a sentence."""
        while path and path not in self.lines:
            path = path[:-1]
        return f" ({self.path}, line {self.lines[path]})" if path else f" ({self.path})"


def read_value(text: str, name: str) -> Any:
    """A value in YAML, as written on a command line; nothing is ``null``.

    Raises:
        UserError: it is no YAML.
    """
    try:
        return yaml.load(text, _Loader)
    except yaml.YAMLError:
        raise UserError(f"{name} cannot be read: {text!r}; write a number, a word, [a, b] or {{name: value}}") from None


def read_document(path: Path) -> Document:
    """A file with one YAML mapping.

    Raises:
        UserError: it is missing, unreadable, no mapping, or has a key twice; with the line.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"there is no file {str(path)!r}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{str(path)!r} cannot be read as text: {error}") from None
    root, content = _parsed(text, path)
    if not isinstance(root, yaml.MappingNode):
        raise UserError(f"{str(path)!r} holds no settings; write lines of the form key: value")
    lines: dict[tuple[str, ...], int] = {}
    _collect(root, (), lines, path)
    return Document(path, content, lines)


def _parsed(text: str, path: Path) -> tuple[yaml.Node | None, Any]:
    try:
        return yaml.compose(text, _Loader), yaml.load(text, _Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f" ({path}, line {mark.line + 1}, column {mark.column + 1})" if mark else f" ({path})"
        raise UserError(f"this is no YAML: {error.problem}{where}") from None
    except yaml.YAMLError as error:
        raise UserError(f"this is no YAML: {' '.join(str(error).split())} ({path})") from None


def _collect(node: yaml.MappingNode, prefix: tuple[str, ...], lines: dict[tuple[str, ...], int], file: Path) -> None:
    for key, value in node.value:
        path = (*prefix, str(key.value))
        line = key.start_mark.line + 1
        if path in lines:
            raise UserError(f"{'.'.join(path)} stands there twice ({file}, lines {lines[path]} and {line})")
        lines[path] = line
        if isinstance(value, yaml.MappingNode):
            _collect(value, path, lines, file)
