"""Named lines judged by the sleep oracle, in real functions on a device of which the clock is turned by hand."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

pytest.importorskip("torch")

from test_sleep_oracle import QUICK, Device

from synclint.report import proofs, waits
from synclint.report.terminal import Style
from synclint.runtime import tracer
from synclint.runtime.child import Session
from synclint.runtime.cuda import prove
from synclint.runtime.cuda.prove import Prover
from synclint.runtime.proof import NOT_EXECUTED, Proof, join_proofs
from synclint.runtime.request import VARIABLE, Request
from synclint.runtime.trace import Trace, merge, read
from synclint.verify.scratch import Scratch
from synclint.waits.linted import Linted


class Run:
    """Runs ``main()`` of a program that has the ``device``, and keeps the proofs of its lines that hold ``#!``."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "program.py"
        self.device = Device()
        self.told: list[Proof] = []
        self.result: object = None
        self.inside = 0

    def __call__(self, program: str, *lines: int) -> list[Proof]:
        program = dedent(program)
        self.file.write_text(program)
        named = lines or [line for line, text in enumerate(program.splitlines(), 1) if "#!" in text]
        names: dict[str, Any] = {"device": self.device}
        exec(compile(program, str(self.file), "exec"), names)
        prover = Prover(
            [(str(self.file), line) for line in named], self.told.append, device=self.device, unwatched=self.unwatched
        )
        prover.start()
        try:
            self.result = names["main"]()
        finally:
            prover.stop()
        return self.told

    @contextmanager
    def unwatched(self) -> Iterator[None]:
        self.inside += 1
        yield
        self.inside -= 1


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path)


def test_a_line_that_waits_is_told_from_one_that_does_not(run: Run) -> None:
    waiting, returning = run(
        """\
        def main():
            for _ in range(10):
                device.waits()  #!
                device.returns()  #!
        """
    )
    assert (waiting.waits, waiting.waited, returning.waits, returning.waited) == (True, 3, False, 0)
    assert waiting.host == (pytest.approx(waiting.sleep),) * 3
    assert returning.host == (pytest.approx(QUICK),) * 3
    assert (waiting.path, waiting.line, returning.line) == (str(run.file), 3, 4)


def test_a_program_waits_no_longer_than_it_must(run: Run) -> None:
    """Three answers, and the line is left alone."""
    run("def main():\n    for _ in range(100):\n        device.waits()  #!\n")
    assert run.device.now < 2


def test_a_line_is_judged_warm(run: Run) -> None:
    program = """\
        def main():
            for i in range(RUNS):
                device.passes(1.0 if i < 1 else 0)  #!
        """
    (proof,) = run(program.replace("RUNS", "3"))
    assert (proof.waits, len(proof.host)) == (False, 1)
    run.told.clear()
    (proof,) = run(program.replace("RUNS", "2"))
    assert (proof.waits, proof.reason) == (None, "it was executed 2 times; it is judged from the third time on")


def test_a_line_that_takes_long_by_itself_is_not_judged(run: Run) -> None:
    (proof,) = run("def main():\n    for i in range(20):\n        device.passes(1.0)  #!\n")
    assert proof.waits is None
    assert "by itself" in proof.reason


def test_a_line_that_waits_in_one_run_of_three_waits(run: Run) -> None:
    (proof,) = run("def main():\n    for i in range(5):\n        device.waits() if i == 3 else device.returns()  #!\n")
    assert (proof.waits, proof.waited, len(proof.host)) == (True, 1, 3)


def test_a_statement_of_several_lines_is_judged_whole(run: Run) -> None:
    first, last, after = run(
        """\
        def main():
            for _ in range(9):
                max(  #!
                    [device.returns() or 1 for _ in range(3)][0],
                    [device.waits() or 1 for _ in range(1)][0],
                )  #!
                device.returns()  #!
        """
    )
    assert (first.waits, last.waits, after.waits) == (True, True, False)
    assert (first.line, last.line) == (3, 6)


