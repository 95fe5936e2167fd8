"""A JSON array with one object per finding, for other programs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from synclint.finding import Finding, Fix


def render(findings: Iterable[Finding]) -> str:
    """The report: lines and columns 1-based, columns in code points, ends exclusive."""
    return json.dumps([_finding(finding) for finding in findings], indent=2, ensure_ascii=False) + "\n"


def _finding(finding: Finding) -> dict[str, Any]:
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
