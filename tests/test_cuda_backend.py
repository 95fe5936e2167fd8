"""The back end ``cuda`` without a GPU: torch's real registries of callbacks, real warnings and real profiler; only what
would call them, the driver, is missing and played by hand."""

from __future__ import annotations

import os
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode  # noqa: E402
from torch.cuda import _gpu_trace  # noqa: E402

from synclint import facts  # noqa: E402
from synclint.finding import Direction  # noqa: E402
from synclint.runtime import SyncError, Tracer, allow_sync, no_sync, tracer  # noqa: E402
from synclint.runtime.codes import codes  # noqa: E402
from synclint.runtime.cuda import CudaBackend, callbacks, calls, copies, debug_mode, profiler  # noqa: E402
from synclint.runtime.cuda.callbacks import Callbacks  # noqa: E402
from synclint.runtime.cuda.debug_mode import DebugMode  # noqa: E402
from synclint.runtime.cuda.profiler import RuntimeCall, StallTimes, join, runtime_calls, unreported  # noqa: E402
from synclint.runtime.cuda.watch import Wait, Watch  # noqa: E402
from synclint.runtime.event import Event  # noqa: E402
from synclint.runtime.recorder import Recorder  # noqa: E402
from synclint.runtime.trace import Trace  # noqa: E402
from synclint.runtime.tracer import BackendError, Options  # noqa: E402

STREAM = _gpu_trace.StreamSynchronizationCallbacks
DEVICE = _gpu_trace.DeviceSynchronizationCallbacks
EVENT = _gpu_trace.EventSynchronizationCallbacks
HERE = str(Path(__file__).resolve())

wait_for_stream = partial(STREAM.fire_callbacks, 7)
"""What torch does before it waits for stream 7; called like a method of torch, without a Python frame of its own."""


class FakeMode:
    """torch's debug mode, of builds with CUDA alone."""

    value = 0

    def get(self) -> int:
        return FakeMode.value

    def set(self, mode: int) -> None:
        FakeMode.value = mode


@pytest.fixture(autouse=True)
def pretend_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(debug_mode, "TorchMode", FakeMode)
    monkeypatch.setattr(FakeMode, "value", 0)


@pytest.fixture
def trace() -> Iterator[Trace]:
    with Tracer("cuda", roots=(str(Path(__file__).parent),)) as found:
        yield found


def replaced() -> dict[str, Any]:
    owners = {"cuda": torch.cuda, "Stream": torch.cuda.Stream, "Event": torch.cuda.Event, "Tensor": torch.Tensor}
    owners |= {"autograd": torch.autograd, "graph": torch.autograd.graph, "profile": torch.autograd.profiler.profile}
    names = ("synchronize", "to", "cuda", "cpu", "copy_", "_engine_run_backward", "_prepare_trace")
    return {f"{owner}.{name}": vars(holder).get(name) for owner, holder in owners.items() for name in names}


# ---------------------------------------------------------------------- callbacks


def test_without_a_gpu_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(BackendError, match="needs a GPU: this is a build of torch without CUDA"), Tracer("cuda"):
        pass


def test_whether_there_is_a_gpu_is_asked_so_that_children_can_still_use_it(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "PYTORCH_NVML_BASED_CUDA_CHECK"
    asked: list[str | None] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: bool(asked.append(os.environ.get(name))) or True)
    monkeypatch.delenv(name, raising=False)
    assert tracer.gpu_available()
    assert name not in os.environ
    monkeypatch.setenv(name, "0")
    assert tracer.gpu_available()
    assert os.environ[name] == "0"
    assert asked == ["1", "1"]


def test_a_forked_child_may_forbid_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "_is_in_bad_fork", lambda: True)
    with Tracer("cuda"), no_sync():
        assert FakeMode.value == 0, "the mode cannot be read there"