@pytest.mark.parametrize("what", ["waits", "returns"])
@pytest.mark.parametrize(
    "program",
    [
        "def f():\n    for _ in range(2): WHAT  #!\n\ndef main():\n    for _ in range(9): f()\n",
        "def main():\n    n = 9\n    while n:\n        n -= 1 + bool(WHAT)  #!\n",
        "def main():\n    n = 9\n    while (WHAT, n)[1]:  #!\n        n -= 1\n",
        "def main():\n    it = iter(range(9))\n    try:\n        while True:\n            next(it), WHAT  #!\n"
        "    except StopIteration: pass\n",
        "def g():\n    for i in range(9):\n        WHAT\n        yield i\n\n"
        "def main():\n    for _ in g():  #!\n        pass\n",
        "def f():\n    return WHAT  #!\n\ndef main():\n    for _ in range(9): f()\n",
        "def f():\n    raise KeyError(WHAT)  #!\n\ndef main():\n    for _ in range(9):\n        try:\n            f()\n"
        "        except KeyError: device.passes(1)\n",
        "def g():\n    while True:\n        yield WHAT  #!\n        device.passes(1)\n\n"
        "def main():\n    for _, _ in zip(range(9), g()): device.waits()\n",
        "def g():\n    while True:\n        x = (yield), WHAT  #!\n\n"
        "def main():\n    for _, _ in zip(range(9), g()): device.waits()\n",
        "def main():\n    f = lambda: WHAT  #!\n    for _ in range(9): f()\n",
        "def main():\n    g = (WHAT for _ in range(9))  #!\n    for _ in g:\n        device.passes(1)\n",
    ],
)
def test_loops_exceptions_and_generators(run: Run, program: str, what: str) -> None:
    (proof,) = run(program.replace("WHAT", f"device.{what}()"))
    assert (proof.waits, proof.reason) == (what == "waits", "")


def test_what_a_called_line_does_is_the_callers_too(run: Run) -> None:
    caller, inner = run(
        """\
        def f():
            device.waits()  #!
        def main():
            for _ in range(9):
                f()  #!
        """,
        5,
        2,
    )
    assert (caller.line, caller.waits, inner.line, inner.waits) == (5, True, 2, True)


def test_other_threads_are_judged(run: Run) -> None:
    (proof,) = run(
        """\
        from threading import Thread
        def f():
            for _ in range(9):
                device.waits()  #!
        def main():
            thread = Thread(target=f)
            thread.start()
            thread.join()
        """
    )
    assert proof.waits is True


def test_one_line_at_a_time_is_judged(run: Run) -> None:
    """While a thread stands in a judged line, the same line is not judged on another one."""
    (proof,) = run(
        """\
        from threading import Event, Thread
        stands, go = Event(), Event()
        def f(wait):
            wait(); device.returns()  #!
        def g():
            f(lambda: (stands.set(), go.wait(10)))
        def main():
            f(int), f(int)
            thread = Thread(target=g)
            thread.start()
            stands.wait(10)
            f(int), f(int), f(int)
            go.set()
            thread.join()
        """
    )
    assert (proof.waits, len(proof.host)) == (False, 1)


def test_a_line_that_is_not_executed_and_one_without_a_statement(run: Run) -> None:
    found = run("# nothing\ndef main():\n    if 0 > int():\n        device.waits()\n", 1, 4)
    assert [(proof.line, proof.waits, proof.reason) for proof in found] == [
        (1, None, "there is no statement in this line"),
        (4, None, NOT_EXECUTED),
    ]


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    told: list[Proof] = []
    prover = Prover([(str(tmp_path / "absent.py"), 1)], told.append, device=Device())
    prover.start()
    prover.stop()
    assert told[0].waits is None
    assert "absent.py" in told[0].reason


LOOP = "def main():\n    for _ in range(9):\n        device.waits()  #!\n    return 'done'\n"


@pytest.mark.parametrize(("control", "said"), [("waits", "it does not wait"), ("returns", "it waits")])
def test_a_control_that_fails_leaves_all_unproved_and_the_program_alone(run: Run, control: str, said: str) -> None:
    other = {"waits": "returns", "returns": "waits"}[control]
    setattr(run.device, control, getattr(run.device, other))
    (proof,) = run(LOOP)
    assert (proof.waits, run.result) == (None, "done")
    assert "fails its control" in proof.reason
    assert said in proof.reason


