"""What the tests of the simulated device share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from synclint.runtime import Tracer  # noqa: E402
from synclint.runtime.trace import Trace  # noqa: E402

if torch.cuda.is_available():
    pytest.skip("a GPU is present; start with CUDA_VISIBLE_DEVICES set to nothing", allow_module_level=True)


@pytest.fixture
def trace() -> Iterator[Trace]:
    """A trace on the simulated device."""
    with Tracer("simulated", roots=(str(Path(__file__).parent),)) as found:
        yield found
