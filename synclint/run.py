"""Linting and fixing files: from paths to what came of each, in one process or several."""

from __future__ import annotations

import gc
import os
from collections import Counter
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import TYPE_CHECKING, NamedTuple

from synclint.config import root_of
from synclint.finding import Confidence, Direction, Finding, Heat
from synclint.lint.engine import check_source, load_rules, may_wait
from synclint.selection import Selection
from synclint.source import Source, SourceError, shown_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from synclint.answers import Answers
    from synclint.config import Settings
    from synclint.finding import Applicability
    from synclint.flow.link import InProject
    from synclint.index.store import Entry
    from synclint.project import Member
    from synclint.reading import Task

UNREADABLE = ("SYN901", "unreadable-file")
UNUSED = ("SYN902", "unused-suppression")

CHUNK = 24
"""Files that travel to a worker process together."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one file.

    ``findings`` are what is left after fixing, sorted; ``fixed`` counts the fixed ones by code. ``before`` and
    ``after`` are the text (UTF-8) where fixing changed it. ``note`` says which fixes did not settle; ``failure`` why
    the file could not be checked or written, in a sentence or as the traceback of an internal error. ``unread``:
    the operating system did not let it be read.
    """

    path: str
    findings: tuple[Finding, ...] = ()
    fixed: Counter[str] = field(default_factory=Counter)
    before: bytes = b""
    after: bytes = b""
    note: str = ""
    failure: str = ""
    unread: bool = False


@dataclass(frozen=True, slots=True)
class Fixing:
    """Which fixes to apply (none, by default), and whether to write the files."""

    levels: frozenset[Applicability] = frozenset()
    write: bool = False


class Job(NamedTuple):
    """A file to lint, by which settings, and where it stands in its project."""

    path: Path
    settings: Settings
    member: Member | None = None


def rule_names() -> dict[str, str]:
    """The name of every rule by its code, synclint's own included."""
    return {**{rule.code: rule.name for rule in load_rules()}, **dict([UNREADABLE, UNUSED])}


