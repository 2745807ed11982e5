"""What constructors refuse, found out before anything is imported.

A part checks its own values in ``__post_init__``; that check is the only place where a range stands. Here it is cut out
of the source and run on a stand-in that has the part's fields and constants, so that a value out of range is answered
at once. A check that needs more than those is left to the constructor itself.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

from posttrain.errors import UserError
from posttrain.settings.schema import Chosen, Node
from posttrain.settings.source import Definition, Module, look_up, read_module
from posttrain.settings.tree import Place

CHECK = "__post_init__"


class StandIn:
    """The fields and constants of a part, without its methods."""

    def __init__(self, name: str, fields: dict[str, Any], constants: dict[str, Any]) -> None:
        self._name, self._fields = name, fields
        self.__dict__.update(constants)
        self.__dict__.update(fields)

    def __repr__(self) -> str:
        return f"{self._name}({', '.join(f'{name}={value!r}' for name, value in self._fields.items())})"


def refuse_unfit(chosen: Chosen, place: Place) -> None:
    """Run the checks of every part below ``chosen``, inner parts first.

    Raises:
        UserError: a part refuses its values.
    """
    for name, node in chosen.fields.items():
        _stand_in(node, place.inside(name))


def _stand_in(node: Node, place: Place) -> Any:
    if not isinstance(node, Chosen):
        return node.value
    fields = {name: _stand_in(child, place.inside(name)) for name, child in node.fields.items()}
    standing = StandIn(node.part.attribute, fields, dict(node.part.constants))
    module = read_module(node.part.module)
    check = _check_of(module, node.part.attribute)
    try:
        check(standing)
    except (ValueError, UserError) as error:
        path = ".".join(place.path)
        raise UserError(f"{path}: {error}{place.origin(place.path)}") from None
    except (NameError, AttributeError):
        pass  # it uses a method or an import: the constructor will say
    return standing


def _check_of(module: Module, attribute: str) -> Callable[[StandIn], None]:
    definition = module.definitions[attribute]
    statements = definition.body if isinstance(definition, ast.ClassDef) else []
    functions = [s for s in statements if isinstance(s, ast.FunctionDef) and s.name == CHECK]
    if not functions:
        return lambda standing: None
    names: dict[str, Any] = {"UserError": UserError, **_constants(module, functions[0])}
    exec(compile(ast.Module([functions[0]], []), str(module.path), "exec"), names)
    check: Callable[[StandIn], None] = names[CHECK]
    return check


def _constants(module: Module, function: ast.FunctionDef) -> dict[str, Any]:
    """The module's plain constants that the function reads; of a mapping to other things, its keys."""
    constants: dict[str, Any] = {}
    for name in {node.id: node for node in ast.walk(function) if isinstance(node, ast.Name)}.values():
        found = look_up(module, name)
        if not (isinstance(found, Definition) and isinstance(found.node, ast.expr)):
            continue
        keys = [key for key in found.node.keys if key] if isinstance(found.node, ast.Dict) else None
        try:
            constants[name.id] = (
                ast.literal_eval(found.node) if keys is None else dict.fromkeys(map(ast.literal_eval, keys))
            )
        except ValueError:
            continue
    return constants
