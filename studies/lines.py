"""The waiting lines of installed libraries, and whether synclint reports them."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections import Counter, defaultdict
from dataclasses import asdict, dataclass, replace
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import synclint
from synclint.runtime.codes import codes
from synclint.runtime.event import Event

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

LINES = Path(__file__).parent.parent / "fixtures" / "waiting_lines"
INSTALLED = "/site-packages/"


@dataclass(frozen=True, slots=True, order=True)
class WaitingLine:
    """A line of a library at which the host waited ``count`` times, for one operation and cause.

    ``path`` is relative to the folder that holds the package. ``rules`` speak of the operation, whoever calls it;
    ``reported`` are the codes that synclint reports there, at the lowest cut-offs and in the direction of the wait.
    """

    path: str
    line: int
    operation: str
    cause: str
    direction: str
    kind: str
    backward: bool
    count: int
    source: str = ""
    rules: tuple[str, ...] = ()
    reported: tuple[str, ...] = ()


class Place(NamedTuple):
    """Below which folder a file is, and its path from there."""

    folder: str
    path: str

    @property
    def package(self) -> str:
        """The import name of the package; of the tests that some packages ship, none."""
        package, *folders, _ = self.path.split("/")
        return "" if {"test", "tests", "testing"} & {*folders} else package


def place(path: str) -> Place | None:
    """Where an installed library has the file; None for code that is not installed, such as tests."""
    before, found, after = path.rpartition(INSTALLED)
    return Place(before + found, after) if found and "/" in after else None


def waiting_lines(events: Iterable[Event], package: str) -> list[WaitingLine]:
    """The lines of a package (by its import name) that waited, sorted; the innermost line outside torch counts."""
    counts: Counter[WaitingLine] = Counter()
    folders = {}
    for event in events:
        where = place(event.user.path) if event.user is not None else None
        if event.user is None or where is None or where.package != package:
            continue
        folders[where.path] = where.folder
        line = WaitingLine(
            where.path, event.user.line, event.operation, event.cause, event.direction.value, event.kind,
            event.backward, 0, rules=codes(event),
        )  # fmt: skip
        counts[line] += event.count
    counted = [replace(line, count=count) for line, count in counts.items()]
    return sorted(_explained(counted, folders))


def _explained(lines: list[WaitingLine], folders: Mapping[str, str]) -> Iterator[WaitingLine]:
    by_path = defaultdict(list)
    for line in lines:
        by_path[line.path].append(line)
    findings = _findings(folders)
    for path, found in by_path.items():
        source = Path(folders[path], path).read_text(encoding="utf-8")
        text = source.splitlines()
        statements = Statements(source)
        for line in found:
            reported = {
                finding["code"]
                for finding in findings[path]
                if finding["direction"] == line.direction and statements.same(finding["line"], line.line)
            }
            yield replace(line, source=text[line.line - 1].strip(), reported=tuple(sorted(reported)))


def _findings(folders: Mapping[str, str]) -> dict[str, list[dict[str, Any]]]:
    """What synclint reports, by path; the whole package is linted, since inference crosses files."""
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    environment = {**os.environ, "PYTHONPATH": str(Path(synclint.__file__).parents[1])}
    for folder, package in sorted({(folder, path.split("/", 1)[0]) for path, folder in folders.items()}):
        command = [
            sys.executable, "-m", "synclint", "check", "--output-format", "json", "--confidence", "possible",
            "--heat", "cold", package,
        ]  # fmt: skip
        ran = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        if ran.returncode not in (0, 1):
            raise RuntimeError(f"synclint failed on {package}: {ran.stderr}")
        for finding in json.loads(ran.stdout):
            found[finding["path"]].append(finding)
    return found


class Statements:
    """Which lines belong to the same statement; of a compound one, to its header."""

    def __init__(self, source: str) -> None:
        self._of: dict[int, int] = {}
        for node in sorted(_statements(ast.parse(source)), key=lambda node: (node.lineno, node.col_offset)):
            first = min([node.lineno, *(one.lineno for one in getattr(node, "decorator_list", ()))])
            body = getattr(node, "body", None)
            last = body[0].lineno - 1 if isinstance(body, list) and body else node.end_lineno or node.lineno
            for line in range(first, max(first, last) + 1):
                self._of[line] = node.lineno

    def same(self, one: int, other: int) -> bool:
        return one == other or (one in self._of and self._of[one] == self._of.get(other))


def _statements(tree: ast.AST) -> Iterator[ast.stmt]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.stmt))


def version_of(package: str) -> str:
    """The version of the distribution that an import name comes from."""
    try:
        return version(packages_distributions().get(package, [package])[0])
    except PackageNotFoundError as error:
        raise RuntimeError(f"{package} is not installed here: run this where the library's tests ran") from error


def as_json(line: WaitingLine) -> str:
    return json.dumps(asdict(line), separators=(", ", ": "))
