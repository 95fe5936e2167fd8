"""``synclint trace`` and ``synclint check --trace``, from the command line to the report."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from trace_programs import environment

from synclint.cli import main
from synclint.cli.arguments import parse
from synclint.finding import Direction
from synclint.runtime.event import Event, Frame
from synclint.runtime.trace import Trace, read
from synclint.waits.join import join
from synclint.waits.match import Files
from synclint.waits.wait import waits_of

# Line 5 waits for certain, as the rules see it; 6 is allowed; 7 is nothing that a rule knows.
PROGRAM = """\
import torch


def f() -> None:
    print(torch.ones(3, device="cuda").sum().item())
    print(torch.ones(3, device="cuda").sum().item())
    torch.item()


if __name__ == "__main__":
    for _ in range(3):
        torch.item()
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "pyproject.toml").write_text("")
    monkeypatch.chdir(folder)
    for name, value in environment(folder).items():
        monkeypatch.setenv(name, value)
    return folder


def event(path: Path | str, line: int, **changes: object) -> Event:
    frame = Frame(str(path), line, "f")
    made = Event("aten::_local_scalar_dense", "scalar-read", Direction.D2H, user=frame, project=frame)
    return replace(made, **changes)


def plain(text: str) -> str:
    return re.sub(r"\x1b\[\d[;\d]*m", "", text)


# ---------------------------------------------------------------------- running


def test_a_command_is_traced_and_its_waits_are_listed(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (project / "main.py").write_text(PROGRAM)
    assert main(["trace", "main.py"]) == 0
    out, err = capfd.readouterr()
    assert plain(out).splitlines() == [
        "    count  line",
        "        3  main.py:12 in <module>: SYN102 or SYN201 or SYN202 or others?, device to host, "
        "reads a number (aten::_local_scalar_dense)",
        "           | torch.item()",
    ]
    assert "3 events at 1 line, in 1 process on the back end told." in err
    (file,) = (project / "synclint-trace").glob("*.jsonl")
    assert read(file).events[0].count == 3
    assert (project / "synclint-trace" / ".gitignore").read_text().endswith("*\n")


def test_a_folder_holds_one_run(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (project / "main.py").write_text(PROGRAM)
    (project / "synclint-trace").mkdir()
    (project / "synclint-trace" / "mine.jsonl").write_text("")
    for _ in range(2):
        main(["trace", "main.py"])
    assert sorted(path.name.partition("-")[0] for path in (project / "synclint-trace").iterdir()) == [
        "mine.jsonl",
        "trace",
    ]


def test_lines_are_proved_on_a_gpu_alone(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (project / "main.py").write_text(PROGRAM)
    assert main(["trace", "--prove", "main.py:5", "main.py"]) == 2
    assert "a process was not traced: there is no GPU" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["main.py"], "expected PATH:LINE"),
        (["main.py:x"], "expected PATH:LINE"),
        (["main.py:2"], "main.py:2: there is no statement in this line"),
        (["absent.py:2"], "absent.py: cannot be read"),
        (["main.py:5", "--backend=simulated"], "--prove needs a GPU"),
        (["main.py:5", "--stall-times"], "a run without it"),
    ],
)
def test_a_line_to_prove_must_make_sense(
    project: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    (project / "main.py").write_text(PROGRAM)
    with pytest.raises(SystemExit) as left:
        parse(["trace", "--prove", *words, "main.py"])
    assert left.value.code == 2
    assert said in capsys.readouterr().err


def test_one_file_and_json_and_the_status(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (project / "main.py").write_text("import torch\nprint('said')\ntorch.item()\ntorch.refuse()\nraise SystemExit(4)\n")
    assert main(["trace", "-o", "one.jsonl", "--output-format=json", "--", "main.py"]) == 4
    out, err = capfd.readouterr()
    whole = json.loads(out)
    assert "said" in err
    assert whole["not_simulated"] == {"aten::absent": 1}
    (wait,) = whole["waits"]
    assert (wait["path"], wait["line"], wait["function"], wait["count"]) == ("main.py", 3, "<module>", 1)
    assert wait["codes"][:3] == ["SYN102", "SYN201", "SYN202"]
    assert wait["codes_are_of_findings"] is False
    assert wait["source"] == "torch.item()"
    assert read(project / "one.jsonl").processes[0]["torch"] == "0.0"


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["--backend=cuda", "main.py"], 2, "error: a process was not traced: there is no GPU"),
        (["--", "no-such-program"], 2, "error: no-such-program: cannot be run"),
        ([sys.executable, "-c", "pass"], 0, "no Python process of the command imported torch"),
        (["show", "absent.jsonl"], 2, "error: absent.jsonl: No such file"),
        (["show", "."], 2, "error: .: no traces in this folder"),
        (["show", "main.py"], 2, "error: main.py:1: not a line of a synclint trace"),
    ],
)
def test_what_goes_wrong_is_said(
    project: Path, capfd: pytest.CaptureFixture[str], words: list[str], status: int, said: str
) -> None:
    (project / "main.py").write_text(PROGRAM)
    assert main(["trace", *words]) == status
    assert said in capfd.readouterr().err


