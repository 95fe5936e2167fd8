"""Whether an unknown release of torch can be simulated on: a child process tries, so that a crash stays there."""

from __future__ import annotations

import subprocess
import sys
from functools import cache

import torch

from synclint.runtime.release import torch_release
from synclint.runtime.simulated.build import has_cuda
from synclint.runtime.simulated.unsupported import Unsupported

#: Where all tests have passed: releases of torch, each as a CPU or a CUDA build, and of Python.
KNOWN = frozenset({((2, 13), "cpu"), ((2, 13), "cuda"), ((2, 11), "cuda")})
KNOWN_PYTHON = frozenset({(3, 11)})

_CHILD = "from synclint.runtime.simulated.selftest import main; main()"
_MARK = "synclint-selftest"
_TIMEOUT = 180.0  # seconds


def check_release() -> None:
    """Raises Unsupported where the self-test fails. Known releases on known systems need none."""
    if sys.platform != "linux":
        raise Unsupported(f"it is made for Linux, and this is {sys.platform}")
    build = (torch_release(), "cuda" if has_cuda() else "cpu")
    if build in KNOWN and sys.version_info[:2] in KNOWN_PYTHON:
        return
    if sys.argv[1:] == [_MARK]:
        return  # this is the child
    reason = _try_in_child(sys.executable, torch.__version__)
    if reason:
        raise Unsupported(reason)


@cache
def _try_in_child(python: str, version: str) -> str:
    """Empty where the self-test passes, else the reason."""
    command = [python, "-c", _CHILD, _MARK]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT, check=False)
    except subprocess.TimeoutExpired:
        return f"its self-test did not end within {_TIMEOUT:.0f} s"
    if done.returncode == 0:
        return ""
    if done.returncode < 0:
        return f"its self-test was killed by signal {-done.returncode}"
    last = [line for line in done.stderr.splitlines() if line.strip()][-1:]
    return f"its self-test failed: {last[0] if last else f'exit status {done.returncode}'}"


def main() -> None:
    """Trains, copies, captures and reads on the device. Raises, exits or crashes where something does not work."""
    from synclint.runtime import Tracer

    with Tracer("simulated", roots=()) as trace:
        x = torch.randn(4, 3, device="cuda", requires_grad=True)
        layer = torch.nn.Linear(3, 2).cuda()
        loss = torch.nn.functional.cross_entropy(layer(x), torch.zeros(4, dtype=torch.long, device="cuda"))
        torch.autograd.backward(loss)
        torch.optim.Adam(layer.parameters()).step()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            doubled = x.detach() * 2
        graph.replay()
        trace.events.clear()
        loss.item()
        x.detach()[doubled > 0]
        torch.ones(2).to("cuda")
        x.to("cpu", non_blocking=True)
        seen = [event.operation for event in trace.events]
    expected = ["aten::_local_scalar_dense", "aten::index.Tensor", "aten::_to_copy"]
    if seen != expected:
        raise SystemExit(f"it saw {seen} where {expected} wait")
    if type(x) is not torch.Tensor or x.grad is None or not x.grad.is_cuda:
        raise SystemExit("tensors lost their type or their device")
