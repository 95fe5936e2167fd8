"""One tracer over two back ends: the GPU, or a simulated CUDA device where there is none."""

from __future__ import annotations

import os
import threading
from collections import Counter
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

from synclint.runtime.recorder import Recorder
from synclint.runtime.trace import Trace

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from synclint.runtime.event import Event

_ASK_NVML = "PYTORCH_NVML_BASED_CUDA_CHECK"

BackendName = Literal["auto", "cuda", "simulated"]


class BackendError(RuntimeError):
    """A back end cannot run here; the message says why."""


@dataclass(frozen=True, slots=True)
class Options:
    """What is looked for beside waits. ``pageable``: copies that are asynchronous in name only (the simulated device
    always reports them). ``stall_times``: how long the host stood, for the first ``stall_window`` seconds (``cuda``
    alone). ``races``: memory used before a copy has run (``simulated`` alone)."""

    pageable: bool = False
    stall_times: bool = False
    races: bool = False
    stall_window: float = 30.0


class Backend(Protocol):
    """Sees waits and calls a recorder. ``start`` raises BackendError where it cannot; ``stop`` restores everything."""

    name: str

    def start(self, recorder: Recorder) -> None: ...

    def stop(self) -> None: ...


@runtime_checkable
class Forbidding(Protocol):
    """A back end that needs to know when a block forbids waits: what raises at the wait may cost too much else."""

    def forbidding(self) -> AbstractContextManager[None]: ...


@runtime_checkable
class Silenceable(Protocol):
    """A back end that can look away from what one thread does."""

    def silence(self) -> AbstractContextManager[None]: ...


_running: Tracer | None = None
_lock = threading.Lock()


def running() -> Tracer | None:
    """The tracer of this process that is between start and end, if any."""
    return _running


class Tracer:
    """Records the waits of this process: ``with Tracer() as trace: ...``, then ``trace.events``.

    ``roots`` are the project's folders (default: the working directory). ``sink`` gets each event as it happens, on
    the thread that waited; without ``keep`` it alone does, so that a run may be of any length. One tracer runs at a
    time; ``__enter__`` raises BackendError when another one does or when the back end cannot run here.
    """

    def __init__(
        self,
        backend: BackendName = "auto",
        *,
        roots: tuple[str, ...] | None = None,
        pageable: bool = False,
        stall_times: bool = False,
        races: bool = False,
        sink: Callable[[Event], None] | None = None,
        keep: bool = True,
    ) -> None:
        self._name: BackendName = backend
        self._roots = (os.getcwd(),) if roots is None else roots
        self._options = Options(pageable, stall_times, races)
        self._sink = sink
        self._keep = keep
        self._backend: Backend | None = None
        self._stalls: dict[Event, list[float]] = {}
        self.trace = Trace()
        self.recorder = Recorder(self._note, self._roots)

    @property
    def backend(self) -> str:
        """The name of the back end that runs, or the one that was asked for."""
        return self._name if self._backend is None else self._backend.name

    @property
    def not_simulated(self) -> Counter[str]:
        """How often the simulated device refused an operator so far, by its name."""
        return Counter(getattr(self._backend, "not_simulated", self.trace.not_simulated))

    def __enter__(self) -> Trace:
        global _running
        with _lock:
            if _running is not None:
                raise BackendError(f"a tracer runs already, on the back end {_running.backend!r}")
            _running = self
        try:
            backend = load_backend(self._name, self._options)
            backend.start(self.recorder)
        except BaseException:
            _running = None
            raise
        self._backend = backend
        self.trace.backend = backend.name
        return self.trace

    def __exit__(self, *error: object) -> None:
        global _running
        backend = self._backend
        try:
            if backend is not None:
                self.trace.not_simulated = self.not_simulated
                backend.stop()
        finally:
            self._backend = None
            _running = None
            self._add_stalls()

    def forbidding(self) -> AbstractContextManager[None]:
        """Held while a block forbids waits."""
        return self._backend.forbidding() if isinstance(self._backend, Forbidding) else nullcontext()

    def unwatched(self) -> AbstractContextManager[None]:
        """Held around waits of synclint's own: those of this thread are not recorded."""
        return self._backend.silence() if isinstance(self._backend, Silenceable) else nullcontext()

    def _note(self, event: Event) -> None:
        if self._keep and event.count:
            self.trace.events.append(event)
        elif self._keep:
            self._stalls.setdefault(replace(event, count=1, stall=None), []).append(event.stall or 0.0)
        if self._sink is not None:
            self._sink(event)

    def _add_stalls(self) -> None:
        if self._stalls:
            for at, event in enumerate(self.trace.events):
                waiting = self._stalls.get(event)
                if waiting:
                    self.trace.events[at] = replace(event, stall=waiting.pop(0))
            self._stalls.clear()


def load_backend(name: BackendName, options: Options) -> Backend:
    """The back end of that name; "auto" is ``cuda`` where torch sees a GPU, else ``simulated``."""
    if name == "auto":
        name = "cuda" if gpu_available() else "simulated"
    if name == "cuda":
        from synclint.runtime.cuda import CudaBackend

        return CudaBackend(options)
    if name == "simulated":
        from synclint.runtime.simulated import SimulatedBackend

        return SimulatedBackend(options)
    raise BackendError(f"there is no back end {name!r}; there are 'cuda' and 'simulated'")


def gpu_available() -> bool:
    """Whether torch sees a GPU. Raises BackendError where there is no torch.

    Asks the driver's management library: once the CUDA runtime has been asked, a forked child can no longer use CUDA,
    and the code that is traced may be about to fork.
    """
    try:
        import torch
    except ImportError as error:
        raise BackendError(f"torch cannot be imported: {error}") from error
    before = os.environ.get(_ASK_NVML)
    os.environ[_ASK_NVML] = "1"
    try:
        return torch.cuda.is_available()
    finally:
        if before is None:
            del os.environ[_ASK_NVML]
        else:
            os.environ[_ASK_NVML] = before
