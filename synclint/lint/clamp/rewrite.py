"""Rewriting clamp guards."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from synclint.finding import Edit, Fix
    from synclint.lint.clamp.guard import ClampGuard
    from synclint.lint.context import Context
    from synclint.source import Source

LINE_LENGTH = 88
"""An assignment that would be longer is spread over lines."""

# Not the colon of a comment.
_UP_TO_COLON = re.compile(rb"(?:[^:#]|#[^\r\n]*)*:")

_CHANGES_FINITE = "it also clamps finite values beyond the bounds when the condition is false"


def clamp_where(guard: ClampGuard, doubts: Iterable[str], context: Context) -> Fix | None:
    """``name = torch.where(asked, clamp(name), name)``: unsafe for the ``doubts`` given."""
    where, imports = context.name_for("torch", "where")
    body = context.statement_of(guard.assignment)
    value = guard.assignment.value
    layout = _Layout.of(guard, context)
    condition = _joined(guard.asked, " & ", context)
    line = f"{layout.after}{guard.name} = {where}({condition}, {context.text(value)}, {guard.name})"
    spread = len(line) > LINE_LENGTH or value.lineno != value.end_lineno or not {"\n", "\r"}.isdisjoint(line)
    edits = _without_test(guard, layout, context, within=value if spread else None)
    if edits is None or body.parse() is None:
        return None
    before, after = f"{where}({condition}, ", f", {guard.name})"
    if spread:
        deeper = layout.after + layout.unit
        before = f"{where}(\n{deeper}{condition},\n{deeper}"
        after = f",\n{deeper}{guard.name},\n{layout.after})"
    start, end = context.source.span(value)
    edits += [*imports, body.edit(start, start, before), body.edit(end, end, after)]
    return context.fix("Choose on the device with `torch.where`", edits, unsafe=doubts)


def clamp_always(guard: ClampGuard, doubts: Iterable[str], context: Context) -> Fix | None:
    """The clamp without its guard: never safe."""
    edits = _without_test(guard, _Layout.of(guard, context), context)
    return None if edits is None else context.fix("Clamp always", edits, unsafe=[_CHANGES_FINITE, *doubts])


@dataclass(frozen=True, slots=True)
class _Layout:
    """The blanks that the body's lines start with ``before`` and ``after``; ``unit`` is one level more."""

    before: str
    after: str
    unit: str

    @classmethod
    def of(cls, guard: ClampGuard, context: Context) -> _Layout:
        outer = context.statement_of(guard.statement).indent
        inner = context.statement_of(guard.statement.body[0]).indent
        return cls(inner, inner if guard.host else outer, inner.removeprefix(outer) or "    ")


def _joined(terms: Sequence[ast.expr], operator: str, context: Context) -> str:
    if len(terms) == 1:
        return _on_device(terms[0], context)
    return operator.join(_in_parentheses(term, context) for term in terms)


def _on_device(condition: ast.expr, context: Context) -> str:
    """A condition with ``|``, ``&`` and ``~`` in place of ``or``, ``and`` and ``not``."""
    if isinstance(condition, ast.BoolOp):
        return _joined(condition.values, " & " if isinstance(condition.op, ast.And) else " | ", context)
    if isinstance(condition, ast.UnaryOp) and isinstance(condition.op, ast.Not):
        return f"~{_in_parentheses(condition.operand, context)}"
    return context.text(condition)


def _in_parentheses(condition: ast.expr, context: Context) -> str:
    text = _on_device(condition, context)
    binds_tightly = isinstance(condition, (ast.Call, ast.Name, ast.Attribute, ast.Subscript, ast.UnaryOp))
    return text if binds_tightly else f"({text})"


def _without_test(
    guard: ClampGuard, layout: _Layout, context: Context, within: ast.expr | None = None
) -> list[Edit | None] | None:
    """The edits that leave of the ``if`` what needs no tensor, or nothing; None where it cannot be taken away.

    The lines of ``within`` go one level deeper than the rest of the body.
    """
    statement, source = guard.statement, context.source
    deeper = set() if within is None else set(range(within.lineno + 1, (within.end_lineno or 0) + 1))
    edits: list[Edit | None]
    if guard.host:
        host = " and ".join(_conjunct(term, context) for term in guard.host)
        edits = [context.statement.replace(statement.test, host)]
        moved = deeper
    else:
        if not context.statement.can_insert_before:
            return None
        start, end = source.span(statement)[0], _start_of_body(statement, source)
        edits = [context.statement.edit(start, end, "")]
        last = statement.end_lineno or statement.lineno
        while last < len(source.lines) and source.line_text(last + 1).startswith(f"{layout.before}#"):
            last += 1
        moved = set(range(source.position(end)[0] + 1, last + 1))
    for line in sorted(moved):
        indent = layout.after + layout.unit * (line in deeper)
        if indent != layout.before and source.line_text(line).startswith(layout.before):
            place = source.lines[line - 1]
            edits.append(context.statement.edit(place, place + len(layout.before), indent))
    return edits


def _start_of_body(statement: ast.If, source: Source) -> int:
    """Where the body starts, comments on lines of their own above its first statement included."""
    first = source.span(statement.body[0])[0]
    header = _UP_TO_COLON.match(source.data, source.span(statement.test)[1])
    after = first if header is None else header.end()
    places = (source.offset(comment.line, comment.column_utf8) for comment in source.comments if comment.alone)
    return next((place for place in places if after <= place < first), first)


def _conjunct(term: ast.expr, context: Context) -> str:
    text = context.text(term)
    return f"({text})" if isinstance(term, (ast.BoolOp, ast.IfExp, ast.Lambda)) else text
