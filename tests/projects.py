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


def chain(finding: Finding, root: Path) -> list[tuple[str, int]]:
    """The places that a finding's explanation names, but for the last, which is about heat."""
    steps = [(os.path.relpath(step.path, root).replace(os.sep, "/"), step.line) for step in finding.why]
    return steps
