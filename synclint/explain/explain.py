"""Joins what was observed of a file with the settings: the explanation of some of its lines."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from synclint.explain.explanation import Explained, ExplainError, Explanation
from synclint.explain.expressions import Reader, span_of
from synclint.explain.lines import FUNCTION, Owner, touching
from synclint.explain.operations import Judge
from synclint.flow.observe import Observation, observe
from synclint.lint.engine import claims_of, heat_names, load_rules, may_wait, why_hot
from synclint.run import rule_names
from synclint.selection import Selection
from synclint.suppress import Suppressions

if TYPE_CHECKING:
    from synclint.config import Settings
    from synclint.explain.explanation import Span
    from synclint.explain.lines import Line
    from synclint.flow.link import InProject
    from synclint.flow.observe import Operation
    from synclint.flow.site import Scope
    from synclint.source import Source

MOST_EXPRESSIONS = 40
"""Of a statement with more of them, those that touch the lines asked for are explained alone."""


def explain(
    source: Source,
    settings: Settings,
    first: int,
    last: int,
    column: int | None = None,
    project: InProject | None = None,
) -> Explanation:
    """What is believed about the lines ``first`` to ``last`` (1-based), or about one column (in code points) of a line.

    ``project`` says where the file stands, which is judged by itself without.

    Raises SourceError when the file cannot be parsed, ExplainError when there is nothing to explain.
    """
    one = first == last
    place = f"{source.path}:{first}" if one else f"{source.path}:{first}-{last}"
    if not 1 <= first <= last <= len(source.lines):
        count = len(source.lines)
        raise ExplainError(f"{place}: there is no such line; the file has {count} line{'s' * (count != 1)}")
    lines = touching(source.tree, first, last)
    statements: tuple[Explained, ...] = ()
    if lines:
        rules, names = load_rules(), rule_names()
        seen = observe(source, frozenset(claims_of(rules)), settings.target_torch, project, heat_names(settings))
        judge = Judge(source, settings, rules, seen, Selection(settings, names), Suppressions(source, names))
        asked = _Asked(source, seen, judge, first, last, column)
        statements = tuple(found for line in lines if (found := asked.explained(line)) is not None)
    if not statements:
        if column is not None:
            raise ExplainError(f"{place}:{column}: there is no expression at this column")
        raise ExplainError(f"{place}: there is no expression in {'this line' if one else 'these lines'}")
    notes = () if may_wait(source.data) else ("the file has nothing in its text that makes a check look at it",)
    return Explanation(source, first, last, column, notes, statements)


class _Asked:
    """The place that was asked about."""

    def __init__(
        self, source: Source, seen: Observation, judge: Judge, first: int, last: int, column: int | None
    ) -> None:
        self._source = source
        self._seen = seen
        self._judge = judge
        self._first = first
        self._last = last
        self._column = column

    def explained(self, line: Line) -> Explained | None:
        """The explanation of one statement, None where it has no expression (here)."""
        scope, state = self._scope(line)
        reader = Reader(self._source, self._seen, line, scope)
        expressions = tuple(reader.expressions())
        operations = self._operations(line)
        if not expressions and not (state and _has_expressions(line)):
            return None
        left_out = 0
        if self._column is not None:
            expressions = tuple(one for one in expressions if self._is_asked(one.span))
            operations = [one for one in operations if self._is_asked(span_of(one.node, self._source))]
            if not expressions and not state:
                return None
        elif len(expressions) > MOST_EXPRESSIONS:
            shown = tuple(one for one in expressions if self._is_asked(one.span))
            left_out = len(expressions) - len(shown)
            expressions = shown
            operations = [one for one in operations if self._is_asked(span_of(one.node, self._source))]
        region = self._seen.regions.get(line.statement)
        return Explained(
            line.first,
            line.last,
            scope.qualname,
            scope.heat_within(region),
            tuple(why_hot(self._seen.flow, scope, region, line.statement)),
            state,
            expressions,
            tuple(map(self._judge.operation, operations)),
            left_out,
        )

    def _operations(self, line: Line) -> list[Operation]:
        inside = {node for child in _own(line) for node in ast.walk(child)}
        found = [one for one in self._seen.operations.values() if one.node in inside]
        return sorted(found, key=lambda one: (one.node.lineno, one.node.col_offset, one.operation))

    def _is_asked(self, span: Span) -> bool:
        if self._column is not None:
            return span.covers(self._first, self._column)
        return span.line <= self._last and span.end_line >= self._first

    def _scope(self, line: Line) -> tuple[Scope, str]:
        """The scope of a statement, and why it was not interpreted (empty where it was)."""
        seen = self._seen
        owner = line.owner
        if isinstance(owner, FUNCTION):
            known = seen.scopes.get(owner)
            return (known, "") if known is not None else (self._around(line), _not_followed(owner))
        reached = seen.reached.get(line.statement)
        if reached is not None:
            return reached, ""
        around = line.outside
        if isinstance(around, FUNCTION) and around not in seen.scopes:
            return self._around(line), _not_followed(around)
        return self._around(line), "not reached: what stands before it always returns, raises or goes on elsewhere"

    def _around(self, line: Line) -> Scope:
        outside = line.outside
        known = seen if isinstance(outside, FUNCTION) and (seen := self._seen.scopes.get(outside)) else None
        return known or self._seen.flow.module_scope


def _not_followed(function: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    return f"not interpreted: `{function.name}` was not followed"


def _own(line: Line) -> list[ast.AST]:
    return [child for child in ast.iter_child_nodes(line.owner) if not isinstance(child, Owner)]


def _has_expressions(line: Line) -> bool:
    return any(isinstance(node, ast.expr) for child in _own(line) for node in ast.walk(child))
