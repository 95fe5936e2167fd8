"""PyTorch's own samples of its operators: the simulated device computes what the CPU does, gradients included."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "opinfo.py"


def judged(*options: str) -> dict[str, Any]:
    """In a child: no operator may crash the process, and this one should go on if one does."""
    pytest.importorskip("expecttest")
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--json", *options], capture_output=True, text=True, check=False
    )
    assert done.returncode in (0, 1), done.stderr
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    return found


def test_a_sample_of_the_operators_is_right() -> None:
    found = judged("--every", "12")
    assert not found["wrong"]
    assert found["right"] >= 50
    assert found["gradients"] >= 400


@pytest.mark.slow
@pytest.mark.skipif("SYNCLINT_SLOW" not in os.environ, reason="takes minutes")
def test_all_operators_but_a_few_are_right() -> None:
    found = judged()
    assert found["right"] >= 668, found["wrong"]
