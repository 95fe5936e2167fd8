"""What a run waited for, and the file that holds it: JSON lines, one file for each process.

The first line says of what process the trace is. Each line after it is an event (``Event.to_json``), or adds to an
earlier one: ``{"again": 3, "count": 1, "stall": 0.002}`` is one more like the fourth event. Three more kinds of lines:
``{"ran": "/p/a.py", "lines": [3, 4]}`` says which lines were executed, ``{"not_simulated": {"aten::x": 2}}`` which
operators the simulated device refused, how often, ``{"proof": ...}`` (``Proof.to_json``) what was proved of a named
line. A process that is killed, or a forked worker that leaves without
cleaning up, loses nothing: lines are flushed as they are written.
"""

from __future__ import annotations

import json
import os
import threading
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from synclint.runtime.event import Event
from synclint.runtime.proof import Proof, join_proofs

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

VERSION = 1


class TraceError(ValueError):
    """A file that is no trace. The message starts with ``path:line:``."""


@dataclass(slots=True)
class Trace:
    """Events in the order in which they happened, or, once aggregated, the costliest first.

    ``processes`` describe the traced processes: each a mapping with ``pid``, ``argv``, ``python``, ``torch``,
    ``rank`` where they are known, and ``lines`` where executed lines were recorded. ``ran`` holds these by absolute
    path. ``not_simulated`` counts, by name, the operators that the simulated device does not have.
    ``proofs`` are those of lines that were named, one for each line once traces are merged.
    """

    events: list[Event] = field(default_factory=list)
    backend: str = ""
    processes: list[dict[str, Any]] = field(default_factory=list)
    ran: dict[str, set[int]] = field(default_factory=dict)
    not_simulated: Counter[str] = field(default_factory=Counter)
    proofs: list[Proof] = field(default_factory=list)

    @property
    def knows_lines(self) -> bool:
        """Whether all that is not in ``ran`` was not executed."""
        return bool(self.processes) and all(process.get("lines") for process in self.processes)

    def aggregated(self) -> Trace:
        """Like events joined (those that differ in nothing but thread, count and stall), the costliest first."""
        return replace(self, events=aggregate(self.events))

    def write(self, path: Path) -> None:
        """Write the file that :func:`read` reads."""
        lines = [_header(self.backend, self.processes), *(event.to_json() for event in self.events)]
        lines += [_ran(file, sorted(self.ran[file])) for file in sorted(self.ran)]
        lines += [{"not_simulated": dict(self.not_simulated)}] if self.not_simulated else []
        lines += [{"proof": proof.to_json()} for proof in self.proofs]
        text = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines)
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, path)


def aggregate(events: Iterable[Event]) -> list[Event]:
    """Like events joined, those first for which the host stood longest, then the most frequent."""
    joined: dict[tuple[object, ...], Event] = {}
    for event in events:
        key = event.like
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
        whole.not_simulated += trace.not_simulated
        whole.proofs += trace.proofs
        for file, lines in trace.ran.items():
            whole.ran.setdefault(file, set()).update(lines)
        backends += [trace.backend] if trace.backend and trace.backend not in backends else []
    whole.backend = "+".join(backends)
    whole.proofs = join_proofs(whole.proofs)
    return whole.aggregated()


def read(path: Path) -> Trace:
    """The trace in a file. A last line that was cut off is left out. Raises TraceError, OSError."""
    trace = Trace()
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise TraceError(f"{path}:1: not a synclint trace: {error}") from error
    for number, line in enumerate(lines, 1):
        if not line:
            continue
        try:
            entry = json.loads(line)
            if number == 1:
                if entry["synclint-trace"] != VERSION:
                    raise TraceError(f"{path}:1: a trace of version {entry['synclint-trace']}, this reads {VERSION}")
                trace.backend, trace.processes = entry["backend"], entry["processes"]
            else:
                _take(trace, entry)
        except TraceError:
            raise
        except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
            if number == len(lines) and number > 1:  # killed while writing it
                break
            raise TraceError(f"{path}:{number}: not a line of a synclint trace: {error}") from error
    if not trace.processes:
        raise TraceError(f"{path}:1: not a synclint trace: the first line is missing")
    return trace


def _take(trace: Trace, entry: dict[str, Any]) -> None:
    """Add what a line after the first one says."""
    if "again" in entry:
        at = entry["again"]
        trace.events[at] = _add(trace.events[at], entry["count"], entry["stall"])
    elif "ran" in entry:
        trace.ran.setdefault(entry["ran"], set()).update(entry["lines"])
    elif "lines_lost" in entry:
        trace.processes[0]["lines"] = False
    elif "not_simulated" in entry:
        trace.not_simulated.update(entry["not_simulated"])
    elif "proof" in entry:
        trace.proofs.append(Proof.from_json(entry["proof"]))
    else:
        trace.events.append(Event.from_json(entry))


class Writer:
    """Appends the events of this process to a file, each flushed, so that a process may end at any moment.

    Opens the file with its first line. A forked child must open its own. May be called from any thread, also after
    :meth:`close`, which then does nothing.
    """

    def __init__(self, path: Path, backend: str, process: dict[str, Any]) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o644)
        self._lines: dict[tuple[object, ...], int] = {}
        self._lock = threading.RLock()  # a signal handler may interrupt a write, and wait for the device, too
        self._closed = False
        self._append(_header(backend, [process]))

    def __call__(self, event: Event) -> None:
        key = event.like
        with self._lock:
            line = self._lines.get(key)
            if line is None:
                self._lines[key] = len(self._lines)
                self._append(event.to_json())
            else:
                self._append({"again": line, "count": event.count, "stall": event.stall})

    def ran(self, file: str, line: int) -> None:
        """Note that a line was executed; once for each line will do."""
        self._append(_ran(file, [line]))

    def lines_lost(self) -> None:
        """Note that lines were executed which :meth:`ran` was not told of."""
        self._append({"lines_lost": True})

    def not_simulated(self, operators: Mapping[str, int]) -> None:
        """Note operators that the simulated device refused; counts add up."""
        self._append({"not_simulated": dict(operators)})

    def proof(self, proof: Proof) -> None:
        """Note what was proved of a line."""
        self._append({"proof": proof.to_json()})

    def close(self) -> None:
        with self._lock:
            if not self._closed:
                self._closed = True
                os.close(self._file)

    def _append(self, entry: dict[str, Any]) -> None:
        line = json.dumps(entry, separators=(",", ":")).encode() + b"\n"
        with self._lock:
            if not self._closed:  # its number may be another file's by now
                os.write(self._file, line)


def _header(backend: str, processes: list[dict[str, Any]]) -> dict[str, Any]:
    return {"synclint-trace": VERSION, "backend": backend, "processes": processes}


def _ran(file: str, lines: list[int]) -> dict[str, Any]:
    return {"ran": file, "lines": lines}


def _add(event: Event, count: int, stall: float | None) -> Event:
    total = event.stall if stall is None else (event.stall or 0.0) + stall
    return replace(event, count=event.count + count, stall=total)
