"""On a CUDA build of torch without a GPU, which is what ``pip install torch`` gives an ordinary machine.

The whole folder is meant to be run there; this file holds what is special about such a build.
"""

from __future__ import annotations

import pytest
import torch

from synclint.runtime import Tracer
from synclint.runtime.trace import Trace

pytestmark = [
    pytest.mark.cuda_build,
    pytest.mark.skipif(torch.version.cuda is None, reason="this torch is a CPU build"),
]


def test_no_real_kernel_is_called(trace: Trace) -> None:
    """Each of these has a kernel that would look for a driver."""
    x = torch.ones(4, 4, device="cuda", requires_grad=True)
    torch.nn.functional.silu(torch.nn.functional.mish(x)).sum().backward()
    assert x.grad is not None
    torch._foreach_add([x.detach()], 1)
    assert torch.nn.BatchNorm1d(4).cuda()(x.detach()).is_cuda
    assert torch.nn.LSTM(4, 4).cuda()(x.detach())[0].is_cuda


def test_cudnn_is_off_meanwhile() -> None:
    before = torch._C._get_cudnn_enabled()
    with Tracer("simulated"):
        assert not torch._C._get_cudnn_enabled()
    assert torch._C._get_cudnn_enabled() is before


def test_bindings_answer_without_a_driver(trace: Trace) -> None:
    assert torch._C._cuda_getDevice() == 0
    assert torch.cuda.current_stream().cuda_stream == torch._C._cuda_getCurrentRawStream(0)
    assert torch.cuda.memory_stats()["allocated_bytes.all.current"] == 0
