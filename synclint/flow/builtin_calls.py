"""Calls of Python's builtin functions."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from synclint.flow.conventions import value_by_name
from synclint.flow.iteration import COMPARING, read_compared
from synclint.flow.lattice import HOST, NONE, SLICE, UNKNOWN, element_of, element_value, join_all
from synclint.flow.operations import read_number
from synclint.flow.values import Dtype, Keywords, Kind, Value

if TYPE_CHECKING:
    from synclint.flow.frame import Frame


_INTEGER = Value(Kind.HOST, dtype=Dtype.INT)


def call_builtin(frame: Frame, node: ast.Call, name: str, arguments: Sequence[Value], keywords: Keywords) -> Value:
    first = arguments[0] if arguments else UNKNOWN
    if name in ("int", "float", "bool", "complex"):
        if first.kind is Kind.TENSOR:
            frame.emit(f"{name}(Tensor)", node, {"self": first}, {"self": node.args[0]})
        elif arguments:
            frame.suspect_read(f"{name}(Tensor)", node, first)
        return HOST
    if name in COMPARING:
        read_compared(frame, node, name, arguments)
    elif name in ("range", "slice"):
        for argument, value in zip(node.args, arguments, strict=False):
            read_number(frame, argument, value)
    handler = _BUILTIN.get(name)
    return handler(frame, node, first, arguments) if handler is not None else UNKNOWN


def _host(frame: Frame, node: ast.Call, first: Value, arguments: Sequence[Value]) -> Value:
    return HOST


def _sequence_of_first(frame: Frame, node: ast.Call, first: Value, arguments: Sequence[Value]) -> Value:
    if not arguments:
        return Value(Kind.SEQUENCE, items=(), length=0, fresh=True)
    if first.kind is Kind.SEQUENCE and first.items is not None:
        return Value(Kind.SEQUENCE, items=first.items, length=first.length, fresh=True)
    return Value(Kind.SEQUENCE, element=element_value(first), fresh=True)


def _tuple_of_first(frame: Frame, node: ast.Call, first: Value, arguments: Sequence[Value]) -> Value:
    return _sequence_of_first(frame, node, first, arguments).replace(ref="tuple")


def _map(frame: Frame, node: ast.Call, first: Value, arguments: Sequence[Value]) -> Value:
    return Value(Kind.SEQUENCE, element=UNKNOWN)


def _enumerate(frame: Frame, node: ast.Call, first: Value, arguments: Sequence[Value]) -> Value:
    item = Value(Kind.SEQUENCE, items=(_INTEGER, element_value(first)))
    return Value(Kind.SEQUENCE, element=item)


def _zip(frame: Frame, node: ast.Call, first: Value, arguments: Sequence[Value]) -> Value:
    items = tuple(element_value(value) for value in arguments)
    return Value(Kind.SEQUENCE, element=Value(Kind.SEQUENCE, items=items))


def _range(frame: Frame, node: ast.Call, first: Value, arguments: Sequence[Value]) -> Value:
    return Value(Kind.SEQUENCE, element=_INTEGER)


def _extreme(frame: Frame, node: ast.Call, first: Value, arguments: Sequence[Value]) -> Value:
    if len(arguments) > 1:
        return join_all(arguments)
    return element_of(first) or UNKNOWN if first.kind is Kind.SEQUENCE else UNKNOWN


def _sum(frame: Frame, node: ast.Call, first: Value, arguments: Sequence[Value]) -> Value:
    element = element_of(first) if first.kind is Kind.SEQUENCE else None
    if element is not None and element.kind is Kind.TENSOR:
        return element.replace(fresh=True)
    return element or UNKNOWN


def _getattr(frame: Frame, node: ast.Call, first: Value, arguments: Sequence[Value]) -> Value:
    name = arguments[1].const if len(arguments) > 1 else None
    return (value_by_name(name) or UNKNOWN) if isinstance(name, str) else UNKNOWN


_BUILTIN: dict[str, Callable[[Frame, ast.Call, Value, Sequence[Value]], Value]] = {
    **dict.fromkeys(
        [
            "str",
            "len",
            "isinstance",
            "issubclass",
            "hasattr",
            "repr",
            "format",
            "hash",
            "id",
            "any",
            "all",
            "callable",
            "chr",
            "ord",
            "round",
            "abs",
        ],
        _host,
    ),
    "tuple": _tuple_of_first,
    **dict.fromkeys(("list", "sorted", "set", "frozenset", "reversed", "iter"), _sequence_of_first),
    "map": _map,
    "filter": lambda frame, node, first, arguments: arguments[1] if len(arguments) > 1 else UNKNOWN,
    "enumerate": _enumerate,
    "zip": _zip,
    "range": _range,
    "slice": lambda frame, node, first, arguments: SLICE,
    "max": _extreme,
    "min": _extreme,
    "sum": _sum,
    "getattr": _getattr,
    "next": lambda frame, node, first, arguments: element_of(first) or UNKNOWN,
    "dict": lambda frame, node, first, arguments: first if first.kind is Kind.MAPPING else Value(Kind.MAPPING),
    "print": lambda frame, node, first, arguments: NONE,
    "abs": lambda frame, node, first, arguments: first,
}