def test_an_error_of_the_device_is_told_and_not_raised(run: Run) -> None:
    def fails() -> tuple[int, ...]:
        raise RuntimeError("an illegal memory access was encountered\nand more")

    run.device.allocations = fails  # type: ignore[method-assign]
    (proof,) = run(LOOP)
    assert (proof.waits, proof.reason) == (None, "an illegal memory access was encountered")
    assert run.result == "done"


def test_the_device_is_left_alone_where_something_speaks_against_it(run: Run) -> None:
    run.device.obstacle = lambda: "a graph was being captured"  # type: ignore[method-assign]
    (proof,) = run(LOOP)
    assert (proof.waits, proof.reason) == (None, "a graph was being captured")
    assert run.device.busy_until == 0


def test_what_the_oracle_does_is_not_watched(run: Run) -> None:
    seen = set()
    queue = run.device.sleep

    def sleep(cycles: int) -> Callable[[], bool]:
        seen.add(run.inside)
        return queue(cycles)

    run.device.sleep = sleep  # type: ignore[method-assign]
    run(LOOP)
    assert (seen, run.inside) == ({1}, 0)


def test_the_program_is_left_as_it_was(run: Run) -> None:
    with pytest.raises(KeyError, match="mine"):
        run("def main():\n    for i in range(9):\n        device.waits() or (i == 5 and {}['mine'])  #!\n")
    assert run.told[0].waits is True
    assert sys.gettrace() is None
    assert threading.gettrace() is None


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="sys.monitoring is nobody's alone")
def test_beside_another_tracer_nothing_is_proved(run: Run) -> None:
    sys.settrace(lambda frame, event, argument: None)
    try:
        (proof,) = run(LOOP)
    finally:
        sys.settrace(None)
    assert proof.waits is None
    assert "another tracer" in proof.reason


# ---------------------------------------------------------------------- of several processes


def proof(waits: bool | None, reason: str = "", line: int = 3) -> Proof:
    return Proof("a.py", line, waits, () if waits is None else (0.05,), 0.05, int(bool(waits)), reason)


def test_what_one_process_proves_counts_for_all() -> None:
    assert join_proofs([proof(None, NOT_EXECUTED), proof(False), proof(None, "x")]) == [proof(False)]
    (both,) = join_proofs([proof(False), proof(True)])
    assert (both.waits, both.waited, both.host) == (True, 1, (0.05, 0.05))
    (none,) = join_proofs([proof(None, NOT_EXECUTED), proof(None, "x"), proof(None, "y"), proof(None, "x")])
    assert none.reason == "x; y"
    assert [one.line for one in join_proofs([proof(True, line=4), proof(True, line=2)])] == [2, 4]


def test_a_proof_travels_as_json() -> None:
    assert Proof.from_json(proof(True).to_json()) == proof(True)


# ---------------------------------------------------------------------- in a traced process


class Named:
    """A back end that sees nothing, and says that it runs on a GPU, or not."""

    def __init__(self, name: str) -> None:
        self.name = name

    def start(self, recorder: object) -> None: ...

    def stop(self) -> None: ...


def session(folder: Path, monkeypatch: pytest.MonkeyPatch, backend: str, program: Path, line: int) -> Session:
    monkeypatch.setattr(tracer, "load_backend", lambda name, options: Named(backend))
    request = Request(str(folder), "run", roots=(str(folder),), lines=False, prove=((str(program), line),))
    return Session(Request.from_environment({VARIABLE: request.to_text()}))


def test_a_traced_process_writes_its_proofs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    device = Device()
    monkeypatch.setattr(prove, "CudaDevice", lambda: device)
    program = tmp_path / "program.py"
    program.write_text("def f():\n    device.waits()\n")
    names: dict[str, Any] = {"device": device}
    exec(compile(program.read_text(), str(program), "exec"), names)
    traced = session(tmp_path, monkeypatch, "cuda", program, 2)
    traced.start()
    try:
        for _ in range(5):
            names["f"]()
        (file,) = tmp_path.glob("*.jsonl")
        (proof,) = read(file).proofs  # it may be killed now
    finally:
        traced.close()
    assert (proof.path, proof.line, proof.waits, len(proof.host)) == (str(program), 2, True, 3)
    whole = merge([read(file), read(file)])
    assert [one.waited for one in whole.proofs] == [6]
    whole.write(tmp_path / "whole.jsonl")
    assert read(tmp_path / "whole.jsonl").proofs == whole.proofs


