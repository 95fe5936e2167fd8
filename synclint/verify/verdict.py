"""What a trace before and a trace after say about one fix."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from synclint.finding import Direction
from synclint.runtime.codes import codes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence, Set

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
    count, stall = 0, None
    for event in events:
        if event.kind == kind and _is_in(event, lines) and not _is_anothers(event, unit):
            count += event.count
            stall = stall if event.stall is None else (stall or 0.0) + event.stall
    return Waits(count, stall)


def waits_of_others(events: Iterable[Event], lines: Mapping[str, Set[int]], unit: Unit) -> int:
    """How many waits there are in these lines that only rules of which the unit has no finding speak of."""
    return sum(one.count for one in events if one.kind == "sync" and _is_in(one, lines) and _is_anothers(one, unit))


def _is_anothers(event: Event, unit: Unit) -> bool:
    known = codes(event)
    return bool(known) and not any(one.direction is event.direction and one.code in known for one in unit.findings)


def _is_in(event: Event, lines: Mapping[str, Set[int]]) -> bool:
    frame = event.project
    return frame is not None and frame.line in lines.get(frame.path, ())


def judge(
    unit: Unit, before: Sequence[Waits], after: Waits, *, executed: bool | None, new: int = 0, pageable: int = 0
) -> Judged:
    """The verdict; ``before`` are the waits in each of the runs without fixes, which may vary.

    ``executed`` is whether its lines ran then, None where only waits can tell. ``new`` counts waits of another kind,
    which its lines have only now.
    """
    least, most = (pick(before, key=lambda one: one.count) for pick in (min, max))
    if not most.count and not after.count and not new:
        of_a_wait = any(finding.direction is not Direction.NONE for finding in unit.findings)
        ran = Verdict.NEVER_WAITED if of_a_wait else Verdict.UNCHANGED
        note = "" if executed is not None else "no wait was seen in its lines; whether they ran is not known"
        return Judged(unit, ran if executed else Verdict.NOT_EXECUTED, most, after, pageable, note)
    note = f"its lines wait for something else now, {new} time{'s' * (new != 1)}" if new else ""
    after = Waits(after.count + new, after.stall)
    if not after.count:
        return Judged(unit, Verdict.REMOVED, most, after, pageable)
    verdict = Verdict.REDUCED if after.count < least.count else Verdict.WAITS
    return Judged(unit, verdict, most, after, pageable, note)
