"""SQLite exports of Nsight Systems (``nsys export --type sqlite``).

``CUPTI_ACTIVITY_KIND_RUNTIME`` holds the calls, their names in ``StringIds``; ``CUPTI_ACTIVITY_KIND_MEMCPY`` says of
the same correlation what was copied; ranges of ``NVTX_EVENTS`` (``torch.autograd.profiler.emit_nvtx``, or
``nsys --pytorch``) are operators; ``CUDA_CALLCHAINS`` are stacks. Nsight Systems creates tables when it has rows for
them, and leaves out columns in some versions. How it writes Python's frames is not documented: those are taken for such
that name a ``.py`` file and a line, in any of the usual spellings.
"""

from __future__ import annotations

import re
import sqlite3
from collections import defaultdict
from contextlib import closing
from typing import TYPE_CHECKING, Any

from synclint.finding import Direction
from synclint.profiles.calls import Call, Copy, matters, waits
from synclint.profiles.nesting import Range, enclosing
from synclint.profiles.places import Called, Places
from synclint.runtime.trace import Trace, TraceError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_RUNTIME = "CUPTI_ACTIVITY_KIND_RUNTIME"
_MEMCPY = "CUPTI_ACTIVITY_KIND_MEMCPY"
_CHAINS = "CUDA_CALLCHAINS"
_NVTX = "NVTX_EVENTS"

_WAYS = {1: Direction.H2D, 2: Direction.D2H}
"""CUPTI's kinds of copies that cross between host and device."""

_PAGEABLE, _PINNED = 0, 1
"""CUPTI's kinds of memory, as Nsight Systems numbers them."""

_ID = 0x1000000
"""A serialised thread id holds the process id above, and the thread id below this."""

_PYTHON = (
    re.compile(r"(?P<path>[^\s\"':(]+\.py)[:(](?P<line>\d+)\)?"),
    re.compile(r"(?P<path>[^\s\"':(]+\.py)\"?,? line (?P<line>\d+)"),
)


def read(path: Path, roots: tuple[str, ...]) -> Trace:
    """The waits of an export. Raises TraceError, OSError."""
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
            return _read(database, path, roots)
    except sqlite3.Error as error:
        raise TraceError(f"{path}:1: not an export of Nsight Systems that can be read: {error}") from error


def _read(database: sqlite3.Connection, path: Path, roots: tuple[str, ...]) -> Trace:
    tables = _Tables(database)
    for name, columns in ((_RUNTIME, ("start", "end", "nameId")), ("StringIds", ("id", "value"))):
        missing = [column for column in columns if column not in tables.columns(name)]
        if missing:
            raise TraceError(f"{path}:1: not an export of Nsight Systems with CUDA calls: no {name}.{missing[0]}")
    calls, chains = _calls(database, tables)
    for thread, ranges in _operators(database, tables).items():
        mine = [call for call in calls if call.thread == thread]
        for call, around in zip(mine, enclosing(ranges, [call.began for call in mine]), strict=True):
            call.operators = tuple(one.name for one in around)
    stacks = _Stacks(database, tables)
    places = Places(roots)
    trace = Trace(backend="nsys")
    for call, event in waits(calls):
        place = places.of(stacks.of(chains.get(id(call))))
        trace.events.append(event.placed(place.user, place.project, in_function=place.in_function))
    pids = sorted({call.thread[0] for call in calls})
    trace.processes = [{"pid": pid, "profile": str(path)} for pid in pids] or [{"profile": str(path)}]
    return trace.aggregated()


