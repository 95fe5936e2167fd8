"""How long the host stood, from torch's profiler: the calls of the CUDA runtime, without stacks.

Callbacks run before a wait and know its line; the profiler knows its length and not its line. They are joined thread by
thread, in order. Calls without a partner are waits that torch did not report: those of libraries and of the allocator.
They have no line.
"""

from __future__ import annotations

import inspect
import re
import threading
import time
import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from synclint.finding import Direction
from synclint.runtime.event import Event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from synclint.runtime.cuda.patches import Patches
    from synclint.runtime.cuda.watch import Wait, WaitKind, Watch
    from synclint.runtime.recorder import Recorder

#: The calls of the runtime (CUDA, ROCm) that end each kind of wait.
ENDS: dict[WaitKind, frozenset[str]] = {
    "stream": frozenset(("cudaStreamSynchronize", "hipStreamSynchronize", "hipMemcpyWithStream")),
    "device": frozenset(("cudaDeviceSynchronize", "hipDeviceSynchronize")),
    "event": frozenset(("cudaEventSynchronize", "hipEventSynchronize")),
    "copy": frozenset(("cudaMemcpyAsync", "hipMemcpyAsync")),
}
_WAITS = {name: kind for kind, names in ENDS.items() if kind != "copy" for name in names} | {
    "cudaMemcpy": "stream",
    "hipMemcpy": "stream",
}
_FREES = frozenset(("cudaFree", "cudaFreeHost", "cuMemUnmap", "hipFree", "hipHostFree"))
_ALLOCATES = frozenset(("cudaMalloc", "cudaHostAlloc", "cudaMallocHost", "hipMalloc", "hipHostMalloc"))
SLACK = 50_000  # nanoseconds: both clocks count from the epoch, but are read by different means
_HALF = 0xFFFF_FFFF


class RuntimeCall(NamedTuple):
    """A call of the CUDA runtime. Times are in nanoseconds since the epoch. ``thread`` is the native id, or for threads
    that the profiler has not met the lower half of what pthreads call it."""

    name: str
    thread: int
    began: int
    took: int


