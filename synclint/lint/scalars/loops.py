"""Reads of one element in each round of a loop."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TYPE_CHECKING

from synclint.flow.values import Kind
from synclint.index.names import dotted_name
from synclint.lint.scalars.layout import layout_of
from synclint.lint.scalars.reads import ScalarRead, element_of
from synclint.lint.scalars.values import values_of

if TYPE_CHECKING:
    from synclint.lint.context import Context

Round = tuple[ast.AST, list[tuple[ast.expr, ast.expr]]]
"""A loop or comprehension, and its (target, iterable) pairs; none for ``while``."""


def in_loop(context: Context) -> bool:
    """Whether a site's statement runs in a loop of its function."""
    position = layout_of(context).positions.get(context.site.statement)
    return position is not None and bool(position.loops)


def read_in_loop(context: Context, read: ScalarRead) -> str | None:
    """The tensor, as written, of which a read takes another element in each round of a loop or comprehension.

    None where it does not, and where the loop writes to the tensor.
    """
    values = values_of(context)
    found = element_of(read.operand)
    for loop, pairs in _rounds(context, read):
        bound = {node.id for node in ast.walk(loop) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
        tensor = None
        if found is not None:
            changes = {node.id for node in ast.walk(found[1]) if isinstance(node, ast.Name)} & bound
            tensor = found[0] if changes else None
        elif isinstance(read.operand, ast.Name):
            sources = (_source(target, iterable, read.operand.id) for target, iterable in pairs)
            tensor = next(filter(None, sources), None)
        known = None if tensor is None else values.get(tensor)
        if tensor is not None and known is not None and known.kind is Kind.TENSOR and not _changed(loop, tensor):
            return ast.unparse(tensor)
    return None


def _rounds(context: Context, read: ScalarRead) -> Iterator[Round]:
    """The loops and comprehensions that a read runs in."""
    position = layout_of(context).positions.get(context.site.statement)
    for loop in position.loops if position is not None else ():
        yield loop, [] if isinstance(loop, ast.While) else [(loop.target, loop.iter)]
    for node in ast.walk(context.site.statement):
        if isinstance(node, (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)):
            generators = [(generator.target, generator.iter) for generator in node.generators]
            yield from [(node, generators)] if any(inner is read.node for inner in ast.walk(node)) else []


def _source(target: ast.expr, iterable: ast.expr, name: str) -> ast.expr | None:
    """What ``name`` takes its values from in ``for target in iterable``, also through ``enumerate`` and ``zip``."""
    sources, parts = [iterable], [target]
    if isinstance(iterable, ast.Call) and isinstance(iterable.func, ast.Name) and isinstance(target, ast.Tuple):
        if iterable.func.id == "enumerate":
            sources, parts = iterable.args[:1], target.elts[1:]
        elif iterable.func.id == "zip":
            sources, parts = iterable.args, target.elts
    for source, part in zip(sources, parts, strict=False):
        if isinstance(part, ast.Name) and part.id == name and dotted_name(source) is not None:
            return source
    return None


def _changed(loop: ast.AST, tensor: ast.expr) -> bool:
    """Whether a loop binds a tensor anew or writes to it."""
    wanted = ast.unparse(tensor)
    names = (wanted, wanted.partition(".")[0])
    for node in ast.walk(loop):
        written: ast.expr | None = None
        if isinstance(node, (ast.Name, ast.Attribute)) and not isinstance(node.ctx, ast.Load):
            written = node
        elif isinstance(node, ast.Subscript) and not isinstance(node.ctx, ast.Load):
            written = node.value
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr.endswith("_"):
            written = node.func.value
        if written is not None and ast.unparse(written) in names:
            return True
    return False
