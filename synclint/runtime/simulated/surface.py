"""``torch.cuda`` and its relatives, as they answer while a simulation runs."""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch
from torch.jit._builtins import _find_builtin, _get_builtin_table

from synclint.runtime.simulated import generators, graphs, pinned, state, streams, waits
from synclint.runtime.simulated.build import has_cuda
from synclint.runtime.simulated.patches import Patches

_MEMORY = 80 << 30  # bytes

_NOTHING = """
    _lazy_init init ipc_collect set_device reset_peak_memory_stats reset_max_memory_allocated reset_max_memory_cached
    reset_accumulated_memory_stats set_per_process_memory_fraction _sleep reset_peak_host_memory_stats
    reset_accumulated_host_memory_stats
""".split()
_ZERO = """
    memory_allocated max_memory_allocated memory_reserved max_memory_reserved memory_cached max_memory_cached
    utilization memory_usage device_memory_used temperature power_draw clock_rate
""".split()
_FACTORIES = """
    empty zeros ones full rand randn randint arange tensor empty_like zeros_like ones_like full_like rand_like
    randn_like empty_strided linspace logspace randperm eye as_tensor asarray
""".split()
_NEW = "new_empty new_zeros new_ones new_full new_tensor new_empty_strided".split()


def patch(patches: Patches) -> None:
    """Everything but ``torch.distributed``."""
    _queries(patches)
    _memory(patches)
    _streams(patches)
    _graphs(patches)
    _random(patches)
    _accelerator(patches)
    _pinned(patches)
    _bindings(patches)


def _existing(patches: Patches, module: Any, replacements: dict[str, Any]) -> None:
    """Replaces what this release has."""
    for name, value in replacements.items():
        if hasattr(module, name):
            patches.set(module, name, value)


def _constant(value: Any) -> Callable[..., Any]:
    return lambda *args, **kwargs: value


def _queries(patches: Patches) -> None:
    cuda = torch.cuda
    _existing(patches, cuda, {name: _constant(None) for name in _NOTHING})
    _existing(
        patches,
        cuda,
        {
            "is_available": lambda: True,
            "is_initialized": lambda: True,
            "_is_compiled": lambda: True,
            "_lazy_call": lambda callable, **kwargs: None,
            "device_count": lambda: 1,
            "current_device": lambda: 0,
            "get_device_name": lambda device=None: "simulated CUDA device",
            "get_device_capability": lambda device=None: (9, 0),
            "get_device_properties": _properties,
            "is_bf16_supported": lambda including_emulation=True: True,
            "is_tf32_supported": lambda: True,
            "can_device_access_peer": lambda device, peer_device: False,
            "get_arch_list": lambda: ["sm_90"],
            "synchronize": _synchronize,
            "device": streams.DeviceContext,
            "device_of": streams.DeviceContext,
            "_DeviceGuard": streams.DeviceContext,
            "_exchange_device": lambda device: 0,
            "_maybe_exchange_device": lambda device: 0,
            "set_sync_debug_mode": _set_debug_mode,
            "get_sync_debug_mode": lambda: state.running().debug_mode,
        },
    )
    patches.set(torch.backends.cuda, "is_built", lambda: True)
    for name in ("range_push", "range_pop", "mark", "range_start", "range_end"):
        patches.set(cuda.nvtx, name, _constant(0))


def _memory(patches: Patches) -> None:
    for module in (torch.cuda, torch.cuda.memory):
        _existing(patches, module, {name: _constant(None) for name in _NOTHING if hasattr(torch.cuda.memory, name)})
        _existing(patches, module, {name: _constant(0) for name in _ZERO})
        _existing(
            patches,
            module,
            {
                "empty_cache": lambda: waits.wait(state.running(), "torch.cuda.empty_cache"),
                "memory_stats": lambda device=None: defaultdict(int),
                "memory_summary": lambda device=None, abbreviated=False: "",
                "memory_snapshot": lambda *args, **kwargs: [],
                "mem_get_info": lambda device=None: (_MEMORY, _MEMORY),
            },
        )


def _streams(patches: Patches) -> None:
    cuda = torch.cuda
    for module in (cuda, cuda.streams):
        _existing(patches, module, {"Stream": streams.Stream, "ExternalStream": streams.Stream, "Event": streams.Event})
    _existing(
        patches,
        cuda,
        {
            "current_stream": streams.current_stream,
            "default_stream": streams.default_stream,
            "set_stream": streams.set_stream,
            "stream": streams.StreamContext,
            "StreamContext": streams.StreamContext,
        },
    )
    patches.set(torch.Tensor, "record_stream", _constant(None))  # memory is freed by reference count alone
    patches.set(torch, "Stream", streams.generic(streams.Stream, torch.Stream))
    patches.set(torch, "Event", streams.generic(streams.Event, torch.Event))


def _graphs(patches: Patches) -> None:
    for module in (torch.cuda, torch.cuda.graphs):
        _existing(
            patches,
            module,
            {
                "CUDAGraph": graphs.CUDAGraph,
                "graph": graphs.graph,
                "is_current_stream_capturing": graphs.is_capturing,
                "graph_pool_handle": graphs.pool_handle,
                "make_graphed_callables": graphs.make_graphed_callables,
            },
        )


