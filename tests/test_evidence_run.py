"""How evidence is taken: rows under oracles, controls, samples, the time that a stage has, and the simulated half."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from synclint.finding import Direction  # noqa: E402
from synclint.runtime.cuda.profiler import RuntimeCall  # noqa: E402
from synclint.runtime.event import Event, Frame  # noqa: E402
from synclint.runtime.evidence import child, own_tests, samples, stages  # noqa: E402
from synclint.runtime.evidence.child import SimulatedHalf  # noqa: E402
from synclint.runtime.evidence.oracles import of_calls, of_events  # noqa: E402
from synclint.runtime.evidence.records import EvidenceError, Seen, read  # noqa: E402
from synclint.runtime.evidence.snippets import Snippet, all_snippets  # noqa: E402
from synclint.runtime.evidence.stages import Aborted, Run, run_row  # noqa: E402

MINE = Snippet("disputed:mine", "disputed", "x = [1]", "x.append(2)", "none", "len(x)")


class Told:
    """An oracle that says what it is told, after it ran the function."""

    name: Any = "trace"

    def __init__(self, *answers: Seen) -> None:
        self.answers = list(answers)
        self.passed_over: list[str] = []

    def see(self, function: Any, passed_over: str) -> Seen:
        self.passed_over.append(passed_over)
        function()
        return self.answers.pop(0) if self.answers else Seen(False)


# ---------------------------------------------------------------------- rows


def test_a_row_runs_warm_and_under_every_oracle() -> None:
    one, other = Told(Seen(True)), Told(Seen(False))
    other.name = "sleep"
    row = run_row(MINE, "none", [one, other])
    assert row.seen == {"trace": Seen(True), "sleep": Seen(False)}
    assert row.value == 1 + 2 + 2, "set up once, run twice warm, and once for each oracle"
    assert (row.error, row.sha256) == ("", MINE.sha256)


def test_what_a_row_raises_is_an_entry() -> None:
    row = run_row(dataclasses.replace(MINE, run="x[9]"), "none", [Told()])
    assert row.error == "IndexError: list index out of range"
    assert row.seen == {}


def test_of_an_example_the_call_itself_does_not_count() -> None:
    oracle = Told()
    run_row(dataclasses.replace(MINE, own=False), "none", [oracle])
    assert oracle.passed_over == ["<string disputed:mine>"]
    events = [
        Event("aten::copy_", "blocking-copy", Direction.H2D, user=Frame("<string disputed:mine>", 1, "<module>")),
        Event("aten::copy_", "pageable-copy", Direction.H2D, "pageable", user=Frame("<string mine setup>", 3, "f")),
    ]
    seen = of_events(events, "<string disputed:mine>", 0.5)
    assert (seen.waits, seen.pageable, seen.host) == (False, True, (0.5,))
    assert seen.events == ("pageable aten::copy_ (pageable-copy, h2d) line 3",)
    assert of_events(events, "", 0.5).waits is True


def test_the_profiler_sees_waits_and_keeps_the_rest() -> None:
    copy = RuntimeCall("cudaMemcpyAsync", 1, 0, 2_500_000)
    assert of_calls([copy], 0.1) == Seen(False, (0.1,), ("cudaMemcpyAsync 2.500 ms",))
    assert of_calls([copy, RuntimeCall("cudaStreamSynchronize", 1, 0, 1)], 0.1).waits is True


# ---------------------------------------------------------------------- stages


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setattr(stages, "all_snippets", lambda: [MINE, dataclasses.replace(MINE, id="disputed:other")])
    return Run(tmp_path / "e.json", cuda=False, seconds=60.0)


def test_a_stage_is_written_when_it_ends(run: Run, tmp_path: Path) -> None:
    with run._stage("rows") as over:
        assert over is not None
        run._run_rows(over, [Told()])
        assert not (tmp_path / "e.json").exists()
    found = read(tmp_path / "e.json")
    assert [row.id for row in found.rows] == ["disputed:mine", "disputed:other"]
    assert [(stage.name, stage.not_run) for stage in found.stages] == [("rows", ())]
    assert found.versions["torch"] == torch.__version__
    assert str(tmp_path) not in (tmp_path / "e.json").read_text()


def test_what_no_time_was_left_for_is_listed(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    run._seconds = 0.0
    monkeypatch.setattr(samples, "operators", lambda: [("add#float32", None, torch.float32)])
    with run._stage("rows") as over:
        assert over is not None
        run._run_rows(over, [Told()])
    with run._stage("samples") as over:
        assert over is not None
        run._run_samples(over, lambda entered: [])
    assert run.evidence.rows == []
    assert [(stage.not_run, stage.reason) for stage in run.evidence.stages] == [
        (("disputed:mine", "disputed:other"), "no time was left"),
        (("samples:add#float32",), "no time was left"),
    ]


def test_without_torchs_test_data_the_stage_says_so(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> Any:
        raise ModuleNotFoundError("No module named 'expecttest'")

    monkeypatch.setattr(samples, "operators", missing)
    with run._stage("samples") as over:
        assert over is not None
        run._run_samples(over, lambda entered: [])
    assert "expecttest" in run.evidence.stages[0].reason


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ((Seen(False), Seen(False)), "a read of one number: it saw nothing"),
        ((Seen(True), Seen(True, events=("sync x",))), "an addition on the device: it saw sync x"),
        ((Seen(None, reason="memory was allocated"), Seen(False)), "it saw memory was allocated"),
    ],
)
def test_a_control_that_fails_ends_the_run(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answers: tuple[Seen, ...], said: str
) -> None:
    ones = torch.ones
    monkeypatch.setattr(torch, "ones", lambda *size, device: ones(*size))
    with pytest.raises(Aborted, match=said), run._stage("controls"):
        run._control([Told(*answers)])
    found = read(tmp_path / "e.json")
    assert len(found.controls) == 2
    assert said in found.stages[0].reason


def test_a_stage_that_is_not_wanted_is_left_out(tmp_path: Path) -> None:
    run = Run(tmp_path / "e.json", cuda=False, seconds=60.0, stages=("samples",))
    with run._stage("rows") as over:
        assert over is None
    with run._stage("controls") as over:
        assert over is not None
    assert [stage.name for stage in run.evidence.stages] == ["controls"]


def test_an_update_keeps_the_other_stages(run: Run, tmp_path: Path) -> None:
    for name in ("controls", "rows", "samples"):
        with run._stage(name):
            run.evidence.rows = [run_row(MINE, "none", [Told(Seen(True))])] if name == "rows" else run.evidence.rows
            run.evidence.samples = {"add#float32": {"simulated": "S"}}
    new = Run(tmp_path / "e.json", cuda=False, seconds=60.0, stages=("rows",), update=True)
    assert new.evidence.samples == run.evidence.samples
    assert new.evidence.rows == []
    assert [stage.name for stage in new.evidence.stages] == ["samples"]
    assert new.evidence.command.startswith(f"{run.evidence.command}; ")


def test_only_evidence_of_the_same_device_is_updated(run: Run, tmp_path: Path) -> None:
    run.evidence.versions["torch"] = "2.6.0"
    run.evidence.write(tmp_path / "e.json")
    with pytest.raises(EvidenceError, match="versions"):
        Run(tmp_path / "e.json", cuda=False, seconds=60.0, update=True)


def test_the_stages_for_a_gpu_run_to_the_end(tmp_path: Path) -> None:
    """With the simulated device in its place: all but the driver is real."""
    command = [sys.executable, "-W", "ignore", str(Path(__file__).with_name("evidence_rehearsal.py"))]
    done = subprocess.run([*command, str(tmp_path / "e.json")], capture_output=True, text=True, check=False)
    if "simulated CUDA is not available" in done.stderr:
        pytest.skip(done.stderr.strip().rpartition("\n")[2])
    assert done.returncode == 0, done.stderr
    found = read(tmp_path / "e.json")
    assert [stage.name for stage in found.stages] == ["controls", "rows", "samples", "runtime"]
    assert [control.oracle for control in found.controls[::2]] == ["trace", "debug-mode", "profiler", "sleep"]
    assert {one.id for one in found.rows} == {one.id for one in all_snippets()}
    read_of_one = next(row for row in found.rows if row.id == "fact:scalar-read")
    assert {name: seen.waits for name, seen in read_of_one.seen.items()} == dict.fromkeys(
        ("trace", "debug-mode", "profiler", "sleep"), True
    )
    assert all(len(rounds) == 3 for rounds in found.overheads.values())
    assert found.overheads.keys() == {"nothing", "default", "pageable", "stall times"}
    assert found.stages[-1].reason.startswith("the tests are not part")


# ---------------------------------------------------------------------- samples


class Sample:
    def __init__(self, value: float, raises: bool = False) -> None:
        self.input, self.args, self.kwargs = torch.full((2,), value, requires_grad=True), (raises,), {}


class Operator:
    """Waits (calls ``wait``) forward on the second sample, backward on the third, and raises on the fourth."""

    supports_autograd = True

    def __init__(self, events: list[Event]) -> None:
        self.events = events

    def sample_inputs(self, device: str, dtype: Any, requires_grad: bool) -> list[Sample]:
        return [Sample(0.0), Sample(1.0), Sample(2.0), Sample(3.0, raises=True)]

    def wait(self, *gradient: object) -> None:
        self.events.append(Event("x", "scalar-read", Direction.D2H))
        self.events.append(Event("x", "pageable-copy", Direction.H2D, "pageable"))

    def __call__(self, x: torch.Tensor, raises: bool) -> torch.Tensor:
        if raises:
            raise RuntimeError
        y = x * 2
        if x[0] == 1.0:
            self.wait()
        if x[0] == 2.0:
            y.register_hook(self.wait)
        return y


def test_each_sample_leaves_a_mark_forward_and_backward() -> None:
    events: list[Event] = []
    marks = samples.run(Operator(events), torch.float32, lambda entered: [samples.SimulatedCounter(events)])
    assert marks == {"simulated": ".S.E", "simulated-backward": "..S-"}


def test_the_callbacks_are_counted_and_stopped() -> None:
    from torch.cuda import _gpu_trace

    registry = _gpu_trace.StreamSynchronizationCallbacks
    with ExitStack() as entered:
        counter = samples.TraceCounter(entered)
        registry.fire_callbacks(0)
        _gpu_trace.DeviceSynchronizationCallbacks.fire_callbacks()
        assert counter.count() == 2
    assert registry.callback_list == []


# ---------------------------------------------------------------------- the simulated half, the tests


def half_that(monkeypatch: pytest.MonkeyPatch, code: str) -> SimulatedHalf:
    """A child that runs ``code`` instead, with the name of its file in ``out``."""
    start = subprocess.Popen

    def instead(command: list[str], **keywords: Any) -> Any:
        assert keywords["env"]["CUDA_VISIBLE_DEVICES"] == ""
        assert "--backend=simulated" in command
        return start([sys.executable, "-c", f"out = {command[3]!r}\n{code}"], **keywords)

    monkeypatch.setattr(child.subprocess, "Popen", instead)
    return SimulatedHalf(60.0)


def test_the_columns_of_the_simulated_half_are_added(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = Run(tmp_path / "half.json", cuda=False, seconds=60.0)
    simulated = Told(Seen(True), Seen(True))
    simulated.name = "simulated"
    another = dataclasses.replace(MINE, id="disputed:other", run="1")
    other.evidence.rows = [run_row(snippet, "none", [simulated]) for snippet in (MINE, another)]
    other.evidence.samples = {"add#float32": {"simulated": ".S"}}
    other.evidence.write(tmp_path / "half.json")
    run.evidence.rows = [run_row(one, "none", [Told()]) for one in run._snippets]
    run.evidence.samples = {"add#float32": {"trace": ".."}}
    half = half_that(monkeypatch, f"import shutil; shutil.copy({str(tmp_path / 'half.json')!r}, out)")
    assert half.join(run.evidence, 60.0) == ""
    assert [sorted(row.seen) for row in run.evidence.rows] == [["simulated", "trace"], ["trace"]], "of the same text"
    assert run.evidence.samples == {"add#float32": {"trace": "..", "simulated": ".S"}}


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("raise SystemExit('error: no')", "the simulated half ended with 1: error: no"),
        ("pass", "the simulated half has left nothing"),
    ],
)
def test_a_simulated_half_that_fails_says_why(run: Run, monkeypatch: pytest.MonkeyPatch, code: str, said: str) -> None:
    assert half_that(monkeypatch, code).join(run.evidence, 60.0).startswith(said)


def test_the_outcomes_of_the_tests_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "test_a.py").write_text("def test_1(): pass\ndef test_2(): assert False\n", encoding="utf-8")
    monkeypatch.setattr(own_tests, "_ROOT", tmp_path)
    monkeypatch.setattr(own_tests, "_TESTS", "test_a.py")
    found, said = own_tests.run_own_tests(120.0)
    assert found == {"tests": 2, "failures": 1, "errors": 0, "skipped": 0}
    assert said == "1 of the tests failed"
    assert own_tests.run_own_tests(1.0) == ({}, "no time was left for the tests")
    monkeypatch.setattr(own_tests, "_TESTS", "test_b.py")
    assert own_tests.run_own_tests(120.0)[1].startswith("the tests are not part")


def test_a_file_is_plain_json(run: Run, tmp_path: Path) -> None:
    run.evidence.write(tmp_path / "e.json")
    assert json.loads((tmp_path / "e.json").read_text())["backend"] == "simulated"
