"""``synclint check``: what to lint, by which settings; then the report."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synclint import config
from synclint.discover import DiscoverError, discover
from synclint.finding import Applicability
from synclint.lint.engine import may_wait
from synclint.run import Fixing, Outcome, in_project, lint_files, lint_source, linter
from synclint.selection import UnknownSelectorError
from synclint.source import Source, SourceError, shown_path

if TYPE_CHECKING:
    from argparse import Namespace

    from synclint.config import Settings
    from synclint.runtime.trace import Trace

FEW_FILES = 64
"""Up to so many files (about a third of a second), starting processes costs more than it saves."""


def check(options: Namespace) -> int:
    """Run the command; the exit status."""
    try:
        trace = _trace(options) if options.trace else None
        outcomes, texts = _stdin(options) if options.stdin else (lint_paths(options), {})
    except LINT_ERRORS as error:
        print(f"synclint: error: {error}", file=sys.stderr)
        return 2
    joined = None
    if trace is not None:
        from synclint.waits.files import changed_since
        from synclint.waits.join import join

        findings = [finding for outcome in outcomes for finding in outcome.findings]
        joined = join(trace, findings, [outcome.path for outcome in outcomes])
        for path in changed_since(options.trace, joined.files):
            print(f"synclint: warning: {path} was changed after it was traced: lines may not match", file=sys.stderr)
    from synclint.cli.output import report

    return report(outcomes, texts, options, joined)


class _UsageError(Exception):
    """Options that the parser could not judge."""


LINT_ERRORS = (config.ConfigError, DiscoverError, UnknownSelectorError, _UsageError)
"""What keeps :func:`lint_paths` from linting."""


def _trace(options: Namespace) -> Trace:
    from synclint.runtime.trace import TraceError
    from synclint.waits.files import read_traces

    try:
        return read_traces(options.trace)
    except TraceError as error:
        raise _UsageError(f"--trace: {error}") from None
    except OSError as error:
        raise _UsageError(f"--trace: {error.filename}: {error.strerror}") from None


def _fixing(options: Namespace) -> Fixing:
    if not (options.fix or options.diff):
        return Fixing()
    levels = {Applicability.SAFE, Applicability.UNSAFE} if options.unsafe_fixes else {Applicability.SAFE}
    return Fixing(frozenset(levels), write=not options.diff and not options.stdin)


# ---------------------------------------------------------------------- settings


class _Projects:
    """The settings for each folder: those of the nearest configuration, as the command line changes them."""

    def __init__(self, options: Namespace) -> None:
        self._options = options
        self._known: dict[str, Settings] = {}

    def around(self, start: str) -> Settings:
        """The settings for a file or folder that was named, which need not exist."""
        folder = os.path.abspath(start)
        if not os.path.isdir(folder):
            folder = os.path.dirname(folder)
        if folder not in self._known:
            self._known[folder] = _changed(config.load(Path(folder)), self._options)
        return self._known[folder]

    def of_file(self, path: Path) -> Settings:
        """The settings for a file found below a folder that :meth:`around` knows."""
        return self._of_folder(os.path.dirname(os.path.abspath(path)))

    def _of_folder(self, folder: str) -> Settings:
        parent = os.path.dirname(folder)
        if folder in self._known or folder == parent or os.path.exists(os.path.join(folder, "pyproject.toml")):
            return self.around(folder)
        self._known[folder] = self._of_folder(parent)
        return self._known[folder]


def settings_around(path: str, options: Namespace) -> Settings:
    """The settings for one file, as the command line changes them. Raises one of LINT_ERRORS."""
    return _Projects(options).around(path)


def _changed(settings: Settings, options: Namespace) -> Settings:
    changes: dict[str, Any] = {}
    select, ignore, extend = tuple(options.select), tuple(options.ignore), tuple(options.extend_select)
    if select:
        changes.update(select=select, ignore=ignore, extend_select=extend)
    else:
        changes.update(ignore=settings.ignore + ignore, extend_select=settings.extend_select + extend)
    if options.per_file_ignores:
        changes["per_file_ignores"] = tuple((pattern, (selector,)) for pattern, selector in options.per_file_ignores)
    if options.confidence:
        changes["confidence"] = config.read_confidence(options.confidence)
    if options.heat:
        changes["heat"] = config.read_heat(options.heat)
    if options.target_torch is not None:
        try:
            changes["target_torch"] = config.read_target_torch(options.target_torch)
        except ValueError as error:
            raise _UsageError(f"--target-torch: {error}") from None
    if options.force_exclude:
        changes["force_exclude"] = True
    settings = replace(settings, **changes)
    try:
        linter(settings)
    except UnknownSelectorError as error:
        if getattr(options, error.key.replace("-", "_")):
            raise _UsageError(f"--{error.key}: {error}") from None
        raise config.error_at(settings.root / "pyproject.toml", error.key, str(error)) from None
    return settings


# ---------------------------------------------------------------------- what to lint


def lint_paths(options: Namespace) -> list[Outcome]:
    """Lint the files under the paths: searched by the settings for the path, each linted by those nearest to it."""
    projects = _Projects(options)
    by_settings: dict[Settings, list[str]] = {}
    for path in options.paths or ["."]:
        by_settings.setdefault(projects.around(path), []).append(path)
    found: dict[str, tuple[Path, Settings]] = {}
    missing: list[Outcome] = []
    for settings, paths in by_settings.items():
        for file in _discovered(paths, settings, missing):
            found.setdefault(os.path.abspath(file), (file, projects.of_file(file)))
    if not found and not missing:
        print("synclint: warning: no Python files under these paths", file=sys.stderr)
    jobs = options.jobs or (1 if len(found) <= FEW_FILES else _processors())
    outcomes = lint_files(list(found.values()), _fixing(options), jobs, cache=not options.no_cache)
    return sorted([*outcomes, *missing], key=lambda outcome: outcome.path)


def _discovered(paths: list[str], settings: Settings, missing: list[Outcome]) -> list[Path]:
    """The files under these paths; a path that cannot be searched becomes an outcome among ``missing``."""
    try:
        return _search(paths, settings)
    except DiscoverError:
        files = []
        for path in paths:
            try:
                files += _search([path], settings)
            except DiscoverError as error:
                reason = str(error).removeprefix(f"{path}: ")
                unreadable = SourceError(shown_path(path), 1, 1, f"cannot be read: {reason}")
                missing.append(Outcome(shown_path(path), linter(settings).unreadable(unreadable), unread=True))
        return files


def _search(paths: list[str], settings: Settings) -> list[Path]:
    return discover(
        paths,
        exclude=settings.exclude,
        extend_exclude=settings.extend_exclude,
        force_exclude=settings.force_exclude,
        respect_gitignore=settings.respect_gitignore,
        root=settings.root,
    )


def _stdin(options: Namespace) -> tuple[list[Outcome], dict[str, Source]]:
    """Lint stdin and, with --fix, write its text to stdout; also the text that findings speak of."""
    raw = sys.stdin.buffer.read()
    name = options.stdin_filename
    settings = _Projects(options).around(name or ".")
    shown = shown_path(name) if name else "-"
    texts: dict[str, Source] = {}
    if name and settings.force_exclude and _is_excluded(name, settings):
        outcome = Outcome(shown)
    else:
        try:
            texts[shown] = source = Source.decode(raw, shown)
            if name and os.path.isfile(name) and may_wait(source.data):
                with in_project(name, settings, cache=not options.no_cache) as place:
                    outcome = lint_source(source, settings, _fixing(options), place)
            else:
                outcome = lint_source(source, settings, _fixing(options))
            if outcome.fixed:
                raw = source.encode(outcome.after)
                texts[shown] = Source(shown, outcome.after, source.encoding, bom=source.bom)
        except SourceError as error:
            outcome = Outcome(shown, linter(settings).unreadable(error))
    if options.fix and not options.diff:
        sys.stdout.buffer.write(raw)
        sys.stdout.flush()
    return [outcome], texts


def _is_excluded(name: str, settings: Settings) -> bool:
    try:
        return not _search([name], settings)
    except DiscoverError:  # there is no such file
        return False


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
