"""Proof on a project's own command: run it before and after the fixes, and judge each of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from synclint.fix.apply import plan
from synclint.verify.bisect import culprits
from synclint.verify.elsewhere import Elsewhere, elsewhere
from synclint.verify.lines import EditedLines
from synclint.verify.proving import Place, Prove, proved
from synclint.verify.verdict import Judged, Unit, Verdict, judge, waits, waits_of_others

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from synclint.finding import Applicability, Finding, Fix
    from synclint.fix.apply import Skipped
    from synclint.runtime.event import Event
    from synclint.runtime.proof import Proof
    from synclint.source import Source


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the command in the scratch tree.

    ``status`` is its exit status, ``outcomes`` the outcome of each pytest test by id (empty for other commands).
    ``events`` have project frames whose paths are relative to the project. ``executed`` are the lines that ran, by
    such a path; None where that was not recorded.
    """

    status: int
    outcomes: Mapping[str, str]
    events: Sequence[Event]
    executed: Mapping[str, frozenset[int]] | None = None


class Command(Protocol):
    """Runs the user's command in a fresh copy of the project in which some files have another text."""

    def __call__(self, texts: Mapping[str, bytes]) -> Run: ...


class FlakyError(Exception):
    """Two runs of the unchanged project differ; the message says in what."""


@dataclass(slots=True)
class Verification:
    """What was proven. ``judged`` holds every fix that was tried, ``skipped`` those that could not be applied.

    ``differences`` say in what the command's own result differs with all unbroken fixes in (nothing, if it was proven).
    ``elsewhere`` are the other lines that wait more or less often now. ``runs`` counts runs of the command.
    """

    judged: list[Judged] = field(default_factory=list)
    elsewhere: list[Elsewhere] = field(default_factory=list)
    skipped: tuple[Skipped, ...] = ()
    baseline: Run | None = None
    differences: list[str] = field(default_factory=list)
    runs: int = 0

    @property
    def proven_any(self) -> bool:
        return any(one.verdict.proven for one in self.judged)

    @property
    def holds(self) -> bool:
        """Whether every fix that ran removed its wait and nothing else changed. False, too, when none of them ran."""
        ran = [one for one in self.judged if one.verdict is not Verdict.NOT_EXECUTED]
        if self.judged and not ran:
            return False
        moved = any(one.after > one.before for one in self.elsewhere)
        return all(one.verdict.proven for one in ran) and not self.differences and not moved


def units(findings: Iterable[Finding], levels: frozenset[Applicability]) -> list[Unit]:
    """The fixes with edits at these levels, each once, with all the findings that it mends."""
    by_fix: dict[Fix, list[Finding]] = {}
    for finding in findings:
        if finding.fix is not None and finding.fix.edits and finding.fix.applicability in levels:
            by_fix.setdefault(finding.fix, []).append(finding)
    return [Unit(fix, tuple(found), _lines(fix, found)) for fix, found in by_fix.items()]


def _lines(fix: Fix, findings: Iterable[Finding]) -> dict[str, frozenset[int]]:
    found: dict[str, set[int]] = {}
    for finding in findings:
        found.setdefault(finding.path, set()).update(range(finding.header[0], finding.header[1] + 1))
    for edit in fix.edits:
        if edit.begin == edit.finish and edit.text.startswith(("import ", "from ")):
            continue  # a line of its own, far from what it is for
        last = edit.finish[0] - (edit.finish[1] == 1 and edit.finish > edit.begin)
        found.setdefault(edit.path, set()).update(range(edit.begin[0], last + 1))
    return {path: frozenset(lines) for path, lines in found.items()}


