"""Events, blocks, traces and their files, without any back end: what one would see is told to the recorder."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import json
import os
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from synclint.finding import Direction
from synclint.runtime import Event, Frame, SyncError, Tracer, allow_sync, no_sync, tracer
from synclint.runtime.codes import codes
from synclint.runtime.recorder import Recorder
from synclint.runtime.trace import Trace, TraceError, Writer, aggregate, merge, read


class Told:
    """A back end that sees what :func:`wait` says."""

    name = "told"

    def start(self, recorder: Recorder) -> None:
        self.recorder = recorder

    def stop(self) -> None:
        del self.recorder


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    backend = Told()
    monkeypatch.setattr(tracer, "load_backend", lambda name, options: backend)
    return backend


@pytest.fixture
def trace(told: Told) -> Iterator[Trace]:
    with Tracer(roots=(str(Path(__file__).parent),)) as found:
        yield found


def wait(told: Told, *, may_raise: bool = True, kind: str = "sync", stream: int = 0) -> None:
    told.recorder.record(
        "aten::_local_scalar_dense", "scalar-read", Direction.D2H, kind=kind, stream=stream, may_raise=may_raise
    )  # type: ignore[arg-type]


def event(line: int = 3, **changes: object) -> Event:
    where = Frame("/p/a.py", line, "f")
    made = Event("aten::_local_scalar_dense", "scalar-read", Direction.D2H, user=where, project=where)
    return replace(made, **changes)


# ---------------------------------------------------------------------- where


def test_an_event_names_the_line_and_the_project(told: Told, trace: Trace) -> None:
    wait(told)
    (found,) = trace.events
    assert found.user == found.project == found.frame
    assert found.user is not None
    assert Path(found.user.path) == Path(__file__).resolve()
    assert found.thread == threading.get_native_id()
    assert not found.backward


def test_outside_the_roots_the_innermost_line_counts(told: Told) -> None:
    with Tracer(roots=("/nowhere",)) as trace:
        wait(told)
    (found,) = trace.events
    assert found.project is None
    assert found.frame == found.user is not None


def test_the_autograd_engine_waits_on_behalf_of_its_caller(told: Told, trace: Trace) -> None:
    with told.recorder.running_backward():
        wait(told)
    assert trace.events[0].backward
    wait(told)
    assert not trace.events[1].backward


def test_what_torch_compiles_or_captures_is_no_event(told: Told, trace: Trace) -> None:
    import torch

    path = str(Path(torch.__file__).parent / "cuda" / "graphs.py")
    exec(compile("wait(told)", path, "exec"), {"wait": wait, "told": told})
    assert len(trace.events) == 1, "the innermost user frame is the helper's, inside"
    space = {"record": told.recorder.record, "D2H": Direction.D2H}
    exec(compile("record('torch.cuda.synchronize', 'explicit-wait', D2H)", path, "exec"), space)
    assert len(trace.events) == 1


# ---------------------------------------------------------------------- blocks


def test_no_sync_raises_at_the_wait(told: Told, trace: Trace) -> None:
    with pytest.raises(SyncError) as raised, no_sync():
        wait(told)
        raise AssertionError("not reached")
    (found,) = raised.value.events
    assert f"{__file__}:" in str(raised.value)
    assert "scalar-read" in str(raised.value)
    assert "[SYN102 or SYN201 or SYN202 or others]" in str(raised.value)
    assert trace.events == [found]


def test_no_sync_raises_at_the_end_where_it_could_not_before(told: Told, trace: Trace) -> None:
    reached = False
    with pytest.raises(SyncError), no_sync():
        wait(told, may_raise=False)
        reached = True
    assert reached


def test_a_wait_is_not_lost_when_the_code_catches_everything(told: Told, trace: Trace) -> None:
    with pytest.raises(SyncError), no_sync(), contextlib.suppress(RuntimeError):
        wait(told)


def test_another_error_is_not_replaced(told: Told, trace: Trace) -> None:
    with pytest.raises(KeyError), no_sync():
        wait(told, may_raise=False)
        raise KeyError


def test_allow_sync_allows_and_the_event_says_why(told: Told, trace: Trace) -> None:
    with no_sync():
        with allow_sync("for the log"):
            wait(told)
            with pytest.raises(SyncError), no_sync():
                wait(told)
        assert [found.allowed for found in trace.events] == ["for the log", ""]


@pytest.mark.parametrize("reason", ["", "  ", None])
def test_allow_sync_needs_a_reason(reason: str) -> None:
    with pytest.raises(ValueError, match="needs a reason"):
        allow_sync(reason)


def test_pageable_copies_are_forbidden_on_request(told: Told, trace: Trace) -> None:
    with no_sync():
        wait(told, kind="pageable")
    with pytest.raises(SyncError), no_sync(pageable=True):
        wait(told, kind="pageable")


def test_both_are_decorators(told: Told, trace: Trace) -> None:
    @allow_sync("once")
    def allowed() -> None:
        wait(told)

    @no_sync()
    def forbidden() -> None:
        allowed()
        allowed()
        wait(told)

    for _ in range(2):
        with pytest.raises(SyncError):
            forbidden()


def test_blocks_hold_for_their_thread_alone(told: Told, trace: Trace) -> None:
    other = threading.Thread(target=lambda: wait(told))
    with no_sync():
        other.start()
        other.join()
    assert len(trace.events) == 1


def test_blocks_hold_for_their_task_alone(told: Told, trace: Trace) -> None:
    async def careful(entered: asyncio.Event, done: asyncio.Event) -> None:
        with no_sync():
            entered.set()
            await done.wait()

    async def both() -> None:
        entered, done = asyncio.Event(), asyncio.Event()
        task = asyncio.create_task(careful(entered, done))
        await entered.wait()
        wait(told)
        done.set()
        await task

    asyncio.run(both())
    assert len(trace.events) == 1


def test_no_sync_starts_a_tracer_of_its_own(told: Told) -> None:
    with pytest.raises(SyncError), no_sync():
        wait(told)
    assert tracer.running() is None


def test_a_block_around_a_coroutine_function_holds_while_the_coroutine_runs(told: Told, trace: Trace) -> None:
    @allow_sync("for the log")
    async def allowed() -> int:
        await asyncio.sleep(0)
        wait(told)
        return 3

    @no_sync()
    async def forbidden() -> None:
        assert await allowed() == 3
        wait(told)

    for _ in range(2):
        with pytest.raises(SyncError):
            asyncio.run(forbidden())
    assert [event.allowed for event in trace.events] == ["for the log", ""] * 2


def test_a_block_is_no_decorator_of_generators() -> None:
    def numbers() -> Iterator[int]:
        yield 1

    async def later() -> AsyncIterator[int]:
        yield 1

    for function in (numbers, later):
        with pytest.raises(TypeError, match=r"no_sync\(\) cannot decorate the generator test_a_block_is_.*\(\)"):
            no_sync()(function)


def test_a_block_in_a_generator_ends_where_the_generator_leaves_it(told: Told, trace: Trace) -> None:
    def numbers() -> Iterator[int]:
        with no_sync():
            yield 1
        yield 2

    steps = numbers()
    next(steps)
    with allow_sync("for the log"):
        next(steps)
        wait(told)
    wait(told)
    started = numbers()
    context = contextvars.copy_context()
    context.run(next, started)
    next(started)
    context.run(wait, told)
    assert [event.allowed for event in trace.events] == ["for the log", "", ""]


def test_the_tracer_of_a_block_runs_for_blocks_of_other_threads_too(told: Told) -> None:
    entered, left = threading.Event(), threading.Event()

    def first() -> None:
        with no_sync():
            entered.set()
            left.wait()

    thread = threading.Thread(target=first)
    thread.start()
    entered.wait()
    with no_sync():
        left.set()
        thread.join()
        assert tracer.running() is not None
    assert tracer.running() is None


def test_a_block_whose_tracer_cannot_start_leaves_nothing_behind(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str, options: object) -> Told:
        raise tracer.BackendError("no")

    with monkeypatch.context() as patch:
        patch.setattr(tracer, "load_backend", refuse)
        with pytest.raises(tracer.BackendError), no_sync():
            pass
    with pytest.raises(SyncError), no_sync():
        wait(told)
    assert tracer.running() is None


def test_tracers_do_not_nest(told: Told, trace: Trace) -> None:
    with pytest.raises(tracer.BackendError, match="runs already"), Tracer():
        pass
    assert tracer.running() is not None


def test_a_back_end_that_cannot_start_leaves_nothing_running(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str, options: object) -> Told:
        raise tracer.BackendError("no")

    monkeypatch.setattr(tracer, "load_backend", refuse)
    with pytest.raises(tracer.BackendError), Tracer():
        pass
    assert tracer.running() is None


# ---------------------------------------------------------------------- traces


def test_like_events_are_joined_the_costliest_first() -> None:
    events = [event(1), event(2, stall=0.5), event(1, thread=9), event(3, stall=2.0, count=4), event(2, stall=0.25)]
    assert [(one.user and one.user.line, one.count, one.stall) for one in aggregate(events)] == [
        (3, 4, 2.0),
        (2, 2, 0.75),
        (1, 2, None),
    ]


@pytest.mark.parametrize("name", Event.__dataclass_fields__)
def test_like_events_differ_in_nothing_but_thread_and_amounts(name: str) -> None:
    changed = replace(event(), **{name: "other"})
    assert (changed.like == event().like) is (name in ("thread", "count", "stall"))


def test_a_file_gives_back_what_was_written(tmp_path: Path) -> None:
    trace = Trace([event(1, stall=0.5), event(2, allowed="log", capture=True)], "told", [{"pid": 1}])
    trace.write(tmp_path / "t.jsonl")
    assert read(tmp_path / "t.jsonl") == trace


def test_the_writer_appends_and_adds_up(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    write = Writer(path, "told", {"pid": 1})
    for one in (event(1), event(2, stall=0.5), event(1, thread=4), event(2, stall=0.25)):
        write(one)
    found = read(path)  # not closed: a killed process
    assert [(one.count, one.stall) for one in found.events] == [(2, None), (2, 0.75)]
    with path.open("a") as file:
        file.write('{"operation": "cut o')
    assert read(path) == found
    write.close()


def test_nothing_is_written_after_it_was_closed(tmp_path: Path) -> None:
    write = Writer(tmp_path / "t.jsonl", "told", {"pid": 1})
    write.close()
    other = os.open(tmp_path / "other", os.O_WRONLY | os.O_CREAT)  # gets the same number
    write(event(1))
    write.ran("a.py", 3)
    write.close()
    os.close(other)
    assert (tmp_path / "other").read_bytes() == b""
    assert read(tmp_path / "t.jsonl").events == []


def test_executed_lines_and_absent_operators_add_up(tmp_path: Path) -> None:
    write = Writer(tmp_path / "t.jsonl", "told", {"pid": 1, "lines": True})
    for line in (3, 4, 3):
        write.ran("a.py", line)
    write.not_simulated({"aten::x": 1})
    write.not_simulated({"aten::x": 2, "aten::y": 1})
    found = read(tmp_path / "t.jsonl")
    assert (found.ran, found.not_simulated) == ({"a.py": {3, 4}}, {"aten::x": 3, "aten::y": 1})
    assert found.knows_lines
    found.write(tmp_path / "again.jsonl")
    assert read(tmp_path / "again.jsonl") == found
    write.lines_lost()
    assert not read(tmp_path / "t.jsonl").knows_lines
    assert not merge([found, Trace([], "told", [{"pid": 2}])]).knows_lines


def test_a_stall_that_becomes_known_later_adds_to_its_event(told: Told, tmp_path: Path) -> None:
    write = Writer(tmp_path / "t.jsonl", "told", {"pid": 1})
    with Tracer(sink=write) as trace:
        for _ in range(2):
            wait(told)
        for number, found in enumerate(list(trace.events)):
            told.recorder.add_stall(found, 0.25 + number)
    write.close()
    assert [(one.count, one.stall) for one in trace.events] == [(1, 0.25), (1, 1.25)]
    assert [(one.count, one.stall) for one in read(tmp_path / "t.jsonl").events] == [(2, 1.5)]


def test_merging_keeps_the_processes(tmp_path: Path) -> None:
    one, two = Trace([event(1)], "cuda", [{"pid": 1}]), Trace([event(1)], "cuda", [{"pid": 2}])
    whole = merge([one, two])
    assert (whole.events[0].count, whole.backend, whole.processes) == (2, "cuda", [{"pid": 1}, {"pid": 2}])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "t.jsonl:1: not a synclint trace"),
        ("[]\n", "t.jsonl:1: not a line"),
        ('{"synclint-trace": 99, "backend": "x", "processes": [{}]}\n', "t.jsonl:1: a trace of version 99"),
        ('{"synclint-trace": 1, "backend": "x", "processes": [{}]}\nno\n{}\n', "t.jsonl:2: not a line"),
    ],
)
def test_what_is_no_trace_is_refused_by_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text(text)
    with pytest.raises(TraceError) as raised:
        read(path)
    assert said in str(raised.value)


def test_events_know_their_rules() -> None:
    assert set(codes(event())) > {"SYN102", "SYN201", "SYN202", "SYN205"}
    assert codes(event(operation="aten::nothing_known")) == ()


def test_events_are_plain_data() -> None:
    full = event(stall=0.5, backward=True, kind="race", detail="d")
    assert Event.from_json(json.loads(json.dumps(full.to_json()))) == full
