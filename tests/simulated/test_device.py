"""What a CUDA device is to a program: that it is there, what it computes, and that it leaves nothing behind."""

from __future__ import annotations

import copy
import io
import subprocess
import sys
import threading
from typing import Any

import pytest
import torch
import torch.distributed

from synclint.runtime import SyncError, Tracer, no_sync
from synclint.runtime.simulated import NotSimulatedError, SimulatedBackend, selftest
from synclint.runtime.simulated.unsupported import Unsupported
from synclint.runtime.trace import Trace
from synclint.runtime.tracer import BackendError, Options

PATCHED = (
    torch, torch.cuda, torch.cuda.memory, torch.cuda.streams, torch.cuda.graphs, torch.cuda.random, torch.cuda.nvtx,
    torch.accelerator, torch.backends.cuda, torch.autograd, torch.autograd.graph, torch.Tensor, torch.UntypedStorage,
    torch.distributed, torch.distributed.distributed_c10d, torch._C,
)  # fmt: skip


# ---------------------------------------------------------------------- what is left behind


def kept() -> list[dict[str, Any]]:
    return [dict(vars(owner)) for owner in PATCHED]


@pytest.mark.parametrize("races", [False, True])
def test_everything_is_put_back(races: bool) -> None:
    with Tracer("simulated"):
        pass  # torch builds what it builds once
    before, accelerator = kept(), torch._C._accelerator_getAccelerator()
    with pytest.raises(KeyError), Tracer("simulated", races=races):
        assert torch.cuda.is_available()
        torch.ones(2, device="cuda").sum().item()
        raise KeyError
    for owner, old, new in zip(PATCHED, before, kept(), strict=True):
        assert old.keys() == new.keys(), owner
        assert all(old[name] is new[name] for name in old), [name for name in old if old[name] is not new[name]]
    assert torch._C._accelerator_getAccelerator() == accelerator
    assert not torch.cuda.is_available()


def test_what_was_replaced_is_seen_to_be() -> None:
    """Else the test above could not fail."""
    before = kept()
    with Tracer("simulated"):
        changed = [owner for owner, old in zip(PATCHED, before, strict=True) if dict(vars(owner)) != old]
    assert len(changed) >= 12


def test_a_tensor_that_outlives_the_device_says_so() -> None:
    with Tracer("simulated"):
        x = torch.ones(2, device="cuda")
    assert x.is_cuda
    with pytest.raises(RuntimeError, match="after the simulation has ended"):
        x + 1
    with Tracer("simulated"):
        assert (x + 1).sum().item() == 4


def test_a_program_that_exits_inside_ends_well() -> None:
    code = (
        "from synclint.runtime import Tracer; import torch, sys; Tracer('simulated').__enter__();"
        "x = torch.ones(2, device='cuda', requires_grad=True); (x * 2).sum().backward(); sys.exit(7)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 7


# ---------------------------------------------------------------------- what cannot be had


@pytest.mark.filterwarnings("ignore:Sparse CSR")
def test_what_is_not_simulated_is_named_and_counted() -> None:
    backend = SimulatedBackend(Options())
    with Tracer("simulated") as trace:
        pass
    from synclint.runtime.recorder import Recorder

    backend.start(Recorder(trace.events.append))
    try:
        x = torch.ones(2, 2, device="cuda")
        with pytest.raises(NotSimulatedError, match="is not simulated"):
            x.to_sparse_csr()
        with pytest.raises(NotImplementedError, match="aten::_cudnn_rnn_flatten_weight is not simulated"):
            torch._cudnn_rnn_flatten_weight([x, x], 2, 2, 0, 2, 0, 1, False, False)
        assert sum(backend.not_simulated.values()) == 2
        assert "aten::_cudnn_rnn_flatten_weight" in backend.not_simulated
        assert backend.operators > 0
    finally:
        backend.stop()


def test_there_is_one_device(trace: Trace) -> None:
    with pytest.raises(RuntimeError, match="invalid device ordinal"):
        torch.ones(2, device="cuda:1")


def test_one_simulation_runs_at_a_time(trace: Trace) -> None:
    with pytest.raises(BackendError, match="already"):
        SimulatedBackend(Options()).start(Any)  # type: ignore[arg-type]


def test_an_unknown_release_is_tried_in_a_child(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selftest, "KNOWN", frozenset())
    selftest.check_release()
    assert selftest._try_in_child(sys.executable, torch.__version__) == ""


def test_a_release_that_fails_is_refused_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selftest, "KNOWN", frozenset())
    monkeypatch.setattr(selftest, "_try_in_child", lambda python, version: "its self-test was killed by signal 11")
    with pytest.raises(Unsupported):
        selftest.check_release()
    with pytest.raises(BackendError) as raised, Tracer("simulated"):
        pass
    assert str(raised.value) == (
        f"simulated CUDA is not available on torch {torch.__version__} because its self-test was killed by signal 11"
    )


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import os; os.abort()", "was killed by signal 6"),
        ("raise SystemExit('no kernels')", "failed: no kernels"),
        ("raise SystemExit(3)", "failed: exit status 3"),
    ],
)
def test_a_child_that_fails_gives_the_reason(monkeypatch: pytest.MonkeyPatch, code: str, reason: str) -> None:
    monkeypatch.setattr(selftest, "_CHILD", code)
    assert selftest._try_in_child(sys.executable, reason).endswith(reason)


