"""The expressions of a statement, each with what it is believed to be."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from synclint.explain.explanation import Expression, Span
from synclint.explain.lines import FUNCTION, Line, below, parts
from synclint.explain.unknown import other_paths, why_parameter_unknown, why_unknown
from synclint.explain.words import certainty_in_words, kind_in_words
from synclint.flow.values import Kind, Place, Value, Why
from synclint.index.names import dotted_name
from synclint.lint.engine import steps_of

if TYPE_CHECKING:
    from synclint.finding import Step
    from synclint.flow.module import ModuleFlow
    from synclint.flow.observe import Observation
    from synclint.flow.site import FunctionNode, Scope
    from synclint.source import Source

_NAMES = (Kind.EXTERNAL, Kind.FUNCTION, Kind.CLASS)
_PLAIN_KINDS = (*_NAMES, Kind.DTYPE)


class Reader:
    """Reads what was observed of one line."""

    def __init__(self, source: Source, seen: Observation, line: Line, scope: Scope) -> None:
        self._source = source
        self._seen = seen
        self._line = line
        self._scope = scope

    def expressions(self) -> Iterator[Expression]:
        """In source order, the outermost first."""
        owner = self._line.owner
        if isinstance(owner, FUNCTION):
            yield from self._function(owner)
        else:
            for part in parts(owner):
                assert isinstance(part, ast.expr)
                yield from self._expression(part, 0)

    def _function(self, node: FunctionNode) -> Iterator[Expression]:
        for parameter in parts(node):
            value = self._seen.parameters.get(parameter) if isinstance(parameter, ast.arg) else None
            if value is not None and isinstance(parameter, ast.arg):
                note = why_parameter_unknown(parameter) if value.kind is Kind.UNKNOWN else ""
                receiver = value.kind in (Kind.INSTANCE, Kind.MODULE, Kind.CLASS) and value.why is None
                yield self._made(parameter, "parameter", 0, value, note=note, plain=receiver)
        result = self._seen.results.get(node)
        if result is not None:
            yield self._made(node, "returns", 0, result)

    def _expression(self, node: ast.expr, depth: int, *, called: bool = False) -> Iterator[Expression]:
        if isinstance(getattr(node, "ctx", None), ast.Store):
            yield from self._target(node, depth)
            return
        value = self._seen.values.get(node)
        if value is not None:
            note = self._note(node, value)
            plain = _is_plain(node, value) or (called and value.kind is Kind.UNKNOWN)
            yield self._made(node, "expression", depth, value, note=note, plain=plain)
            depth += 1
        for child in below(node):
            yield from self._expression(child, depth, called=isinstance(node, ast.Call) and child is node.func)

    def _target(self, node: ast.expr, depth: int) -> Iterator[Expression]:
        """What a name, attribute or item holds after the statement; plain where that is what the statement computes."""
        path = dotted_name(node)
        value = None if path is None else self._seen.bound.get((self._line.statement, path))
        if value is not None:
            computed = getattr(self._line.statement, "value", None)
            plain = _reads_as(value, None if computed is None else self._seen.values.get(computed))
            yield self._made(node, "target", depth, value, plain=plain)
            depth += 1
        if not isinstance(node, ast.Name):
            for child in below(node):
                yield from self._expression(child, depth)

    def _note(self, node: ast.expr, value: Value) -> str:
        if value.kind is Kind.UNKNOWN:
            return why_unknown(node, self._seen, self._scope)
        if value.place is Place.EITHER and isinstance(node, ast.Name):
            return other_paths(node.id, self._seen, self._scope)
        return ""

    def _made(
        self,
        node: ast.expr | ast.arg | FunctionNode,
        role: str,
        depth: int,
        value: Value,
        *,
        note: str = "",
        plain: bool = False,
    ) -> Expression:
        return Expression(
            span=span_of(node, self._source),
            text=self._text(node),
            role=role,  # type: ignore[arg-type]
            depth=depth,
            value=value,
            belief=kind_in_words(value),
            certainty=certainty_in_words(value),
            plain=plain,
            note=note,
            why=_chain(value, self._seen.flow),
        )

    def _text(self, node: ast.expr | ast.arg | FunctionNode) -> str:
        if isinstance(node, ast.arg):
            return node.arg
        if isinstance(node, FUNCTION):
            return f"{node.name}(...)"
        return text_of(node, self._source)


def text_of(node: ast.expr, source: Source) -> str:
    """The text of an expression, on one line."""
    if sys.version_info < (3, 12) and not _is_placed(node, source):
        return ast.unparse(node)
    start, end = source.span(node)
    return _joined(source.data[start:end].decode(errors="replace").splitlines())


def _joined(lines: list[str]) -> str:
    text = lines[0].rstrip()
    for line in map(str.strip, lines[1:]):
        tight = text.endswith(("(", "[", "{")) or line.startswith((")", "]", "}", "."))
        text += line if tight else f" {line}"
    return text


def _is_placed(node: ast.expr, source: Source) -> bool:
    """Whether a node's position is right, which it is not inside f-strings of some versions of Python."""
    start, end = source.span(node)
    try:
        return ast.dump(ast.parse(f"({source.data[start:end].decode()})", mode="eval").body) == ast.dump(node)
    except (SyntaxError, ValueError):
        return False


def span_of(node: ast.expr | ast.arg | FunctionNode, source: Source) -> Span:
    start, end = source.span(node)
    if isinstance(node, FUNCTION):  # its header alone
        end = source.offset(node.body[0].lineno, node.body[0].col_offset)
    return Span(*source.position(start), *source.position(end))


def _is_plain(node: ast.expr, value: Value) -> bool:
    """Whether there is nothing to ask about: constants, names of modules, functions and the like, ``self``."""
    if isinstance(node, ast.Constant | ast.JoinedStr) or value.kind in _PLAIN_KINDS:
        return True
    if value.kind is Kind.HOST:
        return value.const is not None or isinstance(node, ast.Slice)
    return isinstance(node, ast.Name) and value.kind in (Kind.INSTANCE, Kind.MODULE) and node.id in ("self", "cls")


def _reads_as(value: Value, other: Value | None) -> bool:
    """Whether two values are the same to a reader."""
    if other is None or value is other:
        return value is other
    told = (kind_in_words(value), certainty_in_words(value), _why(value))
    return told == (kind_in_words(other), certainty_in_words(other), _why(other))


def _chain(value: Value, flow: ModuleFlow) -> tuple[Step, ...]:
    why = _why(value)
    return () if why is None else tuple(dict.fromkeys(steps_of(why, flow)))


def _why(value: Value) -> Why | None:
    """The chain of a value; that of a container without one is the chain of what it holds."""
    if value.why is not None or value.kind not in (Kind.SEQUENCE, Kind.MAPPING):
        return value.why
    held = value.items if value.items is not None else (value.element,) if value.element is not None else ()
    return next(filter(None, map(_why, held)), None)