def test_callbacks_become_events(trace: Trace) -> None:
    STREAM.fire_callbacks(7)
    DEVICE.fire_callbacks()
    EVENT.fire_callbacks(9)
    assert [(one.direction, one.stream, one.frame and one.frame.path) for one in trace.events] == [
        (Direction.STREAM, 7, HERE),
        (Direction.DEVICE, 0, HERE),
        (Direction.STREAM, 0, HERE),
    ]
    assert [one.cause for one in trace.events[1:]] == ["explicit-wait", "explicit-wait"]


@pytest.mark.parametrize("options", [{}, {"pageable": True}, {"stall_times": True}])
def test_everything_is_put_back_even_after_an_error(options: dict[str, bool], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profiler, "profile_runtime", cpu_profile)
    before = replaced()
    with pytest.raises(KeyError), Tracer("cuda", **options):
        assert replaced() != before
        assert callbacks.active()
        raise KeyError
    assert replaced() == before
    assert not callbacks.active()
    assert not STREAM.callback_list + DEVICE.callback_list + EVENT.callback_list


def test_what_a_failing_start_began_is_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: StallTimes, patches: object) -> None:
        raise OSError

    monkeypatch.setattr(StallTimes, "start", fail)
    before = replaced()
    with pytest.raises(OSError), Tracer("cuda", stall_times=True):  # noqa: PT011 - any will do
        pass
    assert replaced() == before
    assert not STREAM.callback_list


def test_callbacks_can_be_started_again() -> None:
    for _ in range(2):
        with Tracer("cuda") as found:
            assert callbacks.active()
            wait_for_stream()
        assert len(found.events) == 1
        assert not callbacks.active()


def test_callbacks_of_others_stay_on() -> None:
    theirs: list[int] = []
    with Tracer("cuda"):
        _gpu_trace.register_callback_for_event_record(theirs.append)
    try:
        assert callbacks.active()
    finally:
        _gpu_trace.EventRecordCallbacks.callback_list.clear()
    Callbacks(theirs.append, theirs.clear, theirs.append).stop()
    assert callbacks.active(), "stopped without having been started: nothing to restore"
    with Tracer("cuda"):
        pass
    assert callbacks.active(), "it was on before"
    flag = callbacks._flag()
    assert flag is not None
    flag.value = False


def test_a_library_without_the_flag_is_used_with_empty_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(callbacks, "_FLAG", "no_such_symbol")
    with Tracer("cuda") as found:
        assert callbacks.active() is None
        wait_for_stream()
    wait_for_stream()
    assert len(found.events) == 1