def _random(patches: Patches) -> None:
    cuda = torch.cuda
    patches.set(torch, "Generator", generators.Generator)
    patches.set(cuda, "default_generators", (torch.default_generator,))
    for module in (cuda, cuda.random):
        _existing(
            patches,
            module,
            {
                "manual_seed": generators.seed_all,
                "manual_seed_all": generators.seed_all,
                "seed": lambda: torch.default_generator.seed() and None,
                "seed_all": lambda: torch.default_generator.seed() and None,
                "initial_seed": lambda: torch.default_generator.initial_seed(),
                "get_rng_state": generators.get_state,
                "set_rng_state": generators.set_state,
                "get_rng_state_all": lambda: [generators.get_state()],
                "set_rng_state_all": lambda states: generators.set_state(states[0]),
            },
        )


def _accelerator(patches: Patches) -> None:
    _existing(
        patches,
        torch.accelerator,
        {
            "is_available": lambda: True,
            "device_count": lambda: 1,
            "current_accelerator": lambda check_available=False: torch.device("cuda"),
            "current_device_index": lambda: 0,
            "current_device_idx": lambda: 0,
            "set_device_index": _constant(None),
            "set_device_idx": _constant(None),
            "current_stream": streams.current_stream,
            "set_stream": streams.set_stream,
            "synchronize": _synchronize,
        },
    )


def _pinned(patches: Patches) -> None:
    tensor = torch.Tensor
    pin = tensor.pin_memory

    def pin_memory(self: torch.Tensor, device: Any = None) -> torch.Tensor:
        if self.is_cuda or self.layout is not torch.strided:
            raise RuntimeError(f"cannot pin '{self.type()}' only dense CPU tensors can be pinned")
        return self if pinned.is_pinned(self) else pinned.mark(pin(self))

    def pin_memory_of_storage(self: torch.UntypedStorage, device: Any = None) -> torch.UntypedStorage:
        whole = torch.empty(0, dtype=torch.uint8, device="cpu").set_(self)
        return pinned.mark(whole.clone()).untyped_storage()

    patches.set(tensor, "pin_memory", pin_memory)
    patches.set(tensor, "is_pinned", lambda self, device=None: pinned.is_pinned(self))
    patches.set(torch.UntypedStorage, "pin_memory", pin_memory_of_storage)
    patches.set(torch.UntypedStorage, "is_pinned", lambda self, device=None: pinned.is_marked(self))
    for owner, names in ((torch, _FACTORIES), (tensor, _NEW)):
        for name in names:
            factory = getattr(owner, name, None)
            if factory is not None:
                patches.set(owner, name, _pinning(factory))
                _known_to_scripts(patches, getattr(owner, name), factory)


def _known_to_scripts(patches: Patches, replacement: Any, factory: Any) -> None:
    """TorchScript knows builtins by identity: the replacement must be one, too, or it asks for its source."""
    operator = _find_builtin(factory)  # type: ignore[no-untyped-call]
    if operator is not None:
        table = _get_builtin_table()  # type: ignore[no-untyped-call]
        patches.set_entry(table, id(replacement), operator)


def _pinning(factory: Callable[..., Any]) -> Callable[..., Any]:
    """The factory with ``pin_memory=True`` understood: the result is marked."""

    @functools.wraps(factory)
    def make(*args: Any, **kwargs: Any) -> Any:
        if not kwargs.get("pin_memory"):
            return factory(*args, **kwargs)
        made = factory(*args, **{**kwargs, "pin_memory": False})
        if made.device.type != "cpu":
            raise RuntimeError(f"Only dense CPU tensors can be pinned, not one on {made.device}")
        return pinned.mark(made)

    return make


def _bindings(patches: Patches) -> None:
    """What CUDA builds answer in C++, which would look for a driver."""
    if not has_cuda():
        return
    _existing(
        patches,
        torch._C,
        {
            "_cuda_getDevice": lambda: 0,
            "_cuda_setDevice": _constant(None),
            "_cuda_exchangeDevice": lambda device: 0,
            "_cuda_maybeExchangeDevice": lambda device: 0,
            "_cuda_getDeviceCount": lambda: 1,
            "_cuda_getCurrentStream": lambda device=0: (streams.current_stream().stream_id, 0, 1),
            "_cuda_getCurrentRawStream": lambda device=0: streams.current_stream().cuda_stream,
            "_cuda_getDefaultStream": lambda device=0: (0, 0, 1),
            "_cuda_isCurrentStreamCapturing": graphs.is_capturing,
            "_cuda_memoryStats": lambda device=0: {},
            "_cuda_emptyCache": _constant(None),
            "_cuda_synchronize": _constant(None),
        },
    )


def _properties(device: Any = None) -> SimpleNamespace:
    """Those of a large data-centre GPU."""
    return SimpleNamespace(
        name="simulated CUDA device",
        major=9,
        minor=0,
        total_memory=_MEMORY,
        multi_processor_count=132,
        warp_size=32,
        max_threads_per_multi_processor=2048,
        max_threads_per_block=1024,
        regs_per_multiprocessor=65536,
        shared_memory_per_block=49152,
        shared_memory_per_block_optin=232448,
        shared_memory_per_multiprocessor=233472,
        L2_cache_size=50 << 20,
        gcnArchName="",
        is_integrated=False,
        is_multi_gpu_board=False,
        uuid="simulated",
    )


def _synchronize(device: Any = None) -> None:
    waits.wait(state.running(), "torch.cuda.synchronize")


def _set_debug_mode(debug_mode: int | str) -> None:
    names = ("default", "warn", "error")
    mode = names.index(debug_mode) if debug_mode in names else debug_mode
    if mode not in (0, 1, 2):
        raise RuntimeError(f"invalid value of debug_mode, expected one of {', '.join(names)}")
    state.running().debug_mode = int(mode)