def verify(
    sources: Mapping[str, Source],
    fixes: Sequence[Unit],
    command: Command,
    progress: Callable[[str], None] = lambda text: None,
    prove: Prove | None = None,
) -> Verification:
    """Judge fixes by the command. ``sources`` hold the files that they edit, by path relative to the project.

    With ``prove``, the lines where waits were removed are proved not to wait, in one more run. Raises FlakyError when
    two runs of the unchanged project do not agree.
    """
    result = Verification()

    def run(chosen: Sequence[Unit]) -> Run:
        result.runs += 1
        return command(plan(sources, [unit.fix for unit in chosen]).data)

    progress("running the command as it is, twice")
    baseline = result.baseline = run([])
    again = run([])
    said = differences(baseline, again)
    if said:
        raise FlakyError("; ".join(said[:3]))
    planned = plan(sources, [unit.fix for unit in fixes])
    result.skipped = planned.skipped
    applied = set(planned.applied)
    tried = [unit for unit in fixes if unit.fix in applied]
    if not tried:
        return result

    progress(f"running it with {len(tried)} fixes")
    after = run(tried)
    broken: list[tuple[Unit, ...]] = []
    if differences(baseline, after):
        progress("its result differs; looking for the fixes that change it")
        broken = culprits(tried, lambda chosen: bool(differences(baseline, run(chosen))))
        tried = [unit for unit in tried if not any(unit in group for group in broken)]
        after = run(tried)
    result.differences = differences(baseline, after)
    maps = _line_maps(sources, tried)
    result.judged = [_judged(unit, maps, (baseline, again), after) for unit in tried]
    if prove is not None:

        def counted(texts: Mapping[str, bytes], lines: Sequence[Place]) -> Sequence[Proof]:
            progress("running it once more, to prove that the fixed lines do not wait")
            result.runs += 1
            return prove(texts, lines)

        texts = plan(sources, [unit.fix for unit in tried]).data
        result.judged = proved(result.judged, maps, texts, after.events, counted)
    result.elsewhere = elsewhere((baseline.events, again.events), after.events, tried, maps)
    for group in broken:
        said = differences(baseline, run(group))
        note = "; ".join([*said[:3], *(["only together with others"] if len(group) > 1 else [])])
        result.judged += [Judged(unit, Verdict.BREAKS, note=note) for unit in group]
    return result


def proven_texts(sources: Mapping[str, Source], result: Verification, command: Command) -> dict[str, bytes]:
    """The files with the proven fixes alone, after one more run in which nothing else changed.

    Raises FlakyError when that run differs.
    """
    proven = [one.unit for one in result.judged if one.verdict.proven]
    texts = plan(sources, [unit.fix for unit in proven]).data
    if proven and len(proven) < len(result.judged):
        assert result.baseline is not None
        result.runs += 1
        said = differences(result.baseline, command(texts))
        if said:
            raise FlakyError(f"with the proven fixes alone: {'; '.join(said[:3])}")
    return texts


def _line_maps(sources: Mapping[str, Source], tried: Sequence[Unit]) -> dict[str, EditedLines]:
    edits = [edit for unit in tried for edit in unit.fix.edits]
    return {
        path: EditedLines(source.data, [edit for edit in edits if edit.path == path])
        for path, source in sources.items()
    }


def _judged(unit: Unit, maps: Mapping[str, EditedLines], before: Sequence[Run], after: Run) -> Judged:
    image = {path: maps[path].image(lines) for path, lines in unit.lines.items()}
    executed: bool | None = None
    if before[0].executed is not None:
        own = [(finding.path, line) for finding in unit.findings for line in range(*_span(finding))]
        executed = any(line in before[0].executed.get(path, ()) for path, line in own)
    pageable = waits(after.events, image, unit, "pageable").count
    others = max(waits_of_others(run.events, unit.lines, unit) for run in before)
    new = max(0, waits_of_others(after.events, image, unit) - others)
    was, now = [waits(run.events, unit.lines, unit) for run in before], waits(after.events, image, unit)
    return judge(unit, was, now, executed=executed, new=new, pageable=pageable)


def _span(finding: Finding) -> tuple[int, int]:
    return finding.header[0], finding.header[1] + 1


def differences(one: Run, other: Run) -> list[str]:
    """In what the results of two runs differ, in words: exit status, outcomes of tests, races."""
    said = []
    if one.status != other.status:
        said.append(f"exit status {one.status} became {other.status}")
    for test in dict.fromkeys((*one.outcomes, *other.outcomes)):
        left, right = one.outcomes.get(test, "not run"), other.outcomes.get(test, "not run")
        if left != right:
            said.append(f"{test}: {left} became {right}")
    races = [event for event in other.events if event.kind == "race"]
    if len(races) > sum(1 for event in one.events if event.kind == "race"):
        said.append(f"a race: {races[-1]}")
    return said
