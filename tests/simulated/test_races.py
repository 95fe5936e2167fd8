"""Planted races are told, one per kind, and their correct twins are quiet."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from synclint.finding import Direction
from synclint.runtime import Event, SyncError, Tracer, no_sync
from synclint.runtime.simulated.memory import overlap, poison
from synclint.runtime.trace import Trace


@pytest.fixture
def trace() -> Iterator[Trace]:
    """A trace in race mode."""
    with Tracer("simulated", roots=(str(Path(__file__).parent),), races=True) as found:
        yield found


def races(trace: Trace) -> list[Event]:
    return [event for event in trace.events if event.kind == "race"]


def line_of(text: str) -> int:
    """The line of this file that ends in a comment with that text."""
    lines = Path(__file__).read_text(encoding="utf-8").splitlines()
    (found,) = (at for at, line in enumerate(lines, 1) if line.endswith(f"  # {text}"))
    return found


# ---------------------------------------------------------------------- the host reads too early


def test_a_read_before_the_copy_has_run_is_told(trace: Trace) -> None:
    d = torch.ones(4, device="cuda")
    h = d.to("cpu", non_blocking=True)  # the early copy
    total = h.sum()  # the early read
    (found,) = races(trace)
    assert (found.direction, found.cause) == (Direction.D2H, "unordered-access")
    assert found.user is not None
    assert found.user.line == line_of("the early read")
    assert f"{Path(__file__).resolve()}:{line_of('the early copy')}" in found.detail
    assert total.isnan(), "the values are not there yet"


@pytest.mark.parametrize(
    "wait",
    [
        "torch.cuda.synchronize()",
        "torch.cuda.current_stream().synchronize()",
        "event.synchronize()",
        "assert event.query()",
        "assert torch.cuda.current_stream().query()",
        "d.sum().item()",
        "d.cpu()",
    ],
)
def test_a_read_after_any_wait_is_not(trace: Trace, wait: str) -> None:
    d = torch.ones(4, device="cuda")
    h = d.to("cpu", non_blocking=True)
    event = torch.cuda.Event()
    event.record()
    exec(wait, {"torch": torch, "event": event, "d": d})
    assert h.tolist() == [1.0] * 4
    assert not races(trace)


def test_an_event_of_before_the_copy_does_not_help(trace: Trace) -> None:
    d = torch.ones(4, device="cuda")
    event = torch.cuda.Event()
    event.record()
    h = d.to("cpu", non_blocking=True)
    event.synchronize()
    assert h.isnan().all()
    assert races(trace)


def test_a_wait_for_another_stream_does_not_help(trace: Trace) -> None:
    d = torch.ones(4, device="cuda")
    h = d.to("cpu", non_blocking=True)
    torch.cuda.Stream().synchronize()
    assert h.isnan().all()
    assert races(trace)


def test_a_wait_for_a_stream_that_waited_helps(trace: Trace) -> None:
    d = torch.ones(4, device="cuda")
    h = d.to("cpu", non_blocking=True)
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    side.synchronize()
    assert h.sum().item() == 4
    assert not races(trace)


def test_views_and_metadata_are_no_reads(trace: Trace) -> None:
    d = torch.ones(4, 4, device="cuda")
    h = d.to("cpu", non_blocking=True)
    array = h[1:].t().numpy()
    assert h.is_pinned()
    assert h.shape == (4, 4)
    torch.cuda.synchronize()
    assert array.sum() == 12
    assert not races(trace)


def test_a_read_through_numpy_shows_in_the_values(trace: Trace) -> None:
    h = torch.arange(4, device="cuda").to("cpu", non_blocking=True)
    assert h.numpy()[0] == torch.iinfo(torch.int64).max
    torch.cuda.synchronize()
    assert h.numpy().tolist() == [0, 1, 2, 3]


def test_only_the_bytes_of_the_copy_are_not_there_yet(trace: Trace) -> None:
    buffer = torch.zeros(4, 4, pin_memory=True)
    buffer[:, 1].copy_(torch.ones(4, device="cuda"), non_blocking=True)
    assert buffer[:, 0].sum() == 0
    assert not races(trace)
    assert buffer[:, 1].isnan().all()
    assert len(races(trace)) == 1


def test_work_on_the_stream_finds_the_values(trace: Trace) -> None:
    d = torch.ones(4, device="cuda")
    h = d.to("cpu", non_blocking=True)
    again = h.to("cuda", non_blocking=True)
    torch.cuda.synchronize()
    assert again.sum().item() == 4
    assert not races(trace)


def test_tolist_is_a_read(trace: Trace) -> None:
    h = torch.ones(2, device="cuda").to("cpu", non_blocking=True)
    h.tolist()
    assert [event.operation for event in races(trace)] == ["torch.Tensor.tolist"]


def test_values_are_in_place_when_the_run_ends() -> None:
    with Tracer("simulated", races=True):
        h = torch.ones(4, device="cuda").to("cpu", non_blocking=True)
    assert h.tolist() == [1.0] * 4


def test_without_the_race_mode_copies_are_there_at_once() -> None:
    with Tracer("simulated") as trace:
        h = torch.ones(4, device="cuda").to("cpu", non_blocking=True)
        assert h.tolist() == [1.0] * 4
    assert not trace.events


def test_no_sync_raises_at_a_race(trace: Trace) -> None:
    with pytest.raises(SyncError, match="before the host has waited"), no_sync():
        torch.ones(4, device="cuda").to("cpu", non_blocking=True).sum()


# ---------------------------------------------------------------------- the host rewrites too early


def test_a_source_that_is_rewritten_is_told_with_the_line_of_the_copy(trace: Trace) -> None:
    h = torch.ones(4, pin_memory=True)
    d = torch.empty(4, device="cuda")
    d.copy_(h, non_blocking=True)  # the copy from it
    h.fill_(2)  # the rewrite
    (found,) = races(trace)
    assert (found.operation, found.direction) == ("aten::copy_", Direction.H2D)
    assert found.user is not None
    assert found.user.line == line_of("the copy from it")
    assert f"{Path(__file__).resolve()}:{line_of('the rewrite')}" in found.detail
    torch.cuda.synchronize()
    assert len(races(trace)) == 1, "once is enough"


def test_a_rewrite_through_numpy_is_told_at_the_next_wait(trace: Trace) -> None:
    h = torch.ones(4, pin_memory=True)
    d = h.to("cuda", non_blocking=True)  # the copy that numpy overtakes
    h.numpy()[:] = 2
    assert not races(trace)
    d.sum().item()
    (found,) = races(trace)
    assert found.user is not None
    assert found.user.line == line_of("the copy that numpy overtakes")


def test_a_source_that_is_rewritten_after_a_wait_is_not_told(trace: Trace) -> None:
    h = torch.ones(4, pin_memory=True)
    h.to("cuda", non_blocking=True)
    torch.cuda.synchronize()
    h.fill_(2)
    h.to("cuda", non_blocking=True)
    h.sum()
    torch.cuda.synchronize()
    assert not races(trace)


def test_a_pageable_source_is_consumed_at_once(trace: Trace) -> None:
    h = torch.ones(4)
    h.to("cuda", non_blocking=True)
    h.fill_(2)
    torch.cuda.synchronize()
    assert not races(trace)


# ---------------------------------------------------------------------- streams without an order


def test_a_tensor_of_another_stream_is_told(trace: Trace) -> None:
    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        d = torch.ones(4, device="cuda")  # the other stream's work
    d.add(1)  # the use on this one
    (found,) = races(trace)
    assert found.direction is Direction.STREAM
    assert found.user is not None
    assert found.user.line == line_of("the use on this one")
    assert f":{line_of(chr(116) + 'he other stream' + chr(39) + 's work')}" in found.detail


@pytest.mark.parametrize(
    "order",
    [
        "torch.cuda.current_stream().wait_stream(side)",
        "torch.cuda.current_stream().wait_event(side.record_event())",
        "side.record_event().wait()",
        "side.synchronize()",
        "side.record_event().synchronize()",
        "torch.cuda.synchronize()",
    ],
)
def test_a_tensor_of_another_stream_that_was_waited_for_is_not(trace: Trace, order: str) -> None:
    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        d = torch.ones(4, device="cuda")
    exec(order, {"torch": torch, "side": side})
    d.add(1)
    assert not races(trace)


def test_writing_what_another_stream_reads_is_told(trace: Trace) -> None:
    d = torch.ones(4, device="cuda")
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        d.sum()
    d.add(1)
    assert not races(trace), "both read"
    d.add_(1)
    (found,) = races(trace)
    assert "read on stream" in found.detail


def test_a_blocking_copy_orders_all_streams(trace: Trace) -> None:
    d = torch.ones(4).to("cuda")
    with torch.cuda.stream(torch.cuda.Stream()):
        d.add(1)
    assert not races(trace)


def test_backward_and_graphs_are_ordered(trace: Trace) -> None:
    x = torch.ones(3, device="cuda", requires_grad=True)
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        loss = (x * 2).sum()
    loss.backward()
    graph = torch.cuda.CUDAGraph()
    static = torch.ones(3, device="cuda")
    with torch.cuda.graph(graph):
        y = static * 2
    static.fill_(4)
    graph.replay()
    assert y.sum().item() == 24
    assert not races(trace)


def test_a_training_step_has_no_races(trace: Trace) -> None:
    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.ReLU(), torch.nn.Linear(4, 1)).cuda()
    optimizer = torch.optim.AdamW(model.parameters())
    for _ in range(2):
        batch = torch.ones(2, 4, pin_memory=True).to("cuda", non_blocking=True)
        model(batch).sum().backward()
        optimizer.step()
        optimizer.zero_grad()
    assert not races(trace)


# ---------------------------------------------------------------------- memory


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.complex64, torch.int64, torch.uint8, torch.bool])
def test_poison_differs_everywhere(dtype: torch.dtype) -> None:
    values = torch.tensor([0, 1, 2]).to(dtype)
    if dtype is torch.uint8:
        values[2] = 255
    assert (poison(values) != values).all()


def test_memory_overlaps_by_the_byte() -> None:
    buffer = torch.zeros(4, 4)
    assert overlap(buffer, buffer[3, 3])
    assert overlap(buffer[:, 1], buffer[1])
    assert not overlap(buffer[:, 0], buffer[:, 1])
    assert not overlap(buffer[0], buffer[1])
    assert not overlap(buffer[:0], buffer)
    assert overlap(buffer.view(torch.uint8)[0, 3], buffer[0, 0])
    assert not overlap(buffer.view(torch.uint8)[0, 4], buffer[0, 0])
