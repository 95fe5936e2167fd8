"""The back end ``simulated``: a CUDA device that is not there, for as long as a tracer runs."""

from __future__ import annotations

import atexit
import importlib
from collections import Counter
from typing import TYPE_CHECKING, Any

import torch

from synclint.runtime.simulated import distributed, legacy, operators, state, storages, streams, surface
from synclint.runtime.simulated.build import has_cuda
from synclint.runtime.simulated.guard import Hooks, install_guard
from synclint.runtime.simulated.patches import Patches
from synclint.runtime.simulated.races import Races
from synclint.runtime.simulated.selftest import check_release
from synclint.runtime.simulated.unsupported import Unsupported
from synclint.runtime.tracer import BackendError

if TYPE_CHECKING:
    from synclint.runtime.recorder import Recorder
    from synclint.runtime.tracer import Options

_hooks: Hooks | None = None


class SimulatedBackend:
    """Runs CUDA code on the CPU, and tells the recorder where the host would wait.

    ``not_simulated`` counts what the program asked for in vain, by name; ``operators`` is the number of kernels run.
    """

    name = "simulated"

    def __init__(self, options: Options) -> None:
        self._options = options
        self._patches = Patches()
        self._simulation: state.Simulation | None = None

    @property
    def not_simulated(self) -> Counter[str]:
        return Counter() if self._simulation is None else self._simulation.not_simulated

    @property
    def operators(self) -> int:
        return 0 if self._simulation is None else self._simulation.operators

    def start(self, recorder: Recorder) -> None:
        """Raises BackendError where this torch cannot be simulated on, or a GPU is present."""
        if state.current() is not None:
            raise BackendError("a simulated CUDA device runs already")
        if torch.cuda.is_available():
            raise BackendError(
                "simulated CUDA is not available beside a GPU: start the process with an empty CUDA_VISIBLE_DEVICES"
            )
        try:
            check_release()
            hooks = _install()
            hooks.enable()
        except Unsupported as error:
            raise BackendError(
                f"simulated CUDA is not available on torch {torch.__version__} because {error}"
            ) from error
        self._simulation = state.Simulation(recorder)
        state.begin(self._simulation)
        atexit.register(self.stop)  # the hooks must not outlive this module's memory
        try:
            self._patch(recorder)
            if self._options.races:
                self._simulation.races = Races(recorder)
                self._simulation.races.start()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Puts everything back. Does nothing where it does not run."""
        if self._simulation is None or state.current() is not self._simulation:
            return
        atexit.unregister(self.stop)
        if self._simulation.races is not None:
            self._simulation.races.stop()
        self._patches.restore()
        streams.forget_streams()
        state.end()
        assert _hooks is not None
        _hooks.disable()

    def _patch(self, recorder: Recorder) -> None:
        patches = self._patches
        surface.patch(patches)
        storages.patch(patches)
        legacy.patch(patches)
        distributed.patch(patches)
        _backward(patches, recorder)
        patches.set(torch, "compile", _uncompiled)
        if has_cuda():
            patches.set_by(torch._C._set_cudnn_enabled, torch._C._get_cudnn_enabled(), False)


def _install() -> Hooks:
    """What stays for the life of the process and does nothing without a simulation."""
    global _hooks
    if _hooks is None:
        install_guard()
        operators.register()
        _build_tables()
        _hooks = Hooks()
    return _hooks


def _build_tables() -> None:
    """Tables that torch builds on first use, by identity of functions: not out of what is patched in."""
    rules: Any = importlib.import_module("torch._dynamo.trace_rules")
    for name in ("get_torch_obj_rule_map", "get_legacy_mod_inlinelist", "get_mod_inlinelist"):
        build = getattr(rules, name, None)
        if build is not None:
            build()
    constructors: Any = importlib.import_module("torch.utils._device")
    constructors._device_constructors()


def _backward(patches: Patches, recorder: Recorder) -> None:
    """The engine stays on the calling thread: it made its queues for devices before there was one."""
    import torch.autograd.graph as graph

    real = graph._engine_run_backward

    def run_backward(*args: Any, **kwargs: Any) -> Any:
        races = state.running().races
        if races is not None:
            races.backward()
        with recorder.running_backward(), torch.autograd.set_multithreading_enabled(False):
            return real(*args, **kwargs)

    patches.set(graph, "_engine_run_backward", run_backward)
    patches.set(torch.autograd, "_engine_run_backward", run_backward)


def _uncompiled(model: Any = None, **options: Any) -> Any:
    """``torch.compile`` that does not: the code runs as it is, so that its lines are seen."""
    return (lambda model: model) if model is None else model
