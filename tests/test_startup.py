"""Start-up is part of the product: in a pre-commit hook it is most of the time."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import synclint

ROOT = Path(synclint.__file__).parents[1]

CLEAN = """\
import torch


def f(x: torch.Tensor) -> torch.Tensor:
    return x.sum()
"""
SENDS = """\
import torch


def f() -> torch.Tensor:
    return torch.tensor([1, 2], device="cuda")
"""

READS = """\
import torch


def f() -> float:
    return torch.ones(3, device="cuda").sum().item()
"""

REPORT_MODULES = "import sys; from synclint.cli import main\ntry: main(sys.argv[1:])\nfinally: print(*sys.modules)"


@pytest.fixture(autouse=True, scope="module")
def bytecode(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Bytecode is kept between runs, as it is where synclint is installed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
        patch.setenv("PYTHONPYCACHEPREFIX", str(tmp_path_factory.mktemp("bytecode")))
        patch.setenv("PYTHONPATH", str(ROOT))
        yield


def modules_after(folder: Path, *arguments: str) -> set[str]:
    """The modules that are loaded when a command line has run."""
    command = [sys.executable, "-c", REPORT_MODULES, *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert "synclint.cli" in done.stdout, done.stderr
    return set(done.stdout.splitlines()[-1].split())


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "clean.py").write_text(CLEAN)
    (tmp_path / "reads.py").write_text(READS)
    (tmp_path / "sends.py").write_text(SENDS)
    (tmp_path / "torchless.py").write_text("import os\n")
    return tmp_path


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["rule", "--help"]])
def test_help_loads_the_parser_alone(project: Path, arguments: list[str]) -> None:
    loaded = modules_after(project, *arguments)
    assert {name for name in loaded if name.startswith("synclint")} == {
        "synclint",
        "synclint.cli",
        "synclint.cli.arguments",
    }
    assert not loaded & {"ast", "dataclasses", "tomllib"}


@pytest.mark.parametrize("file", ["torchless.py", "clean.py", "."])
def test_torch_is_never_loaded(project: Path, file: str) -> None:
    assert not modules_after(project, file) & {"torch", "numpy"}


@pytest.mark.parametrize("file", ["torchless.py", "clean.py"])
def test_a_clean_file_needs_little(project: Path, file: str) -> None:
    loaded = modules_after(project, file)
    assert "synclint.run" in loaded
    assert not loaded & {"libcst", "pathspec", "difflib", "concurrent.futures", "multiprocessing"}
    assert not loaded & {"importlib.metadata", "email", "zipfile"}
    assert file == "clean.py" or not loaded & {"tomllib", "tomli"}  # the facts are read where torch is


def test_a_clean_file_needs_nothing_to_judge_with(project: Path) -> None:
    loaded = modules_after(project, "clean.py")
    assert {name.rpartition(".")[2] for name in loaded if name.startswith("synclint.rules.")} >= {"scalar_read"}
    analyses = {name for name in loaded if name.startswith("synclint.lint.")}
    assert analyses == {f"synclint.lint.{name}" for name in ("context", "engine", "packages", "rule")}
    assert "synclint.flow.barriers" not in loaded  # asked where a fix is made


def test_a_file_without_torch_is_not_interpreted(project: Path) -> None:
    assert "synclint.flow.module" in modules_after(project, "clean.py")
    assert "synclint.flow.module" not in modules_after(project, "torchless.py")


def test_libcst_is_loaded_when_a_statement_is_taken_apart(project: Path) -> None:
    assert "libcst" in modules_after(project, "sends.py")
    assert "libcst" not in modules_after(project, "reads.py")
    assert "libcst" not in modules_after(project, "clean.py")


YARDSTICK = ["-c", "import email.message, http.client, unittest.mock"]
"""What a limit is compared with, because machines differ, and differ from hour to hour. From Python 3.10 to 3.13, help
takes 0.4 times as long, a file without torch 0.8 times, and another clean one about as long."""


@pytest.mark.skipif(sys.platform == "win32", reason="needs the processor time of child processes")
@pytest.mark.parametrize(
    ("argument", "seconds", "times"), [("--help", 0.05, 0.55), ("torchless.py", 0.1, 1.1), ("clean.py", 0.1, 1.3)]
)
def test_processor_time(project: Path, argument: str, seconds: float, times: float) -> None:
    """At most so many seconds, or so many times the yardstick: there is one thread, so that processor time is wall
    time where nothing else runs."""
    command = ["-m", "synclint", argument]
    for arguments in (command, YARDSTICK):
        processor_time(project, arguments)  # writes the bytecode
    taken, yardstick = [], []
    for runs in range(1, 13):  # until each has been undisturbed once
        yardstick.append(processor_time(project, YARDSTICK))
        taken.append(processor_time(project, command))
        if runs >= 3 and min(taken) < max(seconds, times * min(yardstick)):
            return
    said = f"{min(taken):.3f} s at best, {min(taken) / min(yardstick):.2f} times the yardstick"
    pytest.fail(f"synclint {argument}: {said}")


def processor_time(folder: Path, arguments: list[str]) -> float:
    """User and system time of a run of this interpreter, in seconds. It may keep bytecode, as users' do."""
    from resource import RUSAGE_CHILDREN, getrusage  # os.times counts in hundredths of a second

    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    before = getrusage(RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], cwd=folder, env=environment, check=True, **quiet)
    after = getrusage(RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
