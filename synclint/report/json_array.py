"""A JSON array with one object per finding, for other programs."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from synclint.finding import Finding, Fix
    from synclint.waits.join import Seen


def render(findings: Iterable[Finding], seen: Mapping[Finding, Seen] | None = None) -> str:
    """The report: lines and columns 1-based, columns in code points, ends exclusive; ``seen`` says what a trace says.

    Every object has the field ``trace``: null without a trace, else ``state`` (``waited``, ``idle``, ``not-executed``
    or ``unknown``), ``count``, ``stall`` (seconds or null) and ``allowed`` (the reasons of ``allow_sync``).
    """
    listed = [_finding(finding, seen[finding] if seen else None) for finding in findings]
    return json.dumps(listed, indent=2, ensure_ascii=False) + "\n"


def _finding(finding: Finding, seen: Seen | None) -> dict[str, Any]:
    return {
        "code": finding.code,
        "name": finding.name,
        "message": finding.message,
        "path": finding.path,
        "line": finding.line,
        "column": finding.column,
        "end_line": finding.end_line,
        "end_column": finding.end_column,
        "direction": finding.direction.value,
        "heat": finding.heat.name.lower(),
        "confidence": finding.confidence.name.lower(),
        "why": [{"path": step.path or finding.path, "line": step.line, "text": step.text} for step in finding.why],
        "url": None,  # the project has no public address yet
        "fix": finding.fix and _fix(finding.fix),
        "trace": seen and {**asdict(seen), "allowed": list(seen.allowed)},
    }


def _fix(fix: Fix) -> dict[str, Any]:
    return {
        "applicability": fix.applicability.value,
        "message": fix.message,
        "edits": [
            {
                "path": edit.path,
                "start": {"line": edit.begin[0], "column": edit.begin[1]},
                "end": {"line": edit.finish[0], "column": edit.finish[1]},
                "text": edit.text,
            }
            for edit in fix.edits
        ],
    }
