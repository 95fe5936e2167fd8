"""Conditions: which tensors one ``if``, ``while``, ``or`` ... asks for their truth value."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from synclint.flow.site import Site
    from synclint.lint.context import Context


@dataclass(frozen=True, slots=True)
class Condition:
    """All that one condition asks: ``root`` is the whole of it, ``sites`` are its operands', in source order."""

    root: ast.expr
    sites: tuple[Site, ...]

    @property
    def spokesman(self) -> Site:
        """The site that is reported for all: the first of those that are surest."""
        return max(self.sites, key=lambda site: site.confidence)

    @property
    def reads(self) -> int:
        """How many tensors are read, if Python evaluates every operand."""
        return sum(map(_reads, self.sites))


def condition_of(context: Context) -> Condition:
    """The condition that the site at hand belongs to."""
    site = context.site
    root = _outermost(site.statement, site.node)
    same = [other for other in context.sites if other.statement is site.statement and other.fact is site.fact]
    return Condition(root, tuple(other for other in same if _outermost(site.statement, other.node) is root))


def operands(condition: ast.expr) -> list[ast.expr]:
    """What ``and``, ``or`` and ``not`` join, in order."""
    found: list[ast.expr] = []
    pending = [condition]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.BoolOp):
            pending.extend(reversed(node.values))
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            pending.append(node.operand)
        else:
            found.append(node)
    return found


def conjuncts(condition: ast.expr) -> list[ast.expr]:
    """What all has to hold: the operands of an ``and``, else the condition itself."""
    is_and = isinstance(condition, ast.BoolOp) and isinstance(condition.op, ast.And)
    return condition.values if isinstance(condition, ast.BoolOp) and is_and else [condition]


def _outermost(statement: ast.stmt, node: ast.expr) -> ast.expr:
    """The condition that an operand belongs to: as far up as ``and``, ``or`` and ``not`` go."""
    pending: list[tuple[ast.AST, ast.AST | None]] = [(part, None) for part in _header(statement)]
    while pending:
        current, root = pending.pop()
        if current is node:
            return root if isinstance(root, ast.expr) else node
        is_not = isinstance(current, ast.UnaryOp) and isinstance(current.op, ast.Not)
        inner = root or current if isinstance(current, ast.BoolOp) or is_not else None
        pending.extend((child, inner) for child in ast.iter_child_nodes(current))
    return node


def _header(statement: ast.stmt) -> Iterator[ast.AST]:
    """What a statement evaluates itself, without its blocks."""
    for child in ast.iter_child_nodes(statement):
        if isinstance(child, ast.match_case):
            if child.guard is not None:
                yield child.guard
        elif not isinstance(child, (ast.stmt, ast.ExceptHandler)):
            yield child


def _reads(site: Site) -> int:
    """A chained comparison asks for the truth of each link, but of the last one only where that decides something."""
    if isinstance(site.node, ast.Compare) and len(site.node.ops) > 1:
        return len(site.node.ops) - (site.context == "compare")
    return 1
