"""The oracles, each asked on its own about one function: what it saw, and how long the host took."""

from __future__ import annotations

import time
import warnings
from typing import TYPE_CHECKING, Protocol

import torch

from synclint.runtime.cuda.debug_mode import MESSAGE
from synclint.runtime.cuda.profiler import ENDS, SLACK, RuntimeCall, profile_runtime, runtime_calls
from synclint.runtime.cuda.sleep import SleepOracle
from synclint.runtime.evidence.records import OracleName, Seen
from synclint.runtime.tracer import Tracer

if TYPE_CHECKING:
    from collections.abc import Callable

    from synclint.runtime.event import Event

_WAITING = ENDS["stream"] | ENDS["device"] | ENDS["event"] | {"cudaMemcpy", "hipMemcpy"}


class Oracle(Protocol):
    """``passed_over`` names code whose waits do not count, for oracles that know lines."""

    name: OracleName

    def see(self, function: Callable[[], object], passed_over: str) -> Seen: ...


class TraceOracle:
    """What users of the back end ``cuda`` see: callbacks and the wrappers, those of copies included."""

    name: OracleName = "trace"

    def see(self, function: Callable[[], object], passed_over: str) -> Seen:
        with Tracer("cuda", roots=(), pageable=True) as trace:
            host = _timed(function)
        return of_events(trace.events, passed_over, host)


class SimulatedOracle:
    """What the simulated device reports; ``events`` is the list that its tracer, which runs already, appends to."""

    name: OracleName = "simulated"

    def __init__(self, events: list[Event]) -> None:
        self._events = events

    def see(self, function: Callable[[], object], passed_over: str) -> Seen:
        before = len(self._events)
        host = _timed(function)
        return of_events(self._events[before:], passed_over, host)


class DebugModeOracle:
    """torch's own warnings, each time it waits."""

    name: OracleName = "debug-mode"

    def see(self, function: Callable[[], object], passed_over: str) -> Seen:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")
            try:
                host = _timed(function)
            finally:
                torch.cuda.set_sync_debug_mode("default")
        number = sum(MESSAGE in str(warning.message) for warning in caught)
        return Seen(number > 0, (host,), ("torch's warning",) * number)


class ProfilerOracle:
    """The calls of the CUDA runtime, with how long each took."""

    name: OracleName = "profiler"

    def see(self, function: Callable[[], object], passed_over: str) -> Seen:
        torch.cuda.synchronize()
        with profile_runtime() as profile:
            began = time.time_ns()
            host = _timed(function)
            ended = time.time_ns()
        calls = runtime_calls(profile.kineto_results.events())
        return of_calls([call for call in calls if began - SLACK <= call.began < ended], host)


class BehaviourOracle:
    """Whether the host comes back while the device sleeps."""

    name: OracleName = "sleep"

    def __init__(self) -> None:
        self._oracle = SleepOracle()
        self.cycles_per_second = self._oracle.cycles_per_second

    def see(self, function: Callable[[], object], passed_over: str) -> Seen:
        verdict = self._oracle.proves(function)
        return Seen(verdict.waits, verdict.host, (f"the device slept {verdict.sleep:.3f} s",), reason=verdict.reason)


def of_events(events: list[Event], passed_over: str, host: float) -> Seen:
    """What a tracer saw."""
    found = [event for event in events if event.user is None or event.user.path != passed_over]
    kinds = {event.kind for event in found}
    return Seen("sync" in kinds, (host,), tuple(map(_text, found)), "pageable" in kinds)


def _text(event: Event) -> str:
    line = "?" if event.user is None else event.user.line
    backward = " in backward" if event.backward else ""
    return f"{event.kind} {event.operation} ({event.cause}, {event.direction.value}) line {line}{backward}"


def of_calls(calls: list[RuntimeCall], host: float) -> Seen:
    """What a profiler saw."""
    texts = tuple(f"{call.name} {call.took / 1e6:.3f} ms" for call in calls)
    return Seen(any(call.name in _WAITING for call in calls), (host,), texts)


def _timed(function: Callable[[], object]) -> float:
    began = time.perf_counter()
    function()
    return time.perf_counter() - began
