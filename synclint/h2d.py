"""``async_tensor_h2d``: host data onto a CUDA device without making the host wait.

``torch.tensor(data, device="cuda")``, ``cpu_tensor.to("cuda")`` and ``gpu_tensor.copy_(cpu_tensor)`` all end in
``cudaStreamSynchronize``: the host stands still until everything queued on the current stream has run, and pinning the
source does not help. Here the data goes through a fresh block of pinned memory, and the copy is only queued.

The module needs nothing but torch (2.6 or later), CPU-only builds included.
"""

from __future__ import annotations

import functools
import platform
import sys
from typing import Any

import torch

__all__ = ["async_tensor_h2d"]


def async_tensor_h2d(
    data: object,
    *,
    dtype: torch.dtype | None = None,
    device: torch.device | str | int | None = None,
    out: torch.Tensor | None = None,
) -> torch.Tensor:
    """Copy host data to a device, without waiting when that device is CUDA (or ROCm).

    The result equals the blocking form's in values, dtype, shape, strides, device and autograd:

    - a list, tuple, range, Python number or NumPy scalar: ``torch.tensor(data, dtype=dtype, device=device)``,
      always a new tensor;
    - an ndarray: ``torch.as_tensor(data, dtype=dtype, device=device)``. On the CPU it shares the array's memory where
      ``as_tensor`` does;
    - a tensor of any shape: ``data.to(device=device, dtype=dtype)``. On the CPU it is ``data`` itself where
      ``.to`` returns that; one that requires grad stays in the graph;
    - with ``out``: ``out.copy_(data)``, which broadcasts and converts to ``out.dtype``; ``out`` is returned.

    Towards CUDA the data is first converted, on the CPU as the blocking form does, into pinned memory that nobody
    else holds, even when ``data`` is pinned already: the caller may rewrite ``data`` as soon as the call returns.
    The copy is queued on the current stream of the target device, and work on that stream sees the result. Other
    streams need an event, or ``wait_stream``, which the blocking form did not ask for. The first calls of a size may
    still stall while the driver pins new memory; the block returns to PyTorch's cache when its copy has run.

    Where that cannot be done the copy is the ordinary blocking one: towards any other device; while a CUDA graph is
    captured (it raises, as the blocking form does) or under ``torch.compile``; where pinning fails or is not supported
    (WSL); for tensors that are more than strided memory (sparse, quantised, nested, conjugate views, subclasses) and
    for other objects that ``torch.tensor`` accepts. Empty data, and tensors already on CUDA, never wait.

    Args:
        data: What to copy.
        dtype: Element type of the result; inferred as by ``torch.tensor`` when None.
        device: Target. None is the default device: that of ``with torch.device(...)``,
            ``torch.set_default_device`` or, without these, the CPU.
        out: Tensor to copy into. It has a dtype and a device already, so neither may be given with it.

    Raises:
        TypeError: ``out`` is not a tensor, or comes with ``dtype`` or ``device``.
        Exception: whatever the blocking form raises for the same data, dtype and device.
    """
    if out is not None:
        if not isinstance(out, torch.Tensor):
            raise TypeError(f"async_tensor_h2d(): out must be a Tensor, not {type(out).__name__}")
        if dtype is not None or device is not None:
            raise TypeError("async_tensor_h2d(): give either out, or dtype and device, not both")
        return _copy_into(out, data)
    # torch.get_default_device() does not know torch.set_default_tensor_type.
    target = torch.empty(0).device if device is None else torch.device(device)
    if _can_stage(target):
        source = _host_tensor(data, dtype)
        if source is not None:
            staged = _pinned_like(source, dtype or source.dtype)
            if staged is not None:
                return staged.copy_(source).to(device=target, non_blocking=True)
    return _blocking(data, dtype, target)


def _copy_into(out: torch.Tensor, data: object) -> torch.Tensor:
    if _can_stage(out.device) and _is_ordinary(out):
        source = _host_tensor(data, None)
        if source is not None:
            # The shape of out, not of the source: a copy that broadcasts would go through pageable memory.
            dense = out.is_contiguous() or torch.empty_like(out, device="meta").stride() == out.stride()
            # A copy into strided memory keeps its source as it is only if that is contiguous.
            staged = _pinned_like(out, out.dtype, torch.preserve_format if dense else torch.contiguous_format)
            if staged is not None:
                return out.copy_(staged.copy_(source), non_blocking=True)
    return out.copy_(data if isinstance(data, torch.Tensor) else _blocking(data, None, torch.device("cpu")))


def _blocking(data: object, dtype: torch.dtype | None, device: torch.device) -> torch.Tensor:
    """The plain form, which makes the host wait."""
    if isinstance(data, torch.Tensor):
        return data.to(device=device, dtype=dtype)
    if _is_numpy(data, "ndarray"):
        return torch.as_tensor(data, dtype=dtype, device=device)
    return torch.tensor(data, dtype=dtype, device=device)


def _can_stage(target: torch.device) -> bool:
    """Whether a copy to ``target`` may go through pinned memory here and now."""
    if target.type != "cuda" or torch.compiler.is_compiling() or _is_wsl() or not torch.cuda.is_available():
        return False
    with torch.cuda.device(target):  # a stream of another device may be the one that is capturing
        return not torch.cuda.is_current_stream_capturing()


def _host_tensor(data: Any, dtype: torch.dtype | None) -> torch.Tensor | None:
    """``data`` as a CPU tensor worth staging; ``dtype`` is applied to Python data only."""
    if isinstance(data, torch.Tensor):
        source = data
    elif _is_numpy(data, "ndarray"):
        # as_tensor warns about arrays that are not writable, which the blocking torch.tensor does not.
        source = torch.as_tensor(data, device="cpu") if data.flags.writeable else torch.tensor(data, device="cpu")
    elif isinstance(data, (list, tuple, range, int, float, complex)) or _is_numpy(data, "generic"):
        source = torch.tensor(data, dtype=dtype, device="cpu")
    else:
        return None
    return source if source.device.type == "cpu" and source.numel() and _is_ordinary(source) else None


def _is_ordinary(tensor: torch.Tensor) -> bool:
    """Whether ``tensor`` is plain strided memory, as far as copying is concerned."""
    return (
        type(tensor) in (torch.Tensor, torch.nn.Parameter)
        and tensor.layout == torch.strided
        and not (tensor.is_quantized or tensor.is_nested or tensor.is_conj() or tensor.is_neg())
    )


def _pinned_like(
    tensor: torch.Tensor, dtype: torch.dtype, memory_format: torch.memory_format = torch.preserve_format
) -> torch.Tensor | None:
    """New dense pinned memory of that shape, or None if it cannot be had."""
    try:
        return torch.empty_like(tensor, dtype=dtype, device="cpu", pin_memory=True, memory_format=memory_format)
    except RuntimeError:
        return None


def _is_numpy(data: object, kind: str) -> bool:
    """Whether ``data`` is a ``numpy.<kind>``, without importing numpy."""
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(data, getattr(numpy, kind))


@functools.cache
def _is_wsl() -> bool:
    return "microsoft" in platform.uname().release.lower()