def test_a_callback_never_raises_but_the_block_does(trace: Trace, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(SyncError) as raised, no_sync():
        wait_for_stream()
        reached = True
    assert reached
    assert len(raised.value.events) == 1
    assert not caplog.records, "torch logs what callbacks raise"


class Waiting:
    """Stands for a tensor whose methods make torch wait."""

    item = nonzero = unheard_of = partial(STREAM.fire_callbacks, 0)

    def fire_callbacks(self, *arguments: object) -> bool:
        """Passed over by its name, as if it were written in C."""
        STREAM.fire_callbacks(0)
        return True

    to = __bool__ = __getitem__ = __setitem__ = fire_callbacks

    def __int__(self) -> int:
        STREAM.fire_callbacks(0)
        return 1

    __int__.__code__ = __int__.__code__.replace(co_name="fire_callbacks")


def _condition(tensor: Any) -> None:
    if tensor:
        pass


@pytest.mark.parametrize(
    ("code", "operation", "cause", "direction"),
    [
        (lambda t: t.item(), "aten::_local_scalar_dense", "scalar-read", Direction.D2H),
        (lambda t: max(t.item() or 1, abs(1)), "aten::_local_scalar_dense", "scalar-read", Direction.D2H),
        (lambda t: int(t), "aten::_local_scalar_dense", "scalar-read", Direction.D2H),
        (_condition, "aten::_local_scalar_dense", "scalar-read", Direction.D2H),
        (lambda t: not t, "aten::_local_scalar_dense", "scalar-read", Direction.D2H),
        (lambda t: t.to("cuda"), "aten::_to_copy", "blocking-copy", Direction.STREAM),
        (lambda t: t.nonzero(), "aten::nonzero", "data-dependent-size", Direction.D2H),
        (lambda t: t.unheard_of(), "Tensor.unheard_of", "library-internal", Direction.STREAM),
        (lambda t: t[0], "getitem(Tensor)", "library-internal", Direction.STREAM),
    ],
)  # fmt: skip
def test_the_instruction_names_what_waits(
    trace: Trace, code: Callable[[Any], object], operation: str, cause: str, direction: Direction
) -> None:
    code(Waiting())
    (found,) = trace.events
    assert (found.operation, found.cause, found.direction) == (operation, cause, direction)


def test_facts_of_another_release_do_not_name_it(trace: Trace, monkeypatch: pytest.MonkeyPatch) -> None:
    now = calls._call(("setitem(Tensor)",))
    masked = facts.fact("host-mask-assignment")  # waited until 2.9
    monkeypatch.setattr(facts, "facts_for", lambda spelling: (masked,))
    calls._call.cache_clear()
    assert calls._call(("setitem(Tensor)",)).operation == "setitem(Tensor)"
    monkeypatch.setattr(calls, "torch_release", lambda: (2, 8))
    calls._call.cache_clear()
    assert calls._call(("setitem(Tensor)",)).operation in masked.operations
    monkeypatch.undo()
    calls._call.cache_clear()
    assert calls._call(("setitem(Tensor)",)) == now


def test_a_wait_of_which_only_the_name_is_known_has_the_rules_of_that_name() -> None:
    call = calls._call(("Tensor.tensor", "torch.tensor"))  # copies a list, or reads tensors in one
    assert call.operation == "torch.tensor"
    assert "SYN102" in codes(Event(call.operation, call.cause, call.direction))


# ---------------------------------------------------------------------- explicit waits


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """torch's functions that wait, with the callbacks they make; what was called is listed."""
    called: list[str] = []

    def instead(name: str, registry: Any, *arguments: int) -> Callable[..., None]:
        def original(*given: object) -> None:
            called.append(name)
            registry.fire_callbacks(*arguments)

        return original

    monkeypatch.setattr(torch.cuda, "synchronize", instead("device", DEVICE))
    monkeypatch.setattr(torch.cuda.Stream, "synchronize", instead("stream", STREAM, 5))
    monkeypatch.setattr(torch.cuda.Event, "synchronize", instead("event", EVENT, 6))
    return called


class Handle:
    cuda_stream = 5


CALLS = {
    "torch.cuda.synchronize": lambda: torch.cuda.synchronize(),
    "torch.cuda.Stream.synchronize": lambda: torch.cuda.Stream.synchronize(Handle()),
    "torch.cuda.Event.synchronize": lambda: torch.cuda.Event.synchronize(Handle()),
}


@pytest.mark.parametrize("name", CALLS)
def test_an_explicit_wait_is_one_event_though_two_see_it(driver: list[str], name: str) -> None:
    with Tracer("cuda") as found:
        CALLS[name]()
    assert len(driver) == 1
    (event,) = found.events
    assert (event.operation, event.cause) == (name, "explicit-wait")
    assert event.stream == (5 if "Stream" in name else 0)
    assert event.frame is not None
    assert event.frame.path == HERE


@pytest.mark.parametrize("name", CALLS)
def test_an_explicit_wait_raises_before_it_waits(driver: list[str], name: str) -> None:
    with pytest.raises(SyncError, match=name), Tracer("cuda"), no_sync():
        CALLS[name]()
    assert driver == []


def test_a_reference_taken_before_is_seen_by_the_callbacks(driver: list[str]) -> None:
    early = torch.cuda.synchronize
    with Tracer("cuda") as found:
        early()
    assert [event.direction for event in found.events] == [Direction.DEVICE]


def test_code_that_torch_compiles_sees_the_original(driver: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    with Tracer("cuda") as found:
        monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
        STREAM.callback_list.clear()
        DEVICE.callback_list.clear()
        torch.cuda.synchronize()
    assert driver == ["device"]
    assert found.events == []


def test_dynamo_compiles_what_is_wrapped(monkeypatch: pytest.MonkeyPatch) -> None:
    with Tracer("cuda", pageable=True):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        compiled = torch.compile(lambda x: x.to("cpu").to(torch.float64) + 1, backend="eager", fullgraph=True)
        assert torch.equal(compiled(torch.ones(2)), torch.full((2,), 2.0, dtype=torch.float64))


# ---------------------------------------------------------------------- backward


def test_what_waits_in_backward_is_on_the_line_that_called_it(trace: Trace) -> None:
    def in_engine_thread(gradient: torch.Tensor) -> None:
        thread = threading.Thread(target=wait_for_stream)
        thread.start()
        thread.join()

    x = torch.ones(2, requires_grad=True)
    y = x * 2
    y.register_hook(in_engine_thread)
    line = line_of_next()
    y.sum().backward()
    wait_for_stream()
    first, second = trace.events
    assert first.backward
    assert first.frame is not None
    assert first.frame.line == line
    assert not second.backward


def test_a_backward_function_that_waits_is_itself_the_line(trace: Trace) -> None:
    class Double(torch.autograd.Function):
        @staticmethod
        def forward(context: Any, x: torch.Tensor) -> torch.Tensor:
            return x * 2

        @staticmethod
        def backward(context: Any, gradient: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
            wait_for_stream()
            return gradient * 2

    with pytest.raises(SyncError), no_sync():
        Double.apply(torch.ones(2, requires_grad=True)).sum().backward()
    (found,) = trace.events
    assert found.backward
    assert found.frame is not None
    assert "backward" in found.frame.function


def test_the_engine_names_the_node_that_waits(trace: Trace) -> None:
    """On a thread of the engine there is no Python to read; the node is known there."""
    x = torch.ones(2, requires_grad=True)
    y = x.exp()
    y.grad_fn.register_prehook(wait_for_stream_in_engine)  # type: ignore[union-attr]
    y.sum().backward()
    assert [event.operation for event in trace.events] == ["ExpBackward0"]


class _InEngine:
    """Called by the engine without a Python frame of its own."""

    def fire_callbacks(self, gradients: object) -> None:
        STREAM.fire_callbacks(0)


wait_for_stream_in_engine = _InEngine().fire_callbacks


def line_of_next() -> int:
    import inspect

    frame = inspect.currentframe()
    assert frame is not None
    assert frame.f_back is not None
    return frame.f_back.f_lineno + 1


# ---------------------------------------------------------------------- copies


def on_cuda(*shape: int) -> torch.Tensor:
    return FakeTensor(FakeTensorMode(), torch.empty(shape, device="meta"), torch.device("cuda:0"))


def described(name: str, *arguments: Any, **keywords: Any) -> copies.Copy | None:
    describe = {"to": copies._to, "cuda": copies._cuda, "cpu": copies._cpu, "copy_": copies._copy_into}[name]
    return describe(arguments, keywords)


@pytest.mark.parametrize(
    ("arguments", "keywords", "non_blocking"),
    [
        (("cuda",), {}, False),
        (("cuda",), {"non_blocking": True}, True),
        (("cuda", torch.float16), {"non_blocking": True, "copy": True}, True),
        (("cuda", torch.float16, True), {}, True),
        (("cuda", torch.float16, True, True), {}, True),
        ((), {"device": "cuda", "non_blocking": True}, True),
        ((on_cuda(1), True), {}, True),
        ((on_cuda(1), True, False), {}, True),
        ((), {"other": on_cuda(1)}, False),
    ],
)
def test_the_forms_of_to(arguments: tuple[Any, ...], keywords: dict[str, Any], non_blocking: bool) -> None:
    found = described("to", torch.ones(3), *arguments, **keywords)
    assert found is not None
    assert (found.direction, found.non_blocking) == (Direction.H2D, non_blocking)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("to", (torch.ones(3), torch.float64, True)),
        ("to", (torch.ones(3), "cpu")),
        ("to", (torch.ones(0), "cuda")),
        ("to", (on_cuda(3), "cuda")),
        ("to", (torch.ones(3), "nowhere")),
        ("cpu", (torch.ones(3),)),
        ("cuda", (on_cuda(3),)),
        ("copy_", (torch.ones(3), torch.ones(3), True)),
        ("copy_", (on_cuda(3), on_cuda(3))),
        ("copy_", (torch.ones(3), 1.0)),
    ],
)
def test_what_copies_nothing_between_host_and_device(name: str, arguments: tuple[Any, ...]) -> None:
    assert described(name, *arguments) is None


@pytest.mark.parametrize(
    ("name", "arguments", "pinned", "is_staged"),
    [
        ("to", lambda: (torch.ones(4), "cuda", torch.float32, True), False, True),
        ("to", lambda: (torch.ones(4), "cuda", torch.float32, True), True, False),
        ("to", lambda: (torch.ones(4, 4).t(), "cuda", torch.float32, True), True, False),
        ("to", lambda: (torch.ones(4, 4)[:, ::2], "cuda", torch.float32, True), True, True),
        ("to", lambda: (torch.ones(1).expand(4), "cuda", torch.float32, True), True, True),
        ("to", lambda: (on_cuda(4), "cpu", torch.float32, True), False, False),
        ("cuda", lambda: (torch.ones(4), None, True), False, True),
        ("copy_", lambda: (on_cuda(4, 4), torch.ones(4, 4), True), True, False),
        ("copy_", lambda: (on_cuda(4, 4), torch.ones(4, 4), True), False, True),
        ("copy_", lambda: (on_cuda(4, 4), torch.ones(4, 4).t(), True), True, True),
        ("copy_", lambda: (on_cuda(4, 4), torch.ones(4), True), True, True),
        ("copy_", lambda: (torch.ones(4), on_cuda(4), True), False, True),
        ("copy_", lambda: (torch.ones(4), on_cuda(4), True), True, False),
    ],
)
def test_copies_that_are_asynchronous_in_name_only(
    monkeypatch: pytest.MonkeyPatch, name: str, arguments: Callable[[], Any], pinned: bool, is_staged: bool
) -> None:
    monkeypatch.setattr(torch.Tensor, "is_pinned", lambda tensor: pinned)
    found = described(name, *arguments())
    assert found is not None
    assert found.non_blocking
    assert bool(copies.staged(found)) is is_staged


def test_pageable_copies_are_reported_on_request() -> None:
    def copy() -> None:
        with pytest.raises((AssertionError, RuntimeError), match=r"[Cc][Uu][Dd][Aa]"):
            torch.ones(3).to("cuda", non_blocking=True)

    with Tracer("cuda") as found:
        copy()
    assert found.events == []
    with Tracer("cuda", pageable=True) as found:
        copy()
        with no_sync():
            copy()
        with pytest.raises(SyncError), no_sync(pageable=True):
            torch.ones(3).to("cuda", non_blocking=True)
    assert [(one.operation, one.kind, one.direction) for one in found.events] == [
        ("aten::_to_copy", "pageable", Direction.H2D)
    ] * 3
    assert "not pinned" in found.events[0].detail


def test_the_wrappers_tell_the_callbacks_which_way_a_copy_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.Tensor, "copy_", lambda *given: STREAM.fire_callbacks(0))
    with Tracer("cuda", pageable=True) as found:
        torch.ones(3).copy_(on_cuda(3))
    assert [(one.operation, one.cause, one.direction) for one in found.events] == [
        ("aten::copy_", "blocking-copy", Direction.D2H)
    ]


