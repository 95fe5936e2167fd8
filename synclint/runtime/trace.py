"""What a run waited for, and the file that holds it: JSON lines, one file for each process.

The first line says of what process the trace is. Each line after it is an event (``Event.to_json``), or adds to an
earlier one: ``{"again": 3, "count": 1, "stall": 0.002}`` is one more like the fourth event. A process that is
killed, or a forked worker that leaves without cleaning up, loses nothing: lines are flushed as they are written.
"""

from __future__ import annotations

import json
import os
import threading
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from synclint.runtime.event import Event

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

VERSION = 1


class TraceError(ValueError):
    """A file that is no trace. The message starts with ``path:line:``."""


@dataclass(slots=True)
class Trace:
    """Events in the order in which they happened, or, once aggregated, the costliest first.

    ``processes`` describe the traced processes: each a mapping with ``pid``, ``argv``, ``python``, ``torch``,
    ``device``, ``rank`` where they are known.
    """

    events: list[Event] = field(default_factory=list)
    backend: str = ""
    processes: list[dict[str, Any]] = field(default_factory=list)

    def aggregated(self) -> Trace:
        """Like events joined (those that differ in nothing but thread, count and stall), the costliest first."""
        return replace(self, events=aggregate(self.events))

    def write(self, path: Path) -> None:
        """Write the file that :func:`read` reads."""
        lines = [_header(self.backend, self.processes), *(event.to_json() for event in self.events)]
        text = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines)
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, path)


def aggregate(events: Iterable[Event]) -> list[Event]:
    """Like events joined, those first for which the host stood longest, then the most frequent."""
    joined: dict[Event, Event] = {}
    for event in events:
        key = _like(event)
        before = joined.get(key)
        joined[key] = event if before is None else _add(before, event.count, event.stall)
    return sorted(joined.values(), key=lambda event: (-(event.stall or 0.0), -event.count, str(event)))


def merge(traces: Iterable[Trace]) -> Trace:
    """One trace of several processes, aggregated."""
    whole = Trace()
    backends = []
    for trace in traces:
        whole.events += trace.events
        whole.processes += trace.processes
        backends += [trace.backend] if trace.backend and trace.backend not in backends else []
    whole.backend = "+".join(backends)
    return whole.aggregated()


def read(path: Path) -> Trace:
    """The trace in a file. A last line that was cut off is left out. Raises TraceError, OSError."""
    trace = Trace()
    events: list[Event] = []
    lines = path.read_text(encoding="utf-8").split("\n")
    for number, line in enumerate(lines, 1):
        if not line:
            continue
        try:
            entry = json.loads(line)
            if number == 1:
                if entry["synclint-trace"] != VERSION:
                    raise TraceError(f"{path}:1: a trace of version {entry['synclint-trace']}, this reads {VERSION}")
                trace.backend, trace.processes = entry["backend"], entry["processes"]
            elif "again" in entry:
                line = entry["again"]
                events[line] = _add(events[line], entry["count"], entry["stall"])
            else:
                events.append(Event.from_json(entry))
        except TraceError:
            raise
        except (ValueError, TypeError, KeyError, IndexError) as error:
            if number == len(lines) and number > 1:  # killed while writing it
                break
            raise TraceError(f"{path}:{number}: not a line of a synclint trace: {error}") from error
    if not trace.processes:
        raise TraceError(f"{path}:1: not a synclint trace: the first line is missing")
    trace.events = events
    return trace


class Writer:
    """Appends the events of this process to a file, each flushed, so that a process may end at any moment.

    Opens the file with its first line. A forked child must open its own. May be called from any thread.
    """

    def __init__(self, path: Path, backend: str, process: dict[str, Any]) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o644)
        self._lines: dict[Event, int] = {}
        self._lock = threading.Lock()
        self._append(_header(backend, [process]))

    def __call__(self, event: Event) -> None:
        key = _like(event)
        with self._lock:
            line = self._lines.get(key)
            if line is None:
                self._lines[key] = len(self._lines)
                self._append(event.to_json())
            else:
                self._append({"again": line, "count": event.count, "stall": event.stall})

    def close(self) -> None:
        os.close(self._file)

    def _append(self, entry: dict[str, Any]) -> None:
        os.write(self._file, json.dumps(entry, separators=(",", ":")).encode() + b"\n")


def _header(backend: str, processes: list[dict[str, Any]]) -> dict[str, Any]:
    return {"synclint-trace": VERSION, "backend": backend, "processes": processes}


def _like(event: Event) -> Event:
    """The event without what may differ between like ones."""
    return replace(event, thread=0, count=1, stall=None)


def _add(event: Event, count: int, stall: float | None) -> Event:
    total = event.stall if stall is None else (event.stall or 0.0) + stall
    return replace(event, count=event.count + count, stall=total)
