"""Whether two results are the same, by the promise of a safe fix or by value alone."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator


def difference(one: Any, other: Any, *, exactly: bool) -> str:
    """How two results differ, in words; empty if they do not.

    Tensors must have the same dtype, shape, device and values, ``exactly`` the same bits, strides, ``requires_grad``,
    leafness and aliasing among each other.
    """
    said = _difference(one, other, exactly=exactly)
    if said or not exactly:
        return said
    return "" if _aliasing(one) == _aliasing(other) else "other results share memory"


def _difference(one: Any, other: Any, *, exactly: bool) -> str:
    if type(one) is not type(other):
        return f"{type(one).__name__} became {type(other).__name__}"
    if isinstance(one, torch.Tensor):
        return _tensors(one, other, exactly=exactly)
    if isinstance(one, dict):
        one, other = list(one.items()), list(other.items())
    if isinstance(one, (list, tuple)):
        if len(one) != len(other):
            return f"{len(one)} elements became {len(other)}"
        parts = (_difference(left, right, exactly=exactly) for left, right in zip(one, other, strict=True))
        return next(filter(None, parts), "")
    if one == other or (one != one and other != other):
        return ""
    return f"{one!r} became {other!r}"


def _tensors(one: torch.Tensor, other: torch.Tensor, *, exactly: bool) -> str:
    names = ["dtype", "shape", "device", "layout"]
    names += ["requires_grad", "is_leaf"] if exactly else []
    for name in names:
        if getattr(one, name) != getattr(other, name):
            return f"{name}: {getattr(one, name)} became {getattr(other, name)}"
    if exactly and one.numel() and one.stride() != other.stride():
        return f"strides: {one.stride()} became {other.stride()}"
    left, right = one.detach().cpu(), other.detach().cpu()
    if exactly:
        same = torch.equal(_bits(left), _bits(right))
    else:
        same = torch.equal(left.nan_to_num(nan=0.0), right.nan_to_num(nan=0.0))
        same = same and torch.equal(left.isnan(), right.isnan())
    return "" if same else f"values: {left.tolist()} became {right.tolist()}"


def _bits(tensor: torch.Tensor) -> torch.Tensor:
    dense = tensor.resolve_conj().resolve_neg().flatten().clone(memory_format=torch.contiguous_format)
    return dense.view(torch.uint8)


def _aliasing(value: Any) -> list[bool]:
    """For each pair of tensors in a result, whether they share memory."""
    return [
        left.untyped_storage().data_ptr() == right.untyped_storage().data_ptr() != 0
        for left, right in combinations(_all_tensors(value), 2)
    ]


def _all_tensors(value: Any) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, dict):
        yield from _all_tensors(list(value.values()))
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from _all_tensors(part)
