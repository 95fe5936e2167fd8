"""Small projects of several files: written to disk and linted, or only indexed."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from textwrap import dedent

from synclint.config import Settings
from synclint.finding import Confidence, Finding, Heat
from synclint.index.build import build
from synclint.index.packages import Packages, module_name
from synclint.index.project import Project
from synclint.run import Fixing, lint_files

Files = Mapping[str, str]


def indexed(files: Files) -> Project:
    """The project of these texts, by path."""
    records = {
        path: build(path, ast.parse(dedent(text)), module_name(path, files.keys())) for path, text in files.items()
    }
    return Project(Packages(files), records.get)


def write(root: Path, files: Files) -> None:
    """Writes a project; the root is marked as one."""
    for path, text in {"pyproject.toml": "", **files}.items():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(dedent(text), encoding="utf-8")


def lint(
    root: Path, named: Iterable[str] = (), *, confidence: Confidence = Confidence.LIKELY, cache: bool = False
) -> dict[str, tuple[Finding, ...]]:
    """What is found in the files of a project, or in those that are named, however cold, by path."""
    settings = Settings(root=root, confidence=confidence, heat=Heat.COLD)
    paths = [root / path for path in named] or sorted(root.glob("**/*.py"))
    found = {}
    for outcome in lint_files([(path, settings) for path in paths], Fixing(), 1, cache=cache):
        assert not outcome.failure, outcome.failure
        found[os.path.relpath(outcome.path, root).replace(os.sep, "/")] = outcome.findings
    return found


def chain(finding: Finding, root: Path) -> list[tuple[str, int, str]]:
    """The explanation of a finding, its last step about heat aside."""
    steps = [(os.path.relpath(step.path, root).replace(os.sep, "/"), step.line, step.text) for step in finding.why]
    return [step for step in steps if "runs for every step" not in step[2] and "does not run" not in step[2]]


def split(text: str) -> dict[str, str]:
    """The files of a project that are written one after the other, each below a line ``--- path``."""
    files: dict[str, list[str]] = {}
    for line in dedent(text).strip().splitlines():
        if line.startswith("--- "):
            files[line[4:]] = lines = []
        else:
            lines.append(line)
    return {path: "\n".join([*lines, ""]) for path, lines in files.items()}


def marked(files: Files) -> set[tuple[str, int]]:
    """The places that a comment ``# waits`` says are found."""
    return {
        (path, number)
        for path, text in files.items()
        for number, line in enumerate(dedent(text).splitlines(), 1)
        if line.endswith("# waits")
    }


def places(found: Mapping[str, Iterable[Finding]]) -> set[tuple[str, int]]:
    return {(path, one.line) for path, findings in found.items() for one in findings}