# ---------------------------------------------------------------------- what it computes


def test_training_gives_the_numbers_of_the_cpu() -> None:
    def losses(device: str) -> list[float]:
        torch.manual_seed(0)
        model = torch.nn.Sequential(
            torch.nn.Linear(8, 16), torch.nn.GELU(), torch.nn.Dropout(0.1), torch.nn.Linear(16, 2)
        )
        model.to(device)
        optimizer = torch.optim.AdamW(model.parameters(), foreach=False)
        found = []
        for _ in range(5):
            loss = model(torch.ones(4, 8, device=device)).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            found.append(loss.item())
        return found

    with Tracer("simulated"):
        on_device = losses("cuda")
    assert on_device == pytest.approx(losses("cpu"), rel=1e-5)


def test_the_same_seed_gives_the_same_numbers(trace: Trace) -> None:
    for seed in (torch.manual_seed, torch.cuda.manual_seed, torch.cuda.manual_seed_all):
        seed(7)
        first = torch.randn(3, device="cuda")
        seed(7)
        assert torch.randn(3, device="cuda").equal(first)
    state = torch.cuda.get_rng_state()
    first = torch.rand(3, device="cuda")
    torch.cuda.set_rng_state(state)
    assert torch.rand(3, device="cuda").equal(first)
    generator = torch.Generator("cuda").manual_seed(1)
    assert isinstance(generator, torch.Generator)
    assert generator.device.type == "cuda"
    torch.rand(3, device="cuda", generator=generator)
    assert torch.Generator("cpu").device.type == "cpu"


def test_pinned_memory_keeps_its_mark_and_the_graph(trace: Trace) -> None:
    leaf = torch.ones(3, requires_grad=True)
    pinned = leaf.pin_memory()
    assert pinned.is_pinned()
    assert pinned.requires_grad
    sent = pinned.to("cuda", non_blocking=True)
    assert not trace.events
    sent.sum().backward()
    assert leaf.grad is not None
    trace.events.clear()  # the gradient came back
    assert pinned.pin_memory() is pinned
    assert pinned[1:].is_pinned()
    assert not leaf.is_pinned()
    assert not pinned.clone().is_pinned()
    for factory in (torch.empty, torch.zeros, torch.ones, torch.rand):
        assert factory(3, pin_memory=True).is_pinned()
    assert torch.tensor([1], pin_memory=True).is_pinned()
    assert pinned.new_zeros(2, pin_memory=True).is_pinned()
    assert torch.empty_like(pinned, pin_memory=True).is_pinned()
    assert pinned.untyped_storage().is_pinned()
    assert not trace.events
    with pytest.raises(RuntimeError, match="only dense CPU tensors can be pinned"):
        torch.ones(1, device="cuda").pin_memory()


def test_storages_move(trace: Trace) -> None:
    x = torch.arange(4, device="cuda")
    file = io.BytesIO()
    torch.save(x, file)
    file.seek(0)
    again = torch.load(file)
    assert again.is_cuda
    assert again.equal(x)
    twin = copy.deepcopy(x)
    assert twin.equal(x)
    assert twin.data_ptr() != x.data_ptr()
    assert {event.operation for event in trace.events} == {
        "torch.UntypedStorage.cpu",
        "torch.UntypedStorage.cuda",
        "aten::equal",
    }


