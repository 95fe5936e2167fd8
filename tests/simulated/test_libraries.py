"""What the tests of libraries brought to light (see ``studies/``)."""

from __future__ import annotations

import io
import pickle
from collections.abc import Iterator

import pytest
import torch
from torch.jit._builtins import _get_builtin_table

from synclint.runtime import Tracer
from synclint.runtime.trace import Trace


@pytest.fixture
def by_default(trace: Trace) -> Iterator[None]:
    """CUDA is the default device, as ``torch.set_default_device`` makes it."""
    torch.set_default_device("cuda")
    yield
    torch.set_default_device(None)


@pytest.mark.usefixtures("by_default")
def test_storages_are_loaded_and_pinned_whatever_the_default_device() -> None:
    x = torch.arange(6.0).reshape(2, 3)
    file = io.BytesIO()
    torch.save(x[1:], file)
    file.seek(0)
    for loaded in (torch.load(file), pickle.loads(pickle.dumps(x[1:]))):
        assert loaded.is_cuda
        assert loaded.tolist() == [[3.0, 4.0, 5.0]]
    assert torch.ones(2, device="cpu").untyped_storage().pin_memory().is_pinned()


def scripted(x: torch.Tensor) -> torch.Tensor:
    return torch.ones_like(x) + torch.zeros([2], device=x.device) + torch.tensor(1.0)


@pytest.mark.filterwarnings("ignore:.*jit.script:DeprecationWarning")
def test_torchscript_compiles_calls_of_factories() -> None:
    before = dict(_get_builtin_table())  # type: ignore[no-untyped-call]
    with Tracer("simulated"):
        result = torch.jit.script(scripted)(torch.ones(2, device="cuda"))
        assert result.is_cuda
        assert result.tolist() == [2.0, 2.0]
    assert _get_builtin_table() == before  # type: ignore[no-untyped-call]