class StallTimes:
    """Profiles from :meth:`start` to :meth:`stop`, or for ``window`` seconds, and gives the waits their length.

    The window ends at the first explicit wait or backward pass of the starting thread after that time: torch stops a
    profiler only on the thread that started it. There is one profiler in a process: where another one runs, a warning
    says that there are no stall times; where the user starts one later, this one makes way.
    """

    def __init__(
        self,
        recorder: Recorder,
        watch: Watch,
        window: float,
        profile: Callable[[], Any] | None = None,
    ) -> None:
        self._recorder = recorder
        self._watch = watch
        self._window = window
        self._make = profile or profile_runtime
        self._profile: Any = None
        self._thread = 0
        self._started = 0

    def start(self, patches: Patches) -> None:
        if torch._C._autograd._profiler_enabled():
            warnings.warn("no stall times: another torch profiler runs on this thread", RuntimeWarning, stacklevel=2)
            return
        try:
            profile = self._make()
            profile.__enter__()
        except (RuntimeError, AssertionError) as error:
            warnings.warn(f"no stall times: torch's profiler does not start: {error}", RuntimeWarning, stacklevel=2)
            return
        self._profile = profile
        self._thread = threading.get_ident()
        self._started = time.time_ns()
        self._watch.keep = True
        self._watch.between = self._end_of_window
        patches.wrap(torch.autograd.profiler.profile, "_prepare_trace", self._make_way)

    def stop(self) -> None:
        """Ends the window, if it has not ended, and tells the recorder what was seen."""
        profile, self._profile = self._profile, None
        if profile is None:
            return
        self._watch.keep, self._watch.between = False, None
        if threading.get_ident() != self._thread:
            self._profile = profile
            warnings.warn("no stall times: they end on another thread than they began", RuntimeWarning, stacklevel=2)
            return
        stopped = time.time_ns()
        with self._watch.silence():
            profile.__exit__(None, None, None)
        calls = [
            call for call in runtime_calls(profile.kineto_results.events()) if self._started <= call.began < stopped
        ]
        waits, self._watch.waits = self._watch.waits, []
        if waits and not calls:  # a second subscriber gets nothing, and no error
            said = "no stall times: torch's profiler saw no call of the CUDA runtime; does another tool use CUPTI?"
            warnings.warn(said, RuntimeWarning, stacklevel=2)
        joined, alone = join(waits, calls)
        for wait, seconds in joined:
            self._recorder.add_stall(wait.event, seconds)
        for event in map(unreported, alone):
            if event is not None:
                self._recorder.tell(event)

    def _end_of_window(self) -> None:
        over = time.time_ns() - self._started > self._window * 1e9
        if over and threading.get_ident() == self._thread:
            self.stop()

    def _make_way(self, original: Callable[..., Any], arguments: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
        if threading.get_ident() == self._thread:
            self.stop()
        return original(*arguments, **keywords)


def runtime_calls(events: Iterable[Any]) -> list[RuntimeCall]:
    """The calls of the CUDA runtime among the profiler's events (``_KinetoEvent``) that matter here."""
    wanted = frozenset().union(*ENDS.values(), _WAITS, _FREES, _ALLOCATES)
    found = []
    for event in events:
        name = re.sub(r"_v\d+$", "", event.name())
        if name in wanted:
            found.append(RuntimeCall(name, event.device_resource_id(), event.start_ns(), event.duration_ns()))
    return sorted(found, key=lambda call: call.began)


def join(waits: list[Wait], calls: list[RuntimeCall]) -> tuple[list[tuple[Wait, float]], list[RuntimeCall]]:
    """The waits with their length in seconds, and the calls that belong to none.

    A wait belongs to the first call of its kind on its thread that begins after it, and before the next wait. A wait
    for a stream includes the copy before it: the driver may stand there already.
    """
    joined: list[tuple[Wait, float]] = []
    alone: list[RuntimeCall] = []
    native = {wait.ident & _HALF: wait.thread for wait in waits}
    calls = [call._replace(thread=native.get(call.thread & _HALF, call.thread)) for call in calls]
    for thread in {wait.thread for wait in waits} | {call.thread for call in calls}:
        mine = sorted((wait for wait in waits if wait.thread == thread), key=lambda wait: wait.began)
        theirs = [call for call in calls if call.thread == thread]
        at = 0
        for number, wait in enumerate(mine):
            first = at
            while at < len(theirs) and theirs[at].began < wait.began - SLACK:
                at += 1
            alone += theirs[first:at]
            until = mine[number + 1].began if number + 1 < len(mine) else float("inf")
            end = _end(wait, theirs, at, until)
            if end is None:
                continue
            copy = [call for call in theirs[at:end][-1:] if wait.kind == "stream" and call.name in ENDS["copy"]]
            alone += theirs[at : end - len(copy)]
            joined.append((wait, sum(call.took for call in (*copy, theirs[end])) / 1e9))
            at = end + 1
        alone += theirs[at:]
    return joined, sorted(alone, key=lambda call: call.began)


def _end(wait: Wait, calls: list[RuntimeCall], at: int, until: float) -> int | None:
    """The place, from ``at`` on, of the call that ends ``wait``; None if there is none that begins before ``until``."""
    for place in range(at, len(calls)):
        if calls[place].began >= until:
            return None
        if calls[place].name in ENDS[wait.kind]:
            return place
    return None


def unreported(call: RuntimeCall) -> Event | None:
    """The event of a call that torch did not report; None for copies, which need not wait."""
    if call.name in _WAITS:
        direction = Direction.DEVICE if _WAITS[call.name] == "device" else Direction.STREAM
        return Event(call.name, "library-internal", direction, thread=call.thread, stall=call.took / 1e9)
    if call.name in _FREES or call.name in _ALLOCATES:
        direction = Direction.DEVICE if call.name in _FREES else Direction.NONE
        return Event(call.name, "allocator", direction, thread=call.thread, stall=call.took / 1e9)
    return None


def profile_runtime() -> Any:
    """torch's profiler for the calls of the CUDA runtime: no operators, no stacks and, where torch can leave them out,
    no kernels."""
    profile = torch.autograd.profiler.profile
    keywords: dict[str, Any] = {"use_cpu": False, "use_device": "cuda", "use_kineto": True}
    if "activity_filters" in inspect.signature(profile.__init__).parameters:
        keywords["activity_filters"] = {torch.profiler.ProfilerActivity.CUDA: {"CUDA_RUNTIME"}}
    return profile(**keywords)
