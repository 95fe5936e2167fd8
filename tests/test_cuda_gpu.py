"""The back end ``cuda`` and its oracles on a real GPU."""

from __future__ import annotations

import json
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from synclint.cli import main  # noqa: E402
from synclint.finding import Direction  # noqa: E402
from synclint.runtime import SyncError, Tracer, allow_sync, no_sync  # noqa: E402
from synclint.runtime.cuda import callbacks  # noqa: E402
from synclint.runtime.cuda.prove import Prover  # noqa: E402
from synclint.runtime.cuda.sleep import SleepOracle  # noqa: E402
from synclint.runtime.proof import Proof  # noqa: E402
from synclint.runtime.trace import Trace, read  # noqa: E402

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU")]


@pytest.fixture
def trace() -> Iterator[Trace]:
    with Tracer("cuda") as found:
        yield found


def sleep(cycles: int = 50_000_000) -> None:
    """Keeps the device busy: the default for some 30 ms."""
    torch.cuda._sleep(cycles)


def operations(trace: Trace) -> list[tuple[str, str]]:
    return [(event.operation, event.cause) for event in trace.events]


def test_a_read_is_seen_on_its_line(trace: Trace) -> None:
    x = torch.ones(3, device="cuda")
    x.sum().item()
    (found,) = trace.events
    assert (found.operation, found.cause, found.direction) == (
        "aten::_local_scalar_dense",
        "scalar-read",
        Direction.D2H,
    )
    assert found.frame is not None
    assert found.frame.path == __file__


def test_what_does_not_wait_is_not_seen(trace: Trace) -> None:
    x = torch.ones(3, device="cuda")
    torch.where(x > 0, x * 2, 0.0).sum()
    torch.ones(3).pin_memory().to("cuda", non_blocking=True)
    assert trace.events == []


@pytest.mark.parametrize(
    "wait",
    [
        lambda: torch.cuda.synchronize(),
        lambda: torch.cuda.current_stream().synchronize(),
        lambda: torch.cuda.current_stream().record_event().synchronize(),
        lambda: torch.accelerator.synchronize(),
    ],
)
def test_an_explicit_wait_is_one_event(trace: Trace, wait: Callable[[], None]) -> None:
    wait()
    (found,) = trace.events
    assert found.cause == "explicit-wait"


def test_explicit_waits_raise_before_they_wait() -> None:
    with pytest.raises(SyncError), no_sync(backend="cuda"):
        sleep(1_000_000_000)
        done = torch.cuda.current_stream().record_event()
        torch.cuda.synchronize()
    assert not done.query()
    torch.cuda.synchronize()


def test_a_read_raises_just_after_it_waited(trace: Trace) -> None:
    x = torch.ones((), device="cuda")
    after = False
    with pytest.raises(SyncError), no_sync():
        x.item()
        after = True
    assert not after
    with no_sync(), allow_sync("for the log"):
        x.item()
    assert torch.cuda.get_sync_debug_mode() == 0


def test_what_waits_in_backward_is_on_the_line_that_called_it(trace: Trace) -> None:
    x = torch.ones(4, device="cuda", requires_grad=True)
    mask = torch.tensor([True, False, True, False], device="cuda")
    y = x[mask].sum()
    before = len(trace.events)
    y.backward()
    found = trace.events[before:]
    assert found
    assert all(event.backward and event.frame is not None and event.frame.path == __file__ for event in found)


def test_other_threads_are_seen_and_not_forbidden(trace: Trace) -> None:
    x = torch.ones((), device="cuda")
    failed: list[BaseException] = []

    def read() -> None:
        try:
            x.item()
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=read)
    with no_sync():
        thread.start()
        thread.join()
    assert not failed
    assert operations(trace) == [("aten::_local_scalar_dense", "scalar-read")]
    assert trace.events[0].thread != threading.get_native_id()


def test_stall_times_are_those_of_the_device() -> None:
    x = torch.ones((), device="cuda")
    with Tracer("cuda", stall_times=True) as found:
        x.item()
        sleep()
        x.item()
    reads = [event for event in found.events if event.cause == "scalar-read"]
    short, long = (event.stall or 0.0 for event in reads)
    assert short < 0.005 < long


def test_pageable_copies_are_seen_on_request() -> None:
    host = torch.ones(1024)
    with Tracer("cuda", pageable=True) as found:
        host.to("cuda", non_blocking=True)
        host.pin_memory().to("cuda", non_blocking=True)
        host.to("cuda")
    assert [(event.kind, event.direction) for event in found.events] == [
        ("pageable", Direction.H2D),
        ("sync", Direction.H2D),
    ]


