"""What the tests of libraries brought to light (see ``studies/``)."""

from __future__ import annotations

import io
import pickle
from collections.abc import Iterator

import pytest
import torch
from torch.jit._builtins import _get_builtin_table

from synclint.finding import Direction
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


def test_legacy_constructors_make_tensors_on_the_device(trace: Trace) -> None:
    made = torch.cuda.FloatTensor([[1, 2], [3, 4]])
    assert [event.direction for event in trace.events] == [Direction.H2D]
    trace.events.clear()
    assert made.dtype is torch.float32
    assert torch.cuda.LongTensor(3, 4).shape == (3, 4)
    assert torch.cuda.LongTensor(torch.Size([2])).shape == (2,)
    assert torch.cuda.HalfTensor().shape == (0,)
    assert torch.cuda.FloatTensor(made).data_ptr() == made.data_ptr()
    assert torch.cuda.FloatTensor(made.untyped_storage()).shape == (4,)
    assert not trace.events
    assert made.tolist() == [[1.0, 2.0], [3.0, 4.0]]


def test_legacy_constructors_refuse_what_they_refuse_on_a_gpu(trace: Trace) -> None:
    with pytest.raises(TypeError, match="expected FloatTensor"):
        torch.cuda.FloatTensor(torch.ones(2))
    with pytest.raises(TypeError, match="must be a sequence"):
        torch.cuda.FloatTensor(1.5)
    with pytest.raises(RuntimeError, match="expects device type: cuda"):
        torch.cuda.FloatTensor(2, device="cpu")


def test_legacy_types_are_types(trace: Trace) -> None:
    made = torch.ones(2, device="cuda")
    assert isinstance(made, torch.cuda.FloatTensor)
    assert not isinstance(torch.ones(2), torch.cuda.FloatTensor)
    assert made.type() == "torch.cuda.FloatTensor"
    assert torch.ones(2).type(torch.cuda.LongTensor).type() == "torch.cuda.LongTensor"
    assert made.type("torch.FloatTensor").device.type == "cpu"
    assert torch.cuda.FloatTensor.dtype is torch.float32


@pytest.mark.filterwarnings("ignore:Sparse invariant checks")
def test_legacy_sparse_tensors_multiply(trace: Trace) -> None:
    indices = torch.tensor([[0, 1, 1], [1, 0, 2]], device="cuda")
    values = torch.tensor([1.0, 2.0, 3.0], device="cuda")
    made = torch.cuda.sparse.FloatTensor(indices, values, torch.Size([2, 3]))
    assert made.is_sparse
    assert made.type() == "torch.cuda.sparse.FloatTensor"
    assert torch.dsmm(made, torch.eye(3, device="cuda")).tolist() == [[0.0, 1.0, 0.0], [2.0, 0.0, 3.0]]
    assert torch.cuda.sparse.DoubleTensor(4, 5).shape == (4, 5)


def test_legacy_types_are_put_back() -> None:
    before = dict(vars(torch.cuda.sparse)), torch.cuda.FloatTensor, torch.Tensor.type
    with Tracer("simulated"):
        assert torch.cuda.FloatTensor is not before[1]
    assert (dict(vars(torch.cuda.sparse)), torch.cuda.FloatTensor, torch.Tensor.type) == before
