"""One memory, two tensors: a CUDA tensor over host memory, and back.

A tensor is exported by DLPack, the device in the capsule is overwritten, and the capsule is imported again. The result
is a plain ``torch.Tensor`` that shares the memory; nothing is copied and nothing has to be looked up later.
"""

from __future__ import annotations

import ctypes
from typing import Any

import torch
from torch import Tensor

from synclint.runtime.simulated.state import running

CPU = torch.device("cpu")
CUDA = torch.device("cuda", 0)

# The start of a DLTensor: void *data; struct {int32_t device_type, device_id;} device; read as one 64-bit number each.
_DL_CPU, _DL_CUDA = 1, 2
_to_capsule: Any = torch._C._to_dlpack
_from_capsule: Any = torch._C._from_dlpack
_pointer = ctypes.pythonapi.PyCapsule_GetPointer
_pointer.restype, _pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
_word = ctypes.c_int64.from_address

CPU_KERNELS = torch._C.DispatchKeySet(torch._C.DispatchKey.CPU)


def as_cuda(tensor: Tensor) -> Tensor:
    """A tensor on ``cuda:0`` over the memory of a CPU tensor."""
    if tensor.layout is torch.sparse_coo:
        from synclint.runtime.simulated.sparse import sparse_as_cuda

        return sparse_as_cuda(tensor)
    if tensor.layout is not torch.strided:
        raise running().refuse(f"layout {tensor.layout}")
    if tensor.is_complex():
        tensor = tensor.resolve_conj()
    if tensor.is_neg():
        tensor = tensor.resolve_neg()
    return _on_device(tensor.detach() if tensor.requires_grad else tensor, _DL_CUDA)


def as_cpu(tensor: Tensor) -> Tensor:
    """A CPU tensor over the memory of a tensor on ``cuda:0``."""
    host = _on_device(tensor, _DL_CPU)
    if tensor.is_complex() and tensor.is_conj():
        host = host.conj()
    if tensor.is_neg():
        host = torch._neg_view(host)
    return host


def _on_device(tensor: Tensor, device: int) -> Tensor:
    try:
        capsule = _to_capsule(tensor)
    except (BufferError, RuntimeError):  # a dtype that DLPack cannot carry
        if tensor.dtype is torch.uint8:
            raise
        return _on_device(tensor.view(torch.uint8), device).view(tensor.dtype)
    address = _pointer(capsule, b"dltensor")
    assert address is not None
    if not _word(address).value and tensor.numel():  # a kernel would follow the null pointer
        if not tensor._is_zerotensor():
            raise running().refuse("a tensor without memory (its storage was resized to 0)")
        zeros = torch.zeros(tensor.shape, dtype=tensor.dtype, device="cpu")
        return zeros if device == _DL_CPU else _on_device(zeros, device)
    _word(address + 8).value = device
    return _from_capsule(capsule)  # type: ignore[no-any-return]


def set_storage(target: Tensor, source: Tensor) -> None:
    """Makes ``target`` the tensor that ``source`` is, memory and shape, in place."""
    set_memory(
        target, source.untyped_storage(), int(source.storage_offset()), list(source.shape), list(source.stride())
    )


def set_memory(target: Tensor, storage: torch.UntypedStorage, offset: int, size: list[int], stride: list[int]) -> None:
    """``target.set_`` below autograd."""
    set_ = torch.ops.aten.set_.source_Storage_storage_offset
    set_.redispatch(CPU_KERNELS, target, storage, offset, size, stride)


def storage_bytes(storage: torch.UntypedStorage) -> Tensor:
    """The memory of a CUDA storage as a CPU tensor of bytes."""
    whole = torch.empty(0, dtype=torch.uint8, device=CUDA)
    set_memory(whole, storage, 0, [storage.nbytes()], [1])
    return as_cpu(whole)