class Linter:
    """Lints one source at a time by the settings of a project. Raises UnknownSelectorError (see ``selection.py``)."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._rules = load_rules()
        self._names = rule_names()
        self._selection = Selection(settings, self._names, always=[UNREADABLE[0]])

    def findings(self, source: Source, place: InProject | None = None) -> list[Finding]:
        """What is reported of a file, sorted: not suppressed, selected, and at or above the cut-offs.

        ``place`` says where the file stands in its project; without it, the file is judged by itself.

        Raises SourceError when the file cannot be parsed.
        """
        codes = self._selection.codes(source.path)
        text = source.data.lower()
        if b"synclint:" in text or b"noqa" in text:
            from synclint.suppress import Suppressions

            suppressions = Suppressions(source, self._names)
            found = [
                finding
                for finding in check_source(source, self._settings, self._rules, place)
                if not suppressions.covers(finding)
            ]
            found += suppressions.unused()
        else:
            rules = tuple(rule for rule in self._rules if rule.code in codes)
            found = check_source(source, self._settings, rules, place)
        return sorted((one for one in found if one.code in codes and self._counts(one)), key=Finding.sort_key)

    def unreadable(self, error: SourceError) -> tuple[Finding, ...]:
        """The finding about a file that cannot be read, unless it is ignored."""
        code, name = UNREADABLE
        if code not in self._selection.codes(error.path):
            return ()
        place = (error.line, error.column)
        return (
            Finding(
                code, name, error.message, error.path, *place, *place,
                Direction.NONE, Heat.HOT, Confidence.CERTAIN, (error.line, error.line),
            ),
        )  # fmt: skip

    def _counts(self, finding: Finding) -> bool:
        return finding.confidence >= self._settings.confidence and finding.heat >= self._settings.heat


@lru_cache(maxsize=64)
def linter(settings: Settings) -> Linter:
    """The linter for these settings, made once in a process."""
    return Linter(settings)


def lint_source(source: Source, settings: Settings, fixing: Fixing, place: InProject | None = None) -> Outcome:
    """Lint one source and fix it in memory. Nothing is written."""
    judge = linter(settings)
    try:
        if not fixing.levels:
            return Outcome(source.path, tuple(judge.findings(source, place)))
        from synclint.fix.converge import converge

        end = converge(source, partial(judge.findings, place=place), fixing.levels)
    except SourceError as error:
        return Outcome(source.path, judge.unreadable(error))
    except Exception:
        from traceback import format_exc

        return Outcome(source.path, failure=format_exc())
    changed = (source.data, end.source.data) if end.source.data != source.data else (b"", b"")
    return Outcome(source.path, end.findings, end.fixed, *changed, end.complaint())


def lint_file(job: Job, fixing: Fixing) -> Outcome:
    """Lint one file and, with ``fixing.write``, write its fixed text."""
    path, settings = job.path, job.settings
    try:
        source = Source.read(path)
    except SourceError as error:
        unread = isinstance(error.__cause__, OSError)
        return Outcome(error.path, linter(settings).unreadable(error), unread=unread)
    place = None if job.member is None else job.member.place()
    outcome = lint_source(source, settings, fixing, place)
    if not fixing.write or not outcome.fixed:
        return outcome
    from synclint.fix.write import WriteError, write_atomically

    try:
        write_atomically(path, source.encode(outcome.after), before=source.encode(source.data))
    except WriteError as error:
        as_before = lint_source(source, settings, Fixing(), place)
        return Outcome(source.path, as_before.findings, failure=str(error))
    return outcome


def lint_files(
    files: Sequence[tuple[Path, Settings]], fixing: Fixing, jobs: int, *, cache: bool = True
) -> list[Outcome]:
    """Lint files in the light of their projects, in up to ``jobs`` processes; what comes of them, sorted by path, does
    not depend on the number. ``cache``: whether to keep on disk what is learnt of the projects, and what is found."""
    with _no_collector(), _read_projects(files, jobs, cache=cache) as projects:
        known = {} if fixing.levels else projects.known(files)
        left = [Job(path, settings, projects.members.get(path)) for path, settings in files if path not in known]
        chunks = [left[start : start + CHUNK] for start in range(0, len(left), CHUNK)]
        if jobs <= 1 or len(chunks) <= 1:
            outcomes = [outcome for chunk in chunks for outcome in _lint_chunk(chunk, fixing)]
        else:
            outcomes = _in_processes(chunks, fixing, min(jobs, len(chunks)))
        if not fixing.levels:
            projects.keep(left, outcomes)
    return sorted([*outcomes, *known.values()], key=lambda outcome: outcome.path)


class _Projects(NamedTuple):
    """The projects that files belong to: where each file stands, and what is known of the files by project root."""

    members: dict[Path, Member]
    answers: dict[str, Answers]

    def known(self, files: Sequence[tuple[Path, Settings]]) -> dict[Path, Outcome]:
        """What earlier runs have found."""
        found = {}
        for path, settings in files:
            member = self.members.get(path)
            findings = None if member is None else self.answers[member.root].known(member.path, settings)
            if findings is not None:
                found[path] = Outcome(shown_path(path), findings)
        return found

    def keep(self, jobs: Sequence[Job], outcomes: Sequence[Outcome]) -> None:
        """Lets later runs know what was found."""
        by_path = {outcome.path: outcome for outcome in outcomes}
        for job in jobs:
            outcome = by_path.get(shown_path(job.path))
            if job.member is not None and outcome is not None and not outcome.failure and not outcome.unread:
                self.answers[job.member.root].add(job.member.path, job.settings, outcome.findings)
        for answers in self.answers.values():
            answers.keep()


@contextmanager
def _read_projects(
    files: Sequence[tuple[Path, Settings]], jobs: int, *, cache: bool, always: bool = False
) -> Iterator[_Projects]:
    """The projects that files belong to, read as far as they have changed; none for a few files that cannot wait,
    unless ``always``."""
    if not always and len(files) <= CHUNK and not any(_has_operations(path) for path, _ in files):
        yield _Projects({}, {})
        return
    from synclint.project import ProjectFiles

    grouped: dict[str, list[tuple[Path, Settings]]] = {}
    for path, settings in files:
        grouped.setdefault(root_of(os.path.dirname(os.path.abspath(path))), []).append((path, settings))
    projects = _Projects({}, {})
    with ExitStack() as stack:
        for root, inside in sorted(grouped.items()):
            project = ProjectFiles(root, inside[0][1], [os.fspath(path) for path, _ in inside], cache=cache)
            stack.callback(project.close)
            if not project.update(_read(project.outdated(), jobs)):
                project.update(_read(project.outdated(), jobs))
            projects.answers[root] = project.answers(load_rules())
            for path, _ in inside:
                projects.members[path] = project.member(path)
        yield projects


def _has_operations(path: Path) -> bool:
    try:
        return may_wait(path.read_bytes())
    except OSError:
        return False


@contextmanager
def in_project(path: Path | str, settings: Settings, *, cache: bool = True) -> Iterator[InProject]:
    """Where a file stands in its project, which is read as far as it has changed."""
    from pathlib import Path

    file = Path(path)
    with _no_collector(), _read_projects([(file, settings)], jobs=1, cache=cache, always=True) as projects:
        yield projects.members[file].place()


def _read(tasks: Sequence[Task], jobs: int) -> list[Entry]:
    chunks = [tasks[start : start + CHUNK] for start in range(0, len(tasks), CHUNK)]
    if jobs <= 1 or len(chunks) <= 4:
        return [entry for chunk in chunks for entry in _read_chunk(chunk)]
    from concurrent.futures import ProcessPoolExecutor

    with ProcessPoolExecutor(min(jobs, len(chunks)), initializer=_start_worker) as pool:
        return [entry for entries in pool.map(_read_chunk, chunks) for entry in entries]


def _read_chunk(tasks: Sequence[Task]) -> list[Entry]:
    from synclint.reading import read_file

    return [read_file(task) for task in tasks]


def _lint_chunk(files: Sequence[Job], fixing: Fixing) -> list[Outcome]:
    return [lint_file(job, fixing) for job in files]


def _in_processes(chunks: list[list[Job]], fixing: Fixing, jobs: int) -> list[Outcome]:
    from concurrent.futures import ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool

    outcomes: list[Outcome] = []
    with ProcessPoolExecutor(jobs, initializer=_start_worker) as pool:
        futures = [pool.submit(_lint_chunk, chunk, fixing) for chunk in chunks]
        for chunk, future in zip(chunks, futures, strict=True):
            try:
                outcomes += future.result()
            except BrokenProcessPool:  # takes the answers of all that are under way with it
                outcomes += [_in_own_process(job, fixing) for job in chunk]
    return outcomes


def _in_own_process(job: Job, fixing: Fixing) -> Outcome:
    from concurrent.futures import ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool

    try:
        with ProcessPoolExecutor(1, initializer=_start_worker) as pool:
            return pool.submit(lint_file, job, fixing).result()
    except BrokenProcessPool:
        return Outcome(shown_path(job.path), failure="the process that checked this file died")


def _start_worker() -> None:
    gc.freeze()
    gc.disable()


@contextmanager
def _no_collector() -> Iterator[None]:
    """Without garbage collection, which would visit every living tree again and again: nothing keeps a tree in a
    cycle (see the test of that)."""
    enabled = gc.isenabled()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.unfreeze()
        if enabled:
            gc.enable()
