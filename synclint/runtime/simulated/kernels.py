"""Operators that the general kernel would get wrong: they move data, resize, or have no CPU twin."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from synclint.runtime.simulated import pinned
from synclint.runtime.simulated.aliases import as_cpu, as_cuda, set_memory, set_storage
from synclint.runtime.simulated.compute import Aliases

if TYPE_CHECKING:
    from synclint.runtime.simulated.operator import Kernel, Operator

KERNELS: dict[str, Kernel] = {}


def _for(*names: str) -> Callable[[Kernel], Kernel]:
    def enter(kernel: Kernel) -> Kernel:
        KERNELS.update(dict.fromkeys(names, kernel))
        return kernel

    return enter


@_for("_local_scalar_dense")
def _scalar(operator: Operator, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    return operator.op(as_cpu(args[0]))


@_for("equal")
def _equal(operator: Operator, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
    aliases = Aliases()
    return bool(operator.op(*[aliases.host(one) for one in args]))


@_for("copy_")
def _copy(operator: Operator, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Tensor:
    target, source = args[0], args[1]
    target_host = as_cpu(target) if target.is_cuda else target
    target_host.copy_(as_cpu(source) if source.is_cuda else source)
    return target  # type: ignore[no-any-return]


@_for("_to_copy")
def _to_copy(operator: Operator, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Tensor:
    source = args[0]
    options = {name: value for name, value in kwargs.items() if name not in ("device", "non_blocking", "pin_memory")}
    device = kwargs.get("device")
    if not source.is_cuda:  # the device argument alone led here
        return as_cuda(operator.op(source, **options))
    copied = operator.op(as_cpu(source), **options)
    if device is None or device.type == "cuda":
        return as_cuda(copied)
    if device.type == "cpu":
        if kwargs.get("non_blocking"):
            pinned.mark(copied)  # torch allocates the destination of such a copy in pinned memory
        return copied  # type: ignore[no-any-return]
    return torch.empty_strided(copied.shape, copied.stride(), dtype=copied.dtype, device=device)


@_for("resize_")
def _resize(operator: Operator, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Tensor:
    tensor, size = args[0], list(args[1])
    stride = torch.empty(size, device="meta").stride()
    available = tensor.untyped_storage().nbytes() // max(1, tensor.element_size()) - tensor.storage_offset()
    if prod(size) <= available:
        set_memory(tensor, tensor.untyped_storage(), tensor.storage_offset(), size, list(stride))
    else:
        larger = torch.empty(size, dtype=tensor.dtype, device="cpu")
        if tensor.numel():
            larger.view(-1)[: tensor.numel()] = as_cpu(tensor).reshape(-1)
        set_storage(tensor, as_cuda(larger))
    return tensor  # type: ignore[no-any-return]


@_for("_use_cudnn_ctc_loss", "_use_cudnn_ctc_loss.Tensor", "_use_miopen_ctc_loss", "_use_miopen_ctc_loss.Tensor")
def _without_library(operator: Operator, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
    return False


@_for("_fused_dropout")
def _fused_dropout(operator: Operator, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
    source, keep = as_cpu(args[0]), args[1]
    mask = torch.empty_like(source).bernoulli_(keep)
    return as_cuda(source * mask / keep), as_cuda(mask.to(torch.uint8))


@_for("_masked_scale")
def _masked_scale(operator: Operator, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Tensor:
    source, mask, scale = args
    return as_cuda(as_cpu(source) * as_cpu(mask).to(source.dtype) * scale)


@_for(*(f"{name}.{overload}" for name in ("mm", "bmm", "addmm", "baddbmm") for overload in ("dtype", "dtype_out")))
def _product_in_dtype(operator: Operator, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Tensor:
    aliases = Aliases()
    dtype = next(one for one in args if isinstance(one, torch.dtype))
    operands = [aliases.host(one).to(dtype) for one in args if not isinstance(one, torch.dtype)]
    factors = {name: kwargs[name] for name in ("beta", "alpha") if name in kwargs}
    result = getattr(torch, operator.op._schema.name.removeprefix("aten::"))(*operands, **factors)
    out = kwargs.get("out")
    if not isinstance(out, Tensor):
        return as_cuda(result)
    as_cpu(out).copy_(result)
    return out


@_for("_conv_depthwise2d", "conv_depthwise3d")
def _depthwise(operator: Operator, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Tensor:
    aliases = Aliases()
    source, weight, _, bias, stride, padding, dilation = (aliases.host(one) for one in args)
    convolve = torch.nn.functional.conv2d if weight.dim() == 4 else torch.nn.functional.conv3d
    return as_cuda(convolve(source, weight, bias, stride, padding, dilation, groups=source.shape[1]))


@_for("_foreach_copy_")
def _copy_each(operator: Operator, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """One ``copy_`` for each pair: those between host and device wait, or do not, as they would alone."""
    targets, sources = args[0], args[1]
    asynchronous = args[2] if len(args) > 2 else kwargs.get("non_blocking", False)
    for target, source in zip(targets, sources, strict=True):
        target.copy_(source, non_blocking=asynchronous)
    return targets
