"""What is found does not depend on the order of files, the number of processes, hashes, or on what is named."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from projects import write
from test_link import CASES, split

from synclint.config import Settings
from synclint.finding import Confidence, Finding, Heat
from synclint.run import Fixing, lint_files

CYCLES = """
    --- pkg/__init__.py
    from .first import *
    from .second import *
    --- pkg/first.py
    import torch
    import pkg
    from .second import run as other
    class First(pkg.Second):
        def run(self, runner, thing):
            return runner.run(self, thing)
        def read(self, thing):
            return self.held.run(thing).item()
        def __init__(self, held):
            self.held = held
            super().__init__(held)
    def run(runner, thing):
        if thing is None:
            return runner.run(runner, run(runner, thing)).item()
        return other(runner, thing)
    --- pkg/second.py
    import torch
    import pkg
    from . import first
    class Second(pkg.First):
        def run(self, runner, thing):
            return thing.item()
        def __init__(self, held):
            self.held = held
    def run(runner, thing):
        first.run(Second(runner), torch.ones(1, device="cuda"))
        pkg.First(Second(first.First(None))).run(Second(None), thing)
        return runner.run(thing, runner)
    """


def project(root: Path) -> list[str]:
    """All cases side by side, each in a package of its own; the paths of their files."""
    files: dict[str, str] = {}
    for number, text in enumerate([*CASES.values(), CYCLES]):
        for path, code in split(text).items():
            files[f"case{number}/{path}"] = code
    write(root, files)
    return sorted(files)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("project")
    project(root)
    return root


def paths(root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in root.glob("case*/**/*.py"))


def findings(root: Path, named: list[str]) -> dict[str, tuple[Finding, ...]]:
    settings = Settings(root=root, confidence=Confidence.POSSIBLE, heat=Heat.COLD)
    outcomes = lint_files([(root / path, settings) for path in named], Fixing(), 1, cache=False)
    assert not any(outcome.failure for outcome in outcomes)
    return {os.path.relpath(outcome.path, root).replace(os.sep, "/"): outcome.findings for outcome in outcomes}


@pytest.fixture(scope="module")
def whole(root: Path) -> dict[str, tuple[Finding, ...]]:
    found = findings(root, paths(root))
    assert sum(map(len, found.values())) > 60
    return found


def test_each_file_alone(root: Path, whole: dict[str, tuple[Finding, ...]]) -> None:
    settings = Settings(root=root, confidence=Confidence.POSSIBLE, heat=Heat.COLD)
    for path in paths(root):
        # With the cache, so that the project is read only once; what was found of this file is not in it.
        [outcome] = lint_files([(root / path, settings)], Fixing(), 1)
        assert outcome.findings == whole[path], path


@given(st.randoms(use_true_random=False))
@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_some_files_in_any_order(root: Path, whole: dict[str, tuple[Finding, ...]], random: object) -> None:
    named = random.sample(paths(root), 12)  # type: ignore[attr-defined]
    assert findings(root, named) == {path: whole[path] for path in named}


def test_processes_and_hashes(root: Path) -> None:
    outputs = set()
    for jobs, seed, named in (("1", "1", ["."]), ("2", "2", ["."]), ("2", "3", paths(root)[::-1])):
        command = [
            sys.executable, "-m", "synclint", "--no-cache", "--jobs", jobs, "--confidence", "possible", "--heat", "cold",
            "--output-format", "json", *named,
        ]  # fmt: skip
        done = subprocess.run(
            command, cwd=root, env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, text=True, check=False
        )
        assert done.returncode == 1, done.stderr
        outputs.add(done.stdout)
    assert len(outputs) == 1
    assert len(json.loads(outputs.pop())) > 60
