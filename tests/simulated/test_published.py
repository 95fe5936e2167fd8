"""What others measured on GPUs and published, in our own words: the simulated device says the same."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import pytest
import torch

from synclint.runtime.release import torch_release
from synclint.runtime.trace import Trace

SETUP = """
x = torch.rand(4, device="cuda")
y = torch.rand((), device="cuda")
positions = torch.randint(4, (3,), device="cuda")
host_positions = positions.cpu()
mask = torch.randint(2, (4,), device="cuda", dtype=torch.bool)
host_mask = mask.cpu()
repeats = torch.full((1,), 2, device="cuda")
one_hot = torch.nn.functional.one_hot
"""

WARNING_TEST = {
    "x[mask] = y": True,
    "x[host_positions] = y": True,
    "x[mask]": True,
    "x[host_positions]": True,
    "x.nonzero()": True,
    "bool(y)": True,
    "one_hot(positions)": True,
    "torch.repeat_interleave(x, repeats)": True,
    "x[mask] = 1.0": False,
    "x[host_mask] = y": False,
    "x[positions] = y": False,
    "x[host_mask]": False,
    "x[positions]": False,
    "one_hot(positions, num_classes=4)": False,
    "torch.randperm(20000, device='cuda')": False,
    "torch.repeat_interleave(x, 2, output_size=8)": False,
    "torch.repeat_interleave(x, repeats, output_size=8)": False,
    "torch.any(y)": False,
}
"""Whether each statement waits, as ``test_sync_warning`` in PyTorch's ``test/test_torch.py`` has it on GPUs."""

REPORTED = {
    # pull request 62092, which brought the mode; its multinomial has checked on the device since
    "torch.randn(10, device='cuda').nonzero()": True,
    "torch.randint(10, (3,), device='cuda')": False,
    "torch.cuda.synchronize()": False,  # waits, and the mode does not see it
    # issue 105641: an index without dimensions is read
    "x[positions[0]]": True,
    "x[positions[:1]]": False,
    # issue 120996: even one number makes the host wait
    "torch.tensor(1.0, device='cuda')": True,
    "torch.full((), 1.0, device='cuda')": False,
}
STATEMENTS = {**WARNING_TEST, **REPORTED}


@pytest.fixture
def space(trace: Trace) -> Iterator[dict[str, object]]:
    found: dict[str, object] = {"torch": torch}
    exec(SETUP, found)
    yield found
    torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize(("statement", "waits"), STATEMENTS.items())
def test_the_debug_mode_raises_where_it_does_on_a_gpu(space: dict[str, object], statement: str, waits: bool) -> None:
    torch.cuda.set_sync_debug_mode("error")
    assert torch.cuda.get_sync_debug_mode() == 2
    if waits:
        with pytest.raises(RuntimeError, match="called a synchronizing CUDA operation"):
            exec(statement, space)
    else:
        exec(statement, space)


@pytest.mark.parametrize(("statement", "waits"), STATEMENTS.items())
def test_the_debug_mode_warns_where_it_does_on_a_gpu(space: dict[str, object], statement: str, waits: bool) -> None:
    torch.cuda.set_sync_debug_mode("warn")
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        exec(statement, space)
    assert any("called a synchronizing CUDA operation" in str(one.message) for one in said) is waits


def test_what_the_debug_mode_refuses_did_not_wait(space: dict[str, object], trace: Trace) -> None:
    trace.events.clear()
    torch.cuda.set_sync_debug_mode("error")
    with pytest.raises(RuntimeError):
        exec("y.item()", space)
    assert not trace.events


def test_a_warning_names_the_line_that_called_torch(space: dict[str, object]) -> None:
    y = torch.ones((), device="cuda")
    torch.cuda.set_sync_debug_mode("warn")
    with pytest.warns(UserWarning, match="synchronizing") as said:
        y.item()
    assert said[0].filename == __file__


def test_a_wrong_debug_mode_is_refused(trace: Trace) -> None:
    with pytest.raises(RuntimeError, match="expected one of"):
        torch.cuda.set_sync_debug_mode("loud")


def test_saved_tensors_in_pinned_memory_do_not_make_backward_wait(trace: Trace) -> None:
    """``test_autograd_save_on_cpu_does_not_synchronize`` in PyTorch's ``test/test_cuda.py``."""
    a = torch.randn(5, requires_grad=True, device="cuda")
    b = torch.randn(5, requires_grad=True, device="cuda")
    with torch.autograd.graph.save_on_cpu(pin_memory=True):
        (a * b).sum().backward()
    assert not any(event.backward for event in trace.events)
    if torch_release() >= (2, 13):  # 2.11 still waits for the copies to the host, in forward
        assert not trace.events
    assert a.grad is not None
    assert a.grad.equal(b)
