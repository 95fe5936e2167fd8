"""`synclint verify` from end to end, on the simulated device: the vLLM cases, and what it does to a user's tree."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from synclint.cli import main

pytest.importorskip("torch")

FIXTURES = Path(__file__).parent.parent / "fixtures"


def copy_of(name: str, folder: Path) -> Path:
    shutil.copytree(FIXTURES / name, folder / name)
    project = folder / name / "pyproject.toml"
    if not project.exists():
        project.write_text("[tool.synclint]\n", encoding="utf-8")
    return folder / name


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, Any]]:
    words = ["verify", "--backend=simulated", "--output-format=json", *arguments]
    status = main(words)
    captured = capsys.readouterr()
    return status, json.loads(captured.out or "{}") | {"stderr": captured.err}


def verdicts(report: dict[str, Any]) -> dict[int, str]:
    return {found["line"]: fix["verdict"] for fix in report["fixes"] for found in fix["findings"]}


CASES = {
    "vllm_39234": {43: "removed", 51: "removed", 60: "removed", 69: "removed", 75: "removed"},
    "vllm_40143": {
        30: "same results", 37: "same results", 41: "same results",
        59: "reduced", 64: "reduced", 66: "reduced", 92: "same results", 94: "same results",
        107: "reduced", 108: "reduced",
    },
    "vllm_42347_clamp": {14: "removed", 34: "removed", 42: "removed", 56: "removed"},
    "vllm_42347_isin_list": {
        10: "removed", 25: "removed", 29: "removed", 43: "removed", 44: "removed", 45: "removed", 51: "removed",
        52: "removed",
    },
    "vllm_34246": {20: "same results", 35: "same results"},
}  # fmt: skip


def test_proofs_need_a_gpu_and_nothing_is_run_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    monkeypatch.chdir(copy_of("vllm_42347_clamp", tmp_path))
    ran = tmp_path / "ran"
    command = ["-c", f"open({str(ran)!r}, 'w')"]
    assert main(["verify", "--prove", "--unsafe-fixes", "before.py", "--", *command]) == 2
    assert "the back end 'cuda' needs a GPU" in capsys.readouterr().err
    assert not ran.exists()
    with pytest.raises(SystemExit) as left:
        main(["verify", "--prove", "--backend=simulated", "before.py", "--", *command])
    assert left.value.code == 2
    assert "--prove needs a GPU" in capsys.readouterr().err


@pytest.mark.parametrize("name", CASES)
def test_a_case_waits_before_and_not_after(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = copy_of(name, tmp_path)
    monkeypatch.chdir(folder)
    before = {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    status, report = run(capsys, "--unsafe-fixes", "before.py", "--", "exercise.py")
    assert verdicts(report) == CASES[name], report
    assert (status, report["holds"], report["differences"]) == (0, True, []), report
    assert {path: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before
    fewer = sum(fix["before"]["count"] - fix["after"]["count"] for fix in report["fixes"])
    fewer += sum(line["before"] - line["after"] for line in report["elsewhere"])
    assert fewer > 0
    if name == "vllm_34246":  # it is the backward of `masked_scatter_` that waited
        assert [(line["path"], line["after"]) for line in report["elsewhere"]] == [("exercise.py", 0)]


def small_project(folder: Path) -> Path:
    """One that waits in a line that a safe fix mends. What runs on import alone is cold, but for such a name."""
    (folder / "pkg").mkdir(parents=True)
    (folder / "pyproject.toml").touch()
    (folder / "pkg" / "a.py").write_text(
        "import torch\n\n\ndef step():\n    return torch.tensor([0.5], device='cuda')\n\n\nstep()\n", encoding="utf-8"
    )
    return folder


def test_without_fixes_the_report_is_still_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(small_project(tmp_path))
    (tmp_path / "empty.py").touch()
    assert main(["verify", "--backend=simulated", "--output-format=json", "empty.py", "--", "a.py"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["holds"], report["fixes"], report["command"], report["runs"]) == (True, [], None, 0)


def test_a_program_of_an_environment_inside_the_project_runs_the_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = small_project(tmp_path / "projekt ä")
    monkeypatch.chdir(root)
    (root / ".venv" / "bin").mkdir(parents=True)
    (root / ".venv" / "pyvenv.cfg").touch()
    program = root / ".venv" / "bin" / "tool"
    program.write_text(
        f"#!/bin/sh\n'''exec' '{sys.executable}' \"$0\" \"$@\"\n' '''\n"
        "import runpy, sys, torch\n\ndef run():\n    runpy.run_path(sys.argv[1])\n\nrun()\n"
    )
    program.chmod(0o755)
    (tmp_path / "link").symlink_to(root)
    paths = [str(tmp_path / "link"), "--", ".venv/bin/tool", str(tmp_path / "link" / "pkg" / "a.py")]
    status, report = run(capsys, *paths)
    assert (status, verdicts(report)) == (0, {5: "removed"}), report


def test_either_all_files_are_fixed_or_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = small_project(tmp_path / "p")
    monkeypatch.chdir(root)
    other = root / "pkg" / "b.py"
    other.write_text((root / "pkg" / "a.py").read_text())
    (root / "both.py").write_text("import pkg.a, pkg.b\n")
    before = other.read_text()
    (root / "meanwhile.py").write_text(f"import both\nopen({str(other)!r}, 'a').write('# mine\\n')\n")
    status, report = run(capsys, "--apply", "pkg", "--", "meanwhile.py")
    assert (status, report["holds"]) == (2, True)
    assert "pkg/b.py: not written: it has changed since it was read; no file was changed" in report["stderr"]
    assert (root / "pkg" / "a.py").read_text() == before
    other.write_text(before)
    status, report = run(capsys, "--apply", "pkg", "--", "both.py")
    assert (status, report["stderr"].splitlines()[-1]) == (0, "synclint: wrote 2 files")
    assert (root / "pkg" / "a.py").read_text() == other.read_text() != before


@pytest.mark.usefixtures("interruptible")
@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX's")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_once_interrupted_the_command_is_not_run_again(tmp_path: Path, number: signal.Signals) -> None:
    root = small_project(tmp_path / "p")
    ran = tmp_path / "ran"
    ran.touch()
    (root / "slow.py").write_text(f"import torch, time\nopen({str(ran)!r}, 'a').write('x')\ntime.sleep(60)\n")
    words = ["verify", "--backend=simulated", "pkg", "--", "slow.py"]
    program = f"import sys; from synclint.cli import main; sys.exit(main({words!r}))"
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    process = subprocess.Popen([sys.executable, "-c", program], cwd=root, stderr=subprocess.PIPE, env=environment)
    while not ran.read_text() and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert (process.returncode, said.splitlines()[-1]) == (2, b"synclint: interrupted")
    assert ran.read_text() == "x"
    assert not list(tmp_path.glob("synclint-verify-*"))
