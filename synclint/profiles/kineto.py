"""Chrome traces of ``torch.profiler`` (``export_chrome_trace``, ``tensorboard_trace_handler``), also ``.gz``.

``cuda_runtime`` (and driver) events are the calls, ``gpu_memcpy`` events say of the same correlation what was copied,
``cpu_op`` events are operators, ``python_function`` events (``with_stack=True``) the stack. The last tell the first
line of a function, not the line that runs; what it calls does, where it calls that at one line alone.
"""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from synclint.finding import Direction
from synclint.profiles.calls import Call, Copy, matters, waits
from synclint.profiles.nesting import Range, enclosing
from synclint.profiles.places import Called, Places, built_in
from synclint.runtime.trace import Trace, TraceError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

Thread = tuple[int, int]

_RUNTIME = ("cuda_runtime", "cuda_driver", "hip_runtime", "privateuse1_runtime")
_FUNCTION = re.compile(r"(?P<path>.+)\((?P<line>\d+)\): (?P<name>.+)")
_MEMCPY = re.compile(r"Memcpy (?P<way>HtoD|DtoH) \((?P<source>\w+) -> (?P<target>\w+)\)")
_ENGINE = "autograd::engine::"
_BACKWARD = "_engine_run_backward"
_PROFILER = ("torch/profiler/", "torch/autograd/profiler.py")


def read(path: Path, roots: tuple[str, ...]) -> Trace:
    """The waits of a Chrome trace. Raises TraceError, OSError."""
    events = list(_complete(path))
    calls = list(_calls(events))
    for thread, ranges in _ranges(events, "cpu_op").items():
        mine = [call for call in calls if call.thread == thread]
        for call, around in zip(mine, enclosing(ranges, [call.began for call in mine]), strict=True):
            names = [one.name for one in around]
            call.operators = tuple(name for name in names if not name.startswith(_ENGINE))
            call.backward = any(name.startswith(_ENGINE) for name in names)
    stacks = _Stacks(_ranges(events, "python_function"), calls)
    places = Places(roots)
    trace = Trace(backend="torch.profiler")
    for call, event in waits(calls):
        names = stacks.of(call)
        if any(name.startswith(_PROFILER) or "/torch/profiler/" in name for name in names):
            continue  # the profiler's own, when it starts or stops
        place = places.of([_called(name) for name in names])
        placed = event.placed(place.user, place.project, backward=call.backward, in_function=place.in_function)
        trace.events.append(placed)
    if not stacks.known:
        _drop_the_last_wait(trace, calls)
    pids = sorted({call.thread[0] for call in calls})
    trace.processes = [{"pid": pid, "profile": str(path)} for pid in pids] or [{"profile": str(path)}]
    return trace.aggregated()


# ---------------------------------------------------------------------- events


def _complete(path: Path) -> Iterator[dict[str, Any]]:
    """The complete events of the file (``"ph": "X"``), checked for what is used of them."""
    data = path.read_bytes()
    try:
        document = json.loads(gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data)
    except (ValueError, EOFError, OSError, zlib.error, RecursionError) as error:
        raise TraceError(f"{path}:{getattr(error, 'lineno', 1)}: not a Chrome trace: {error}") from error
    events = document.get("traceEvents") if isinstance(document, dict) else document
    if not isinstance(events, list):
        raise TraceError(f"{path}:1: not a Chrome trace: no list of traceEvents")
    for number, event in enumerate(events):
        if not isinstance(event, dict):
            raise TraceError(f"{path}:1: traceEvents[{number}] is not an object")
        if event.get("ph") == "X" and event.get("cat") in (*_RUNTIME, "gpu_memcpy", "cpu_op", "python_function"):
            try:
                yield {
                    "cat": event["cat"],
                    "name": str(event["name"]),
                    "thread": (_number(event.get("pid")), _number(event.get("tid"))),
                    "began": float(event["ts"]) / 1e6,
                    "took": float(event.get("dur", 0)) / 1e6,
                    "correlation": (event.get("args") or {}).get("correlation"),
                }
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                raise TraceError(f"{path}:1: traceEvents[{number}]: {error!r}") from error


def _number(value: object) -> int:
    return int(value) if isinstance(value, int | float | str) and str(value).lstrip("-").isdigit() else 0


def _calls(events: list[dict[str, Any]]) -> Iterator[Call]:
    copies = {event["correlation"]: _copy(event["name"]) for event in events if event["cat"] == "gpu_memcpy"}
    found = [event for event in events if event["cat"] in _RUNTIME and matters(event["name"])]
    for event in sorted(found, key=lambda one: float(one["began"])):
        copy = copies.get(event["correlation"])
        yield Call(event["name"], event["thread"], event["began"], event["took"], copy)


def _copy(name: str) -> Copy | None:
    matched = _MEMCPY.match(name)
    if matched is None:
        return None
    host = matched["source"] if matched["way"] == "HtoD" else matched["target"]
    pageable = {"Pageable": True, "Pinned": False}.get(host)
    return Copy(Direction.H2D if matched["way"] == "HtoD" else Direction.D2H, pageable)


def _ranges(events: list[dict[str, Any]], category: str) -> dict[Thread, list[Range]]:
    found: dict[Thread, list[Range]] = defaultdict(list)
    for event in events:
        if event["cat"] == category:
            found[event["thread"]].append(Range(event["began"], event["began"] + event["took"], event["name"]))
    return found


# ---------------------------------------------------------------------- stacks


class _Stacks:
    """The names of the functions around each call, the outermost first."""

    def __init__(self, functions: Mapping[Thread, list[Range]], calls: list[Call]) -> None:
        self.known = bool(functions)
        self._stacks: dict[int, list[str]] = {}
        without = []
        for thread in {call.thread for call in calls}:
            mine = [call for call in calls if call.thread == thread]
            for call, around in zip(mine, _around(functions.get(thread, []), mine), strict=True):
                if around:
                    self._stacks[id(call)] = [one.name for one in around]
                elif call.backward:
                    without.append(call)
        without.sort(key=lambda call: call.began)
        callers: dict[int, list[tuple[Range, ...]]] = defaultdict(list)
        for thread, ranges in functions.items():
            for call, around in zip(without, _around(ranges, without), strict=True):
                if thread[0] == call.thread[0] and _runs_backward(around):
                    callers[id(call)].append(around)
        for key, found in callers.items():
            if len(found) == 1:  # the call is on a thread of the autograd engine, which works for this one
                self._stacks[key] = [one.name for one in found[0]]

    def of(self, call: Call) -> list[str]:
        """The stack of a call."""
        return self._stacks.get(id(call), [])


def _around(ranges: list[Range], calls: list[Call]) -> Iterator[tuple[Range, ...]]:
    return enclosing(ranges, [call.began for call in calls])


def _runs_backward(stack: tuple[Range, ...]) -> bool:
    return any(one.name.endswith(_BACKWARD) for one in stack)


def _called(name: str) -> Called:
    matched = _FUNCTION.fullmatch(name)
    if matched is None:
        return Called("", 0, built_in(name))
    return Called(matched["path"], int(matched["line"]), matched["name"], definition=matched["name"] != "<module>")


def _drop_the_last_wait(trace: Trace, calls: list[Call]) -> None:
    """Without stacks, the wait with which the profiler stops looks like one of the program's: it is the last call."""
    if calls and calls[-1].short == "DeviceSynchronize" and not calls[-1].operators:
        last = next(
            (
                event
                for event in reversed(trace.events)
                if event.operation == calls[-1].name and event.stall == calls[-1].took
            ),
            None,
        )
        if last is not None:
            trace.events.remove(last)
