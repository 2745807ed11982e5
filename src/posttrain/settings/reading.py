"""From source to schema: what annotations allow, and the defaults that stand in the code."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, cast

from posttrain.settings import docstrings
from posttrain.settings.schema import Choice, Chosen, Field, Kind, Leaf, Node, Part, Row, Scalar, ScalarName, Words
from posttrain.settings.source import Definition, Module, look_up, modules_in, read_module
from posttrain.settings.values import fitting

SCALARS = ("int", "float", "bool", "str")
FOLDERS = {"posttrain.protocols.Adapter": "adapters", "posttrain.protocols.Selection": "selection"}
"""Protocols of an axis, and the folder whose dataclasses may be chosen where one is asked for."""


def snake_case(name: str) -> str:
    """``LeaveOneOut`` -> ``leave_one_out``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def read_function(module: Module, function: ast.FunctionDef, name: str) -> Part:
    """A function's keyword-only arguments."""
    signature = function.args
    triples = [(a.arg, cast(ast.expr, a.annotation), d) for a, d in zip(signature.kwonlyargs, signature.kw_defaults)]
    docstring = ast.get_docstring(function) or ""
    return Part(name, module.name, function.name, docstrings.title(docstring), _fields(module, triples, docstring))


@functools.cache
def read_dataclass(module: Module, definition: ast.ClassDef) -> Part:
    """A dataclass's fields and plain class attributes, read once per class."""
    annotated = [s for s in definition.body if isinstance(s, ast.AnnAssign)]
    triples = [(_target(s), s.annotation, s.value) for s in annotated if _is_argument(s)]
    docstring = ast.get_docstring(definition) or ""
    return Part(
        name=snake_case(definition.name),
        module=module.name,
        attribute=definition.name,
        title=docstrings.title(docstring),
        fields=_fields(module, triples, docstring),
        constants=_constants(definition),
    )


def is_dataclass(definition: ast.ClassDef) -> bool:
    """Whether the class is decorated with ``dataclass``."""
    decorators = [d.func if isinstance(d, ast.Call) else d for d in definition.decorator_list]
    return any(isinstance(d, ast.Name) and d.id == "dataclass" for d in decorators)


def kind_of(module: Module, annotation: ast.expr) -> Kind:
    """What an annotation allows.

    Raises:
        TypeError: it is of a form that settings cannot express; the fault is the code's, not a person's input.
    """
    if isinstance(annotation, ast.Constant) and annotation.value is None:
        return Scalar("None")
    if isinstance(annotation, ast.BinOp) and isinstance(annotation.op, ast.BitOr):
        return _choice([kind_of(module, annotation.left), kind_of(module, annotation.right)])
    if isinstance(annotation, ast.Name) and annotation.id in SCALARS:
        return Scalar(cast(ScalarName, annotation.id))
    if isinstance(annotation, ast.Subscript):
        return _subscript(module, annotation)
    found = look_up(module, annotation)
    if isinstance(found, Definition):
        return _named(found)
    raise TypeError(f"{module.name}: {ast.unparse(annotation)} cannot be written as a setting")


def _named(found: Definition) -> Kind:
    if isinstance(found.node, ast.expr):
        return kind_of(found.module, found.node)
    if isinstance(found.node, ast.ClassDef):
        if is_dataclass(found.node):
            return read_dataclass(found.module, found.node)
        return _choice(_fulfilling(found.module, found.node))
    raise TypeError(f"{found.module.name}: a function is no annotation")


def _subscript(module: Module, annotation: ast.Subscript) -> Kind:
    base, inside = ast.unparse(annotation.value), annotation.slice
    elements = inside.elts if isinstance(inside, ast.Tuple) else [inside]
    if base == "Literal":
        return Words(tuple(ast.literal_eval(element) for element in elements))
    if base == "Mapping":
        return Scalar("Mapping")
    if base == "tuple":
        repeated = isinstance(elements[-1], ast.Constant) and elements[-1].value is ...
        return Row(tuple(kind_of(module, e) for e in (elements[:-1] if repeated else elements)), repeated)
    raise TypeError(f"{module.name}: {ast.unparse(annotation)} cannot be written as a setting")


def _choice(kinds: Iterable[Kind]) -> Choice:
    flat: list[Kind] = []
    for kind in kinds:
        flat += kind.options if isinstance(kind, Choice) else [kind]
    return Choice(tuple(flat))


def _fulfilling(module: Module, protocol: ast.ClassDef) -> list[Part]:
    """What may be chosen where a protocol is asked for: the dataclasses that have its members.

    They stand beside the protocol or, if it is that of an axis, in the folder of the axis.
    """
    folder = FOLDERS.get(f"{module.name}.{protocol.name}")
    if folder is not None:
        return [part for name in modules_in(folder) for part in _writable(read_module(name), protocol)]
    return [read_dataclass(module, definition) for definition in _having_members(module, protocol)]


