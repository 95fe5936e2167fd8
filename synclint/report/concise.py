"""One line per finding: ``path:line:column: SYN101 message``, ``[*]`` where ``--fix`` would apply."""

from __future__ import annotations

from typing import TYPE_CHECKING

from synclint.finding import Applicability
from synclint.report.terminal import Style, visible

if TYPE_CHECKING:
    from collections.abc import Iterable

    from synclint.finding import Finding


def render(findings: Iterable[Finding], *, style: Style, unsafe_fixes: bool) -> str:
    """The report. ``unsafe_fixes``: whether unsafe fixes, too, would be applied."""
    return "".join(headline(finding, style=style, unsafe_fixes=unsafe_fixes) + "\n" for finding in findings)


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
