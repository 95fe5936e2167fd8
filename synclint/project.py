"""The files of a project: what they say to each other is read, kept, and read again when they change."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import sys
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from synclint.answers import Answers
from synclint.discover import discover
from synclint.flow.conventions import side_folder
from synclint.flow.heat import Heats, Names
from synclint.flow.link import InProject, Linker
from synclint.flow.mentions import outline
from synclint.flow.module import ModuleFlow
from synclint.flow.outline import dump as dump_outline
from synclint.flow.pickled import dump, load
from synclint.flow.summary import Summary
from synclint.index.build import build
from synclint.index.packages import Packages, module_name
from synclint.index.project import Project
from synclint.index.records import ModuleRecord, Symbol
from synclint.index.store import Entry, Known, Stamp, Store, discard
from synclint.project_heat import StoredHeats
from synclint.source import Source, SourceError

if TYPE_CHECKING:
    import tempfile
    from collections.abc import Callable, Iterable
    from typing import Any

    from synclint.config import Settings
    from synclint.lint.rule import Rule

CACHE = ".synclint_cache"
"""The folder in a project's root where the store is."""

_BESIDE = frozenset(("__pycache__", "cli", "explain", "profiles", "report", "runtime", "verify", "waits"))
"""Folders of synclint that have no say in what is found."""


class Task(NamedTuple):
    """A file to read: its absolute path, its path in the project, the dotted name of its module, its stamp."""

    file: str
    path: str
    module: str
    stamp: Stamp


class Member(NamedTuple):
    """A file of a project that was read: the store, the project's root, the file's path in it, its module, and what the
    project says of the heat of its functions."""

    store: str
    root: str
    path: str
    module: str
    names: Names

    def place(self) -> InProject:
        links = _links(self.store, self.root, side_folder(self.path))
        heats = links.heats(self.names)
        return InProject(links.linker, self.root, self.path, self.module, links.digest(self.path), heats)


class ProjectFiles:
    """A project as it is on disk, for the sake of the files that are ``named``.

    What tests and examples do with the code says nothing about it: a folder of them at the root is read only when a
    file in it is named, and then for its own files alone. With ``cache``, what is learnt is kept in the root, where
    that can be written.
    """

    def __init__(self, root: str, settings: Settings, named: Iterable[str], *, cache: bool = True) -> None:
        self.root = root
        self._names = Names(settings.entry_points, settings.cold_functions)
        named = list(named)
        self._sides = {"", *(side_folder(_inside(root, file)) for file in named)}
        self._stamps = _stamps(root, settings, named)
        self._touched: list[tuple[str, Stamp]] = []
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self._store = self._open(cache)

    def _open(self, cache: bool) -> Store:
        if cache:
            try:
                return Store(_cache_folder(self.root) / "project.db", version())
            except (OSError, sqlite3.Error):
                pass  # a folder that cannot be written, or is full: do without
        import tempfile

        self._temporary = tempfile.TemporaryDirectory(prefix="synclint-")
        return Store(os.path.join(self._temporary.name, "project.db"), version())

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
        _links.cache_clear()
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
            tasks.append(Task(os.path.join(self.root, path), path, module, stamp))
        return tasks

    def update(self, entries: Iterable[Entry]) -> bool:
        """Keeps what was read, and forgets files that are gone. False if that could not be done where it was tried:
        now all files are outdated."""
        try:
            gone = sorted(self._store.files().keys() - self._stamps.keys())
            self._store.change(entries, gone, self._touched)
            for side in sorted(self._sides):
                StoredHeats(self._store, self._names, side).prepare()
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


def read_file(task: Task) -> Entry:
    """What one file says to the others; nothing when it cannot be parsed (which linting it reports)."""
    try:
        source = Source.read(task.file, shown=task.path)
        digest = source.digest
        record, summary = _learn(source, task)
        edges = dump_outline(outline(source, record))
    except (SourceError, RecursionError):
        digest, record, summary, edges = b"", ModuleRecord(task.path, task.module), Summary(), b""
    return Entry(
        task.path, Known(task.stamp, digest, task.module), dump(record), dump(summary), edges,
        sorted(summary.calls), sorted(_owned(record)),
    )  # fmt: skip


def _owned(record: ModuleRecord) -> set[tuple[str, str]]:
    """(attribute, class) of the attributes of all classes of a file, properties included."""
    return {
        (name, known.qualname)
        for known in record.classes.values()
        for name in (*known.attributes, *(name for name, method in known.methods.items() if method.is_property))
    }


def _learn(source: Source, task: Task) -> tuple[ModuleRecord, Summary]:
    if b"torch" not in source.data:
        return build(task.path, source.tree, task.module), Summary()
    flow = ModuleFlow(source, path=task.path, name=task.module)
    return flow.record, flow.summarise()


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
        self._files = {path: known for path, known in store.files().items() if side_folder(path) in ("", side)}
        packages = Packages(self._files)
        self._heats: dict[Names, StoredHeats] = {}
        self.linker = Linker(Project(packages, self._record), self._summary, self._callers, self._owners)

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
        try:
            found = self._store.callers(name)
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
                for of, owner in _owned(record)
                if of == name
            )
        return [Symbol(path, qualname) for path, qualname in found if path in self._files]


@lru_cache(maxsize=1)
def version() -> str:
    """What tells the entries of this very synclint from those of any other: its code, its rules and its facts."""
    stamps = []
    pending = [os.path.dirname(__file__)]
    while pending:
        folder = pending.pop()
        with os.scandir(folder) as listing:
            for entry in listing:
                if entry.name.endswith((".py", ".toml")):
                    status = entry.stat()
                    stamps.append(f"{entry.path} {status.st_size} {status.st_mtime_ns}")
                elif entry.name not in _BESIDE and entry.is_dir():
                    pending.append(entry.path)
    # What one release of Python can parse, another may not.
    said = [str(sys.version_info[:2]), *sorted(stamps)]
    return hashlib.blake2b("\n".join(said).encode(), digest_size=16).hexdigest()


def _cache_folder(root: str) -> Path:
    folder = Path(root) / CACHE
    if not folder.is_dir():
        folder.mkdir()
        (folder / ".gitignore").write_text("# Made by synclint: what it has learnt of this project.\n*\n")
    return folder


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
