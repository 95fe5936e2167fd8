"""``nn.ModuleList`` and its kin: modules that hold modules."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import TYPE_CHECKING

from synclint.flow.lattice import HOST, NONE, element_of, element_value, item_value, join_all
from synclint.flow.values import Kind, Value

if TYPE_CHECKING:
    from synclint.flow.frame import Frame

CONTAINERS = frozenset(("ModuleList", "ModuleDict", "Sequential"))
_MOST_ITEMS = 12


def module_container(name: str, node: ast.Call, arguments: Sequence[Value]) -> Value:
    """What ``torch.nn.name(...)`` makes."""
    if not arguments:
        return Value(Kind.MODULE)
    if name != "Sequential" or arguments[0].kind is Kind.MAPPING:
        return Value(Kind.MODULE, items=arguments[0].items, element=element_of(arguments[0]))
    if len(arguments) > _MOST_ITEMS or any(isinstance(argument, ast.Starred) for argument in node.args):
        return Value(Kind.MODULE, element=join_all(arguments))
    return Value(Kind.MODULE, items=tuple(arguments))


def item_of_module(container: Value, node: ast.Subscript, index: Value) -> Value:
    """``container[index]``."""
    if isinstance(node.slice, ast.Slice):
        return container if container.items is None else container.replace(items=None, element=element_of(container))
    return item_value(container, index.const if isinstance(index.const, int) else None)


def method_of_container(
    frame: Frame, target: ast.Attribute, receiver: Value, arguments: Sequence[Value]
) -> Value | None:
    """What a method of a container of modules gives; None for those that all modules have."""
    name = target.attr
    if name in ("append", "insert", "extend", "update") and arguments:
        added = arguments[-1]
        frame.grow(target.value, receiver, added if name in ("append", "insert") else element_value(added))
        return NONE
    element = element_of(receiver)
    if element is None:
        return None
    if name in ("values", "children"):
        return Value(Kind.SEQUENCE, element=element)
    if name in ("items", "named_children"):
        return Value(Kind.SEQUENCE, element=Value(Kind.SEQUENCE, items=(HOST, element)))
    return element if name == "pop" else None
