"""The files of a project: what they say to each other is read, kept, and read again when they change."""

from __future__ import annotations

import os
import sqlite3
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from synclint import cache as cache_folder
from synclint.answers import Answers
from synclint.discover import discover
from synclint.index.packages import module_name
from synclint.index.sides import side_folder
from synclint.index.store import Stamp, Store, discard
from synclint.source import Source, SourceError
from synclint.version import version

if TYPE_CHECKING:
    import tempfile
    from collections.abc import Iterable

    from synclint.config import Settings
    from synclint.flow.link import InProject
    from synclint.index.store import Entry
    from synclint.lint.rule import Rule
    from synclint.reading import Task


class Member(NamedTuple):
    """A file of a project that was read: the store, the project's root, the file's path in it, its module, and what the
    project says of the heat of its functions."""

    store: str
    root: str
    path: str
    module: str
    names: tuple[tuple[str, ...], tuple[str, ...]]

    def place(self) -> InProject:
        """With who answers for the other files of the project."""
        from synclint.linking import place_of

        return place_of(*self)


class ProjectFiles:
    """A project as it is on disk, for the sake of the files that are ``named``.

    What tests and examples do with the code says nothing about it: a folder of them at the root is read only when a
    file in it is named, and then for its own files alone. With ``cache``, what is learnt is kept in the root, where
    that can be written.
    """

    def __init__(self, root: str, settings: Settings, named: Iterable[str], *, cache: bool = True) -> None:
        self.root = root
        self._names = (settings.entry_points, settings.cold_functions)
        named = list(named)
        self._sides = {"", *(side_folder(_inside(root, file)) for file in named)}
        self._stamps = _stamps(root, settings, named)
        self._touched: list[tuple[str, Stamp]] = []
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self._store = self._open(cache)

    def _open(self, cache: bool) -> Store:
        if cache:
            try:
                return Store(cache_folder.store_of(cache_folder.make(self.root), version()), version())
            except (OSError, sqlite3.Error):
                pass  # a folder that cannot be written, or is full: do without
        import tempfile

        self._temporary = tempfile.TemporaryDirectory(prefix="synclint-")
        return Store(cache_folder.store_of(Path(self._temporary.name), version()), version())

    def answers(self, rules: Iterable[Rule]) -> Answers:
        """What earlier runs have found in the project as it is now."""
        files = self._store.files()
        states: dict[str, list[object]] = {side: [] for side in self._sides}
        for path, known in sorted(files.items()):
            side = side_folder(path)
            if side in states:
                states[side].append((path, known.digest, known.module))
        read = frozenset(path for path, known in files.items() if known.digest)
        return Answers(self._store, {side: repr((states[""], states[side])) for side in states}, read, rules)

    def close(self) -> None:
        if "synclint.linking" in sys.modules:
            from synclint.linking import forget

            forget()
        self._store.close()
        if self._temporary is not None:
            self._temporary.cleanup()

    def member(self, file: Path | str) -> Member:
        """Where a file of the project stands."""
        path = _inside(self.root, file)
        return Member(self._store.path, self.root, path, module_name(path, self._stamps.keys()), self._names)

    def outdated(self) -> list[Task]:
        """The files that are new or have changed since they were read, and those that could not be."""
        try:
            known = self._store.files()
        except sqlite3.DatabaseError:
            self._start_again()
            known = {}
        paths = frozenset(self._stamps)
        tasks = []
        self._touched = []
        for path, stamp in self._stamps.items():
            if side_folder(path) not in self._sides:
                continue
            module = module_name(path, paths)
            entry = known.get(path)
            if entry is not None and entry.digest and entry.module == module:
                if entry.stamp == stamp:
                    continue
                if entry.stamp.size == stamp.size and _digest(os.path.join(self.root, path)) == entry.digest:
                    self._touched.append((path, stamp))
                    continue
            tasks.append((os.path.join(self.root, path), path, module, stamp))
        if not tasks:
            return []
        from synclint.reading import Task

        return [Task(*task) for task in tasks]

    def update(self, entries: Iterable[Entry]) -> bool:
        """Keeps what was read, and forgets files that are gone. False if that could not be done where it was tried:
        now all files are outdated."""
        entries = list(entries)
        try:
            gone = sorted(self._store.files().keys() - self._stamps.keys())
            if not entries and not gone and not self._touched:
                return True
            from synclint.flow.heat import Names
            from synclint.project_heat import StoredHeats

            self._store.change(entries, gone, self._touched)
            for side in sorted(self._sides):
                StoredHeats(self._store, Names(*self._names), side).prepare()
        except sqlite3.Error as error:
            if self._temporary is not None:
                raise
            if not isinstance(error, sqlite3.OperationalError):
                discard(self._store.path)
            self._start_again()
            return False
        return True

    def _start_again(self) -> None:
        """Does without the store, which is damaged, or on a disk that is full or must not be written."""
        self._store.close()
        self._store = self._open(cache=False)


def _digest(file: str) -> bytes:
    """What tells the content of a file; empty where it cannot be read."""
    try:
        return Source.read(file).digest
    except SourceError:
        return b""


def _inside(root: str, file: Path | str) -> str:
    return os.path.relpath(file, root).replace(os.sep, "/")


def _stamps(root: str, settings: Settings, named: Iterable[str]) -> dict[str, Stamp]:
    """The Python files of a project by their path in it."""
    found = discover(
        [root, *named],
        exclude=settings.exclude,
        extend_exclude=settings.extend_exclude,
        respect_gitignore=settings.respect_gitignore,
        root=settings.root,
    )
    stamps: dict[str, Stamp] = {}
    for file in found:
        path = _inside(root, file)
        if path.endswith(".py"):
            try:
                status = os.stat(file)
            except OSError:
                continue
            stamps[path] = Stamp(status.st_mtime_ns, status.st_size)
    return stamps
