"""Host memory that a copy is using: which bytes, what is in them, and what to put there so that a wrong read shows."""

from __future__ import annotations

import zlib
from typing import Any

import torch
from torch import Tensor


def overlap(one: Tensor, other: Tensor) -> bool:
    """Whether two CPU tensors share any byte."""
    first, second = _span(one), _span(other)
    if first is None or second is None or first[0] >= second[1] or second[0] >= first[1]:
        return False
    if one.is_contiguous() and other.is_contiguous():
        return True
    low = min(first[0], second[0])
    marks = torch.zeros(max(first[1], second[1]) - low, dtype=torch.bool, device="cpu")
    _bytes(one, marks, first[0] - low).fill_(True)
    return bool(_bytes(other, marks, second[0] - low).any())


def _span(tensor: Tensor) -> tuple[int, int] | None:
    """The addresses of its first byte and of the one after its last."""
    if not tensor.numel():
        return None
    size = tensor.element_size()
    reach = sum((length - 1) * stride for length, stride in zip(tensor.shape, tensor.stride(), strict=True))
    start = tensor.data_ptr()
    return start, start + (reach + 1) * size


def _bytes(tensor: Tensor, marks: Tensor, offset: int) -> Tensor:
    """The marks of its bytes, one mark for each byte of a stretch of memory that it starts ``offset`` into."""
    size = tensor.element_size()
    return marks.as_strided((*tensor.shape, size), (*(stride * size for stride in tensor.stride()), 1), offset)


def checksum(tensor: Tensor) -> int:
    flat = tensor.detach().contiguous().reshape(-1)
    content: Any = flat.view(torch.uint8).numpy()
    return zlib.crc32(content)


def poison(tensor: Tensor) -> Tensor:
    """Values of the same shape and dtype that differ from the tensor's: NaN, the largest number, the opposite."""
    if tensor.dtype is torch.bool:
        return ~tensor
    if tensor.is_floating_point() or tensor.is_complex():
        return torch.full_like(tensor, float("nan"))
    largest = torch.full_like(tensor, torch.iinfo(tensor.dtype).max)
    return torch.where(tensor == largest, torch.zeros_like(tensor), largest)
