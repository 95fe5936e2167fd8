"""async_tensor_h2d equals the blocking form, and stages what it copies.

Without a GPU the staging path runs towards the CPU, in memory that is not pinned; that it does not wait is
tested where CUDA is.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
np = pytest.importorskip("numpy")
h2d = pytest.importorskip("synclint.h2d")
async_tensor_h2d = h2d.async_tensor_h2d

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


@pytest.fixture
def staging(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Stage towards every device, in ordinary memory; yields what was staged."""
    staged: list[Any] = []
    empty_like = torch.empty_like

    def unpinned(tensor: Any, *, pin_memory: bool = False, **options: Any) -> Any:
        result = empty_like(tensor, **options)
        if pin_memory:
            staged.append(result)
        return result

    monkeypatch.setattr(torch, "empty_like", unpinned)
    monkeypatch.setattr(h2d, "_can_stage", lambda target: True)
    return staged


def blocking(data: Any, **options: Any) -> Any:
    if isinstance(data, torch.Tensor):
        return data.to(**options)
    return (torch.as_tensor if isinstance(data, np.ndarray) else torch.tensor)(data, **options)


def moved(data: Any, dtype: Any) -> Any:
    """What the blocking form gives on another device, on the CPU: never ``data`` or its memory."""
    if isinstance(data, np.ndarray):
        data = torch.as_tensor(data)
    return data.to(dtype=dtype, copy=True) if isinstance(data, torch.Tensor) else torch.tensor(data, dtype=dtype)


