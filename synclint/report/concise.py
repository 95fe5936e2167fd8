"""One line per finding: ``path:line:column: SYN101 message``, ``[*]`` where ``--fix`` would apply."""

from __future__ import annotations

from typing import TYPE_CHECKING

from synclint.finding import Applicability
from synclint.report.terminal import Style, visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from synclint.finding import Finding
    from synclint.waits.join import Seen


def render(
    findings: Iterable[Finding], *, style: Style, unsafe_fixes: bool, seen: Mapping[Finding, Seen] | None = None
) -> str:
    """The report. ``unsafe_fixes``: whether unsafe fixes, too, would be applied; ``seen``: what a trace says."""
    lines = []
    for finding in findings:
        traced = f" ({sighting(seen[finding])})" if seen else ""
        lines.append(headline(finding, style=style, unsafe_fixes=unsafe_fixes) + visible(traced) + "\n")
    return "".join(lines)


def sighting(seen: Seen) -> str:
    """What a trace says of a finding, in words."""
    if seen.state == "waited":
        times = f"waited {seen.count} time{'s' * (seen.count != 1)}"
        stall = f", {duration(seen.stall)} in all" if seen.stall is not None else ""
        allowed = f", allowed: {'; '.join(seen.allowed)}" if seen.allowed else ""
        return times + stall + allowed
    return {"idle": "ran without waiting", "not-executed": "not executed"}.get(seen.state, "not seen to wait")


def duration(seconds: float | None) -> str:
    """Seconds in a unit that suits them; empty where they were not measured."""
    if seconds is None:
        return ""
    if seconds >= 0.9995:
        return f"{seconds:.3g} s" if seconds < 1000 else f"{seconds:.0f} s"
    return f"{seconds * 1e3:.3g} ms" if seconds >= 0.9995e-3 else f"{seconds * 1e6:.3g} us"


def headline(finding: Finding, *, style: Style, unsafe_fixes: bool) -> str:
    """The one line that says where and what."""
    mark = f"[{style.cyan('*')}] " if applicable(finding, unsafe_fixes=unsafe_fixes) else ""
    colon = style.cyan(":")
    place = f"{style.bold(visible(finding.path))}{colon}{finding.line}{colon}{finding.column}{colon}"
    return f"{place} {style.red(finding.code)} {mark}{visible(finding.message)}"


def applicable(finding: Finding, *, unsafe_fixes: bool) -> bool:
    """Whether ``--fix`` (with ``--unsafe-fixes``, where that is true) would apply the finding's fix."""
    fix = finding.fix
    if fix is None or not fix.edits:
        return False
    return fix.applicability is Applicability.SAFE or (unsafe_fixes and fix.applicability is Applicability.UNSAFE)
