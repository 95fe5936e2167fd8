"""What ``studies/`` says of the notes of a library's tests."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from studies.lines import LINES, WaitingLine, place, waiting_lines
from studies.report import (
    RESULTS,
    Reason,
    by_cause,
    events_by_place,
    failures,
    lines_summary,
    read,
    reasons,
    without_machine,
)
from synclint.finding import Direction
from synclint.runtime.event import Event, Frame

SOURCE = """\
import torch


class Model(torch.nn.Module):
    def forward(self, x):
        if (
            x.sum()
            > 0
        ):
            return x.tolist()
        return torch.normal(
            x
        )
"""


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """A folder of installed packages with one module of one library."""
    folder = tmp_path / "site-packages"
    (folder / "lib").mkdir(parents=True)
    (folder / "lib" / "__init__.py").write_text(SOURCE, encoding="utf-8")
    (folder / "lib" / "test").mkdir()
    return folder


def event(path: Path, line: int, operation: str = "aten::_local_scalar_dense", count: int = 1) -> Event:
    return Event(operation, "scalar-read", Direction.D2H, user=Frame(str(path), line, "forward"), count=count)


def test_a_waiting_line_says_what_the_linter_reports_in_its_statement(library: Path) -> None:
    module = library / "lib" / "__init__.py"
    found = waiting_lines(
        [event(module, 7), event(module, 12, "aten::normal.Tensor_Tensor"), event(module, 7, count=2)], "lib"
    )
    assert [(line.path, line.line, line.count, line.source, line.reported) for line in found] == [
        ("lib/__init__.py", 7, 3, "x.sum()", ("SYN202",)),
        ("lib/__init__.py", 12, 1, "x", ()),
    ]


def test_waits_of_tests_and_of_other_packages_are_no_lines_of_the_library(library: Path, tmp_path: Path) -> None:
    shipped = library / "lib" / "test" / "cases.py"
    other = library / "other" / "__init__.py"
    events = [event(tmp_path / "test_lib.py", 1), event(shipped, 1), event(other, 1), event(other, 2)]
    assert waiting_lines(events, "lib") == []
    assert events_by_place(events, "lib") == {"other packages": {"sync": 2}, "tests": {"sync": 2}}


def test_what_is_not_installed_has_no_place() -> None:
    assert place("/home/me/lib/test_lib.py") is None
    found = place("/env/lib/site-packages/lib/a/b.py")
    assert found is not None
    assert (found.package, found.path) == ("lib", "lib/a/b.py")


def test_the_last_note_of_a_test_counts_and_a_missing_one_is_a_crash(tmp_path: Path) -> None:
    wait = event(tmp_path / "lib.py", 1).to_json()
    notes = [
        {"test": "", "outcome": "", "events": [wait]},
        {"started": "a"}, {"test": "a", "outcome": "failed", "error": "E: x", "events": [wait, wait]},
        {"started": "a"}, {"test": "a", "outcome": "passed", "events": [wait]},
        {"started": "b"},
    ]  # fmt: skip
    path = tmp_path / "notes.jsonl"
    path.write_text("".join(json.dumps(note) + "\n" for note in notes), encoding="utf-8")
    tests, events = read(path)
    assert {test: note["outcome"] for test, note in tests.items()} == {"a": "passed", "b": "crashed"}
    assert len(events) == 2


def test_failures_are_those_that_the_cpu_does_not_have_with_the_first_reason_that_fits() -> None:
    passed = {"outcome": "passed"}
    cpu = {"a": passed, "b": passed, "c": {"outcome": "failed"}, "d": passed}
    broken = {
        "outcome": "failed",
        "error": "RuntimeError: two devices, /home/me/site-packages/lib/x.py at 0x7f0012345678",
        "where": "lib/x.py:3",
    }
    known = [
        Reason("other", "simulation", ""),
        Reason("lib", "library", "elsewhere", where=re.compile("y.py")),
        Reason("lib", "library", "it mixes", re.compile("two devices"), re.compile("^a$"), re.compile("x.py")),
    ]
    found = failures("lib", cpu, {"a": broken, "b": broken, "c": broken, "d": passed}, known)
    assert [(one["cause"], one["reason"], one["tests"]) for one in found] == [
        ("library", "it mixes", ["a"]),
        ("unexplained", "", ["b"]),
    ]
    assert by_cause(found) == {"library": 1, "unexplained": 1}
    assert found[0]["error"] == "RuntimeError: two devices, lib/x.py at 0x"


def test_no_machine_is_named() -> None:
    assert without_machine("at /tmp/x/lib/python3.11/site-packages/lib/a.py") == "at lib/a.py"
    assert without_machine("cannot divide 3/4 by x/y") == "cannot divide 3/4 by x/y"


def test_every_reason_is_well_formed() -> None:
    assert {reason.cause for reason in reasons()} <= {"library", "simulation", "randomness", "machine"}


def test_the_results_that_are_kept_explain_every_failure_and_name_no_machine() -> None:
    kept = sorted(RESULTS.glob("*.json"))
    assert {"gpytorch", "linear_operator", "monai", "transformers"} <= {path.name.split("-")[0] for path in kept}
    for path in kept:
        text = path.read_text(encoding="utf-8")
        result = json.loads(text)
        assert "unexplained" not in result["failures by cause"], path.name
        assert sum(result["failures by cause"].values()) == sum(len(entry["tests"]) for entry in result["failures"])
        assert without_machine(text) == text


def test_the_lines_that_are_kept_are_sorted_and_those_of_the_results() -> None:
    for path in sorted(LINES.glob("*.jsonl")):
        lines = [WaitingLine(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]
        assert lines == sorted(lines)
        result = json.loads((RESULTS / f"{path.stem}.json").read_text(encoding="utf-8"))
        assert lines_summary(lines) == result["lines"]