def test_the_sleep_oracle_answers_its_controls() -> None:
    x = torch.ones(16, device="cuda")
    oracle = SleepOracle()
    positive, negative = oracle.check(lambda: x[0].item(), lambda: x.add_(1))
    assert min(positive.host) > oracle.seconds / 2 > max(negative.host)


def test_the_sleep_oracle_sees_what_torch_does_not_report() -> None:
    """Thrust waits for the stream behind torch's back."""
    x = torch.arange(16, device="cuda").view(8, 2)
    assert SleepOracle().proves(lambda: torch.unique(x, dim=0)).waits is True


def test_named_lines_are_judged_while_they_run_and_the_trace_does_not_show_it(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import torch\n\n\ndef step(x):\n    x.sum().item()\n    x.add_(1)\n    torch.unique(x, dim=0)\n"
        "    x.to(\n        'cpu',\n    )\n    torch.where(x > 0, x, 0.0)\n    torch.cuda.synchronize()\n"
    )
    names: dict[str, Any] = {}
    exec(compile(program.read_text(), str(program), "exec"), names)
    x = torch.ones(8, 2, device="cuda")
    told: list[Proof] = []
    tracer = Tracer("cuda")
    prover = Prover([(str(program), line) for line in range(5, 13)], told.append, unwatched=tracer.unwatched)
    with tracer as trace:
        prover.start()
        try:
            for _ in range(10):
                names["step"](x)
        finally:
            prover.stop()
    verdicts = {proof.line: proof.waits for proof in told}
    assert verdicts == {5: True, 6: False, 7: True, 8: True, 9: True, 10: True, 11: False, 12: True}, told
    explicit = [event for event in trace.events if event.cause == "explicit-wait"]
    assert len(explicit) == 10
    assert sys.gettrace() is None


def test_a_command_is_traced_with_proofs(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import torch\nx = torch.ones(4, device='cuda')\nfor _ in range(8):\n    x.sum().item()\n    x.mul_(1.0)\n"
    )
    words = ["--prove", f"{program}:4", "--prove", f"{program}:5", "-o", str(tmp_path / "run.jsonl"), "--no-lines"]
    assert main(["trace", *words, str(program)]) == 0
    assert [proof.waits for proof in read(tmp_path / "run.jsonl").proofs] == [True, False]
    out = capfd.readouterr().out
    assert "program.py:4: proved: waits (host" in out
    assert "program.py:5: proved: does not wait (host" in out


def test_fixes_are_verified_with_proofs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "pyproject.toml").write_text("")
    (tmp_path / "a.py").write_text(
        "import torch\n\n\ndef clamped(x: torch.Tensor) -> torch.Tensor:\n"
        "    if x.isinf().any() or x.isnan().any():\n        x = torch.clamp(x, min=-100.0, max=100.0)\n    return x\n"
    )
    (tmp_path / "run.py").write_text(
        "import torch\nfrom a import clamped\nfor _ in range(8):\n    clamped(torch.ones(4, device='cuda'))\n"
    )
    monkeypatch.chdir(tmp_path)
    main(["verify", "--prove", "--unsafe-fixes", "--output-format=json", "a.py", "--", "run.py"])
    report = json.loads(capfd.readouterr().out)
    removed = [fix for fix in report["fixes"] if fix["verdict"] == "removed"]
    assert removed, report
    assert [proof["waits"] for fix in removed for proof in fix["proofs"]].count(False) > 0, report


def test_everything_is_put_back() -> None:
    before = (torch.cuda.synchronize, torch.Tensor.to, warnings.showwarning, callbacks.active())
    with pytest.raises(KeyError), Tracer("cuda", pageable=True, stall_times=True), no_sync():
        raise KeyError
    assert (torch.cuda.synchronize, torch.Tensor.to, warnings.showwarning, callbacks.active()) == before
    assert torch.cuda.get_sync_debug_mode() == 0
    assert not torch.autograd._profiler_enabled()


def test_graphs_are_captured_and_replayed_under_the_tracer(trace: Trace) -> None:
    x = torch.ones(4, device="cuda")
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        y = x * 2
    torch.cuda.current_stream().wait_stream(stream)
    before = len(trace.events)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        y = x * 2
    graph.replay()
    assert trace.events[before:] == []
    assert y.sum().item() == 8


def test_compiled_code_runs_under_the_tracer() -> None:
    pytest.importorskip("triton")
    with Tracer("cuda", pageable=True) as found:
        compiled = torch.compile(lambda x: x.to(torch.float64) * 2)
        x = torch.ones(4, device="cuda")
        compiled(x)
        before = len(found.events)
        y = compiled(x)
        assert found.events[before:] == []
    assert y.sum().item() == 8