# ---------------------------------------------------------------------- the debug mode


RESIZED = "An output with one or more elements was resized"


def warns() -> bool:
    """A function of torch that warns in earnest, by the same ways as the one about waits; True where it returns."""
    torch.add(torch.ones(3), torch.ones(3), out=torch.empty(2))
    return True


@pytest.fixture
def resized(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(debug_mode, "MESSAGE", RESIZED)


def test_torchs_warning_raises_just_after_the_wait(trace: Trace, resized: None) -> None:
    after = False
    with pytest.raises(SyncError) as raised, no_sync():
        assert FakeMode.value == 1
        wait_for_stream()  # inside the call, before its warning is delivered
        after = warns()
    assert not after
    assert FakeMode.value == 0
    assert list(raised.value.events) == trace.events


def test_without_callbacks_the_warning_is_the_event(resized: None) -> None:
    events: list[Event] = []
    mode = DebugMode(Recorder(events.append), recorded=False)
    from synclint.runtime.scope import Scope, _scope

    token = _scope.set(Scope(None))
    try:
        with pytest.raises(SyncError), mode.held():
            warns()
    finally:
        _scope.reset(token)
    assert [one.frame and one.frame.path for one in events] == [HERE]


def test_the_warning_raises_once_for_each_wait(trace: Trace, resized: None) -> None:
    with pytest.raises(SyncError) as raised, no_sync():
        wait_for_stream()
        with pytest.raises(SyncError):
            warns()
        warns()  # about a wait that is no event: torch was compiling
    assert len(raised.value.events) == 1


def test_allowed_waits_and_those_of_other_threads_pass(trace: Trace, resized: None, recwarn: Any) -> None:
    failed: list[BaseException] = []

    def other() -> None:
        try:
            warns()
        except BaseException as error:
            failed.append(error)

    with no_sync():
        with allow_sync("for the log"):
            warns()
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert not failed
    assert not recwarn.list, "the user has not switched the warnings on"


def test_other_warnings_go_where_they_went(trace: Trace) -> None:
    with pytest.warns(UserWarning, match="something else"), no_sync():
        warnings.warn("something else", UserWarning, stacklevel=1)


def test_errors_of_the_warning_filter_are_not_raised_elsewhere(trace: Trace, resized: None) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with no_sync(), allow_sync("a test"):
            assert warns()
        with pytest.raises(UserWarning):
            warns()


@pytest.mark.parametrize("mode", [1, 2])
def test_a_mode_that_the_user_has_set_stays(trace: Trace, resized: None, mode: int) -> None:
    FakeMode.value = mode
    with no_sync():
        assert FakeMode.value == mode
        with pytest.warns(UserWarning, match=RESIZED):
            warns()
    assert FakeMode.value == mode


def test_the_mode_is_held_until_the_last_block_ends(trace: Trace) -> None:
    hook, filters = warnings.showwarning, list(warnings.filters)
    with no_sync():
        with no_sync():
            assert FakeMode.value == 1
        assert FakeMode.value == 1
    assert FakeMode.value == 0
    assert warnings.showwarning is hook
    assert warnings.filters == filters


def test_a_hook_that_outlives_its_block_passes_everything_on(trace: Trace, resized: None) -> None:
    with warnings.catch_warnings(record=True) as seen:
        block = no_sync()
        block.__enter__()
        with warnings.catch_warnings():  # remembers our hook, and puts it back
            block.__exit__(None, None, None)
            warnings.showwarning = print
        warnings.simplefilter("always")
        warns()
    assert len(seen) == 1


# ---------------------------------------------------------------------- stall times


def cpu_profile() -> Any:
    return torch.autograd.profiler.profile(use_cpu=True, use_kineto=True)


def wait(kind: str, began: int, thread: int = 1) -> Wait:
    return Wait(kind, thread, began, Event("x", "explicit-wait", Direction.STREAM, stream=began))  # type: ignore[arg-type]


MS = 1_000_000


def test_waits_get_the_length_of_their_calls_in_order() -> None:
    waits = [wait("stream", 0), wait("stream", 10 * MS), wait("device", 20 * MS), wait("event", 0, thread=2)]
    calls = [
        RuntimeCall("cudaStreamSynchronize", 1, 1 * MS, 2 * MS),
        RuntimeCall("cudaMemcpyAsync", 1, 11 * MS, 3 * MS),
        RuntimeCall("cudaStreamSynchronize", 1, 15 * MS, 4 * MS),
        RuntimeCall("cudaDeviceSynchronize", 1, 21 * MS, 5 * MS),
        RuntimeCall("cudaEventSynchronize", 2, 1 * MS, 6 * MS),
    ]
    joined, alone = join(waits, calls)
    assert {(one.thread, one.began): seconds for one, seconds in joined} == {
        (1, 0): pytest.approx(0.002),
        (1, 10 * MS): pytest.approx(0.007),
        (1, 20 * MS): pytest.approx(0.005),
        (2, 0): pytest.approx(0.006),
    }
    assert alone == []


def test_calls_of_libraries_and_the_allocator_stay_alone() -> None:
    calls = [
        RuntimeCall("cudaStreamSynchronize", 1, 1 * MS, 1 * MS),  # before the wait
        RuntimeCall("cudaMalloc", 1, 11 * MS, 1 * MS),
        RuntimeCall("cudaStreamSynchronize", 1, 13 * MS, 2 * MS),
        RuntimeCall("cudaStreamSynchronize", 1, 16 * MS, 1 * MS),  # a second one, after the wait was joined
        RuntimeCall("cudaMemcpyAsync", 1, 18 * MS, 1 * MS),
        RuntimeCall("cudaDeviceSynchronize", 3, 18 * MS, 1 * MS),
    ]
    joined, alone = join([wait("stream", 10 * MS)], calls)
    assert [seconds for _, seconds in joined] == [pytest.approx(0.002)]
    events = [event for event in map(unreported, alone) if event is not None]
    assert [(one.operation, one.cause, one.thread) for one in events] == [
        ("cudaStreamSynchronize", "library-internal", 1),
        ("cudaMalloc", "allocator", 1),
        ("cudaStreamSynchronize", "library-internal", 1),
        ("cudaDeviceSynchronize", "library-internal", 3),
    ]
    assert events[1].stall == pytest.approx(0.001)


def test_a_wait_without_a_call_takes_none_from_the_next() -> None:
    calls = [RuntimeCall("cudaStreamSynchronize", 1, 11 * MS, 1 * MS)]
    joined, alone = join([wait("stream", 0), wait("stream", 10 * MS)], calls)
    assert [one.began for one, _ in joined] == [10 * MS]
    assert alone == []


def test_threads_that_the_profiler_has_not_met_are_found_by_their_other_name() -> None:
    ident = 0x7F12_8765_4321
    for thread in (5, 0x8765_4321, 0x8765_4321 - (1 << 32)):  # the latter as a signed number
        joined, alone = join(
            [wait("stream", 0, thread=5)._replace(ident=ident)],
            [RuntimeCall("cudaStreamSynchronize", thread, 1, 2 * MS)],
        )
        assert [seconds for _, seconds in joined] == [pytest.approx(0.002)]
        assert alone == []


class KinetoEvent:
    def __init__(self, name: str, began: int, took: int) -> None:
        self.name, self.start_ns, self.duration_ns = lambda: name, lambda: began, lambda: took
        self.device_resource_id = threading.get_native_id


class Profile:
    """A profiler that has seen what it is given."""

    def __init__(self) -> None:
        self.kineto_results = self
        self.seen: list[KinetoEvent] = []

    def __enter__(self) -> None: ...

    def __exit__(self, *error: object) -> None:
        self.seen.append(KinetoEvent("cudaDeviceSynchronize", time.time_ns(), MS))  # every profiler waits when it ends

    def events(self) -> list[KinetoEvent]:
        return self.seen


def test_a_trace_has_stall_times(monkeypatch: pytest.MonkeyPatch) -> None:
    profile = Profile()
    monkeypatch.setattr(profiler, "profile_runtime", lambda: profile)
    told: list[Event] = []
    with Tracer("cuda", stall_times=True, sink=told.append) as found:
        for took in (3 * MS, 5 * MS):
            wait_for_stream()
            profile.seen.append(KinetoEvent("cudaStreamSynchronize_v3020", time.time_ns(), took))
        profile.seen.append(KinetoEvent("cudaFree", time.time_ns(), MS))
    assert [(one.cause, one.stall) for one in found.events] == [
        ("library-internal", pytest.approx(0.003)),
        ("library-internal", pytest.approx(0.005)),
        ("allocator", pytest.approx(0.001)),
    ]
    assert [one.count for one in told] == [1, 1, 0, 0, 1], "a file that is being written learns of them, too"


def test_only_calls_of_the_runtime_are_read_from_the_profiler() -> None:
    with cpu_profile() as profile:
        torch.ones(3).sum()
    events = list(profile.kineto_results.events())
    assert events
    assert runtime_calls(events) == []
    assert runtime_calls([KinetoEvent("cudaFree", 3, 4)]) == [RuntimeCall("cudaFree", threading.get_native_id(), 3, 4)]


def test_torchs_clock_is_ours() -> None:
    before = time.time_ns()
    with cpu_profile() as profile:
        torch.ones(3)
    began = min(event.start_ns() for event in profile.kineto_results.events())
    assert before - profiler.SLACK < began < time.time_ns()
    assert {event.device_resource_id() for event in profile.kineto_results.events()} == {threading.get_native_id()}


def test_another_profiler_is_left_alone() -> None:
    with cpu_profile() as theirs:
        with pytest.warns(RuntimeWarning, match="another torch profiler"), Tracer("cuda", stall_times=True) as found:
            wait_for_stream()
        torch.ones(3)
    assert [one.stall for one in found.events] == [None]
    assert theirs.key_averages()


def test_a_profiler_that_starts_later_gets_its_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profiler, "profile_runtime", cpu_profile)
    with Tracer("cuda", stall_times=True) as found:
        with cpu_profile() as theirs:
            torch.ones(3)
        wait_for_stream()
    assert "aten::ones" in {one.key for one in theirs.key_averages()}
    assert [one.stall for one in found.events] == [None]


