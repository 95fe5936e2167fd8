"""What was learnt of a project's files, kept on disk: one SQLite file that parallel runs share.

An entry is keyed by the content of its file. What is kept has a checksum, and reading it raises
:class:`sqlite3.DatabaseError` where that is wrong. A database that is damaged, or was made by another version, is
emptied.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

_CHECKSUM = 4  # bytes

_TABLES = """
CREATE TABLE meta (version TEXT, generation INTEGER);
CREATE TABLE files (path TEXT PRIMARY KEY, mtime INTEGER, size INTEGER, digest BLOB, module TEXT,
    record BLOB, summary BLOB, edges BLOB);
CREATE TABLE calls (name TEXT, path TEXT);
CREATE TABLE owners (name TEXT, path TEXT, class TEXT);
CREATE TABLE waiting (name TEXT, path TEXT);
CREATE TABLE heats (path TEXT, key BLOB, heats BLOB, PRIMARY KEY (path, key));
CREATE TABLE answers (path TEXT PRIMARY KEY, key BLOB, answer BLOB);
CREATE INDEX calls_by_name ON calls (name);
CREATE INDEX calls_by_path ON calls (path);
CREATE INDEX owners_by_name ON owners (name);
CREATE INDEX owners_by_path ON owners (path);
CREATE INDEX waiting_by_path ON waiting (path);
"""


class Stamp(NamedTuple):
    """What tells, without reading it, that a file is as it was: nanoseconds of the last change, and bytes."""

    mtime: int
    size: int


class Known(NamedTuple):
    """What the store knows a file by."""

    stamp: Stamp
    digest: bytes
    module: str


class Entry(NamedTuple):
    """One file: its path in the project, what it is known by, and what was learnt of it.

    ``calls`` are the names that it calls, ``owners`` pairs of an attribute and a class that has it, ``waiting`` the
    names of functions that may wait for what they are passed.
    """

    path: str
    known: Known
    record: bytes
    summary: bytes
    edges: bytes
    calls: Sequence[str]
    owners: Sequence[tuple[str, str]]
    waiting: Sequence[str] = ()


class Store:
    """An open store. ``version`` is that of whoever wrote the entries; with another one, there are none.

    Raises :class:`sqlite3.Error` when the file can be neither used nor made anew.
    """

    def __init__(self, path: Path | str, version: str) -> None:
        self.path = os.fspath(path)
        try:
            self._connection = self._open(version)
        except sqlite3.OperationalError:  # locked, or not to be written: no reason to take it from others
            raise
        except sqlite3.DatabaseError:
            discard(self.path)
            self._connection = self._open(version)

    def _open(self, version: str) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=60, isolation_level=None)
        try:
            connection.execute("PRAGMA synchronous = OFF")
            if _version(connection) != version:
                self._make(connection, version)
        except BaseException:
            connection.close()
            raise
        return connection

    @staticmethod
    def _make(connection: sqlite3.Connection, version: str) -> None:
        connection.execute("BEGIN IMMEDIATE")
        if _version(connection) == version:  # another process was faster
            connection.execute("COMMIT")
            return
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        for (name,) in tables:
            connection.execute(f"DROP TABLE {name}")
        for statement in _TABLES.split(";"):
            if statement.strip():
                connection.execute(statement)
        connection.execute("INSERT INTO meta VALUES (?, 0)", (version,))
        connection.execute("COMMIT")

    def close(self) -> None:
        self._connection.close()

    # Files

    def files(self) -> dict[str, Known]:
        """Every file that has an entry."""
        rows = self._connection.execute("SELECT path, mtime, size, digest, module FROM files")
        return {path: Known(Stamp(mtime, size), digest, module) for path, mtime, size, digest, module in rows}

    def change(
        self, entries: Iterable[Entry], removed: Iterable[str], touched: Iterable[tuple[str, Stamp]] = ()
    ) -> None:
        """Puts entries, removes others, and notes new stamps of files whose content is the same; all or nothing."""
        entries, removed, touched = list(entries), list(removed), list(touched)
        if not (entries or removed or touched):
            return
        run = self._connection.execute
        run("BEGIN IMMEDIATE")
        try:
            changed = 0
            for path in removed:
                self._forget(path)
                changed += 1
            for path, stamp in touched:
                run("UPDATE files SET mtime = ?, size = ? WHERE path = ?", (*stamp, path))
            for entry in entries:
                changed += self._column("edges", entry.path) != entry.edges
                self._forget(entry.path)
                known = entry.known
                told = (entry.path, *known.stamp, known.digest, known.module)
                kept = map(_sealed, (entry.record, entry.summary, entry.edges))
                run("INSERT INTO files VALUES (?, ?, ?, ?, ?, ?, ?, ?)", (*told, *kept))
                many = self._connection.executemany
                many("INSERT INTO calls VALUES (?, ?)", [(name, entry.path) for name in entry.calls])
                many("INSERT INTO owners VALUES (?, ?, ?)", [(name, entry.path, of) for name, of in entry.owners])
                many("INSERT INTO waiting VALUES (?, ?)", [(name, entry.path) for name in entry.waiting])
            if changed:
                run("DELETE FROM heats")
                run("UPDATE meta SET generation = generation + 1")
        except BaseException:
            run("ROLLBACK")
            raise
        run("COMMIT")

    def _forget(self, path: str) -> None:
        for table in ("files", "calls", "owners", "waiting", "answers"):
            self._connection.execute(f"DELETE FROM {table} WHERE path = ?", (path,))

    def record(self, path: str) -> bytes | None:
        return self._column("record", path)

    def summary(self, path: str) -> bytes | None:
        return self._column("summary", path)

    def _column(self, name: str, path: str) -> bytes | None:
        row = self._connection.execute(f"SELECT {name} FROM files WHERE path = ?", (path,)).fetchone()
        return None if row is None else _opened(row[0])

    def edges(self) -> tuple[int, list[tuple[str, bytes]]]:
        """The part of every entry that says which functions call which, by path; and the number of their generation."""
        rows = self._connection.execute("SELECT generation, path, edges FROM meta, files ORDER BY path").fetchall()
        return (rows[0][0] if rows else 0), [(path, _opened(edges)) for _, path, edges in rows]

    def callers(self, name: str) -> list[str]:
        """The files with a call by this name, sorted."""
        rows = self._connection.execute("SELECT DISTINCT path FROM calls WHERE name = ? ORDER BY path", (name,))
        return [path for (path,) in rows]

    def all_callers(self) -> dict[str, list[str]]:
        """The files with a call by each name, sorted."""
        found: dict[str, list[str]] = {}
        for name, path in self._connection.execute("SELECT name, path FROM calls ORDER BY name, path"):
            found.setdefault(name, []).append(path)
        return found

    def owners(self, name: str) -> list[tuple[str, str]]:
        """(path, class) of every class with an attribute of this name, sorted."""
        rows = self._connection.execute("SELECT path, class FROM owners WHERE name = ? ORDER BY path, class", (name,))
        return rows.fetchall()

    def waiting(self) -> set[str]:
        """The names of functions that may wait for what they are passed."""
        return {name for (name,) in self._connection.execute("SELECT DISTINCT name FROM waiting")}

    # Heats: what was computed from all edges, for each key; gone as soon as any edge changes

    def generation(self) -> int:
        """How often the edges have changed."""
        number: int = self._connection.execute("SELECT generation FROM meta").fetchone()[0]
        return number

    def heats(self, path: str, key: bytes) -> bytes | None:
        row = self._connection.execute("SELECT heats FROM heats WHERE path = ? AND key = ?", (path, key)).fetchone()
        return None if row is None else _opened(row[0])

    def keep_heats(self, generation: int, key: bytes, heats: Iterable[tuple[str, bytes]]) -> None:
        """Keeps (path, heats) pairs, unless the edges have changed since they were of this generation."""
        run = self._connection.execute
        run("BEGIN IMMEDIATE")
        if run("SELECT generation FROM meta").fetchone() == (generation,):
            rows = ((path, key, _sealed(data)) for path, data in heats)
            self._connection.executemany("INSERT OR REPLACE INTO heats VALUES (?, ?, ?)", rows)
        run("COMMIT")

    # Answers: what was concluded from all files, good as long as none of them changes

    def answer(self, path: str, key: bytes) -> bytes | None:
        row = self._connection.execute("SELECT answer FROM answers WHERE path = ? AND key = ?", (path, key)).fetchone()
        return None if row is None else _opened(row[0])

    def keep(self, answers: Iterable[tuple[str, bytes, bytes]]) -> None:
        """Keeps (path, key, answer) triples, in the place of earlier answers about these paths."""
        self._connection.execute("BEGIN IMMEDIATE")
        rows = ((path, key, _sealed(answer)) for path, key, answer in answers)
        self._connection.executemany("INSERT OR REPLACE INTO answers VALUES (?, ?, ?)", rows)
        self._connection.execute("COMMIT")


def _sealed(data: bytes) -> bytes:
    return crc32(data).to_bytes(_CHECKSUM, "big") + data


def _opened(sealed: bytes) -> bytes:
    data = sealed[_CHECKSUM:]
    if crc32(data).to_bytes(_CHECKSUM, "big") != sealed[:_CHECKSUM]:
        raise sqlite3.DatabaseError("an entry is damaged")
    return data


def discard(path: str) -> None:
    """Removes the file of a store that is damaged, so that the next one starts anew."""
    for name in (path, path + "-journal"):
        with suppress(FileNotFoundError):
            os.remove(name)


def _version(connection: sqlite3.Connection) -> str | None:
    row = connection.execute("SELECT name FROM sqlite_master WHERE name = 'meta'").fetchone()
    made = None if row is None else connection.execute("SELECT version FROM meta").fetchone()
    return None if made is None else made[0]
