"""Who answers for the files of a project that was read: from its store, as questions come."""

from __future__ import annotations

import os
import sqlite3
from functools import lru_cache
from typing import TYPE_CHECKING

from synclint.flow.heat import Heats, Names
from synclint.flow.link import InProject, Linker
from synclint.flow.pickled import load
from synclint.index.packages import Packages
from synclint.index.project import Project
from synclint.index.records import ModuleRecord, Symbol
from synclint.index.sides import side_folder
from synclint.index.store import Store, discard
from synclint.project_heat import StoredHeats
from synclint.reading import Task, owned, read_file, waiting
from synclint.version import version

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from synclint.flow.summary import Summary


_MANY = 100  # names that are asked for one by one, before all are loaded


def place_of(
    store: str, root: str, path: str, module: str, names: tuple[tuple[str, ...], tuple[str, ...]]
) -> InProject:
    """Where a file of the project in a store stands, with who answers for the others."""
    links = _links(store, root, side_folder(path))
    return InProject(links.linker, root, path, module, links.digest(path), links.heats(Names(*names)))


def forget() -> None:
    """Lets go of what was loaded: the stores may have changed."""
    _links.cache_clear()


@lru_cache(maxsize=8)
def _links(store: str, root: str, side: str) -> _Links:
    return _Links(Store(store, version()), root, side)


class _Links:
    """Loads records and summaries from a store as they are asked for, for the code itself or for one folder of tests,
    examples or the like. What turns out to be damaged is read from the file itself, and the store is discarded."""

    def __init__(self, store: Store, root: str, side: str) -> None:
        self._store = store
        self._side = side
        self._root = root
        self._records: dict[str, ModuleRecord | None] = {}
        self._summaries: dict[str, Summary | None] = {}
        self._names_asked = 0
        self._all_callers: dict[str, list[str]] | None = None
        self._files = {path: known for path, known in store.files().items() if side_folder(path) in ("", side)}
        packages = Packages(self._files)
        self._heats: dict[Names, StoredHeats] = {}
        project = Project(packages, self._record)
        self.linker = Linker(project, self._summary, self._callers, self._owners, self._waiting)

    def heats(self, names: Names) -> Heats:
        if names not in self._heats:
            self._heats[names] = StoredHeats(self._store, names, self._side)
        return self._heats[names].heats

    def digest(self, path: str) -> bytes:
        known = self._files.get(path)
        return b"" if known is None else known.digest

    def _record(self, path: str) -> ModuleRecord | None:
        if path not in self._records and path in self._files:
            self._load(path, self._records, self._store.record)
        return self._records.get(path)

    def _summary(self, path: str) -> Summary | None:
        if path not in self._summaries and path in self._files:
            self._load(path, self._summaries, self._store.summary)
        return self._summaries.get(path)

    def _load(self, path: str, into: dict[str, Any], stored: Callable[[str], bytes | None]) -> None:
        try:
            into[path] = load(stored(path) or b"")
        except Exception:  # damaged bytes can raise anything
            discard(self._store.path)
            known = self._files[path]
            entry = read_file(Task(os.path.join(self._root, path), path, known.module, known.stamp))
            self._records[path], self._summaries[path] = load(entry.record), load(entry.summary)

    def _callers(self, name: str) -> list[str]:
        self._names_asked += 1
        try:
            if self._names_asked == _MANY:
                self._all_callers = self._store.all_callers()
            found = self._store.callers(name) if self._all_callers is None else self._all_callers.get(name, [])
        except sqlite3.DatabaseError:
            discard(self._store.path)
            summaries = [(path, self._summary(path)) for path in sorted(self._files)]
            found = [path for path, summary in summaries if summary is not None and name in summary.calls]
        return [path for path in found if path in self._files]

    def _owners(self, name: str) -> list[Symbol]:
        try:
            found = self._store.owners(name)
        except sqlite3.DatabaseError:
            discard(self._store.path)
            records = [(path, self._record(path)) for path in sorted(self._files)]
            found = sorted(
                (path, owner)
                for path, record in records
                if record is not None
                for of, owner in owned(record)
                if of == name
            )
        return [Symbol(path, qualname) for path, qualname in found if path in self._files]

    def _waiting(self) -> set[str]:
        try:
            return self._store.waiting()
        except sqlite3.DatabaseError:
            discard(self._store.path)
            summaries = map(self._summary, sorted(self._files))
            return {name for summary in summaries if summary is not None for name in waiting(summary)}