CUSTOMIZE = """\
import os

if "SYNCLINT_TRACE" in os.environ:
    from types import SimpleNamespace
    from synclint.runtime import tracer

    def load_backend(name, options):
        import program_device
        from synclint.runtime.cuda import prove

        prove.CudaDevice = lambda: program_device.device
        return SimpleNamespace(name=name, start=lambda recorder: None, stop=lambda: None)

    tracer.load_backend = load_backend
"""


@pytest.fixture
def customized(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder from which every process gets a device that is turned by hand."""
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(CUSTOMIZE)
    (site / "program_device.py").write_text("from test_sleep_oracle import Device\n\ndevice = Device()\n")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(site), os.path.dirname(__file__), *sys.path]))
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    (folder / "program.py").write_text(
        "import torch\nfrom program_device import device\n"
        "for _ in range(8):\n    device.waits()\n    device.returns()\n"
    )
    return folder


@pytest.mark.parametrize("lines", ["--lines", "--no-lines"])
def test_a_command_is_run_with_proofs(customized: Path, lines: str) -> None:
    command = [sys.executable, "-m", "synclint", "trace", "--output=run.jsonl", lines]
    command += ["--prove=program.py:4", "--prove=program.py:5", "program.py"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    said = [line.strip() for line in done.stdout.splitlines()]
    found = [proof.waits for proof in read(customized / "run.jsonl").proofs]
    if lines == "--lines" and sys.version_info < (3, 12):  # both need sys.settrace
        assert found == [None, None]
        assert said[-1].startswith("program.py:5: not proved: another tracer")
        return
    assert found == [True, False]
    assert said[-2:] == [
        "program.py:4: proved: waits (host 50 ms of a sleep of 50 ms, 3 runs)",
        "program.py:5: proved: does not wait (host 10 us of a sleep of 50 ms, 3 runs)",
    ]


def test_lines_of_a_copy_are_proved(customized: Path) -> None:
    scratch = Scratch(customized, customized.parent / "scratch", customized, ["program.py"], "simulated")
    scratch.needs_gpu()
    fixed = (customized / "program.py").read_bytes().replace(b"    device.waits()", b"    pass\n    device.returns()")
    found = scratch.prove({"program.py": fixed}, [("program.py", 5), ("program.py", 6)])
    assert [(proof.path, proof.line, proof.waits) for proof in found] == [
        ("program.py", 5, False),
        ("program.py", 6, False),
    ]
    (unfixed,) = scratch.prove({}, [("program.py", 4)])
    assert unfixed.waits is True


def test_lines_are_proved_on_a_gpu_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "program.py"
    program.write_text("x = 1\n")
    with pytest.raises(tracer.BackendError, match="a GPU alone"):
        session(tmp_path, monkeypatch, "simulated", program, 1).start()
    assert tracer.running() is None


# ---------------------------------------------------------------------- in reports


def test_reports_say_what_is_proved(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    path = str(tmp_path / "a.py")
    found = [
        Proof(path, 1, True, (0.051, 0.0502, 0.0504), 0.05, 3),
        Proof(path, 2, True, (0.051, 0.0001, 0.0001), 0.05, 1),
        Proof(path, 3, False, (0.0001,), 0.05),
        Proof(path, 4, None, reason=NOT_EXECUTED),
    ]
    assert "".join(proofs.render(found, style=Style(False))).splitlines() == [
        "",
        "Judged while the device slept:",
        "           a.py:1: proved: waits (host 51 ms of a sleep of 50 ms, 3 runs)",
        "           a.py:2: proved: waits (host 51 ms of a sleep of 50 ms, 1 of 3 runs)",
        "           a.py:3: proved: does not wait (host 100 us of a sleep of 50 ms, 1 run)",
        "           a.py:4: not proved: it was not executed, or only in compiled code",
    ]
    whole = json.loads(waits.as_json(Trace(proofs=found[3:]), [], Linted()))
    assert whole["proofs"] == [
        {"path": "a.py", "line": 4, "waits": None, "host": [], "sleep": 0.0, "waited": 0, "reason": NOT_EXECUTED}
    ]
    shown = "".join(waits.render(Trace(proofs=found), [], Linted(), style=Style(False)))
    assert "a.py:3: proved: does not wait" in shown
