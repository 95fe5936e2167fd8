"""A trace and the findings: which of them were seen to wait."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from synclint.waits.functions import span_of
from synclint.waits.match import Files, explaining
from synclint.waits.wait import Wait, waits_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from synclint.finding import Finding
    from synclint.runtime.trace import Trace

# Such a finding is at a call; what waits is a line of the function that is called.
_WAITS_ELSEWHERE = frozenset(("waiting-call",))

State = Literal["waited", "idle", "not-executed", "unknown"]


@dataclass(frozen=True, slots=True)
class Seen:
    """What a trace says of a finding.

    waited: its line waited ``count`` times, for ``stall`` seconds in all (None: not measured). idle: the line was
    executed and did not wait. not-executed. unknown: it did not wait, and the trace does not say which lines were
    executed, or the finding is about a call and says nothing of its own line. ``allowed`` are the reasons of
    ``allow_sync`` blocks around waits.
    """

    state: State
    count: int = 0
    stall: float | None = None
    allowed: tuple[str, ...] = ()

    def sort_key(self) -> tuple[bool, float, int]:
        return (self.state != "waited", -(self.stall or 0.0), -self.count)


@dataclass(frozen=True, slots=True)
class Joined:
    """``seen`` holds every finding, those that waited first, the costliest first; ``unreported`` are the waits in the
    linted files that no finding speaks of; ``elsewhere`` counts the waits in other files; ``files`` are the linted ones
    that the trace speaks of."""

    seen: dict[Finding, Seen] = field(default_factory=dict)
    unreported: tuple[Wait, ...] = ()
    elsewhere: int = 0
    files: tuple[str, ...] = ()


def join(trace: Trace, findings: Iterable[Finding], paths: Sequence[str]) -> Joined:
    """Join a trace with the findings in the files ``paths`` (as reports name them), all of which were linted."""
    files = Files(paths)
    by_path: dict[str, list[Finding]] = {}
    for finding in findings:
        by_path.setdefault(finding.path, []).append(finding)
    waited: dict[Finding, list[Wait]] = {}
    unreported, elsewhere = [], 0
    spoken: set[str] = set()
    for wait in waits_of(trace.events):
        frame = wait.frame
        path = None if frame is None else files.find(frame.path)
        if frame is None or path is None:
            elsewhere += 1
            continue
        spoken.add(path)
        known = by_path.get(path, [])
        found = _only(wait, path, known) if wait.event.in_function else explaining(wait.event, known, frame.line)
        for finding in found:
            waited.setdefault(finding, []).append(wait)
        if not found:
            unreported.append(wait)
    ran: dict[str, set[int]] = {}
    for file, lines in trace.ran.items():
        shown = files.find(file)
        if shown is not None:
            spoken.add(shown)
            ran.setdefault(shown, set()).update(lines)
    seen = {}
    for path, group in by_path.items():
        for finding in group:
            seen[finding] = _seen(finding, waited.get(finding, []), ran.get(path, set()), knows=trace.knows_lines)
    order = sorted(seen, key=lambda one: (*seen[one].sort_key(), one.sort_key()))
    return Joined({finding: seen[finding] for finding in order}, tuple(unreported), elsewhere, tuple(sorted(spoken)))


def _only(wait: Wait, path: str, findings: Sequence[Finding]) -> list[Finding]:
    """The finding that a wait at an unknown line of a function must be, if it can be one alone."""
    frame = wait.frame
    span = range(0) if frame is None else span_of(path, frame.line, frame.function)
    found = [one for one in findings if one.line in span and explaining(wait.event, [one], one.line)]
    return found if len(found) == 1 else []


def _seen(finding: Finding, waits: Sequence[Wait], ran: set[int], *, knows: bool) -> Seen:
    if waits:
        stalls = [wait.event.stall for wait in waits if wait.event.stall is not None]
        allowed = dict.fromkeys(wait.event.allowed for wait in waits if wait.event.allowed)
        return Seen("waited", sum(wait.event.count for wait in waits), sum(stalls) if stalls else None, tuple(allowed))
    if not ran.isdisjoint(range(finding.line, finding.end_line + 1)):
        return Seen("unknown" if finding.name in _WAITS_ELSEWHERE else "idle")
    return Seen("not-executed" if knows else "unknown")
