"""What the sources of the back end share: one wait is one event, however many of them see it."""

from __future__ import annotations

import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal, NamedTuple

import torch

from synclint.finding import Direction
from synclint.runtime.cuda.calls import Call, call_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from synclint.runtime.event import Event
    from synclint.runtime.recorder import Recorder

WaitKind = Literal["stream", "device", "event", "copy"]


class Wait(NamedTuple):
    """A wait that was recorded. ``began`` is in nanoseconds since the epoch, just before it. ``thread`` is the native
    id; ``ident`` is what Python (and pthreads) call the thread."""

    kind: WaitKind
    thread: int
    began: int
    event: Event
    ident: int = 0


class Watch:
    """Turns what callbacks and wrappers see into events of ``recorder``.

    Callbacks only record: they must not raise, and take no lock of torch. What a wrapper has recorded on a thread,
    callbacks on that thread leave out. ``waits`` is filled while ``keep`` is set, for stall times to be joined to;
    ``between`` is called where no call of torch is under way.
    """

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._local = _Local()
        self.keep = False
        self.between: Callable[[], None] | None = None
        self.waits: list[Wait] = []

    def on_stream(self, stream: int) -> None:
        """The callback of torch before it waits for a stream."""
        if self._local.silent:
            return
        self._note("stream", self._local.call or _call(_caller()), stream, may_raise=False)

    def on_device(self) -> None:
        """The callback of torch before it waits for the whole device."""
        if not self._local.silent:
            call = Call("torch.accelerator.synchronize", "explicit-wait", Direction.DEVICE)
            self._note("device", call, may_raise=False)

    def on_event(self, event: int) -> None:
        """The callback of torch before it waits for an event."""
        if not self._local.silent:
            self._note("event", Call("torch.Event.synchronize", "explicit-wait", Direction.STREAM), may_raise=False)

    @contextmanager
    def explicit(self, operation: str, kind: WaitKind, stream: int = 0) -> Iterator[None]:
        """Around a wait that the code asks for. Raises SyncError before it inside ``no_sync()``."""
        self.pause()
        if not self._local.silent:
            direction = Direction.DEVICE if kind == "device" else Direction.STREAM
            self._note(kind, Call(operation, "explicit-wait", direction), stream, may_raise=True)
        with self.silence():
            yield

    @contextmanager
    def named(self, call: Call) -> Iterator[None]:
        """Around a call that may wait: callbacks inside know what it is."""
        before, self._local.call = self._local.call, call
        try:
            yield
        finally:
            self._local.call = before

    @contextmanager
    def silence(self) -> Iterator[None]:
        """What this thread waits for inside is known already, or no business of the user."""
        before, self._local.silent = self._local.silent, True
        try:
            yield
        finally:
            self._local.silent = before

    def pageable(self, operation: str, direction: Direction, detail: str) -> None:
        """A copy that is asynchronous in name only; raises SyncError inside ``no_sync(pageable=True)``."""
        began = time.time_ns()
        event = self._recorder.record(
            operation, "pageable-copy", direction, kind="pageable", detail=detail, capture=capturing()
        )  # fmt: skip
        self._keep("copy", began, event)

    def pause(self) -> None:
        """Called by wrappers on the way in: a place to do what cannot be done inside torch."""
        if self.between is not None:
            self.between()

    def _note(self, kind: WaitKind, call: Call, stream: int = 0, *, may_raise: bool) -> None:
        began = time.time_ns()
        event = self._recorder.record(
            call.operation, call.cause, call.direction, stream=stream, capture=capturing(), may_raise=may_raise
        )  # fmt: skip
        self._keep(kind, began, event)

    def _keep(self, kind: WaitKind, began: int, event: Event | None) -> None:
        if event is not None and self.keep:
            self.waits.append(Wait(kind, threading.get_native_id(), began, event, threading.get_ident()))


class _Local(threading.local):
    silent = False
    call: Call | None = None


def capturing() -> bool:
    """Whether the current stream is recording a graph. Asks the driver nothing that waits."""
    return bool(torch.cuda.is_initialized()) and torch.cuda.is_current_stream_capturing()  # type: ignore[no-untyped-call]


def _caller() -> FrameType | None:
    """The Python frame that called into torch: below this module's callback and the registry that called it."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and (frame.f_code.co_filename == __file__ or frame.f_code.co_name == "fire_callbacks"):
        frame = frame.f_back
    return frame


def _call(frame: FrameType | None) -> Call:
    """What waits: as the frame says; where it has only called the autograd engine, as that says of the node it runs."""
    node = torch._C._current_autograd_node()
    in_engine = frame is None or frame.f_code.co_name == "_engine_run_backward"
    if in_engine and node is not None:
        return Call(node.name(), "library-internal", Direction.STREAM)
    return call_of(frame) or Call("cudaStreamSynchronize", "library-internal", Direction.STREAM)
