"""``torch.cuda.Stream`` and ``torch.cuda.Event``: work runs at once, so they only say who waits for whom."""

from __future__ import annotations

import itertools
import threading
import time
from typing import TYPE_CHECKING, Any

import torch

from synclint.runtime.simulated import state
from synclint.runtime.simulated.aliases import CUDA

if TYPE_CHECKING:
    from types import TracebackType

    from synclint.runtime.simulated.races import Races

_handles = itertools.count(1)


class Stream:
    """A stream of the simulated device; ``cuda_stream`` is its handle, 0 the default stream's."""

    device = CUDA
    device_index = 0
    device_type = 1

    def __init__(self, device: object = None, priority: int = 0, **known: int) -> None:
        self.stream_id = known.get("stream_id", known.get("stream_ptr", -1))
        if self.stream_id < 0:
            self.stream_id = next(_handles)
        self.cuda_stream = self.stream_id
        self.priority = priority
        self._entered: list[Stream | None] = []

    def synchronize(self) -> None:
        from synclint.runtime.simulated.waits import wait

        wait(state.running(), "torch.cuda.Stream.synchronize", self.cuda_stream)
        self.query()

    def query(self) -> bool:
        races = _races()
        if races is not None:
            races.host_waits_for(self.cuda_stream)
        return True

    def is_capturing(self) -> bool:
        return state.running().tape is not None

    def wait_stream(self, stream: Stream) -> None:
        races = _races()
        if races is not None:
            races.order(races.now(stream.cuda_stream), self.cuda_stream)

    def wait_event(self, event: Event) -> None:
        event.wait(self)

    def record_event(self, event: Event | None = None) -> Event:
        event = Event() if event is None else event
        event.record(self)
        return event

    @staticmethod
    def priority_range() -> tuple[int, int]:
        return 0, -5

    def __enter__(self) -> Stream:
        self._entered.append(_local.stream)
        _local.stream = self
        return self

    def __exit__(self, *error: object) -> None:
        _local.stream = self._entered.pop()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Stream) and other.stream_id == self.stream_id

    def __hash__(self) -> int:
        return hash(self.stream_id)

    def __repr__(self) -> str:
        return f"<torch.cuda.Stream device=cuda:0 cuda_stream={self.cuda_stream:#x}>"


class Event:
    """An event of the simulated device; times are those of the host."""

    device = CUDA

    def __init__(
        self, enable_timing: bool = False, blocking: bool = False, interprocess: bool = False, **other: object
    ) -> None:
        self.enable_timing = enable_timing
        self._time: float | None = None
        self._stream = 0
        self._clock: dict[int, int] = {}

    @property
    def cuda_event(self) -> int:
        return id(self)

    event_id = cuda_event

    def record(self, stream: Stream | None = None) -> None:
        self._time = time.perf_counter()
        self._stream = (stream or current_stream()).cuda_stream
        races = _races()
        if races is not None:
            self._clock = races.now(self._stream)

    def wait(self, stream: Stream | None = None) -> None:
        races = _races()
        if races is not None:
            races.order(self._clock, (stream or current_stream()).cuda_stream)

    def query(self) -> bool:
        races = _races()
        if races is not None:
            races.host_waits(self._clock)
        return True

    def synchronize(self) -> None:
        from synclint.runtime.simulated.waits import wait

        if self._time is None:
            return  # an event that was never recorded does not make the host wait
        wait(state.running(), "torch.cuda.Event.synchronize", self._stream)
        self.query()

    def elapsed_time(self, end: Event) -> float:
        if not (self.enable_timing and end.enable_timing):
            raise ValueError("Both events must be created with argument 'enable_timing=True'.")
        if self._time is None or end._time is None:
            raise ValueError("Both events must be recorded before calculating elapsed time.")
        return (end._time - self._time) * 1e3

    def __repr__(self) -> str:
        return f"<torch.cuda.Event {'uninitialized' if self._time is None else hex(id(self))}>"


class StreamContext:
    """``torch.cuda.stream(s)``; None leaves the current stream."""

    def __init__(self, stream: Stream | None) -> None:
        self.stream = stream

    def __enter__(self) -> None:
        if self.stream is not None:
            self.stream.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.stream is not None:
            self.stream.__exit__()


class DeviceContext:
    """``torch.cuda.device(index)``: there is one device."""

    def __init__(self, device: Any = None) -> None:
        self.idx = 0
        self.prev_idx = -1

    def __enter__(self) -> None:
        return None

    def __exit__(self, *error: object) -> None:
        return None


class _Local(threading.local):
    stream: Stream | None = None


_local = _Local()
DEFAULT = Stream(stream_id=0)


def current_stream(device: object = None) -> Stream:
    return _local.stream or DEFAULT


def default_stream(device: object = None) -> Stream:
    return DEFAULT


def set_stream(stream: Stream | None) -> None:
    _local.stream = stream


def forget_streams() -> None:
    """Makes the default stream current again, on this thread."""
    _local.stream = None


def _races() -> Races | None:
    simulation = state.current()
    return None if simulation is None else simulation.races


def generic(simulated: type, real: Any) -> type:
    """``torch.Stream`` or ``torch.Event``: the simulated one, unless another kind of device is named."""

    class Meta(type):
        def __instancecheck__(cls, value: object) -> bool:
            return isinstance(value, (simulated, real))

        def __call__(cls, device: Any = None, *args: Any, **kwargs: Any) -> Any:
            if device is not None and torch.device(device).type != "cuda":
                return real(device, *args, **kwargs)
            return simulated(*args, **kwargs)

    return Meta(real.__name__, (), {})
