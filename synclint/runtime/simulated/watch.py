"""Sees what the host reads and writes, on the thread that started it: a dispatch mode below all others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils import _python_dispatch

from synclint.runtime.simulated.compute import tensors_in
from synclint.runtime.simulated.patches import Patches

Used = Callable[[str, Tensor, bool], None]


_Base: Any = _python_dispatch.TorchDispatchMode


class _Mode(_Base):  # type: ignore[misc]
    supports_higher_order_operators = True

    def __init__(self, used: Used) -> None:
        super().__init__()
        self._used = used

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if isinstance(func, torch._ops.OpOverload) and not func.is_view:
            self._look(func, args, kwargs)
        return func(*args, **kwargs)

    def _look(self, func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        device = kwargs.get("device")
        if device is not None and torch.device(device).type == "cuda":
            return
        used = []
        for at, argument in enumerate(func._schema.arguments):
            value = args[at] if at < len(args) else kwargs.get(argument.name)
            writes = argument.alias_info is not None and argument.alias_info.is_write
            used += [(tensor, writes) for tensor in tensors_in(value)]
        if any(tensor.is_cuda for tensor, _ in used):
            return  # the stream uses them
        for tensor, writes in used:
            if tensor.device.type == "cpu" and tensor.layout is torch.strided:
                self._used(_name(func), tensor, writes)


class Watch:
    """Tells ``used`` of each CPU tensor that the host reads (or, True, writes) through torch."""

    def __init__(self, used: Used) -> None:
        self._used = used
        self._mode: Any = _Mode(used)
        self._patches = Patches()

    def start(self) -> None:
        self._mode.__enter__()
        tolist = torch.Tensor.tolist
        used = self._used

        def seen_tolist(self: Tensor) -> Any:
            if self.device.type == "cpu" and self.layout is torch.strided:
                used("torch.Tensor.tolist", self, False)
            return tolist(self)

        self._patches.set(torch.Tensor, "tolist", seen_tolist)  # reads memory without an operator

    def stop(self) -> None:
        self._patches.restore()
        self._mode.__exit__(None, None, None)


def _name(func: Any) -> str:
    schema = func._schema
    return f"{schema.name}.{schema.overload_name}" if schema.overload_name else str(schema.name)
