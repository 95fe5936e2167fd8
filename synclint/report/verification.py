"""What `synclint verify` proved, as text and as JSON."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from synclint.report import proofs
from synclint.report.terminal import Style, visible
from synclint.verify.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from synclint.verify.project import Verification
    from synclint.verify.verdict import Judged, Waits

_GOOD = (Verdict.REMOVED, Verdict.REDUCED, Verdict.UNCHANGED)


def render(result: Verification, *, style: Style) -> str:
    """The report: a line for each fix, what else changed, and the sum."""
    return "".join(f"{line}\n" for line in _lines(result, style))


def _lines(result: Verification, style: Style) -> Iterator[str]:
    for one in result.judged:
        finding = one.unit.finding
        others = f" (and {len(one.unit.findings) - 1} more)" if len(one.unit.findings) > 1 else ""
        said = style.green(one.verdict.value) if one.verdict in _GOOD else style.red(one.verdict.value)
        if one.verdict is Verdict.NOT_EXECUTED:
            said = style.dim(one.verdict.value)
        where = f"{style.bold(visible(finding.path))}:{finding.line}"
        yield f"{where}: {finding.code}{others} [{one.unit.fix.applicability.value}] {said}{_detail(one)}"
        for proof in one.proofs:
            yield f"  {style.bold(visible(proof.path))}:{proof.line}, fixed: {proofs.said(proof, style=style)}"
    for skipped in result.skipped:
        edit = skipped.fix.edits[0]
        yield f"{style.bold(visible(edit.path))}:{edit.begin[0]}: not tried: {visible(skipped.reason)}"
    for line in result.elsewhere:
        where = f"{style.bold(visible(line.path))}:{line.line}"
        said = style.red("waits more often") if line.after > line.before else "waits less often"
        yield f"{where}: elsewhere: {said}: {line.operation}, {line.before} before, {line.after} now"
    for text in result.differences:
        yield style.red("the command's result differs: ") + visible(text)
    yield _sum(result)


def _detail(one: Judged) -> str:
    said = ""
    if one.before.count:
        said = (
            f": {_times(one.before)} before, {_times(one.after)} now"
            if one.after.count
            else f": {_times(one.before)} before"
        )
    if one.pageable:
        said += f"; {one.pageable} copies from pageable memory, during which the driver may still wait"
    return f"{said}; {visible(one.note)}" if one.note else said


def _times(waits: Waits) -> str:
    stall = "" if waits.stall is None else f" ({waits.stall * 1e3:.3g} ms)"
    return f"{waits.count} wait{'s' * (waits.count != 1)}{stall}"


def _sum(result: Verification) -> str:
    counts = Counter(one.verdict for one in result.judged)
    parts = [f"{counts[verdict]} {verdict.value}" for verdict in Verdict if counts[verdict]]
    said = ", ".join(parts) or "no fix could be tried"
    return f"{'Verified' if result.holds else 'Not verified'}: {said}. {_command(result)}"


def _command(result: Verification) -> str:
    """What the command itself does without the fixes: if it breaks off, little of the project runs."""
    assert result.baseline is not None
    tests = Counter(result.baseline.outcomes.values())
    counted = ", ".join(f"{count} {outcome}" for outcome, count in sorted(tests.items(), reverse=True))
    return f"The command exits with {result.baseline.status}{f' (tests: {counted})' if counted else ''}."


def render_json(result: Verification) -> str:
    """One object: ``holds``, ``fixes`` and what else changed. Lines are 1-based."""
    document = {
        "holds": result.holds,
        "runs": result.runs,
        "command": result.baseline
        and {
            "status": result.baseline.status,
            "tests": dict(Counter(result.baseline.outcomes.values())),
        },
        "fixes": [_fix(one) for one in result.judged],
        "not_tried": [
            {"path": one.fix.edits[0].path, "line": one.fix.edits[0].begin[0], "reason": one.reason}
            for one in result.skipped
        ],
        "elsewhere": [
            {"path": one.path, "line": one.line, "operation": one.operation, "before": one.before, "after": one.after}
            for one in result.elsewhere
        ],
        "differences": result.differences,
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _fix(one: Judged) -> dict[str, Any]:
    return {
        "verdict": one.verdict.value,
        "applicability": one.unit.fix.applicability.value,
        "message": one.unit.fix.message,
        "findings": [{"code": found.code, "path": found.path, "line": found.line} for found in one.unit.findings],
        "before": {"count": one.before.count, "stall": one.before.stall},
        "after": {"count": one.after.count, "stall": one.after.stall, "pageable": one.pageable},
        "note": one.note,
        "proofs": [proof.to_json() for proof in one.proofs],
    }
