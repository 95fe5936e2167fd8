"""Fixing until nothing is left to fix."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from synclint.fix.apply import apply
from synclint.source import Source

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from synclint.finding import Applicability, Finding
    from synclint.fix.apply import Skipped

ROUND_LIMIT = 10


@dataclass(frozen=True, slots=True)
class Converged:
    """A file after fixing.

    ``findings`` are those of the final text. ``fixed`` counts, by code, the findings whose fix was applied (three
    findings that share one fix count three). ``rounds`` is how often fixes were applied. ``converged`` is False
    when fixes were still to be applied at the end; ``unsettled`` are then their codes, and ``source`` is the last
    state, which is valid Python. ``skipped`` are fixes that were offered to the end and could not be applied.
    """

    source: Source
    findings: tuple[Finding, ...]
    fixed: Counter[str]
    converged: bool
    rounds: int
    unsettled: tuple[str, ...] = ()
    skipped: tuple[Skipped, ...] = ()

    def complaint(self) -> str:
        """What to tell the user when it did not converge; empty if it did."""
        if self.converged:
            return ""
        codes, times = ", ".join(self.unsettled), f"{self.rounds} round{'s' * (self.rounds != 1)}"
        return f"{self.source.path}: fixes of {codes} still change the file after {times}; stopped there"


def converge(
    source: Source,
    check: Callable[[Source], Sequence[Finding]],
    allowed: frozenset[Applicability],
    limit: int = ROUND_LIMIT,
) -> Converged:
    """Apply the fixes that ``check`` offers at the ``allowed`` levels, and check again, until none can be applied.

    Stops after ``limit`` rounds, and when a text comes back that was there before. Nothing is written.
    """
    fixed: Counter[str] = Counter()
    seen = {source.data}
    rounds = 0
    while True:
        findings = tuple(check(source))
        offered = [(finding.code, finding.fix) for finding in findings if finding.fix and finding.fix.edits]
        offered = [(code, fix) for code, fix in offered if fix.applicability in allowed]
        result = apply(source, [fix for _, fix in offered])
        if not result.applied:
            return Converged(source, findings, fixed, True, rounds, (), result.skipped)
        applied = frozenset(result.applied)
        codes = [code for code, fix in offered if fix in applied]
        if rounds >= limit or result.data in seen:
            return Converged(source, findings, fixed, False, rounds, tuple(sorted(set(codes))), result.skipped)
        fixed.update(codes)
        rounds += 1
        seen.add(result.data)
        source = Source(source.path, result.data, source.encoding, bom=source.bom)
