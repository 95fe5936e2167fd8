"""Pinned memory: ordinary host memory with a mark on its storage."""

from __future__ import annotations

import torch
from torch import Tensor

_MARK = "_synclint_pinned"


def mark(tensor: Tensor) -> Tensor:
    """Makes the memory of a CPU tensor pinned, and gives the tensor back."""
    setattr(tensor.untyped_storage(), _MARK, True)
    return tensor


def is_pinned(tensor: Tensor) -> bool:
    """Whether it is a CPU tensor in pinned memory."""
    if tensor.device.type != "cpu" or tensor.layout is not torch.strided:
        return False
    return is_marked(tensor.untyped_storage())


def is_marked(storage: torch.UntypedStorage) -> bool:
    """Whether it is a storage in pinned memory."""
    return getattr(storage, _MARK, False) is True
