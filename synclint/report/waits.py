"""What a trace holds, as a table for people or as JSON: the lines that waited, the costliest first."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from synclint.report import proofs
from synclint.report.concise import duration
from synclint.report.full import DIRECTIONS
from synclint.report.terminal import visible
from synclint.runtime.codes import alternatives
from synclint.source import shown_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from synclint.report.terminal import Style
    from synclint.runtime.event import Frame
    from synclint.runtime.trace import Trace
    from synclint.waits.linted import Linted
    from synclint.waits.wait import Wait

_CAUSES = {
    "scalar-read": "reads a number",
    "blocking-copy": "copies",
    "pageable-copy": "copies pageable memory",
    "data-dependent-size": "needs a size that depends on data",
    "explicit-wait": "waits explicitly",
    "library-internal": "waits inside a library",
    "allocator": "allocates or frees memory",
    "conversion": "converts",
    "unordered-access": "races with a copy",
}


def render(trace: Trace, waits: Sequence[Wait], linted: Linted, *, style: Style) -> Iterator[str]:
    """The table: waits, then those that are allowed, operators that are not simulated, and what was proved."""
    yield from table([wait for wait in waits if not wait.event.allowed], linted, style=style)
    allowed = [wait for wait in waits if wait.event.allowed]
    if allowed:
        yield f"\n{style.bold('Allowed')} by allow_sync():\n"
        yield from table(allowed, linted, style=style)
    if trace.not_simulated:
        yield f"\n{style.bold('Not simulated')}, so that the code that calls it was not traced to its end:\n"
        for name, count in sorted(trace.not_simulated.items(), key=lambda row: (-row[1], row[0])):
            yield f"{count:>9}  {visible(name)}\n"
    yield from proofs.render(trace.proofs, style=style)


def table(waits: Sequence[Wait], linted: Linted, *, style: Style) -> Iterator[str]:
    """Two lines for each wait, below a header: how often, how long, where and why; and the source."""
    if not waits:
        return
    timed = any(wait.event.stall is not None for wait in waits)
    yield style.dim(f"{'count':>9}  {'stall':>9}  line" if timed else f"{'count':>9}  line") + "\n"
    for wait in waits:
        event = wait.event
        stall = f"  {duration(event.stall):>9}" if timed else ""
        yield f"{event.count:>9}{stall}  {place(wait, style=style)}: {_what(wait, linted, style=style)}\n"
        margin = " " * (22 if timed else 11)
        source = linted.line(wait)
        if source:
            yield f"{margin}{style.dim('|')} {visible(source)}\n"
        notes = [f"in {_frame(wait.inside)}"] if wait.inside is not None else []
        notes += [f"allowed: {event.allowed}"] if event.allowed else []
        for note in notes:
            yield f"{margin}{style.dim('=')} {visible(note)}\n"


def place(wait: Wait, *, style: Style) -> str:
    """Where a wait is, for one line of a report."""
    if wait.frame is None:
        return style.bold("no Python frame")
    return f"{style.bold(visible(shown_place(wait.frame)))} in {visible(wait.frame.function)}"


def as_json(trace: Trace, waits: Iterable[Wait], linted: Linted) -> str:
    """One object: ``backend``, ``processes``, ``waits`` (the costliest first), ``not_simulated`` and ``proofs``."""
    listed = [_wait(wait, linted) for wait in waits]
    whole = {
        "backend": trace.backend,
        "processes": trace.processes,
        "waits": listed,
        "not_simulated": dict(trace.not_simulated),
        "proofs": [proofs.as_json(proof) for proof in trace.proofs],
    }
    return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"


def shown_place(frame: Frame) -> str:
    """``path:line``, the path as reports show paths."""
    path = frame.path if frame.path.startswith("<") else shown_path(frame.path)
    return f"{path}:{frame.line}"


def _what(wait: Wait, linted: Linted, *, style: Style) -> str:
    event = wait.event
    codes, exact = linted.codes(wait)
    named = style.red(" ".join(codes) if exact else alternatives(codes))
    words = [named + ("" if exact else "?")] if codes else []
    words += [DIRECTIONS[event.direction]] if event.direction.value != "none" else []
    details = [detail for detail in wait.details if detail != event.cause]
    words += [f"{_CAUSES.get(event.cause, event.cause)} ({visible('; '.join([event.operation, *details]))})"]
    words += ["in backward"] if event.backward else []
    words += ["while a graph is captured"] if event.capture else []
    words += ["at a line of this function that the profile does not name"] if event.in_function else []
    return ", ".join(words)


def _frame(frame: Frame) -> str:
    return f"{shown_place(frame)} in {frame.function}"


def _wait(wait: Wait, linted: Linted) -> dict[str, Any]:
    event = wait.event
    codes, exact = linted.codes(wait)
    where = wait.frame
    return {
        "path": None if where is None else shown_place(where).rpartition(":")[0],
        "line": None if where is None else where.line,
        "function": None if where is None else where.function,
        "in_function": event.in_function,
        "source": linted.line(wait),
        "inside": None if wait.inside is None else {**wait.inside._asdict(), "path": shown_path(wait.inside.path)},
        "codes": list(codes),
        "codes_are_of_findings": exact,
        "operation": event.operation,
        "cause": event.cause,
        "direction": event.direction.value,
        "kind": event.kind,
        "details": list(wait.details),
        "backward": event.backward,
        "capture": event.capture,
        "allowed": event.allowed or None,
        "count": event.count,
        "stall": event.stall,
    }
