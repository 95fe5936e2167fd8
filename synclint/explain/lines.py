"""The statements that touch a line, and the expressions that they are made of."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import NamedTuple

Owner = ast.stmt | ast.excepthandler | ast.match_case
"""What holds expressions of its own: a statement, or a clause of one."""

FUNCTION = (ast.FunctionDef, ast.AsyncFunctionDef)


class Line(NamedTuple):
    """A statement (or the header of a compound one, or a clause) that touches the lines asked for.

    ``statement`` is the statement that it is interpreted with, ``outside`` the function or class around it.
    """

    owner: Owner
    statement: ast.stmt
    first: int
    last: int
    outside: ast.stmt | None


def touching(tree: ast.Module, first: int, last: int) -> list[Line]:
    """The statements and clauses that touch the lines, in source order."""
    found: list[Line] = []
    pending: list[tuple[ast.AST, ast.stmt | None, ast.stmt | None]] = [(tree, None, None)]
    while pending:
        node, statement, outside = pending.pop()
        for child in ast.iter_child_nodes(node):
            if isinstance(child, Owner):
                whole = child if isinstance(child, ast.stmt) else statement
                assert whole is not None
                begin, end = _span(child)
                if begin <= last and end >= first:
                    found.append(Line(child, whole, begin, end, outside))
                scope = child if isinstance(child, (*FUNCTION, ast.ClassDef)) else outside
                pending.append((child, whole, scope))
    return sorted(found, key=lambda line: (line.first, line.last))


def _span(owner: Owner) -> tuple[int, int]:
    compound = not isinstance(owner, ast.stmt) or hasattr(owner, "body") or hasattr(owner, "cases")
    lines = [place for child in ast.iter_child_nodes(owner) if not isinstance(child, Owner) for place in _lines(child)]
    first = getattr(owner, "lineno", None)
    if first is not None:
        lines.append(first)
    if not compound:
        lines.append(getattr(owner, "end_lineno", None) or lines[-1])
    return min(lines), max(lines)


def _lines(part: ast.AST) -> Iterator[int]:
    for node in ast.walk(part):
        line = getattr(node, "lineno", None)
        if line is not None:
            yield line
            yield getattr(node, "end_lineno", None) or line


def parts(owner: Owner) -> list[ast.expr | ast.arg]:
    """The outermost expressions of a statement that are interpreted: no annotations, decorators, defaults or bases."""
    if isinstance(owner, FUNCTION):
        return parameters(owner)
    if isinstance(owner, ast.ClassDef):
        return []
    skipped = owner.annotation if isinstance(owner, ast.AnnAssign) else None
    return [
        part
        for child in ast.iter_child_nodes(owner)
        if not isinstance(child, Owner) and child is not skipped
        for part in ([child] if isinstance(child, ast.expr) else below(child))
    ]


def parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[ast.expr | ast.arg]:
    arguments = function.args
    starred = [one for one in (arguments.vararg, arguments.kwarg) if one is not None]
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, *starred]
    return sorted(every, key=lambda one: (one.lineno, one.col_offset))


def below(node: ast.AST) -> list[ast.expr]:
    """The expressions directly below a node, in source order."""
    found: list[ast.expr] = []
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.expr):
            found.append(child)
        elif not isinstance(child, ast.arguments | ast.pattern | ast.stmt):
            found += below(child)
    return sorted(found, key=lambda one: (one.lineno, one.col_offset))