def test_a_profiler_that_does_not_start_costs_the_stall_times_only(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> Any:
        raise RuntimeError("CUPTI_ERROR_MULTIPLE_SUBSCRIBERS")

    monkeypatch.setattr(profiler, "profile_runtime", broken)
    with pytest.warns(RuntimeWarning, match="MULTIPLE_SUBSCRIBERS"), Tracer("cuda", stall_times=True) as found:
        wait_for_stream()
    assert len(found.events) == 1


def test_a_profiler_that_sees_nothing_is_said_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profiler, "profile_runtime", cpu_profile)
    with pytest.warns(RuntimeWarning, match="another tool"), Tracer("cuda", stall_times=True):
        wait_for_stream()


def test_the_window_ends_at_a_wait_after_its_time(driver: list[str]) -> None:
    profile = Profile()
    with ExitStack() as entered:
        events: list[Event] = []
        recorder = Recorder(events.append)
        watch = Watch(recorder)
        stalls = StallTimes(recorder, watch, 0.0, lambda: profile)
        from synclint.runtime.cuda.patches import Patches

        patches = Patches()
        entered.callback(patches.restore)
        stalls.start(patches)
        assert watch.keep
        with watch.explicit("torch.cuda.synchronize", "device"):
            pass
        assert not watch.keep
        stalls.stop()
    assert len(profile.seen) == 1, "ended once"


def test_the_back_end_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    from synclint.runtime.tracer import Backend, Forbidding, load_backend

    backend = load_backend("cuda", Options())
    assert isinstance(backend, CudaBackend)
    assert isinstance(backend, Forbidding)
    checked: Backend = backend
    assert checked.name == "cuda"
    with backend.forbidding():
        assert FakeMode.value == 0, "not started: nothing is held"
