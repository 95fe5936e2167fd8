"""What kind of torch this is."""

from __future__ import annotations

import torch


def has_cuda() -> bool:
    """Whether torch was built with CUDA: then it has real kernels and bindings, which look for a driver."""
    return "_cuda_getDevice" in vars(torch._C)
