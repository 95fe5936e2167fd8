"""A pytest plugin that writes the outcome of each test to the file that ``SYNCLINT_OUTCOMES`` names.

Loaded into the traced command through ``PYTEST_ADDOPTS``; a command that is not pytest never sees it. Each line is a
JSON list: the test's id, its phase, the outcome.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

VARIABLE = "SYNCLINT_OUTCOMES"
PLUGIN = __name__


def pytest_runtest_logreport(report: Any) -> None:
    """Note what came of a phase of a test: each failure and skip, and each call."""
    path = os.environ.get(VARIABLE)
    if path is None or (report.when != "call" and report.passed):
        return
    if os.environ.get("PYTEST_XDIST_WORKER"):  # the controller sees the same report
        return
    line = json.dumps([report.nodeid, report.when, report.outcome])
    with open(path, "a", encoding="utf-8") as file:
        file.write(line + "\n")


def pytest_collectreport(report: Any) -> None:
    """Note a module that cannot be collected."""
    path = os.environ.get(VARIABLE)
    if path is not None and report.failed and not os.environ.get("PYTEST_XDIST_WORKER"):
        with open(path, "a", encoding="utf-8") as file:
            file.write(json.dumps([report.nodeid, "collect", "failed"]) + "\n")


def read(path: Path) -> dict[str, str]:
    """The outcome of each test and phase, such as ``{"tests/test_a.py::test_b (call)": "passed"}``."""
    if not path.exists():
        return {}
    lines = path.read_text(encoding="utf-8").splitlines()
    return {f"{test} ({phase})": outcome for test, phase, outcome in map(json.loads, lines)}
