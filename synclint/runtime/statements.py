"""Which lines form a statement."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import CodeType

_OPTIMIZED = 0x1
"""The flag of the code of functions."""


class Statement(NamedTuple):
    """Lines (1-based, both ends included) that are executed as one: a simple statement, or the header of a compound
    one; several where they share a line."""

    path: str
    first: int
    last: int


def statements_of(source: bytes, path: str) -> list[Statement]:
    """The statements of a module, in order; ``path`` is kept. Raises SyntaxError, ValueError."""
    joined: list[Statement] = []
    for first, last in sorted(_spans(ast.parse(source))):
        if joined and first <= joined[-1].last:
            joined[-1] = joined[-1]._replace(last=max(last, joined[-1].last))
        else:
            joined.append(Statement(path, first, last))
    return joined


def _spans(tree: ast.Module) -> Iterator[tuple[int, int]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.stmt | ast.excepthandler | ast.match_case):
            own = [node, *(part for child in ast.iter_child_nodes(node) for part in _expressions(child))]
            lines = [getattr(part, "lineno", None) for part in own]
            compound = not isinstance(node, ast.stmt) or hasattr(node, "body") or hasattr(node, "cases")
            ends = [getattr(part, "end_lineno", None) for part in (own[1:] if compound else own)]
            first = min(line for line in lines if line is not None)
            yield first, max([getattr(node, "lineno", first), *(line for line in ends if line is not None)])


def _expressions(node: ast.AST) -> Iterator[ast.AST]:
    """A part of a statement with all its parts; none for the statements inside."""
    if not isinstance(node, ast.stmt | ast.excepthandler | ast.match_case):
        yield from ast.walk(node)


def is_part(code: CodeType, statement: Statement) -> bool:
    """Whether a statement holds all of a function's code: a lambda, a comprehension, a function of one line."""
    lines = (line for _, _, line in code.co_lines() if line is not None)
    return bool(code.co_flags & _OPTIMIZED) and all(statement.first <= line <= statement.last for line in lines)
