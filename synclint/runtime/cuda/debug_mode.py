"""torch's own warning about waits (``torch.cuda.set_sync_debug_mode``), turned into SyncError inside ``no_sync()``.

torch gives the warning when the call that waited returns, so this is the first place where raising works. The mode is
of the whole process: it is held while any block forbids waits, and what other threads wait for is passed over.
"""

from __future__ import annotations

import threading
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

import torch

from synclint.finding import Direction
from synclint.runtime.scope import current_scope

if TYPE_CHECKING:
    from collections.abc import Iterator

    from synclint.runtime.recorder import Recorder

MESSAGE = "called a synchronizing CUDA operation"
_OFF, _WARN = 0, 1


class Mode(Protocol):
    """Reads and writes the mode: 0 is off, 1 warns, 2 raises."""

    def get(self) -> int: ...

    def set(self, mode: int) -> None: ...


class TorchMode:
    def get(self) -> int:
        return torch.cuda.get_sync_debug_mode()

    def set(self, mode: int) -> None:
        torch.cuda.set_sync_debug_mode(mode)


class DebugMode:
    """Holds torch's mode at "warn" while it is :meth:`held`, and raises for the waits of blocks that forbid them.

    The warnings are caught by a hook, the innermost one at the time: pytest, too, installs one for each test. A mode
    that the user has set keeps its meaning: "error" is left alone, at "warn" the warnings go where they went.
    ``recorded`` says whether the callbacks have recorded the wait already.
    """

    def __init__(self, recorder: Recorder, *, recorded: bool, mode: Mode | None = None) -> None:
        self._recorder = recorder
        self._recorded = recorded
        self._mode = mode or TorchMode()
        self._lock = threading.Lock()
        self._holders = 0
        self._user_mode = _OFF
        self._show: Any = None
        self._filter: Any = None

    @contextmanager
    def held(self) -> Iterator[None]:
        with self._lock:
            self._holders += 1
            if self._holders == 1:
                self._enter()
        try:
            yield
        finally:
            with self._lock:
                self._holders -= 1
                if self._holders == 0:
                    self._leave()

    def _enter(self) -> None:
        self._user_mode = self._mode.get()
        self._show = warnings.showwarning
        warnings.showwarning = self._hook
        # In front of all filters: neither once per line, nor an error where no block forbids the wait.
        warnings.filterwarnings("always", message=f".*{MESSAGE}")
        self._filter = warnings.filters[0]
        if self._user_mode == _OFF:
            self._mode.set(_WARN)

    def _leave(self) -> None:
        if self._user_mode == _OFF and self._mode.get() == _WARN:
            self._mode.set(_OFF)
        if warnings.showwarning == self._hook:  # else a hook that came later will put this one back: see _hook
            warnings.showwarning = self._show
        if self._filter in warnings.filters:
            warnings.filters.remove(self._filter)  # type: ignore[attr-defined]

    def _hook(self, message: Warning | str, *arguments: Any, **keywords: Any) -> None:
        if MESSAGE not in str(message):
            self._show(message, *arguments, **keywords)
            return
        if self._user_mode != _OFF or not self._holders:
            self._show(message, *arguments, **keywords)
        scope = current_scope()
        if self._holders and scope is not None and scope.reason is None:
            if self._recorded:
                self._recorder.raise_noted()
            else:
                self._recorder.record(
                    "cudaStreamSynchronize", "library-internal", Direction.STREAM, detail="seen by torch's warning"
                )
