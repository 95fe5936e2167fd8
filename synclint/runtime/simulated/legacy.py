"""``torch.cuda.FloatTensor(...)`` and its kin, which a build without CUDA refuses to call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from synclint.runtime.simulated.aliases import CUDA
from synclint.runtime.simulated.patches import Patches


class _TensorType(type):
    """The type of classes that stand for one of torch's: called, they make its tensors; their instances are its own."""

    native: Any
    make: Callable[[Any, tuple[Any, ...]], Tensor]

    def __call__(cls, *args: Any, device: Any = None) -> Any:
        if device is not None and torch.device(device).type != "cuda":
            raise RuntimeError(f"legacy constructor expects device type: cuda but device type: {device} was passed")
        return cls.make(cls.native, args)

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, cls.native)

    def __getattr__(cls, name: str) -> Any:
        return getattr(cls.native, name)


def patch(patches: Patches) -> None:
    for module, make in ((torch.cuda, _dense), (torch.cuda.sparse, _sparse)):
        for name, native in list(vars(module).items()):
            if type(native).__name__ == "tensortype":
                stand_in = _TensorType(name, (), {"native": native, "make": staticmethod(make)})
                patches.set(module, name, stand_in)
    host_type = Tensor.type

    def type_(self: Tensor, dtype: Any = None, *args: Any, **kwargs: Any) -> Any:
        return host_type(self, dtype.native if isinstance(dtype, _TensorType) else dtype, *args, **kwargs)

    patches.set(Tensor, "type", type_)


def _dense(native: Any, args: tuple[Any, ...]) -> Tensor:
    size = _size(args)
    if size is not None:
        return torch.empty(size, dtype=native.dtype, device=CUDA)
    (data,) = args
    if isinstance(data, Tensor):
        if not isinstance(data, native):
            raise TypeError(f"expected {native.__name__} (got {data.type()})")
        return torch.ops.aten.alias(data)  # type: ignore[no-any-return]
    if isinstance(data, torch.UntypedStorage | torch.TypedStorage):
        return torch.empty(0, dtype=native.dtype, device=CUDA).set_(data)
    if not hasattr(data, "__len__"):
        raise TypeError(f"new(): data must be a sequence (got {type(data).__name__})")
    return torch.tensor(data, dtype=native.dtype, device=CUDA)


def _sparse(native: Any, args: tuple[Any, ...]) -> Tensor:
    size = _size(args)
    if size is not None:
        empty: Any = torch.sparse_coo_tensor
        return empty(size, dtype=native.dtype, device=CUDA)  # type: ignore[no-any-return]
    indices, values, *rest = args
    return torch.sparse_coo_tensor(indices, values, *rest, dtype=native.dtype, device=CUDA)


def _size(args: tuple[Any, ...]) -> tuple[int, ...] | None:
    """The size that the arguments are; None where they are data."""
    if len(args) == 1 and isinstance(args[0], torch.Size):
        return tuple(args[0])
    if all(isinstance(arg, int) for arg in args):
        return args or (0,)
    return None
