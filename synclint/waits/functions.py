"""Where in a function something is called: profilers name the function's first line alone."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from synclint.source import Source

Function = ast.FunctionDef | ast.AsyncFunctionDef


def function_at(source: Source, line: int, name: str) -> Function | None:
    """The function of that name whose code begins at ``line``, its first decorator or its ``def``; else the innermost
    of that name around ``line``, because profilers give that for functions that ran when they started.

    Raises SourceError where the file cannot be parsed.
    """
    around: Function | None = None
    for node in ast.walk(source.tree):  # the inner ones after the outer ones
        if isinstance(node, Function) and node.name == name:
            if line in (node.lineno, first_line(node)):
                return node
            if node.lineno <= line <= (node.end_lineno or node.lineno):
                around = node
    return around


def first_line(node: Function) -> int:
    return min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])


def lines_calling(node: Function, called: str) -> list[int]:
    """The lines of a function's own body that call something of that name, ascending."""
    found = set()
    for inner in _own(node):
        if isinstance(inner, ast.Call):
            name = inner.func.attr if isinstance(inner.func, ast.Attribute) else getattr(inner.func, "id", None)
            if name == called:
                found.add(inner.func.end_lineno or inner.lineno)
    return sorted(found)


def span_of(path: str, line: int, name: str) -> range:
    """The lines of a function in a file (see :func:`function_at`); empty where it is not there."""
    from synclint.source import Source, SourceError

    try:
        node = function_at(Source.read(path), line, name)
    except SourceError:
        node = None
    return range(0) if node is None else range(node.lineno, (node.end_lineno or node.lineno) + 1)


def _own(node: Function) -> Iterator[ast.AST]:
    pending: list[ast.AST] = list(node.body)
    while pending:
        inner = pending.pop()
        yield inner
        if not isinstance(inner, Function | ast.Lambda | ast.ClassDef):
            pending += ast.iter_child_nodes(inner)