def outcome(run: Callable[[], Any]) -> Any:
    """What can be seen of a result: bits, dtype, layout, autograd; or that it raised, and what."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            result = run()
        except Exception as error:
            return type(error), str(error)
    values = result.detach().resolve_conj()
    contents = None if result.is_meta else values.cpu().contiguous().reshape(-1).view(torch.uint8).tolist()
    autograd = (result.requires_grad, result.is_leaf, result.is_conj(), type(result))
    return contents, result.dtype, result.shape, result.stride(), str(result.device), autograd


def read_only(array: Any) -> Any:
    array.flags.writeable = False
    return array


GRID = torch.arange(24.0).reshape(2, 3, 4)
DATA = {
    "ints": [1, 2, 3],
    "empty list": [],
    "int and float": [1, 2.0],
    "float16 and int": [np.float16(1), 1],
    "bools": [True, False],
    "complex": [1j, 2],
    "nested": [[1, 2], [3, 4.5]],
    "tuple": (1, 2),
    "range": range(4),
    "int": 3,
    "float": 2.5,
    "bool": True,
    "float32 scalar": np.float32(3),
    "bool scalar": np.bool_(True),
    "int32 scalar": np.int32(4),
    "nan and inf": [float("nan"), float("-inf"), -0.0],
    "array": np.arange(6).reshape(2, 3),
    "transposed array": np.arange(6.0).reshape(2, 3).T,
    "strided array": np.arange(10)[::2],
    "array without dimensions": np.array(3),
    "float16 array": np.arange(3, dtype=np.float16),
    "read-only array": read_only(np.arange(3)),
    "empty array": np.zeros((2, 0)),
    "tensor": GRID,
    "permuted": GRID.permute(2, 0, 1),
    "permuted with gaps": GRID.permute(2, 0, 1)[:, :, ::2],
    "expanded": torch.arange(3.0).expand(4, 3),
    "scalar tensor": torch.tensor(1.5),
    "empty tensor": torch.zeros(0, 3),
    "requires grad": torch.ones(3, requires_grad=True),
    "parameter": torch.nn.Parameter(torch.ones(2, 2)),
    "conjugate view": torch.tensor([1 + 2j]).conj(),
    "too large": [2**63],
    "ragged": [[1], [2, 3]],
    "text": "abc",
    "list of text": ["x"],
    "None": None,
    "negative strides": np.arange(3)[::-1],
    "objects": np.array([object()]),
}
STAGED = [name for name in DATA if name != "conjugate view"]
DTYPES = [None, torch.float32, torch.int64, torch.float16, torch.bool]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", STAGED)
def test_staged_result_equals_the_blocking_form(name: str, dtype: Any, staging: list[Any]) -> None:
    data = DATA[name]
    got = outcome(lambda: async_tensor_h2d(data, dtype=dtype, device="cpu"))
    assert got == outcome(lambda: moved(data, dtype))


@pytest.mark.parametrize("device", ["cpu", "meta"])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", DATA)
def test_ordinary_result_equals_the_blocking_form(name: str, dtype: Any, device: str) -> None:
    data = DATA[name]
    got = outcome(lambda: async_tensor_h2d(data, dtype=dtype, device=device))
    assert got == outcome(lambda: blocking(data, dtype=dtype, device=device))


@pytest.mark.parametrize("name", STAGED)
def test_everything_dense_is_staged_without_gaps(name: str, staging: list[Any]) -> None:
    if isinstance(outcome(lambda: blocking(DATA[name]))[0], type):
        pytest.skip("the blocking form raises")
    result = async_tensor_h2d(DATA[name], device="cpu")
    assert len(staging) == (1 if result.numel() else 0)
    for staged in staging:
        assert staged.untyped_storage().nbytes() == staged.numel() * staged.element_size()


@pytest.mark.parametrize("source", [torch.ones(3), np.ones(3), torch.ones(3, 2).T], ids=["tensor", "array", "view"])
def test_source_may_be_rewritten_after_the_call(source: Any, staging: list[Any]) -> None:
    result = async_tensor_h2d(source, device="cpu")
    source[...] = 7
    assert (result == 1).all()


def test_gradients_flow_to_the_source(staging: list[Any]) -> None:
    staged, plain = (torch.randn(3, 4, dtype=torch.double).T.requires_grad_() for _ in range(2))
    with torch.no_grad():
        plain.copy_(staged)
    for result in (async_tensor_h2d(staged, dtype=torch.float32, device="cpu"), plain.to(torch.float32)):
        (result**2).sum().backward()
    assert torch.equal(staged.grad, plain.grad)


def test_vmap_sees_the_same(staging: list[Any]) -> None:
    batch = torch.arange(6.0).reshape(3, 2)
    assert torch.equal(torch.vmap(lambda row: async_tensor_h2d(row, device="cpu") * 2)(batch), batch * 2)


@pytest.mark.parametrize("name", ["tensor", "array", "read-only array", "parameter", "transposed array"])
def test_on_the_cpu_memory_is_shared_as_the_blocking_form_shares_it(name: str) -> None:
    data = DATA[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ours, theirs = async_tensor_h2d(data, device="cpu"), blocking(data, device="cpu")
    assert ours.data_ptr() == theirs.data_ptr()
    assert (ours is data) == (theirs is data)


OUTS: dict[str, Callable[[], Any]] = {
    "contiguous": lambda: torch.zeros(2, 3),
    "int": lambda: torch.zeros(2, 3, dtype=torch.int32),
    "half": lambda: torch.zeros(2, 3, dtype=torch.half),
    "transposed": lambda: torch.zeros(3, 2).T,
    "slice": lambda: torch.zeros(4, 8)[1:3, 2:5],
    "transposed slice": lambda: torch.zeros(8, 4).T[1:3, 2:5],
    "other shape": lambda: torch.zeros(5),
    "empty": lambda: torch.zeros(0),
    "overlapping": lambda: torch.zeros(1, 3).expand(2, 3),
    "leaf": lambda: torch.zeros(2, 3, requires_grad=True),
}


@pytest.mark.parametrize("name", DATA)
@pytest.mark.parametrize("kind", OUTS)
def test_out_equals_copy(kind: str, name: str, staging: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    data, base = DATA[name], OUTS[kind]

    def theirs() -> Any:
        return base().copy_(data if isinstance(data, torch.Tensor) else blocking(data, device="cpu"))

    def ours() -> Any:
        out = base()
        result = async_tensor_h2d(data, out=out)
        assert result is out
        return result

    expected, staged = outcome(theirs), outcome(ours)
    monkeypatch.undo()
    ordinary = outcome(ours)
    if isinstance(expected[0], type):  # which of two errors comes first may differ
        assert (staged[0], ordinary[0]) == (expected[0], expected[0])
    else:
        assert staged == expected == ordinary


@pytest.mark.parametrize(("kind", "dense"), [("contiguous", True), ("transposed", True), ("transposed slice", False)])
def test_out_is_staged_in_a_layout_that_copies_at_once(kind: str, dense: bool, staging: list[Any]) -> None:
    out = OUTS[kind]()
    async_tensor_h2d([1, 2, 3], out=out)
    (staged,) = staging
    assert staged.shape == out.shape
    assert staged.dtype == out.dtype
    assert staged.stride() == (out.stride() if dense else torch.empty(out.shape).stride())


def test_default_device_is_obeyed_and_does_not_capture_the_staging(staging: list[Any]) -> None:
    with torch.device("meta"):
        assert async_tensor_h2d([1, 2]).device.type == "meta"
        assert async_tensor_h2d(np.ones(2)).device.type == "meta"
        assert async_tensor_h2d(GRID).device.type == "meta"
    assert [tensor.device.type for tensor in staging] == ["cpu", "cpu", "cpu"]
    assert async_tensor_h2d([1, 2]).device.type == "cpu"


def test_a_read_only_array_is_no_reason_to_warn(staging: list[Any], request: pytest.FixtureRequest) -> None:
    request.addfinalizer(lambda: torch.set_warn_always(False))
    torch.set_warn_always(True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert async_tensor_h2d(read_only(np.arange(3)), device="cpu").tolist() == [0, 1, 2]


Subclass = type("Subclass", (torch.Tensor,), {})


@pytest.mark.parametrize(
    "make",
    [
        lambda: torch.eye(2).to_sparse(),
        lambda: torch.nested.nested_tensor([torch.ones(1), torch.ones(2)]),
        lambda: torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.quint8),
        lambda: torch.ones(2).as_subclass(Subclass),
        lambda: torch.ones(2, device="meta"),
    ],
    ids=["sparse", "nested", "quantised", "subclass", "meta"],
)
@pytest.mark.filterwarnings("ignore")
def test_what_is_not_strided_host_memory_takes_the_ordinary_copy(make: Callable[[], Any], staging: list[Any]) -> None:
    data = make()
    assert async_tensor_h2d(data, device=data.device) is data
    assert not staging


def test_failing_to_pin_falls_back(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def refuse(*arguments: Any, **options: Any) -> Any:
        asked.append(options)
        raise RuntimeError("no pinned memory")

    monkeypatch.setattr(h2d, "_can_stage", lambda target: True)
    monkeypatch.setattr(torch, "empty_like", refuse)
    assert async_tensor_h2d([1, 2], device="cpu").tolist() == [1, 2]
    assert async_tensor_h2d(GRID, device="cpu") is GRID
    assert async_tensor_h2d([1, 2], out=torch.zeros(2)).tolist() == [1, 2]
    assert len(asked) == 3
    assert all(options["pin_memory"] for options in asked)


@pytest.mark.parametrize(
    ("device", "cuda", "capturing", "compiling", "wsl", "stages"),
    [
        ("cuda", True, False, False, False, True),
        ("cuda:1", True, False, False, False, True),
        ("cuda", False, False, False, False, False),
        ("cuda", True, True, False, False, False),
        ("cuda", True, False, True, False, False),
        ("cuda", True, False, False, True, False),
        ("cpu", True, False, False, False, False),
        ("mps", True, False, False, False, False),
        ("meta", True, False, False, False, False),
    ],
)
def test_staging_is_for_cuda_outside_capture_and_compilation(
    device: str, cuda: bool, capturing: bool, compiling: bool, wsl: bool, stages: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.cuda, "device", lambda device: contextlib.nullcontext())
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: capturing)
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: compiling)
    monkeypatch.setattr(h2d, "_is_wsl", lambda: wsl)
    assert h2d._can_stage(torch.device(device)) is stages


@pytest.mark.parametrize("name", ["ints", "tensor", "array", "float", "float32 scalar"])
def test_compiles_as_one_graph(name: str) -> None:
    def double(data: Any) -> Any:
        return async_tensor_h2d(data, dtype=torch.float32, device="cpu") * 2

    torch._dynamo.reset()
    compiled = torch.compile(double, backend="eager", fullgraph=True)(DATA[name])
    assert torch.equal(compiled, double(DATA[name]))


@pytest.mark.parametrize(
    "options",
    [{"out": [1]}, {"out": torch.zeros(1), "device": "cpu"}, {"out": torch.zeros(1), "dtype": torch.int64}],
    ids=["not a tensor", "with device", "with dtype"],
)
def test_bad_arguments_are_type_errors(options: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match="async_tensor_h2d"):
        async_tensor_h2d([1], **options)


def test_needs_torch_alone() -> None:
    module = Path(h2d.__file__)
    program = "import sys; sys.modules['numpy'] = None; import h2d; print(h2d.async_tensor_h2d([1, 2.5]).tolist())"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program], cwd=module.parent, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[1.0, 2.5]"


@needs_cuda
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", STAGED)
def test_on_cuda_the_result_is_equal_and_nothing_waits(name: str, dtype: Any) -> None:
    data = DATA[name]
    expected = outcome(lambda: blocking(data, dtype=dtype, device="cuda"))

    def unsynchronised() -> Any:
        torch.cuda.set_sync_debug_mode("error")
        try:
            return async_tensor_h2d(data, dtype=dtype, device="cuda")
        finally:
            torch.cuda.set_sync_debug_mode("default")

    assert outcome(unsynchronised) == expected


@needs_cuda
def test_on_cuda_capture_raises_as_the_blocking_form_does() -> None:
    for copy in (async_tensor_h2d, torch.tensor):
        with pytest.raises(RuntimeError), torch.cuda.graph(torch.cuda.CUDAGraph()):
            copy([1, 2], device="cuda")
        torch.cuda.synchronize()


@needs_cuda
def test_on_cuda_a_pinned_source_may_be_rewritten() -> None:
    source = torch.ones(1 << 20).pin_memory()
    torch.cuda._sleep(100_000_000)
    result = async_tensor_h2d(source, device="cuda")
    source.zero_()
    assert (result == 1).all()
