"""The report of a run: findings on stdout, counts and problems on stderr, and the exit status."""

from __future__ import annotations

import sys
from collections import Counter
from functools import lru_cache
from typing import TYPE_CHECKING

from synclint.finding import Applicability
from synclint.report.terminal import Style, wants_colour
from synclint.source import Source, SourceError

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable, Mapping, Sequence

    from synclint.finding import Finding
    from synclint.run import Outcome
    from synclint.waits.join import Joined, Seen


def report(
    outcomes: Sequence[Outcome], texts: Mapping[str, Source], options: Namespace, joined: Joined | None = None
) -> int:
    """Print what came of a run; the exit status.

    ``texts`` are the texts that no file holds, by path. ``joined`` is what a trace says of the findings.
    """
    status = _show_changes(outcomes, options) if options.diff else _show_findings(outcomes, texts, options, joined)
    tracebacks: set[str] = set()
    for outcome in outcomes:
        if outcome.note:
            print(f"synclint: warning: {outcome.note}", file=sys.stderr)
        if outcome.failure:
            print(f"synclint: error: {_failure(outcome, tracebacks)}", file=sys.stderr)
    nothing_read = bool(outcomes) and all(outcome.unread for outcome in outcomes)
    return 2 if nothing_read or any(outcome.failure for outcome in outcomes) else status


def _failure(outcome: Outcome, tracebacks: set[str]) -> str:
    """What to say of a file that was not checked or not written; the same traceback is shown once."""
    text = outcome.failure.rstrip()
    if "\n" not in text:
        return text if text.startswith(outcome.path) else f"{outcome.path}: {text}"
    said = f"{outcome.path}: not checked, because of an error in synclint: "
    if text in tracebacks:
        return said + text.splitlines()[-1]
    tracebacks.add(text)
    return f"{said}please report it\n{text}"


def _show_findings(
    outcomes: Sequence[Outcome], texts: Mapping[str, Source], options: Namespace, joined: Joined | None
) -> int:
    findings = [finding for outcome in outcomes for finding in outcome.findings]
    seen: Mapping[Finding, Seen] = {}
    if joined is not None:
        seen = joined.seen
        findings = [one for one in seen if options.show_idle or seen[one].state != "idle"]
    fixed = sum(outcome.fixed.total() for outcome in outcomes)
    out = sys.stderr if options.stdin and options.fix else sys.stdout
    style = Style(wants_colour(out))
    if options.statistics:
        from synclint.report import counts

        out.write(counts.render(findings, as_json=options.output_format == "json", unsafe_fixes=options.unsafe_fixes))
    elif options.output_format == "json":
        from synclint.report import json_array

        out.write(json_array.render(findings, seen))
    elif options.output_format == "concise":
        from synclint.report import concise

        out.write(concise.render(findings, style=style, unsafe_fixes=options.unsafe_fixes, seen=seen))
    elif findings:
        from synclint.report import full

        read = _reader(texts)
        for page in full.render(findings, read=read, style=style, unsafe_fixes=options.unsafe_fixes, seen=seen):
            out.write(page)
    if joined is not None and options.output_format != "json" and not options.statistics:
        _show_unreported(joined, style)
    out.flush()
    print(_summary(findings, fixed, options), file=sys.stderr)
    if joined is not None:
        print(_trace_summary(joined, show_idle=options.show_idle), file=sys.stderr)
    if options.exit_zero:
        return 0
    return int(bool(findings) or (options.exit_non_zero_on_fix and fixed > 0))


def _show_unreported(joined: Joined, style: Style) -> None:
    """The waits of the trace at lines that the report above does not name."""
    from synclint.report.waits import table
    from synclint.waits.linted import Linted

    linted = Linted()
    silenced = [wait for wait in joined.unreported if linted.codes(wait)[1]]
    unknown = [wait for wait in joined.unreported if not linted.codes(wait)[1]]
    for title, waits in (
        ("Waits that no rule finds", unknown),
        ("Waits whose findings are suppressed, not selected, or below --confidence and --heat", silenced),
    ):
        if waits:
            sys.stdout.write(f"{style.bold(title)}:\n")
            sys.stdout.writelines(table(waits, linted, style=style))
            sys.stdout.write("\n")


def _trace_summary(joined: Joined, *, show_idle: bool) -> str:
    states = Counter(seen.state for seen in joined.seen.values())
    parts = [f"{states['waited']} waited"]
    if states["idle"]:
        parts.append(f"{states['idle']} ran without waiting{'' if show_idle else ' (not shown; --show-idle)'}")
    if states["not-executed"]:
        parts.append(f"{states['not-executed']} not executed")
    if states["unknown"]:
        parts.append(f"{states['unknown']} not seen to wait (executed or not: trace with --lines to know)")
    said = f"In the trace: {', '.join(parts)}"
    if joined.unreported:
        said += f"; {_count(len(joined.unreported), 'wait')} that no finding names"
    if joined.elsewhere:
        said += f"; {_count(joined.elsewhere, 'wait')} in files that were not linted"
    return said + "."


def _show_changes(outcomes: Sequence[Outcome], options: Namespace) -> int:
    from synclint.report.diff import unified

    style = Style(wants_colour(sys.stdout))
    changed = [outcome for outcome in outcomes if outcome.before != outcome.after]
    for outcome in changed:
        sys.stdout.write(unified(outcome.path, outcome.before, outcome.after, style=style))
    sys.stdout.flush()
    unreadable = [one for outcome in outcomes for one in outcome.findings if one.code == "SYN901"]
    for finding in unreadable:
        print(f"{finding.path}:{finding.line}:{finding.column}: {finding.code} {finding.message}", file=sys.stderr)
    fixes = _count(sum(outcome.fixed.total() for outcome in changed), "finding")
    left = 0 if options.unsafe_fixes else sum(_fixable(outcome.findings, Applicability.UNSAFE) for outcome in outcomes)
    more = f" ({left} more with --unsafe-fixes)" if left else ""
    said = f"Would fix {fixes} in {_count(len(changed), 'file')}" if changed else "Would change nothing"
    print(f"{said}{more}.", file=sys.stderr)
    return int(bool(changed or unreadable) and not options.exit_zero)


def _summary(findings: Sequence[Finding], fixed: int, options: Namespace) -> str:
    if fixed:
        said = f"Fixed {_count(fixed, 'finding')}, {len(findings) or 'none'} left"
    else:
        said = f"Found {_count(len(findings), 'finding')}" if findings else "No findings"
    safe, unsafe = (_fixable(findings, level) for level in (Applicability.SAFE, Applicability.UNSAFE))
    hints = []
    if options.fix:
        if unsafe and not options.unsafe_fixes:
            hints.append(f"{unsafe} fixable with --unsafe-fixes")
    elif options.unsafe_fixes:
        if safe + unsafe:
            hints.append(f"{safe + unsafe} fixable with --fix")
    else:
        if safe:
            hints.append(f"{safe} fixable with --fix")
        if unsafe:
            hints.append(f"{unsafe} {'more' if safe else 'fixable'} with --unsafe-fixes")
    return said + (f" ({', '.join(hints)})." if hints else ".")


def _fixable(findings: Sequence[Finding], level: Applicability) -> int:
    """How many findings have a fix of this level, with edits."""
    return sum(1 for one in findings if one.fix and one.fix.edits and one.fix.applicability is level)


def _reader(texts: Mapping[str, Source]) -> Callable[[str], Source | None]:
    @lru_cache(maxsize=8)
    def read(path: str) -> Source | None:
        if path in texts:
            return texts[path]
        try:
            return Source.read(path, shown=path)
        except SourceError:
            return None

    return read


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"
