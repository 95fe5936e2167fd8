"""Where the statements of a file stand: in which block, in which loops; and what is computed once per file."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from synclint.lint.context import Context
    from synclint.lint.file import FileFacts

Block = list[ast.stmt]
Loop = ast.For | ast.AsyncFor | ast.While
FUNCTION = (ast.FunctionDef, ast.AsyncFunctionDef)
LOOP = (ast.For, ast.AsyncFor, ast.While)


@dataclass(frozen=True, slots=True)
class Position:
    """A statement is ``block[index]``; ``around`` are the compound statements of its function that it stands in, the
    innermost last."""

    block: Block
    index: int
    around: tuple[ast.stmt, ...]

    @property
    def loops(self) -> tuple[Loop, ...]:
        return tuple(statement for statement in self.around if isinstance(statement, LOOP))


@dataclass(slots=True)
class Layout:
    """The positions of all statements of a file, and a place for what else is computed once per file."""

    positions: dict[ast.stmt, Position] = field(default_factory=dict)
    memo: dict[Any, Any] = field(default_factory=dict)


_LAYOUTS: WeakKeyDictionary[FileFacts, Layout] = WeakKeyDictionary()


def layout_of(context: Context) -> Layout:
    layout = _LAYOUTS.get(context.file)
    if layout is None:
        layout = _LAYOUTS[context.file] = Layout()
        pending: list[tuple[Block, tuple[ast.stmt, ...]]] = [(context.flow.tree.body, ())]
        while pending:
            block, around = pending.pop()
            for index, statement in enumerate(block):
                layout.positions[statement] = Position(block, index, around)
                for name, body in _blocks(statement):
                    if isinstance(statement, (*FUNCTION, ast.ClassDef)):
                        pending.append((body, ()))
                    elif name == "orelse" and isinstance(statement, LOOP):  # runs once, after the loop
                        pending.append((body, around))
                    else:
                        pending.append((body, (*around, statement)))
    return layout


def _blocks(statement: ast.stmt) -> Iterator[tuple[str, Block]]:
    for name in ("body", "orelse", "finalbody"):
        yield name, getattr(statement, name, [])
    for part in (*getattr(statement, "handlers", ()), *getattr(statement, "cases", ())):
        yield "body", part.body


def evaluated(statement: ast.stmt) -> list[ast.expr] | None:
    """What a statement evaluates in its own block: all of a simple one, the test of ``if``, the iterable of ``for``.

    None for compound statements whose blocks, or repeated tests, make that more complicated.
    """
    if isinstance(statement, ast.If):
        return [statement.test]
    if isinstance(statement, ast.For):
        return [statement.iter]
    if hasattr(statement, "body") or isinstance(statement, ast.Match):
        return None
    return [node for node in ast.iter_child_nodes(statement) if isinstance(node, ast.expr)]


def always_evaluated(statement: ast.stmt, target: ast.expr) -> bool:
    """Whether ``target`` is evaluated exactly once whenever the statement is reached and nothing raises before.

    Nothing in an ``assert`` is: ``python -O`` leaves it out.
    """
    pending = [] if isinstance(statement, ast.Assert) else list(evaluated(statement) or ())
    if isinstance(statement, ast.AnnAssign):
        pending = [node for node in (statement.target, statement.value) if node is not None]
    while pending:
        node = pending.pop()
        if node is target:
            return True
        pending += _always_evaluated_children(node)
    return False


def _always_evaluated_children(node: ast.AST) -> list[ast.expr]:
    if isinstance(node, ast.BoolOp):
        return node.values[:1]
    if isinstance(node, ast.IfExp):
        return [node.test]
    if isinstance(node, ast.Compare):
        return [node.left, node.comparators[0]]
    if isinstance(node, (ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)):
        return []
    children: list[ast.expr] = []
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.expr):
            children.append(child)
        else:  # keywords
            children += [inner for inner in ast.iter_child_nodes(child) if isinstance(inner, ast.expr)]
    return children
