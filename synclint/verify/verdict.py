"""What a trace before and a trace after say about one fix."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from synclint.finding import Direction
from synclint.runtime.codes import codes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Set

    from synclint.finding import Finding, Fix
    from synclint.runtime.event import Event
    from synclint.runtime.proof import Proof


class Verdict(str, Enum):
    """What is proven about a fix."""

    REMOVED = "removed"
    """Its lines waited before and do not now."""
    REDUCED = "reduced"
    """Its lines wait less often than before, as when several reads become one."""
    WAITS = "still waits"
    NEVER_WAITED = "did not wait before"
    """Its lines ran, and nothing waited in them."""
    UNCHANGED = "same results"
    """Its rule speaks of no wait but of work; it ran, and nothing changed."""
    NOT_EXECUTED = "not executed"
    BREAKS = "changes results"
    """With it, the command's exit status, a test's outcome, or the order of accesses differs."""

    @property
    def proven(self) -> bool:
        return self in (Verdict.REMOVED, Verdict.REDUCED, Verdict.UNCHANGED)


@dataclass(frozen=True, slots=True)
class Waits:
    """Waits in some lines: how many, and for how long the host stood, in seconds (None where not measured)."""

    count: int = 0
    stall: float | None = None


NO_WAITS = Waits()


@dataclass(frozen=True, slots=True)
class Unit:
    """One fix, and the findings that it mends: ``lines`` by path relative to the project, those that it is about."""

    fix: Fix
    findings: tuple[Finding, ...]
    lines: Mapping[str, frozenset[int]]

    @property
    def finding(self) -> Finding:
        return self.findings[0]


@dataclass(frozen=True, slots=True)
class Judged:
    """A fix with its verdict. ``pageable`` counts the copies in its lines that are asynchronous in name only now;
    ``proofs`` are those of the lines that stand where its lines stood, where they were asked for."""

    unit: Unit
    verdict: Verdict
    before: Waits = NO_WAITS
    after: Waits = NO_WAITS
    pageable: int = 0
    note: str = ""
    proofs: tuple[Proof, ...] = ()


def waits(events: Iterable[Event], lines: Mapping[str, Set[int]], unit: Unit, kind: str = "sync") -> Waits:
    """The waits of ``events`` that a unit's findings speak of, in these lines by path."""
    wanted = {(finding.code, finding.direction) for finding in unit.findings}
    count, stall = 0, None
    for event in events:
        if event.kind != kind or not _is_in(event, lines):
            continue
        known = codes(event)
        if known and not any(event.direction is direction and code in known for code, direction in wanted):
            continue  # another rule's
        count += event.count
        stall = stall if event.stall is None else (stall or 0.0) + event.stall
    return Waits(count, stall)


def _is_in(event: Event, lines: Mapping[str, Set[int]]) -> bool:
    frame = event.project
    return frame is not None and frame.line in lines.get(frame.path, ())


def judge(unit: Unit, before: Waits, after: Waits, *, executed: bool | None, pageable: int = 0) -> Judged:
    """The verdict; ``executed`` is whether its lines ran before, None where only waits can tell."""
    if not before.count:
        of_a_wait = any(finding.direction is not Direction.NONE for finding in unit.findings)
        ran = Verdict.NEVER_WAITED if of_a_wait else Verdict.UNCHANGED
        note = "" if executed is not None else "no wait was seen in its lines; whether they ran is not known"
        return Judged(unit, ran if executed else Verdict.NOT_EXECUTED, before, after, pageable, note)
    if not after.count:
        return Judged(unit, Verdict.REMOVED, before, after, pageable)
    return Judged(unit, Verdict.REDUCED if after.count < before.count else Verdict.WAITS, before, after, pageable)