@pytest.mark.parametrize(
    ("words", "command"),
    [
        (["train.py", "--lr", "3", "--", "x"], ["train.py", "--lr", "3", "--", "x"]),
        (["--", "-m", "pytest", "-x"], ["-m", "pytest", "-x"]),
        (["--races", "-m", "pytest", "--", "-x"], ["-m", "pytest", "--", "-x"]),
        (["train.py", "-m", "big"], ["train.py", "-m", "big"]),
        (["--backend", "simulated", "--races", "torchrun", "--races"], ["torchrun", "--races"]),
        (["--races", "--", "merge"], ["merge"]),
    ],
)
def test_where_the_command_begins(words: list[str], command: list[str]) -> None:
    assert parse(["trace", *words]).words == command


@pytest.mark.parametrize("words", [[], ["--races"], ["--"], ["merge", "a"], ["show"]])
def test_half_a_command_line_is_refused(words: list[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        parse(["trace", *words])
    assert raised.value.code == 2


def test_traces_merge(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in "ab":
        Trace([event("x.py", 1, stall=0.5)], "told", [{"pid": name, "lines": True}], {"x.py": {1, ord(name)}}).write(
            project / f"{name}.jsonl"
        )
    assert main(["trace", "merge", "a.jsonl", "b.jsonl", "-o", "c.jsonl"]) == 0
    whole = read(project / "c.jsonl")
    assert [(one.count, one.stall) for one in whole.events] == [(2, 1.0)]
    assert whole.ran == {"x.py": {1, 97, 98}}
    assert [process["pid"] for process in whole.processes] == ["a", "b"]


def test_the_costliest_come_first_and_the_allowed_apart(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    library = Frame("/site-packages/lib.py", 7, "g")
    events = [
        event("a.py", 1, count=9),
        event("a.py", 2, stall=0.002, user=library),
        event("a.py", 3, stall=2.0, detail="4 bytes"),
        event("a.py", 4, allowed="for the log"),
        event("a.py", 1, stream=7),
    ]
    Trace(events, "told", [{"pid": 1}]).write(project / "t.jsonl")
    assert main(["trace", "show", "t.jsonl"]) == 0
    out = plain(capsys.readouterr().out).splitlines()
    assert [line[:22].rstrip() for line in out if line[:9].strip()] == [
        "    count      stall",
        "        1        2 s",
        "        1       2 ms",
        "       10",
        "Allowed by allow_sync(",
        "    count  line",
        "        1  a.py:4 in f",
    ]
    assert "reads a number (aten::_local_scalar_dense; 4 bytes)" in out[1]
    assert "                      = in /site-packages/lib.py:7 in g" in out
    assert "           = allowed: for the log" in out


def test_the_linter_names_the_rule_where_it_finds_the_line(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "main.py").write_text(PROGRAM)
    Trace([event(project / "main.py", 5)], "told", [{}, {}]).write(project / "t.jsonl")
    main(["trace", "show", "t.jsonl"])
    assert "main.py:5 in f: SYN201, device to host" in plain(capsys.readouterr().out)


# ---------------------------------------------------------------------- check --trace

MODEL = """\
import torch


def forward(x: torch.Tensor) -> float:
    x = x.cuda()
    a = x.sum().item()
    b = x.max().item()
    if a > 3:
        return x.min().item()
    c = x.mean().item()  # synclint: ignore[SYN201]
    return x[0].tolist()
"""


@pytest.fixture
def model(project: Path) -> Path:
    path = project / "model.py"
    path.write_text(MODEL)
    events = [event(path, 7, count=5, stall=0.25), event(path, 6, count=2, stall=1.5), event(path, 10), event(path, 11)]
    process = {"pid": 1, "lines": True}
    Trace(events, "told", [process], {str(path): {4, 5, 6, 7, 8, 10, 11}}).write(project / "t.jsonl")
    return path


def checked(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[list[tuple[int, str, int]], str]:
    assert main(["check", "--output-format=json", "--confidence=possible", "--heat=cold", *arguments]) == 1
    out, err = capsys.readouterr()
    return [(one["line"], one["trace"]["state"], one["trace"]["count"]) for one in json.loads(out)], err


def test_findings_are_ranked_by_what_they_cost(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found, err = checked(capsys, "--select=SYN201", "--trace=t.jsonl", "model.py")
    assert found == [(6, "waited", 2), (7, "waited", 5), (9, "not-executed", 0)]
    assert "In the trace: 2 waited, 1 not executed; 2 waits that no finding names." in err


def test_what_ran_without_waiting_is_dropped_or_shown(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Trace([], "told", [{"lines": True}], {str(model): {6}}).write(Path("t.jsonl"))
    found, err = checked(capsys, "--select=SYN201", "--trace=t.jsonl", "model.py")
    assert found == [(7, "not-executed", 0), (9, "not-executed", 0)]
    assert "1 ran without waiting (not shown; --show-idle)" in err
    found, _ = checked(capsys, "--select=SYN201", "--trace=t.jsonl", "--show-idle", "model.py")
    assert (6, "idle", 0) in found


HANDS_ON = """\
import torch

def read(x):
    return x.item()

def near():
    read(torch.zeros(1))

def far():
    read(torch.zeros(1, device="cuda"))
"""


def test_a_call_that_waits_in_what_it_calls_is_not_dropped(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = project / "hands.py"
    path.write_text(HANDS_ON)
    Trace([event(path, 4)], "told", [{"lines": True}], {str(path): {4, 7, 10}}).write(Path("t.jsonl"))
    found, _ = checked(capsys, "--select=SYN207", "--trace=t.jsonl", "hands.py")
    assert found == [(10, "unknown", 0)]


def test_without_lines_nothing_is_dropped(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Trace([], "told", [{"pid": 1}]).write(Path("t.jsonl"))
    found, err = checked(capsys, "--select=SYN201", "--trace=t.jsonl", "model.py")
    assert {state for _, state, _ in found} == {"unknown"}
    assert "trace with --lines to know" in err


@pytest.mark.parametrize("output_format", ["full", "concise"])
def test_waits_that_no_finding_names_are_listed(
    model: Path, capsys: pytest.CaptureFixture[str], output_format: str
) -> None:
    main(["check", f"--output-format={output_format}", "--select=SYN201", "--trace=t.jsonl", "model.py"])
    out = plain(capsys.readouterr().out)
    _, _, unknown = out.partition("Waits that no rule finds:\n")
    unknown, _, silenced = unknown.partition("\nWaits whose findings are suppressed")
    assert "model.py:11 in f" in unknown
    assert "model.py:10 in f" in silenced
    assert out.index("model.py:6:") < out.index("model.py:7:")
    assert "waited 2 times, 1.5 s in all" in out


def test_a_wait_is_explained_by_findings_of_its_kind_alone(model: Path) -> None:
    source = "x.cuda()  # and x.item(), on one line"
    from synclint.finding import Confidence, Finding, Heat

    def finding(code: str, direction: Direction, line: int = 1, header: tuple[int, int] = (1, 1)) -> Finding:
        where = ("a.py", line, 1, line, 1 + len(source))
        return Finding(code, "n", "m", *where, direction, Heat.HOT, Confidence.CERTAIN, header)

    copies, reads = finding("SYN101", Direction.H2D), finding("SYN201", Direction.D2H)
    other = finding("SYN201", Direction.D2H, line=2, header=(1, 3))

    def waited(*findings: Finding, **changes: object) -> list[Finding]:
        trace = Trace([event(os.path.abspath("a.py"), 1, **changes)], "told", [{}, {}])
        return [one for one, seen in join(trace, findings, ["a.py"]).seen.items() if seen.state == "waited"]

    assert waited(copies, reads) == [reads]
    assert waited(copies, reads, other) == [reads], "the expression itself, before the statement around it"
    assert waited(other) == [other]
    unknown = {"operation": "cudaStreamSynchronize", "cause": "library-internal", "direction": Direction.STREAM}
    assert waited(copies, reads, **unknown) == [copies, reads]
    assert waited(copies, reads, **{**unknown, "direction": Direction.H2D}) == [copies]
    assert waited(copies, reads, **{**unknown, "kind": "race"}) == []


def test_files_are_found_from_other_machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a/model.py", "b/model.py", "top.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    files = Files(["a/model.py", "b/model.py", "top.py"])
    assert files.find(str(tmp_path / "a" / "model.py")) == "a/model.py"
    assert files.find("/workspace/job/b/model.py") == "b/model.py"
    assert files.find("/workspace/job/c/model.py") is None
    assert files.find("model.py") is None, "two files end so"
    assert files.find("/elsewhere/top.py") == "top.py"
    assert files.find("top.py") == "top.py"


def test_a_file_that_was_changed_since_is_named(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, err = checked(capsys, "--select=SYN201", "--trace=t.jsonl", "model.py")
    assert "changed" not in err
    later = Path("t.jsonl").stat().st_mtime + 10
    os.utime("model.py", (later, later))
    _, err = checked(capsys, "--select=SYN201", "--trace=t.jsonl", "model.py")
    assert "warning: model.py was changed after it was traced" in err


@pytest.mark.parametrize("flag", ["--fix", "--diff", "-"])
def test_a_trace_goes_with_files_as_they_are(flag: str) -> None:
    with pytest.raises(SystemExit):
        parse(["check", "--trace=t.jsonl", flag])


def test_a_trace_that_is_none_is_an_error(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--trace=model.py", "."]) == 2
    assert "--trace: model.py:1: not a line of a synclint trace" in capsys.readouterr().err
    assert main(["check", "--trace=absent", "."]) == 2
    assert "--trace: absent: No such file" in capsys.readouterr().err


def test_details_and_streams_do_not_split_a_line() -> None:
    (wait,) = waits_of([event("a.py", 1, detail="4 bytes"), event("a.py", 1, detail="8 bytes", stream=3)])
    assert (wait.event.count, wait.details) == (2, ("4 bytes", "8 bytes"))


def test_the_module_runs_as_a_script(project: Path) -> None:
    (project / "main.py").write_text(PROGRAM)
    root = Path(__file__).parents[1]
    words = [sys.executable, "-m", "synclint", "trace", "--", "main.py"]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root), os.environ["PYTHONPATH"]])}
    done = subprocess.run(words, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "main.py:12" in done.stdout


@pytest.mark.usefixtures("interruptible")
@pytest.mark.skipif(sys.platform == "win32", reason="needs a terminal")
def test_control_c_interrupts_the_command_once_and_still_reports(project: Path) -> None:
    import pty

    program = (
        "import sys, time, torch\n"
        "torch.item()\n"
        "try:\n    print('ready', flush=True)\n    time.sleep(60)\n"
        "except KeyboardInterrupt:\n    print('interrupted', flush=True)\n"
        "time.sleep(0.5)\n"
        "sys.exit(9)\n"
    )
    (project / "main.py").write_text(program)
    words = [sys.executable, "-m", "synclint", "trace", "--", "main.py"]
    path = os.pathsep.join([str(Path(__file__).parents[1]), os.environ["PYTHONPATH"]])
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ.update(PYTHONPATH=path, NO_COLOR="1")
        os.execv(sys.executable, words)
    said = b""
    while b"ready" not in said:
        said += os.read(terminal, 1024)
    os.write(terminal, b"\x03")
    while True:
        try:
            more = os.read(terminal, 1024)
        except OSError:  # the terminal is closed
            break
        if not more:
            break
        said += more
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert status == 9, said.decode()
    assert said.count(b"interrupted") == 1
    assert b"main.py:2 in <module>" in said
