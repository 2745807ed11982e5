"""What there is: methods and tasks, described by their own source."""

from __future__ import annotations

import ast
import dataclasses
import functools
from dataclasses import dataclass
from pathlib import Path

from posttrain.errors import unknown
from posttrain.settings import docstrings, reading
from posttrain.settings.schema import Chosen, Field, Part
from posttrain.settings.source import Module, modules_in, read_module
from posttrain.settings.tree import default_fields

STAGE = "stage"
"""The setting of every method under which a person changes its stages."""


@dataclass(frozen=True, eq=False)
class Method:
    """One file under ``methods/``.

    Args:
        name: of the file.
        title: what it does, in a line.
        paper, arxiv, axes: from the lines ``Paper:``, ``arXiv:`` and ``Axes:`` of its docstring.
        docstring: the whole text.
        settings: the keyword-only arguments of its ``recipe``.
        path: of the file.

    ``arguments`` are these settings, and what may be changed about the stages of every method.
    """

    name: str
    title: str
    paper: str
    arxiv: str
    axes: tuple[str, ...]
    docstring: str
    settings: Part
    path: Path

    @property
    def arguments(self) -> Part:
        """Its settings, and under ``stage`` the changes to its training stages."""
        return dataclasses.replace(self.settings, fields={**self.settings.fields, STAGE: changes_of_stages()})


@functools.cache
def changes_of_stages() -> Field:
    """The setting that every method has beside those of its ``recipe``."""
    module = read_module("posttrain.changes")
    definition = module.definitions["StageChanges"]
    assert isinstance(definition, ast.ClassDef)
    part = reading.read_dataclass(module, definition)
    unchanged = Chosen(part, default_fields(part))
    meaning = "what takes the place of the method's own parts."
    return Field(STAGE, part, part.attribute, unchanged, f"{part.attribute}()", meaning)


@functools.cache
def method(name: str) -> Method:
    """The method called ``name``.

    Raises:
        UserError: there is none; the sentence names the nearest.
    """
    if name not in method_names():
        raise unknown("method", name, method_names())
    module = read_module(f"posttrain.methods.{name}")
    function = module.definitions["recipe"]
    assert isinstance(function, ast.FunctionDef), f"recipe in {module.path} is no function"
    docstring = ast.get_docstring(module.tree) or ""
    return Method(
        name=name,
        title=docstrings.title(docstring),
        paper=docstrings.labelled(docstring, "Paper"),
        arxiv=docstrings.labelled(docstring, "arXiv"),
        axes=tuple(axis.strip() for axis in docstrings.labelled(docstring, "Axes").split(",") if axis.strip()),
        docstring=docstring,
        settings=reading.read_function(module, function, name),
        path=module.path,
    )


@functools.cache
def method_names() -> tuple[str, ...]:
    """The names of the files under ``methods/`` that have a ``recipe``."""
    modules = [read_module(name) for name in modules_in("methods")]
    return tuple(module.name.rpartition(".")[2] for module in modules if "recipe" in module.definitions)


def methods() -> tuple[Method, ...]:
    """All methods, by name."""
    return tuple(method(name) for name in method_names())


@functools.cache
def tasks() -> dict[str, Part]:
    """All tasks, by name: the dataclasses under ``tasks/`` with a ``name`` that make examples."""
    modules = [read_module(name) for name in modules_in("tasks")]
    parts = [part for module in modules for part in _task_parts(module)]
    return {part.name: part for part in parts}


def task(name: str) -> Part:
    """The task called ``name``.

    Raises:
        UserError: there is none; the sentence names the nearest.
    """
    if name not in tasks():
        raise unknown("task", name, tasks())
    return tasks()[name]


def _task_parts(module: Module) -> list[Part]:
    classes = [d for d in module.definitions.values() if isinstance(d, ast.ClassDef) and reading.is_dataclass(d)]
    makers = [d for d in classes if any(isinstance(s, ast.FunctionDef) and s.name == "examples" for s in d.body)]
    parts = [reading.read_dataclass(module, definition) for definition in makers]
    return [dataclasses.replace(part, name=str(part.constants["name"])) for part in parts if "name" in part.constants]
