"""``torch.distributed`` with tensors of the device: gloo takes them as tensors of the CPU."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from synclint.runtime.simulated import state
from synclint.runtime.simulated.build import has_cuda
from synclint.runtime.simulated.compute import Aliases
from synclint.runtime.simulated.patches import Patches

_libraries: list[Any] = []


def patch(patches: Patches) -> None:
    """``init_process_group("nccl")`` makes a gloo group."""
    import torch.distributed as dist

    if not dist.is_available():
        return
    real = dist.init_process_group

    def init_process_group(backend: Any = None, *args: Any, **kwargs: Any) -> None:
        _register()
        kwargs.pop("device_id", None)
        real("gloo" if backend is None or "nccl" in str(backend) else backend, *args, **kwargs)

    patches.set(dist, "init_process_group", init_process_group)
    patches.set(dist.distributed_c10d, "init_process_group", init_process_group)
    if has_cuda():  # whose reducer times itself with events of the driver
        patches.set(torch.nn.parallel.DistributedDataParallel, "__init__", _refuse_ddp)


def _refuse_ddp(self: Any, *args: Any, **kwargs: Any) -> None:
    raise state.running().refuse("torch.nn.parallel.DistributedDataParallel of a CUDA build of torch")


def _register() -> None:
    if _libraries:
        return
    make: Any = torch.library.Library
    library = make("c10d", "IMPL")
    _libraries.append(library)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a kernel is overridden
        for name in torch._C._dispatch_get_all_op_names():
            if not name.startswith("c10d::") or name == "c10d::monitored_barrier_":  # which is for the CPU alone
                continue
            base, _, overload = name.removeprefix("c10d::").partition(".")
            op = getattr(getattr(torch.ops.c10d, base), overload or "default")
            library.m.impl(name.removeprefix("c10d::"), "CUDA", _kernel(op), False)


def _kernel(op: Any) -> Callable[..., Any]:
    def collective(*args: Any, **kwargs: Any) -> Any:
        state.running().operators += 1
        aliases = Aliases()
        return _back(op(*[aliases.host(one) for one in args], **kwargs), aliases)

    return collective


def _back(value: Any, aliases: Aliases) -> Any:
    """The caller's own tensors: collectives return their arguments."""
    if isinstance(value, Tensor):
        for twin, original in aliases.pairs:
            if value is twin or value.data_ptr() == twin.data_ptr():
                return original
    if isinstance(value, (list, tuple)):
        return type(value)(_back(one, aliases) for one in value)
    return value
