"""Findings that are kept: they come back, and are found anew as soon as anything has changed that they rest on."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from projects import write

import synclint.project
import synclint.reading
from synclint.cli import main
from synclint.config import Settings
from synclint.finding import Finding, Heat
from synclint.lint import engine
from synclint.run import Fixing, lint_files

MADE = "import torch\ndef make():\n    return torch.zeros(1, device='cuda')\n"
FILES = {
    "pkg/__init__.py": "",
    "pkg/made.py": MADE,
    "pkg/read.py": "import torch\nfrom .made import make\ndef read():\n    return make().item()\n",
    "tests/test_it.py": "import torch\ndef test():\n    torch.zeros(1, device='cuda').item()\n",
}


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write(tmp_path, FILES)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that are read for the sake of the project, as they are."""
    paths: list[str] = []
    real = synclint.reading.read_file
    monkeypatch.setattr(synclint.reading, "read_file", lambda task: paths.append(task.path) or real(task))
    return paths


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that are interpreted in search of findings."""
    paths: list[str] = []
    real = engine.check_source
    monkeypatch.setattr(
        "synclint.run.check_source", lambda source, *rest: paths.append(source.path) or real(source, *rest)
    )
    return paths


def found(root: Path, settings: Settings | None = None, *, cache: bool = True) -> list[tuple[str, int]]:
    settings = settings or Settings(root=root, heat=Heat.COLD)
    return [(one.path, one.line) for one in findings(root, settings, cache=cache)]


def findings(root: Path, settings: Settings, *, cache: bool = True) -> list[Finding]:
    files = [(path, settings) for path in sorted(root.glob("pkg/*.py"))]
    return [one for outcome in lint_files(files, Fixing(), 1, cache=cache) for one in outcome.findings]


def test_a_second_run_finds_the_same_and_reads_nothing(root: Path, read: list[str], judged: list[str]) -> None:
    settings = Settings(root=root, heat=Heat.COLD)
    first = findings(root, settings)
    assert [(one.path, one.line) for one in first] == [("pkg/read.py", 4)]
    assert sorted(read) == ["pkg/__init__.py", "pkg/made.py", "pkg/read.py"]
    assert len(judged) == 3
    read.clear(), judged.clear()
    assert findings(root, settings) == first
    assert read == judged == []


def test_a_file_of_the_same_content_is_not_interpreted_again(root: Path, read: list[str], judged: list[str]) -> None:
    first = found(root)
    read.clear(), judged.clear()
    os.utime(root / "pkg/made.py", ns=(1, 1))
    assert found(root) == first
    assert read == judged == []
    assert found(root) == first


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda root: (root / "pkg/made.py").write_text(MADE.replace("cuda", "cpu")), []),
        (lambda root: (root / "pkg/made.py").write_text("\n" + MADE), [("pkg/read.py", 4)]),
        (lambda root: (root / "pkg/made.py").unlink(), []),
        (lambda root: (root / "pkg/made.py").write_text("def make(:\n"), [("pkg/made.py", 1)]),
        (lambda root: (root / "pkg/__init__.py").unlink(), [("pkg/read.py", 4)]),
        (lambda root: (root / "pkg").rename(root / "other"), []),
    ],
    ids=["other device", "moved by a line", "gone", "broken", "no package", "renamed folder"],
)
def test_what_changes_elsewhere_counts(
    root: Path, change: Callable[[Path], object], expected: list[tuple[str, int]]
) -> None:
    assert found(root) == [("pkg/read.py", 4)]
    change(root)
    assert found(root) == expected == found(root, cache=False)
    write(root, FILES)
    assert found(root) == [("pkg/read.py", 4)]


def test_the_explanation_follows_the_file_that_it_names(root: Path) -> None:
    settings = Settings(root=root, heat=Heat.COLD)
    assert findings(root, settings)[0].why[0].line == 3
    (root / "pkg/made.py").write_text("\n\n" + MADE)
    assert findings(root, settings)[0].why[0].line == 5


def test_a_file_that_could_not_be_read_is_tried_again(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: Path | str, **rest: object) -> None:
        raise synclint.project.SourceError(str(path), 1, 1, "no")

    with monkeypatch.context() as patch:
        patch.setattr(synclint.project.Source, "read", fail)
        found(root)
    assert found(root) == [("pkg/read.py", 4)]


@pytest.mark.parametrize("changes", [{"heat": Heat.HOT}, {"ignore": ("SYN2",)}, {"exclude": ("made.py",)}])
def test_other_settings_have_other_answers(root: Path, changes: dict[str, object]) -> None:
    settings = Settings(root=root, heat=Heat.COLD)
    assert found(root, settings) == [("pkg/read.py", 4)]
    changed = replace(settings, **changes)
    named = {"exclude"} & changes.keys()  # what is named is linted all the same
    assert found(root, changed) == ([("pkg/read.py", 4)] if named else [])
    assert found(root, settings) == [("pkg/read.py", 4)]


def test_paths_are_relative_to_where_one_is(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert found(root) == [("pkg/read.py", 4)]
    monkeypatch.chdir(root / "pkg")
    assert found(root) == [("read.py", 4)]
    settings = Settings(root=root, heat=Heat.COLD)
    assert [step.path for step in findings(root, settings)[0].why][:2] == ["made.py", "read.py"]


def test_a_script_of_another_name_is_read_again(root: Path) -> None:
    """Its name does not make it a part of the project, which so says nothing about its content."""

    def lines() -> list[int]:
        outcomes = lint_files([(root / "script", Settings(root=root, heat=Heat.COLD))], Fixing(), 1)
        return [one.line for outcome in outcomes for one in outcome.findings]

    code = "import torch\nfrom pkg.made import make\nclass A:\n    def get(self):\n        return make()\n"
    (root / "script").write_text(code + "A().get().item()\n")
    assert lines() == [6]
    (root / "script").write_text(code + "\n\nA().get().item()\n")
    assert lines() == [8]
    (root / "script").write_text(code)
    assert lines() == []


def test_no_cache_writes_nothing(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(root.rglob("*"))
    assert main(["--no-cache", "--heat", "cold", "--output-format", "concise", "pkg"]) == 1
    assert "pkg/read.py:4" in capsys.readouterr().out
    assert sorted(root.rglob("*")) == before
    assert main(["--heat", "cold", "pkg"]) == 1
    assert (root / ".synclint_cache" / ".gitignore").read_text().endswith("*\n")