def _having_members(module: Module, protocol: ast.ClassDef) -> list[ast.ClassDef]:
    wanted = _members(protocol)
    classes = [d for d in module.definitions.values() if isinstance(d, ast.ClassDef) and is_dataclass(d)]
    return [d for d in classes if wanted and wanted <= _members(d)]


def _writable(module: Module, protocol: ast.ClassDef) -> Iterator[Part]:
    """Without those that hold what no setting can be, such as a function or another part of their own kind."""
    for definition in _having_members(module, protocol):
        annotated = [s.annotation for s in definition.body if isinstance(s, ast.AnnAssign)]
        if any(isinstance(n, ast.Name) and n.id == protocol.name for a in annotated for n in ast.walk(a)):
            continue
        try:
            yield read_dataclass(module, definition)
        except (TypeError, ValueError):
            continue


def _members(definition: ast.ClassDef) -> set[str]:
    methods = {s.name for s in definition.body if isinstance(s, ast.FunctionDef)}
    assigned = [target for s in definition.body if isinstance(s, ast.Assign) for target in s.targets]
    constants = {target.id for target in assigned if isinstance(target, ast.Name)}
    return methods | constants | {_target(s) for s in definition.body if isinstance(s, ast.AnnAssign)}


def _fields(
    module: Module, triples: Sequence[tuple[str, ast.expr, ast.expr | None]], docstring: str
) -> dict[str, Field]:
    described = docstrings.arguments(docstring)
    fields = {}
    for name, annotation, default in triples:
        kind = kind_of(module, annotation)
        expression = None if default is None else _default_expression(default)
        fields[name] = Field(
            name=name,
            kind=kind,
            annotation=ast.unparse(annotation),
            default=None if expression is None else _node(module, kind, expression),
            default_text="" if expression is None else ast.unparse(expression),
            doc=described.get(name, ""),
        )
    return fields


def _default_expression(default: ast.expr) -> ast.expr | None:
    """The value behind ``field(default=…)`` and ``field(default_factory=…)``, or the expression itself."""
    if not (isinstance(default, ast.Call) and ast.unparse(default.func) in ("field", "dataclasses.field")):
        return default
    keywords = {keyword.arg: keyword.value for keyword in default.keywords}
    factory = keywords.get("default_factory")
    if factory is None:
        return keywords.get("default")
    return factory.body if isinstance(factory, ast.Lambda) else ast.Call(factory, [], [])


def _node(module: Module, kind: Kind, expression: ast.expr) -> Node:
    """A default as a tree of values, without running it."""
    if isinstance(expression, ast.Call):
        return _constructed(module, expression)
    if isinstance(expression, (ast.Name, ast.Attribute)):
        found = look_up(module, expression)
        if isinstance(found, Definition) and isinstance(found.node, ast.expr):
            return _node(found.module, kind, found.node)
        raise TypeError(f"{module.name}: the default {ast.unparse(expression)} cannot be read")
    return Leaf(fitting(kind, ast.literal_eval(expression)))


def _constructed(module: Module, call: ast.Call) -> Node:
    if ast.unparse(call) in ("float('inf')", "float('-inf')"):
        return Leaf(float(ast.literal_eval(call.args[0])))
    if ast.unparse(call) == "dict()":
        return Leaf({})
    found = look_up(module, call.func)
    if not (isinstance(found, Definition) and isinstance(found.node, ast.ClassDef)):
        raise TypeError(f"{module.name}: the default {ast.unparse(call)} cannot be read")
    part = read_dataclass(found.module, found.node)
    given = dict(zip(part.fields, call.args)) | {str(k.arg): k.value for k in call.keywords}
    nodes = {name: f.default for name, f in part.fields.items() if f.default is not None}
    return Chosen(part, nodes | {name: _node(module, part.fields[name].kind, value) for name, value in given.items()})


def _constants(definition: ast.ClassDef) -> dict[str, Any]:
    """Class attributes with a plain value, such as ``compares = True``."""
    constants: dict[str, Any] = {}
    for statement in definition.body:
        if isinstance(statement, ast.AnnAssign) and _is_class_variable(statement):
            targets: list[ast.expr] = [statement.target]
        elif isinstance(statement, ast.Assign):
            targets = statement.targets
        else:
            continue
        if isinstance(statement.value, ast.Constant):
            constants |= {target.id: statement.value.value for target in targets if isinstance(target, ast.Name)}
    return constants


def _is_argument(statement: ast.AnnAssign) -> bool:
    internal = statement.value is not None and "init=False" in ast.unparse(statement.value)
    return not _is_class_variable(statement) and not internal


def _is_class_variable(statement: ast.AnnAssign) -> bool:
    return ast.unparse(statement.annotation).startswith("ClassVar")


def _target(statement: ast.AnnAssign) -> str:
    return statement.target.id if isinstance(statement.target, ast.Name) else ""
