"""Docstrings as the description of settings: the title, labelled lines, and what is said about each argument."""

from __future__ import annotations

import inspect
import re

LABEL = re.compile(r"^(?:Paper|arXiv|Axes): ")
MARKUP = re.compile(r"(?::\w+:)?`+([^`]+)`+")
ENTRY = re.compile(r"^(\w+(?:, \w+)*): (.*)$")


def title(docstring: str) -> str:
    """The first line."""
    return docstring.strip().partition("\n")[0]


def labelled(docstring: str, label: str) -> str:
    """What follows ``label:`` at the beginning of a line; empty if no line has it."""
    found = re.search(rf"^{label}: *(.+)$", inspect.cleandoc(docstring), flags=re.MULTILINE)
    return found[1].strip() if found else ""


def readable(docstring: str) -> str:
    """Without markup and with a line per paragraph, for a terminal of any width; labelled lines stay apart."""
    lines: list[str] = []
    for line in inspect.cleandoc(docstring).splitlines():
        joined = lines and lines[-1] and line and not LABEL.match(line) and not LABEL.match(lines[-1])
        lines[-1:] = [f"{lines[-1]} {line.strip()}"] if joined else [*lines[-1:], line]
    return MARKUP.sub(r"\1", "\n".join(lines))


def arguments(docstring: str) -> dict[str, str]:
    """The entries of the ``Args:`` section, continuation lines joined; ``a, b: text`` describes both."""
    described: dict[str, str] = {}
    names: list[str] = []
    for line in _section(docstring, "Args:"):
        entry = ENTRY.match(line)
        if entry:
            names = entry[1].split(", ")
            described |= dict.fromkeys(names, entry[2].strip())
        else:
            described |= {name: f"{described[name]} {line.strip()}".strip() for name in names}
    return described


def _section(docstring: str, header: str) -> list[str]:
    lines = inspect.cleandoc(docstring).splitlines()
    if header not in lines:
        return []
    section = []
    for line in lines[lines.index(header) + 1 :]:
        if line and not line.startswith(" "):
            break
        if line.strip():
            section.append(line)
    return inspect.cleandoc("\n".join(["", *section])).splitlines()
