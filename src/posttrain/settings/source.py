"""The package's own source, read and never executed: modules, their names, and where a name was imported from."""

from __future__ import annotations

import ast
import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

PACKAGE = "posttrain"
ROOT = Path(__file__).parents[1]


@dataclass(frozen=True, eq=False)
class Module:
    """One parsed file.

    Args:
        name: dotted.
        path: of the file.
        tree: its syntax.
        definitions: classes, functions and assigned expressions at its top level.
        imports: local name -> (module, name in it).
    """

    name: str
    path: Path
    tree: ast.Module
    definitions: Mapping[str, ast.stmt | ast.expr]
    imports: Mapping[str, tuple[str, str]]


@dataclass(frozen=True, eq=False)
class Definition:
    """A class, a function or an expression, and the module whose names it uses."""

    module: Module
    node: ast.stmt | ast.expr


@functools.cache
def read_module(name: str) -> Module:
    """Parse a module of the package."""
    path = _path(name)
    if path is None:
        raise ModuleNotFoundError(f"{PACKAGE} has no module {name}")
    tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    return Module(name, path, tree, _definitions(tree), _imports(tree))


def modules_in(folder: str) -> list[str]:
    """The dotted names of the public modules in a folder of the package, sorted."""
    files = sorted((ROOT / folder).glob("*.py"))
    return [f"{PACKAGE}.{folder}.{file.stem}" for file in files if not file.stem.startswith("_")]


def look_up(module: Module, expression: ast.expr) -> Definition | Module | None:
    """What a name or a dotted name means in a module; ``None`` if it comes from outside the package."""
    if isinstance(expression, ast.Attribute):
        owner = look_up(module, expression.value)
        return _member(owner, expression.attr) if isinstance(owner, Module) else None
    return _member(module, expression.id) if isinstance(expression, ast.Name) else None


def _member(module: Module, name: str) -> Definition | Module | None:
    if name in module.definitions:
        return Definition(module, module.definitions[name])
    origin, original = module.imports.get(name, (module.name, name))
    if origin.split(".")[0] != PACKAGE:
        return None
    if _path(f"{origin}.{original}") is not None:
        return read_module(f"{origin}.{original}")
    return _member(read_module(origin), original) if origin != module.name else None


def _path(name: str) -> Path | None:
    stem = ROOT.joinpath(*name.split(".")[1:])
    candidates = (stem.with_name(f"{stem.name}.py"), stem / "__init__.py")
    return next((path for path in candidates if path.is_file()), None)


def _definitions(tree: ast.Module) -> dict[str, ast.stmt | ast.expr]:
    found: dict[str, ast.stmt | ast.expr] = {}
    for statement in tree.body:
        if isinstance(statement, (ast.ClassDef, ast.FunctionDef)):
            found[statement.name] = statement
        elif isinstance(statement, ast.Assign):
            found |= {target.id: statement.value for target in statement.targets if isinstance(target, ast.Name)}
        elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name) and statement.value:
            found[statement.target.id] = statement.value
    return found


def _imports(tree: ast.Module) -> dict[str, tuple[str, str]]:
    statements = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module]
    return {alias.asname or alias.name: (str(node.module), alias.name) for node in statements for alias in node.names}