def test_sparse_tensors(trace: Trace) -> None:
    x = torch.eye(3, device="cuda").to_sparse()
    assert x.is_cuda
    assert x.is_sparse
    assert torch.sparse.mm(x, torch.ones(3, 1, device="cuda")).sum().item() == 3
    assert x.coalesce().indices().shape == (2, 3)
    assert not x.cpu().is_cuda


def test_collectives_run_in_a_group_of_one(trace: Trace, tmp_path: Any) -> None:
    torch.distributed.init_process_group("nccl", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        x = torch.ones(3, device="cuda")
        torch.distributed.all_reduce(x)
        gathered = [torch.empty(3, device="cuda")]
        torch.distributed.all_gather(gathered, x)
        assert gathered[0].is_cuda
        assert gathered[0].equal(x)
        if torch.version.cuda is not None:
            with pytest.raises(NotImplementedError, match="DistributedDataParallel of a CUDA build"):
                torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(3, 1).cuda())
            return
        model = torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(3, 1).cuda())
        model(x).sum().backward()
    finally:
        torch.distributed.destroy_process_group()


def test_streams_and_events(trace: Trace) -> None:
    side = torch.cuda.Stream(priority=-1)
    assert torch.cuda.current_stream() == torch.cuda.default_stream()
    with torch.cuda.stream(side):
        assert torch.cuda.current_stream() == side
        torch.ones(1, device="cuda").item()
    with side:
        assert torch.cuda.current_stream() is side
    assert torch.cuda.current_stream().cuda_stream == 0
    assert isinstance(side, torch.Stream)
    assert trace.events[-1].stream == side.cuda_stream
    begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    with pytest.raises(ValueError, match="recorded"):
        begin.elapsed_time(end)
    begin.record()
    end.record()
    assert begin.elapsed_time(end) >= 0
    trace.events.clear()
    torch.cuda.Event().synchronize()
    assert not trace.events, "it was never recorded"
    end.synchronize()
    assert [event.operation for event in trace.events] == ["torch.cuda.Event.synchronize"]


def test_a_stream_is_current_on_its_thread_alone(trace: Trace) -> None:
    found = []
    with torch.cuda.stream(torch.cuda.Stream()):
        thread = threading.Thread(target=lambda: found.append(torch.cuda.current_stream().cuda_stream))
        thread.start()
        thread.join()
    assert found == [0]


def test_graphs_replay_into_the_same_memory(trace: Trace) -> None:
    static = torch.ones(3, device="cuda")
    graph = torch.cuda.CUDAGraph()
    with pytest.raises(RuntimeError, match="preceding"):
        graph.replay()
    with torch.cuda.graph(graph):
        assert torch.cuda.is_current_stream_capturing()
        y = (static * 2)[1:]
        y.add_(1)
    assert not torch.cuda.is_current_stream_capturing()
    address = y.data_ptr()
    static.fill_(5)
    graph.replay()
    assert y.tolist() == [11.0, 11.0]
    assert y.data_ptr() == address


def test_a_wait_in_a_capture_says_so(trace: Trace) -> None:
    x = torch.ones(1, device="cuda")
    with torch.cuda.graph(torch.cuda.CUDAGraph()):
        x.item()
    assert [event.capture for event in trace.events] == [True]


# ---------------------------------------------------------------------- where it waits


def test_no_sync_raises_at_the_wait_in_backward_too(trace: Trace) -> None:
    class Reads(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
            return x * 2

        @staticmethod
        def backward(ctx: Any, grad: torch.Tensor) -> torch.Tensor:
            grad.sum().item()
            return grad

    x = torch.ones(2, device="cuda", requires_grad=True)
    with pytest.raises(SyncError, match="scalar-read, in backward"), no_sync():
        Reads.apply(x).sum().backward()
    assert trace.events[-1].backward
    with pytest.raises(SyncError), no_sync():
        x.sum().item()


def test_a_wait_of_the_engine_counts_for_the_line_that_called_it(trace: Trace) -> None:
    x = torch.tensor([2.0, 0.0, 3.0], device="cuda", requires_grad=True)
    product = x.prod()
    trace.events.clear()
    product.backward()
    assert trace.events
    assert all(event.backward and event.user and event.user.path == __file__ for event in trace.events)
