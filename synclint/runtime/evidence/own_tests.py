"""The runtime's own tests that need a GPU, where the source tree is at hand."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from xml.etree import ElementTree

_ROOT = Path(__file__).parents[3]
_TESTS = "tests/test_cuda_gpu.py"


def run_own_tests(seconds: float) -> tuple[dict[str, int], str]:
    """The number of tests by outcome, and what kept them from running (or an empty text)."""
    if not (_ROOT / _TESTS).exists():
        return {}, "the tests are not part of an installed synclint"
    if seconds < 10:
        return {}, "no time was left for the tests"
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", _TESTS, f"--junitxml={report}"]
        try:
            result = subprocess.run(
                command, cwd=_ROOT, capture_output=True, text=True, timeout=seconds, check=False
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return {}, "the tests were cut off"
        if not report.exists():
            last = (result.stderr or result.stdout).strip().rpartition("\n")[2]
            return {}, f"the tests did not run: {last}"
        suite = ElementTree.parse(report).getroot().find("testsuite")
    if suite is None:
        return {}, "the tests left no report"
    found = {name: int(suite.get(name, 0)) for name in ("tests", "failures", "errors", "skipped")}
    failed = found["failures"] + found["errors"]
    return found, f"{failed} of the tests failed" if failed else ""
