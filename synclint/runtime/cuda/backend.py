"""Puts the sources together. By default the cheap ones: torch's callbacks, and wrappers of the explicit waits."""

from __future__ import annotations

from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import TYPE_CHECKING, Any

import torch

from synclint.runtime.cuda import copies, explicit
from synclint.runtime.cuda.callbacks import Callbacks
from synclint.runtime.cuda.debug_mode import DebugMode
from synclint.runtime.cuda.patches import Patches
from synclint.runtime.cuda.profiler import StallTimes
from synclint.runtime.cuda.watch import Watch
from synclint.runtime.tracer import BackendError, gpu_available

if TYPE_CHECKING:
    from collections.abc import Callable

    from synclint.runtime.recorder import Recorder
    from synclint.runtime.tracer import Options


class CudaBackend:
    """The waits of this process on a CUDA (or ROCm) device.

    ``options.pageable`` adds wrappers of the copies, ``options.stall_times`` torch's profiler. Nothing else of the
    process is touched, and :meth:`stop` restores all of it.
    """

    name = "cuda"

    def __init__(self, options: Options) -> None:
        self._options = options
        self._entered = ExitStack()
        self._debug_mode: DebugMode | None = None
        self._watch: Watch | None = None

    def start(self, recorder: Recorder) -> None:
        """Raises BackendError where torch sees no CUDA device."""
        if not gpu_available():
            build = (
                "torch sees no GPU"
                if torch.version.cuda or torch.version.hip
                else "this is a build of torch without CUDA"
            )
            raise BackendError(f"the back end 'cuda' needs a GPU: {build} (torch {torch.__version__})")
        with ExitStack() as entered:
            self._watch = watch_all(recorder, self._options, entered)
            self._entered = entered.pop_all()
        self._debug_mode = DebugMode(recorder, recorded=True)

    def stop(self) -> None:
        self._debug_mode = self._watch = None
        self._entered.close()

    def forbidding(self) -> AbstractContextManager[None]:
        """torch's warnings, which can raise at the wait, while a block forbids it. Not in a forked child, which cannot
        use CUDA."""
        if self._debug_mode is None or torch.cuda._is_in_bad_fork():
            return nullcontext()
        return self._debug_mode.held()

    def silence(self) -> AbstractContextManager[None]:
        """What this thread waits for inside is not recorded."""
        return nullcontext() if self._watch is None else self._watch.silence()


def watch_all(recorder: Recorder, options: Options, entered: ExitStack) -> Watch:
    """Starts the sources that ``options`` ask for, and leaves to ``entered`` to stop them, the last one first."""
    watch = Watch(recorder)
    patches = Patches()
    entered.callback(patches.restore)
    callbacks = Callbacks(watch.on_stream, watch.on_device, watch.on_event)
    callbacks.start()
    entered.callback(callbacks.stop)
    _wrap_backward(patches, recorder, watch)
    explicit.wrap(patches, watch)
    if options.pageable:
        copies.wrap(patches, watch)
    if options.stall_times:
        stalls = StallTimes(recorder, watch, options.stall_window)
        stalls.start(patches)
        entered.callback(stalls.stop)
    return watch


def _wrap_backward(patches: Patches, recorder: Recorder, watch: Watch) -> None:
    """The threads of the autograd engine run no Python: the line that called the engine counts."""

    def backward(original: Callable[..., Any], arguments: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
        watch.pause()
        with recorder.running_backward():
            return original(*arguments, **keywords)

    for module in (torch.autograd, torch.autograd.graph):  # both hold the name
        patches.wrap(module, "_engine_run_backward", backward)
