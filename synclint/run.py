"""Linting and fixing files: from paths to what came of each, in one process or several."""

from __future__ import annotations

import gc
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from synclint.finding import Confidence, Direction, Finding, Heat
from synclint.lint.engine import check_source, load_rules
from synclint.selection import Selection
from synclint.source import Source, SourceError, shown_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from synclint.config import Settings
    from synclint.finding import Applicability

UNREADABLE = ("SYN901", "unreadable-file")
UNUSED = ("SYN902", "unused-suppression")

CHUNK = 16
"""Files that travel to a worker process together, and between two collections of cyclic garbage."""


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

    def findings(self, source: Source) -> list[Finding]:
        """What is reported of a file, sorted: not suppressed, selected, and at or above the cut-offs.

        Raises SourceError when the file cannot be parsed.
        """
        codes = self._selection.codes(source.path)
        text = source.data.lower()
        if b"synclint:" in text or b"noqa" in text:
            from synclint.suppress import Suppressions

            suppressions = Suppressions(source, self._names)
            found = [
                finding
                for finding in check_source(source, self._settings, self._rules)
                if not suppressions.covers(finding)
            ]
            found += suppressions.unused()
        else:
            rules = tuple(rule for rule in self._rules if rule.code in codes)
            found = check_source(source, self._settings, rules)
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


def lint_source(source: Source, settings: Settings, fixing: Fixing) -> Outcome:
    """Lint one source and fix it in memory. Nothing is written."""
    judge = linter(settings)
    try:
        if not fixing.levels:
            return Outcome(source.path, tuple(judge.findings(source)))
        from synclint.fix.converge import converge

        end = converge(source, judge.findings, fixing.levels)
    except SourceError as error:
        return Outcome(source.path, judge.unreadable(error))
    except Exception:
        from traceback import format_exc

        return Outcome(source.path, failure=format_exc())
    changed = (source.data, end.source.data) if end.source.data != source.data else (b"", b"")
    return Outcome(source.path, end.findings, end.fixed, *changed, end.complaint())


def lint_file(path: Path, settings: Settings, fixing: Fixing) -> Outcome:
    """Lint one file and, with ``fixing.write``, write its fixed text."""
    try:
        source = Source.read(path)
    except SourceError as error:
        unread = isinstance(error.__cause__, OSError)
        return Outcome(error.path, linter(settings).unreadable(error), unread=unread)
    outcome = lint_source(source, settings, fixing)
    if not fixing.write or not outcome.fixed:
        return outcome
    from synclint.fix.write import WriteError, write_atomically

    try:
        write_atomically(path, source.encode(outcome.after), before=source.encode(source.data))
    except WriteError as error:
        as_before = lint_source(source, settings, Fixing())
        return Outcome(source.path, as_before.findings, failure=str(error))
    return outcome


def lint_files(files: Sequence[tuple[Path, Settings]], fixing: Fixing, jobs: int) -> list[Outcome]:
    """Lint files, in up to ``jobs`` processes; what comes of them, sorted by path, does not depend on the number."""
    chunks = [files[start : start + CHUNK] for start in range(0, len(files), CHUNK)]
    if jobs <= 1 or len(chunks) <= 1:
        with _no_collector():
            outcomes = [outcome for chunk in chunks for outcome in _lint_chunk(chunk, fixing)]
    else:
        outcomes = _in_processes(chunks, fixing, min(jobs, len(chunks)))
    return sorted(outcomes, key=lambda outcome: outcome.path)


def _lint_chunk(files: Sequence[tuple[Path, Settings]], fixing: Fixing) -> list[Outcome]:
    outcomes = [lint_file(path, settings, fixing) for path, settings in files]
    gc.collect()
    gc.freeze()  # what is left stays, so that the next collection need not visit it
    return outcomes


def _in_processes(chunks: list[Sequence[tuple[Path, Settings]]], fixing: Fixing, jobs: int) -> list[Outcome]:
    from concurrent.futures import ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool

    outcomes: list[Outcome] = []
    with ProcessPoolExecutor(jobs, initializer=_start_worker) as pool:
        futures = [pool.submit(_lint_chunk, chunk, fixing) for chunk in chunks]
        for chunk, future in zip(chunks, futures, strict=True):
            try:
                outcomes += future.result()
            except BrokenProcessPool:  # takes the answers of all that are under way with it
                outcomes += [_in_own_process(path, settings, fixing) for path, settings in chunk]
    return outcomes


def _in_own_process(path: Path, settings: Settings, fixing: Fixing) -> Outcome:
    from concurrent.futures import ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool

    try:
        with ProcessPoolExecutor(1, initializer=_start_worker) as pool:
            return pool.submit(lint_file, path, settings, fixing).result()
    except BrokenProcessPool:
        return Outcome(shown_path(path), failure="the process that checked this file died")


def _start_worker() -> None:
    gc.freeze()
    gc.disable()


@contextmanager
def _no_collector() -> Iterator[None]:
    """Without automatic garbage collection: it would visit every living tree again and again."""
    enabled = gc.isenabled()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.unfreeze()
        if enabled:
            gc.enable()
