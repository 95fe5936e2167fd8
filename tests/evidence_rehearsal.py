"""Takes evidence "on a GPU" with the simulated device in its place: ``python evidence_rehearsal.py OUT``.

Each simulated wait calls torch's callbacks, as a real one would; what needs a driver (sleeping, the profiler) is
played.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch.cuda import _gpu_trace

from synclint.runtime.event import Event
from synclint.runtime.evidence import oracles, overheads, own_tests, stages
from synclint.runtime.evidence.records import Seen
from synclint.runtime.recorder import Recorder
from synclint.runtime.simulated import SimulatedBackend
from synclint.runtime.tracer import Options

EVENTS: list[Event] = []


def told(event: Event) -> None:
    EVENTS.append(event)
    if event.kind == "sync":
        _gpu_trace.StreamSynchronizationCallbacks.fire_callbacks(0)


class Played:
    cycles_per_second = 1.0

    def __init__(self, name: Any = "sleep") -> None:
        self.name = name

    def see(self, function: Callable[[], object], passed_over: str) -> Seen:
        before, began = len(EVENTS), time.perf_counter()
        function()
        waits = any(event.kind == "sync" for event in EVENTS[before:])
        return Seen(waits, (time.perf_counter() - began,))


class NoHalf:
    def __init__(self, *arguments: object) -> None: ...

    def join(self, *arguments: object) -> str:
        return ""


def main(out: Path) -> None:
    oracles.BehaviourOracle = Played  # type: ignore[misc, assignment]
    oracles.ProfilerOracle = lambda: Played("profiler")  # type: ignore[misc, assignment]
    stages.SimulatedHalf = NoHalf  # type: ignore[misc, assignment]
    own_tests._TESTS = "tests/no_such_file.py"
    overheads._STEPS = 2
    backend = SimulatedBackend(Options())
    backend.start(Recorder(told))
    try:
        stages.Run(out, cuda=True, seconds=600.0, every=200).measure()
    finally:
        backend.stop()


main(Path(sys.argv[1]))
