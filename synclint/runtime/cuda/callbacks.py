"""torch's own synchronisation callbacks (``torch.cuda._gpu_trace``).

They run on the thread that waits, just before it does, and see waits for a stream (blocking copies and scalar reads
included), for the device and for an event. What they raise is lost. torch can switch them on, but not off; the flag
that switches them is an exported symbol, so this can.
"""

from __future__ import annotations

import ctypes
import os
import sys
from typing import TYPE_CHECKING

import torch
from torch.cuda import _gpu_trace

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch._utils import CallbackRegistry

_FLAG = "_ZN3c104impl8GPUTrace9haveStateE"
_LIBRARY = {"linux": "libc10.so", "darwin": "libc10.dylib"}


class Callbacks:
    """Calls back on each wait between :meth:`start` and :meth:`stop`, with the handle of the stream or event.

    The three functions must not raise: torch would log that and go on.
    """

    def __init__(
        self, on_stream: Callable[[int], None], on_device: Callable[[], None], on_event: Callable[[int], None]
    ) -> None:
        self._on_stream, self._on_device, self._on_event = on_stream, on_device, on_event
        self._was_on: bool | None = None

    def start(self) -> None:
        flag = _flag()
        self._was_on = None if flag is None else flag.value
        _gpu_trace.register_callback_for_stream_synchronization(self._on_stream)
        _gpu_trace.register_callback_for_device_synchronization(self._on_device)
        _gpu_trace.register_callback_for_event_synchronization(self._on_event)
        torch._C._activate_gpu_trace()
        if flag is not None:
            flag.value = True  # torch activates once in a process, and not again after it was switched off

    def stop(self) -> None:
        """Restores what was. Where the flag cannot be reached, torch goes on calling empty lists."""
        _remove(_gpu_trace.StreamSynchronizationCallbacks, self._on_stream)
        _remove(_gpu_trace.DeviceSynchronizationCallbacks, self._on_device)
        _remove(_gpu_trace.EventSynchronizationCallbacks, self._on_event)
        flag = _flag()
        if flag is not None and self._was_on is False and not _in_use():
            flag.value = False


def active() -> bool | None:
    """Whether torch calls back at all; None where that cannot be read."""
    flag = _flag()
    return None if flag is None else flag.value


def _flag() -> ctypes.c_bool | None:
    name = _LIBRARY.get(sys.platform)
    if name is None:
        return None
    try:
        library = ctypes.CDLL(os.path.join(os.path.dirname(torch.__file__), "lib", name))
        return ctypes.c_bool.in_dll(library, _FLAG)
    except (OSError, ValueError):  # another layout of the library: then torch calls empty lists
        return None


def _remove(registry: CallbackRegistry[...], callback: Callable[..., None]) -> None:
    if callback in registry.callback_list:
        registry.callback_list.remove(callback)


def _in_use() -> bool:
    """Whether somebody else (torch's stream sanitizer) has registered callbacks in the meantime."""
    registries = [one for name, one in vars(_gpu_trace).items() if name.endswith("Callbacks")]
    return any(registry.callback_list for registry in registries)
