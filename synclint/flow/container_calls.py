"""Methods of lists and dictionaries."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import TYPE_CHECKING

from synclint.flow.lattice import HOST, NONE, UNKNOWN, element_of, element_value, join
from synclint.flow.values import Kind, Value

if TYPE_CHECKING:
    from synclint.flow.frame import Frame


def method_of_sequence(frame: Frame, target: ast.Attribute, receiver: Value, arguments: Sequence[Value]) -> Value:
    name = target.attr
    if name in ("append", "extend", "insert", "add") and arguments:
        frame.grow(target.value, receiver, arguments[-1] if name != "extend" else element_value(arguments[0]))
        return NONE
    if name in ("pop", "popleft"):
        return element_of(receiver) or UNKNOWN
    if name in ("copy",):
        return receiver
    return HOST if name in ("index", "count") else UNKNOWN


def method_of_mapping(name: str, receiver: Value, arguments: Sequence[Value]) -> Value:
    element = receiver.element or UNKNOWN
    if name in ("get", "pop", "setdefault"):
        if element.kind is Kind.UNKNOWN:
            return UNKNOWN
        return join(element, arguments[1] if len(arguments) > 1 else NONE) if name == "get" else element
    if name == "values":
        return Value(Kind.SEQUENCE, element=element)
    if name == "items":
        return Value(Kind.SEQUENCE, element=Value(Kind.SEQUENCE, items=(HOST, element)))
    if name == "keys":
        return Value(Kind.SEQUENCE, element=HOST)
    return receiver if name == "copy" else UNKNOWN
