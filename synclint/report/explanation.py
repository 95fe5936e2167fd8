"""What synclint believes about a line, for readers and for programs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from synclint.finding import Direction
from synclint.flow.values import Kind, Place
from synclint.report.full import DIRECTIONS, WIDTH
from synclint.report.terminal import visible, width

if TYPE_CHECKING:
    from collections.abc import Iterator

    from synclint.explain.explanation import (
        Asked,
        Explained,
        Explanation,
        Expression,
        FactVerdict,
        OperationVerdict,
        Span,
        Verdict,
    )
    from synclint.finding import Step
    from synclint.report.terminal import Style

_COLUMN = 36
"""The widest that the column of expressions gets; longer ones have a line of their own."""

_LONGEST = 72
"""Columns that are shown of an expression."""

_MOST_LINES = 12
"""Lines of source that are shown of one statement."""

_ROLES = {"expression": "", "target": " =", "parameter": " (parameter)", "returns": " returns"}
_EVENTS = {"pageable": "asynchronous in name only", "race": "a race", "host-cost": "costs the host time"}


def render(explanation: Explanation, *, style: Style) -> Iterator[str]:
    """The explanation for a terminal, a statement at a time."""
    page = _Page(explanation, style)
    for note in explanation.notes:
        yield f"{visible(explanation.source.path)}: {note}\n\n"
    for statement in explanation.statements:
        yield "\n".join([*page.statement(statement), "", ""])


class _Page:
    def __init__(self, explanation: Explanation, style: Style) -> None:
        self.explanation = explanation
        self.source = explanation.source
        self.style = style
        self.said: set[tuple[Step, ...]] = set()

    def statement(self, one: Explained) -> Iterator[str]:
        self.said = set()
        yield from self._excerpt(one)
        yield from self._scope(one)
        if one.state:
            yield from self._wrapped("  ", one.state)
            return
        yield ""
        shown = [expression for expression in one.expressions if not expression.plain]
        column = min(_COLUMN, max((width(self._label(expression)) for expression in shown), default=0)) + 2
        for expression in shown:
            yield from self._expression(expression, column)
        yield from self._folded(one)
        yield ""
        if not one.operations:
            yield from self._wrapped("  ", self._nothing(one))
        for operation in one.operations:
            yield from self._operation(operation)

    def _excerpt(self, one: Explained) -> Iterator[str]:
        first, last = one.first, min(one.last, one.first + _MOST_LINES - 1)
        asked = range(self.explanation.first, self.explanation.last + 1)
        if one.last > last:  # around the line asked for
            first = max(one.first, min(asked.start - _MOST_LINES // 2, one.last - _MOST_LINES + 1))
            last = min(one.last, first + _MOST_LINES - 1)
        gutter = len(str(last))
        yield self.style.bold(visible(f"{self.source.path}:{min(max(one.first, asked.start), one.last)}"))
        for line in range(first, last + 1):
            mark = ">" if line in asked and one.first != one.last else " "
            yield f"{self.style.blue(f'{mark} {line:>{gutter}} |')} {visible(self.source.line_text(line))}".rstrip()

    def _scope(self, one: Explained) -> Iterator[str]:
        where = f"in `{one.scope}`" if one.scope else "outside of functions"
        heat = one.heat.name.lower()
        if not one.why_hot:
            yield from self._wrapped("  ", f"{where}: {heat}; nothing says how often it runs")
        first = f"{where}: {heat}; "
        for step in one.why_hot:
            yield from self._wrapped("  ", f"{first}{step.path}:{step.line}: {step.text}")
            first = "  "

    # ------------------------------------------------------------------ expressions

    def _label(self, expression: Expression) -> str:
        text = visible(expression.text)
        if len(text) > _LONGEST:
            text = text[: _LONGEST - 1] + "\u2026"
        return "  " * expression.depth + text + _ROLES[expression.role]

    def _expression(self, expression: Expression, column: int) -> Iterator[str]:
        label = self._label(expression)
        margin = "  " + " " * column
        more = [text for text in (expression.certainty, expression.note) if text]
        words = f"{expression.belief}: {'; '.join(more)}" if more else expression.belief
        belief = [*self._wrapped(margin, words, bold=expression.belief)]
        if width(label) + 2 > column:
            yield "  " + self.style.cyan(label)
        else:
            yield "  " + self.style.cyan(label) + " " * (column - width(label)) + belief.pop(0)[len(margin) :]
        yield from belief
        if not expression.why:
            return
        if expression.why in self.said:
            yield margin + self.style.dim("why: as above")
            return
        self.said.update(expression.why[: length + 1] for length in range(len(expression.why)))
        steps = [f"{step.path or self.source.path}:{step.line}: {step.text}" for step in expression.why]
        for at, step in enumerate(steps):
            yield from self._wrapped(margin + ("     " if at else "why: "), step, hang=margin + "       ")

    def _folded(self, one: Explained) -> Iterator[str]:
        texts = dict.fromkeys(visible(expression.text) for expression in one.expressions if _is_listed(expression))
        if texts:
            listed = ", ".join(f"`{text if len(text) <= 30 else text[:29] + '…'}`" for text in list(texts)[:8])
            more = f" and {len(texts) - 8} more" if len(texts) > 8 else ""
            yield from self._wrapped("  ", f"plain: {listed}{more}", dim=True)
        if one.left_out:
            text = f"{one.left_out} more on the other lines of this statement ({one.first}-{one.last})"
            yield from self._wrapped("  ", text, dim=True)

    def _nothing(self, one: Explained) -> str:
        unknown = any(expression.value.kind is Kind.UNKNOWN for expression in one.expressions)
        about = "; of what is unknown, it says nothing" if unknown else ""
        return f"Nothing here is an operation that synclint knows to wait{about}."

    # ------------------------------------------------------------------ operations

    def _operation(self, one: OperationVerdict) -> Iterator[str]:
        text = visible(one.text)
        text = text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "\u2026"
        asked = f" ({one.context})" if one.context else ""
        yield f"  {self.style.bold(one.operation)}{asked}: {self.style.cyan(text)}"
        waiting = [fact for fact in one.facts if fact.event != "none" or fact.holds is not False]
        for fact in sorted(waiting, key=lambda fact: fact.holds is False):
            yield from self._fact(fact)

    def _fact(self, fact: FactVerdict) -> Iterator[str]:
        what = DIRECTIONS[Direction(fact.direction)] if fact.event == "sync" else _EVENTS.get(fact.event, "no wait")
        if fact.event == "none" and fact.confidence is None:
            maybe = "" if fact.holds else f", if {' and '.join(one.text for one in fact.asked if one.holds is None)}"
            yield from self._wrapped(
                "    ", f"{'yes ' if fact.holds else '?   '} {fact.id}: nothing waits{maybe}", hang=9
            )
            return
        if fact.holds is False:
            failed = "; ".join([one.otherwise for one in fact.asked if one.holds is False][:2])
            yield from self._wrapped("    ", f"no   {fact.id} ({what}): {failed}", dim=True, hang=9)
            return
        answer = "yes" if fact.holds else "?"
        head = f"    {self._painted(answer)}{' ' * (5 - len(answer))}{self.style.bold(fact.id)} ({what})"
        if fact.confidence is not None:
            head += f": {fact.confidence.name.lower()}"
        yield head
        if fact.limits:
            yield from self._wrapped(" " * 9, f"because {fact.limits}")
        for one in fact.asked:
            yield from self._wrapped(" " * 9, self._condition(one), hang=13)
        if fact.note:
            yield from self._wrapped(" " * 9, f"not reported: {fact.note}")
        for verdict in fact.verdicts:
            yield from self._verdict(verdict)

    def _painted(self, answer: str) -> str:
        return self.style.red(answer) if answer == "yes" else self.style.blue(answer)

    def _condition(self, one: Asked) -> str:
        answer = {True: "yes", False: "no", None: "not known"}[one.holds]
        return f"- {one.text}: {answer}"

    def _verdict(self, verdict: Verdict) -> Iterator[str]:
        rule = f"{verdict.code} {verdict.name}"
        if not verdict.reasons:
            yield from self._wrapped(" " * 9, f"{rule}: reported: {verdict.message}", hang=11)
            return
        for reason in verdict.reasons:
            yield from self._wrapped(" " * 9, f"{rule}: not reported: {reason.text}", hang=11)

    def _wrapped(
        self, margin: str, text: str, *, hang: int | str = 0, dim: bool = False, bold: str = ""
    ) -> Iterator[str]:
        """Text below a margin; ``bold`` is how it starts."""
        from textwrap import wrap

        further = hang if isinstance(hang, str) else " " * max(hang, len(margin))
        room = max(WIDTH - len(margin), 40)
        lines = wrap(visible(text), room, break_long_words=False, break_on_hyphens=False) or [""]
        rest = " ".join(lines[1:])
        lines = [lines[0], *wrap(rest, max(WIDTH - len(further), 40), break_long_words=False, break_on_hyphens=False)]
        for at, line in enumerate(lines):
            if dim:
                line = self.style.dim(line)
            elif bold and not at and line.startswith(bold):
                line = self.style.bold(bold) + line[len(bold) :]
            yield (further if at else margin) + line


def _is_listed(expression: Expression) -> bool:
    """Whether it is named among the plain ones: a target that is what the statement computes needs no mention."""
    return expression.plain and expression.role != "target"


# ---------------------------------------------------------------------- JSON


def render_json(explanation: Explanation) -> str:
    """One object.

    ``path``, ``first_line``, ``last_line``, ``column`` (or null): what was asked. ``notes``: about the whole file.
    ``statements``: each with ``first_line``, ``last_line``, ``scope``, ``heat``, ``why_hot``, ``state`` (``""``, or
    why it was not interpreted), ``left_out``, ``expressions`` and ``operations``. Places are 1-based, columns in code
    points, ends exclusive.
    """
    found = {
        "path": explanation.source.path,
        "first_line": explanation.first,
        "last_line": explanation.last,
        "column": explanation.column,
        "notes": list(explanation.notes),
        "statements": [_statement(one, explanation.source.path) for one in explanation.statements],
    }
    return json.dumps(found, indent=2, ensure_ascii=False) + "\n"


def _statement(one: Explained, path: str) -> dict[str, Any]:
    return {
        "first_line": one.first,
        "last_line": one.last,
        "scope": one.scope,
        "heat": one.heat.name.lower(),
        "why_hot": [{"path": step.path, "line": step.line, "text": step.text} for step in one.why_hot],
        "state": one.state,
        "left_out": one.left_out,
        "expressions": [_expression(expression, path) for expression in one.expressions],
        "operations": [_operation(operation) for operation in one.operations],
    }


def _span(span: Span) -> dict[str, int]:
    return {
        "line": span.line,
        "column": span.column,
        "end_line": span.end_line,
        "end_column": span.end_column,
    }


def _expression(one: Expression, path: str) -> dict[str, Any]:
    value = one.value
    placed = value.kind in (Kind.TENSOR, Kind.DEVICE, Kind.MODULE)
    tensor = value.kind is Kind.TENSOR
    known = value.kind is not Kind.UNKNOWN
    return {
        **_span(one.span),
        "text": one.text,
        "role": one.role,
        "depth": one.depth,
        "plain": one.plain,
        "belief": one.belief,
        "kind": value.kind.value,
        "kind_confidence": value.certainty.name.lower() if known else None,
        "place": value.place.value if placed else None,
        "place_confidence": value.sure.name.lower() if placed and value.place is not Place.UNKNOWN else None,
        "dtype": value.dtype.value if value.dtype is not None else None,
        "rank": value.rank,
        "pinned": value.pinned if tensor else None,
        "optional": value.optional,
        "note": one.note or None,
        "why": [{"path": step.path or path, "line": step.line, "text": step.text} for step in one.why],
    }


def _operation(one: OperationVerdict) -> dict[str, Any]:
    return {
        **_span(one.span),
        "text": one.text,
        "operation": one.operation,
        "context": one.context or None,
        "facts": [_fact(fact) for fact in one.facts],
    }


def _fact(fact: FactVerdict) -> dict[str, Any]:
    return {
        "id": fact.id,
        "event": fact.event,
        "direction": fact.direction,
        "holds": fact.holds,
        "conditions": [{"predicate": one.predicate, "text": one.text, "holds": one.holds} for one in fact.asked],
        "confidence": fact.confidence.name.lower() if fact.confidence is not None else None,
        "limits": fact.limits or None,
        "note": fact.note or None,
        "rules": [
            {
                "code": verdict.code,
                "name": verdict.name,
                "message": verdict.message or None,
                "reported": not verdict.reasons,
                "reasons": [{"kind": reason.kind, "text": reason.text} for reason in verdict.reasons],
            }
            for verdict in fact.verdicts
        ],
    }