class _Tables:
    """The columns of the tables that are there."""

    def __init__(self, database: sqlite3.Connection) -> None:
        names = [row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type IN ('table', 'view')")]
        self._columns = {
            name: {row[1] for row in database.execute(f'PRAGMA table_info("{name}")')}
            for name in names
            if name in (_RUNTIME, _MEMCPY, _CHAINS, _NVTX, "StringIds")
        }

    def columns(self, table: str) -> set[str]:
        """The names of a table's columns; none where there is no such table."""
        return self._columns.get(table, set())

    def chosen(self, table: str, *columns: str) -> str:
        """These columns for a SELECT; NULL for those that are not there."""
        known = self.columns(table)
        return ", ".join(f't."{column}"' if column in known else f'NULL AS "{column}"' for column in columns)


def _calls(database: sqlite3.Connection, tables: _Tables) -> tuple[list[Call], dict[int, int]]:
    """The calls that matter, in order, and the ids of their call chains by the calls' identity."""
    names = {
        number: name
        for number, name in database.execute("SELECT id, value FROM StringIds")
        if isinstance(name, str) and matters(name)
    }
    copies = _copies(database, tables)
    calls: list[Call] = []
    chains: dict[int, int] = {}
    chosen = tables.chosen(_RUNTIME, "start", "end", "nameId", "globalTid", "correlationId", "callchainId")
    for start, end, name, tid, correlation, chain in database.execute(f"SELECT {chosen} FROM {_RUNTIME} t"):
        if name not in names:
            continue
        thread = _thread(tid)
        copy = copies.get((thread[0], correlation))
        calls.append(Call(names[name], thread, start / 1e9, (end - start) / 1e9, copy))
        if chain is not None:
            chains[id(calls[-1])] = chain
    return sorted(calls, key=lambda call: call.began), chains


def _copies(database: sqlite3.Connection, tables: _Tables) -> dict[tuple[int, Any], Copy]:
    """What each copy moved, by its process and correlation."""
    if "correlationId" not in tables.columns(_MEMCPY):
        return {}
    found = {}
    chosen = tables.chosen(_MEMCPY, "correlationId", "copyKind", "srcKind", "dstKind", "globalPid")
    for correlation, kind, source, target, pid in database.execute(f"SELECT {chosen} FROM {_MEMCPY} t"):
        direction = _WAYS.get(kind)
        if direction is not None:
            host = source if direction is Direction.H2D else target
            pageable = {_PAGEABLE: True, _PINNED: False}.get(host)
            found[_thread(pid)[0], correlation] = Copy(direction, pageable)
    return found


def _operators(database: sqlite3.Connection, tables: _Tables) -> dict[tuple[int, int], list[Range]]:
    """The NVTX ranges that are aten operators, by thread."""
    found: dict[tuple[int, int], list[Range]] = defaultdict(list)
    if not {"start", "end"} <= tables.columns(_NVTX):
        return found
    chosen = tables.chosen(_NVTX, "start", "end", "text", "textId", "globalTid")
    registered = "t.textId" if "textId" in tables.columns(_NVTX) else "NULL"
    query = f"SELECT {chosen}, s.value FROM {_NVTX} t LEFT JOIN StringIds s ON s.id = {registered}"
    for start, end, text, _, tid, string in database.execute(query):
        name = str(text or string or "").partition(",")[0]
        if end is not None and name.startswith("aten::"):
            found[_thread(tid)].append(Range(start / 1e9, end / 1e9, name))
    return found


class _Stacks:
    """The Python frames of call chains."""

    def __init__(self, database: sqlite3.Connection, tables: _Tables) -> None:
        self._chains: dict[int, list[Called]] = defaultdict(list)
        if not {"id", "symbol", "stackDepth"} <= tables.columns(_CHAINS):
            return
        module = "t.module" if "module" in tables.columns(_CHAINS) else "NULL"
        query = (
            f"SELECT t.id, s.value, m.value FROM {_CHAINS} t LEFT JOIN StringIds s ON s.id = t.symbol "
            f"LEFT JOIN StringIds m ON m.id = {module} ORDER BY t.id, t.stackDepth DESC"
        )
        for chain, symbol, file in database.execute(query):
            self._chains[chain] += _python(str(symbol or ""), str(file or ""))

    def of(self, chain: int | None) -> list[Called]:
        """The stack of a chain, the outermost frame first."""
        return [] if chain is None else self._chains.get(chain, [])


def _python(symbol: str, module: str) -> Iterator[Called]:
    for text in (symbol, module):
        for pattern in _PYTHON:
            matched = pattern.search(text)
            if matched is not None:
                rest = symbol if text is module else text[: matched.start()] + text[matched.end() :]
                name = re.search(r"[A-Za-z_<][\w.<>]*", rest.replace("File", "").replace(" in ", " "))
                yield Called(matched["path"], int(matched["line"]), name[0] if name else "")
                return


def _thread(serialised: int | None) -> tuple[int, int]:
    """Process and thread out of a serialised id of either."""
    number = serialised or 0
    return number // _ID % _ID, number % _ID
