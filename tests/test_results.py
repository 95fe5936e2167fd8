"""What the result tables say, held against torch and NumPy: every name is looked up, most are called."""

from __future__ import annotations

import importlib
import io
import math
import warnings
from fnmatch import fnmatch
from itertools import islice, product
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy
import pytest
import torch
from torch.distributed._functional_collectives import AsyncCollectiveTensor

from synclint import facts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from synclint.facts import Result

Row = tuple[str, str, str]
CATEGORIES = ("bool", "int", "float", "complex")
TORCH_DTYPES = {"bool": torch.bool, "int": torch.int64, "float": torch.float32, "complex": torch.complex64}
SHAPES: tuple[tuple[int, ...], ...] = ((3, 3), (3,), (2, 3, 3), ())
ARRAYS = (numpy.ndarray, numpy.generic)
HOST = (bool, int, float, complex, str, bytes)
FILES = sorted(set(facts._RESULTS.values()))
# What a call that cannot be made here raises: a dtype that is not implemented, no device, no library.
REFUSALS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    IndexError,
    KeyError,
    NotImplementedError,
    RuntimeError,
    TypeError,
    ValueError,
    numpy.exceptions.AxisError,
    numpy.linalg.LinAlgError,
)


class World(dict[str, Any]):
    """The values that samples name, made when they are asked for.

    ``x`` has ``shape`` and the category ``first``, ``y`` the last axis of it and ``second``; ``m``, ``v``, ``t``,
    ``one`` have fixed shapes and ``first``, ``n`` and ``w`` the shapes of ``m`` and ``v`` and ``second``.
    """

    def __init__(self, shape: tuple[int, ...], first: str, second: str, device: str = "cpu") -> None:
        super().__init__(torch=torch, numpy=numpy, io=io, device=device)
        self.shape, self.first, self.second, self.device = shape, first, second, device

    def __missing__(self, name: str) -> Any:
        make = getattr(self, f"make_{name}", None)
        if make is None:
            raise KeyError(name)
        value = self[name] = make()
        return value

    def array(self, size: tuple[int, ...], category: str) -> Any:
        numbers = torch.arange(math.prod(size), dtype=torch.float32).reshape(size) % 4 / 3
        if category in ("bool", "int"):
            numbers = numbers.round()
        return self.place(numbers.to(TORCH_DTYPES[category]))

    def place(self, tensor: torch.Tensor) -> Any:
        return tensor.to(self.device)

    def make_x(self) -> Any:
        return self.array(self.shape, self.first)

    def make_y(self) -> Any:
        return self.array(self.shape[-1:], self.second)

    def make_m(self) -> Any:
        return self.array((3, 3), self.first)

    def make_n(self) -> Any:
        return self.array((3, 3), self.second)

    def make_v(self) -> Any:
        return self.array((3,), self.first)

    def make_w(self) -> Any:
        return self.array((3,), self.second)

    def make_t(self) -> Any:
        return self.array((2, 3, 3), self.first)

    def make_one(self) -> Any:
        return self.array((1,), self.first)

    def make_spd(self) -> Any:
        """Symmetric and positive definite."""
        return self.place(torch.eye(3) * 3 + 0.5)

    def make_index(self) -> Any:
        return self.place((torch.arange(9) % 3).reshape(3, 3))

    def make_i1(self) -> Any:
        return self.place(torch.arange(3))

    def make_mask(self) -> Any:
        return self.place(torch.eye(3, dtype=torch.bool))

    def make_im1(self) -> Any:
        return torch.ones(1, 4, 8, device=self.device)

    def make_im2(self) -> Any:
        return torch.ones(1, 4, 8, 8, device=self.device)

    def make_im3(self) -> Any:
        return torch.ones(1, 4, 8, 8, 8, device=self.device)

    def make_ones4(self) -> Any:
        return torch.ones(4, device=self.device)

    def make_parameters(self) -> Any:
        parameter = torch.nn.Parameter(torch.ones(2))
        parameter.grad = torch.ones(2)
        return [parameter]

    def make_gradient_of(self) -> Any:
        leaf = torch.ones(2, requires_grad=True)
        return leaf.sum(), leaf

    def make_quantized(self) -> Any:
        return torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.quint8)

    def make_quantized_by_channel(self) -> Any:
        return torch.quantize_per_channel(torch.ones(3, 3), torch.ones(3), torch.zeros(3), 0, torch.quint8)

    def make_rnn(self) -> Any:
        def weights(count: int) -> list[torch.Tensor]:
            return [torch.ones(size, device=self.device) for size in ((count, 4), (count, 4), (count,), (count,))]

        return SimpleNamespace(
            input=torch.ones(2, 3, 4, device=self.device),
            hidden=torch.zeros(1, 3, 4, device=self.device),
            step=torch.ones(3, 4, device=self.device),
            state=torch.zeros(3, 4, device=self.device),
            gru=weights(12),
            lstm=weights(16),
            plain=weights(4),
        )


class NumpyWorld(World):
    """The same, as arrays."""

    def place(self, tensor: torch.Tensor) -> Any:
        return tensor.numpy()


class Call:
    """One call: its arguments, its tensors (or arrays) with their ranks and dtypes from before, and its value."""

    def __init__(self, function: Callable[..., Any], world: World, text: str) -> None:
        self.arrays = ARRAYS if isinstance(world, NumpyWorld) else (torch.Tensor, numpy.ndarray)
        self.arguments, self.keywords = eval(f"(lambda *a, **k: (a, k))({text})", {}, world)
        self.tensors = list(leaves([self.arguments, self.keywords], self.arrays))
        self.ranks = [tensor.ndim for tensor in self.tensors]
        self.categories = [category(tensor) for tensor in self.tensors]
        self.value = function(*self.arguments, **self.keywords)
        for tensor in leaves(self.value, torch.Tensor):
            if isinstance(tensor, AsyncCollectiveTensor):
                tensor.wait()


def leaves(value: Any, kind: type | tuple[type, ...]) -> Iterator[Any]:
    if isinstance(value, kind):
        yield value
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from leaves(part, kind)
    elif isinstance(value, dict):
        yield from leaves(list(value.values()), kind)


def category(value: Any) -> str:
    if not isinstance(value, torch.Tensor):
        return {"b": "bool", "i": "int", "u": "int", "f": "float", "c": "complex"}.get(value.dtype.kind, "other")
    return dtype_category(value.dtype)


def is_dtype(value: Any) -> bool:
    return isinstance(value, torch.dtype) or (isinstance(value, type) and issubclass(value, (numpy.generic, float)))


def dtype_category(dtype: torch.dtype | type) -> str:
    if isinstance(dtype, type):
        return category(numpy.zeros((), dtype))
    if dtype is torch.bool:
        return "bool"
    return "complex" if dtype.is_complex else "float" if dtype.is_floating_point else "int"


def owner_of(name: str) -> Any:
    return {"Tensor": torch.Tensor, "ndarray": numpy.ndarray}.get(name) or importlib.import_module(name)


def read_samples() -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    text = (Path(__file__).parent / "result_samples.txt").read_text(encoding="utf-8")
    for line in text.splitlines():
        if line and not line.startswith("#"):
            names, _, arguments = line.partition(":")
            for name in names.split():
                assert name not in found, f"{name} has two samples"
                found[name] = tuple(part.strip() for part in arguments.split(" | "))
    return found


SAMPLES = read_samples()


def sample_key(row: Row) -> str | None:
    owner, _, name = row
    twin = name.rstrip("_")
    return next((key for key in (f"{owner}.{name}", f"{owner}.{twin}", name, twin) if key in SAMPLES), None)


def samples_of(row: Row, result: Result) -> tuple[str, ...]:
    _, kind, name = row
    key = sample_key(row)
    if key is not None:
        return SAMPLES[key]
    twin = name.rstrip("_")
    outright = facts.method("Tensor", twin) if twin != name else None
    if "broadcast" in (result.rank, outright.rank if outright else ""):
        return ("x, y",)
    takes_nothing = kind == "function" and result.returns not in ("tensor", "tensors", "ndarray", "ndarrays")
    return ("",) if takes_nothing else ("x",)


# Rows that no sample can call here, and why.
NOT_CALLED = {
    "needs a GPU, or would select one": """
        torch.cuda.* torch.accelerator.* torch.xpu.* torch.mps.* torch.cuda.nvtx.* torch.cpu.* Tensor.cuda Tensor.xpu
        Tensor.mtia Tensor.ipu Tensor.pin_memory torch.Stream Tensor.record_stream torch.nn.functional.scaled_mm
        torch.nn.functional.grouped_mm torch.nn.functional.scaled_grouped_mm
        torch.backends.cuda.sdp_kernel torch.autograd.profiler.emit_nvtx
        torch.backends.mps.is_macos_or_newer
        """,
    "needs a second process": """
        torch.distributed.isend torch.distributed.irecv torch.distributed.send torch.distributed.recv
        torch.distributed.send_object_list torch.distributed.recv_object_list torch.distributed.batch_isend_irecv
        torch.distributed.P2POp torch.distributed.split_group torch.distributed.monitored_barrier
        torch.distributed.get_node_local_rank torch.distributed.TCPStore torch.distributed.FileStore
        torch.distributed._functional_collectives.permute_tensor
        """,
    "changes the process, or what other tests see": """
        torch.distributed.init_process_group torch.distributed.destroy_process_group torch.set_num_interop_threads
        torch.compiler.* torch._dynamo.* numpy.seterr torch.profiler.* torch.backends.cuda.*
        """,
    "needs files, a program, or a model": """
        torch.load torch.from_file numpy.load numpy.memmap numpy.fromfile ndarray.tofile torch.onnx.export torch.jit.*
        torch.optim.* torch.optim.lr_scheduler.* torch.distributions.* torch.func.* torch.cond torch.while_loop
        """,
    "is a type, not to be called": """
        torch.distributed.ProcessGroup torch.utils.data.IterableDataset torch.memory_format numpy.random.BitGenerator
        """,
    "no arguments are known that work": "Tensor.slice_inverse torch.slice_inverse",
}
# Names that older releases have: code that runs on them is linted too.
GONE = {"numpy": ("in1d", "trapz", "round_", "row_stack", "float_", "complex_")}
EXEMPT = frozenset(" ".join(NOT_CALLED.values()).split())


def is_exempt(row: Row) -> bool:
    return f"{row[0]}.{row[2]}" in EXEMPT or f"{row[0]}.*" in EXEMPT


def calls(row: Row, result: Result, device: str = "cpu") -> Iterator[Call]:
    """Every sample of a row over shapes and dtypes, as far as torch accepts it."""
    owner, _, name = row
    function = getattr(owner_of(owner), name)
    kind = NumpyWorld if owner.partition(".")[0] in ("numpy", "ndarray") else World
    for text in samples_of(row, result):
        words = set("".join(letter if letter.isalnum() else " " for letter in text).split())
        categories = CATEGORIES if words & {"x", "m", "v", "t", "one"} else ("float",)
        pairs = product(categories, CATEGORIES) if words & {"y", "n", "w"} else ((one, one) for one in categories)
        worlds = [(SHAPES[0], *pair) for pair in pairs]
        if words & {"x", "y"}:
            worlds += [(shape, one, one) for shape in SHAPES[1:] for one in ("float", "int")]
        for world in worlds:
            torch.manual_seed(0)
            try:
                yield Call(function, kind(*world, device), text)
            except REFUSALS:
                continue


def contradictions(result: Result, call: Call) -> Iterator[str]:
    """What the row says that this call contradicts."""
    if not is_kind(result.returns, call.value):
        yield f"returns {type(call.value).__name__}, not {result.returns}"
    elif result.returns in ("tensor", "tensors", "ndarray", "ndarrays"):
        for value in leaves(call.value, call.arrays):
            yield from wrong_rank(result, call, value)
            yield from wrong_dtype(result, call, value)
            yield from wrong_alias(result, call, value)


def is_kind(returns: str, value: Any) -> bool:
    many = isinstance(value, (list, tuple))
    match returns:
        case "tensor":
            return isinstance(value, torch.Tensor)
        case "tensors":
            return many and any(True for _ in leaves(value, torch.Tensor))
        case "ndarray":
            return isinstance(value, (*ARRAYS, int))  # numpy.count_nonzero, before NumPy 2.3
        case "ndarrays":
            return many and any(True for _ in leaves(value, ARRAYS))
        case "host":
            return isinstance(value, HOST)
        case "sequence":
            return many and all(isinstance(part, HOST) for part in value)
        case "nested":
            return isinstance(value, (*HOST, list))
        case "device":
            return value is None or isinstance(value, torch.device)
        case "dtype":
            return isinstance(value, (torch.dtype, numpy.dtype, type))
        case "none":
            return value is None
        case "module":
            return isinstance(value, torch.nn.Module)
        case "object":
            plain = many and not isinstance(value, torch.nn.utils.rnn.PackedSequence)
            return not isinstance(value, (torch.Tensor, *ARRAYS, *HOST)) and not (
                plain and any(True for _ in leaves(value, (torch.Tensor, *ARRAYS)))
            )
    assert returns == "unknown", returns
    return True


def wrong_rank(result: Result, call: Call, value: Any) -> Iterator[str]:
    first = call.ranks[0] if call.ranks else None
    expected: int | None = None
    match result.rank:
        case "same" | "plus-one":
            expected = None if first is None else first + (result.rank == "plus-one")
        case "minus-one":
            expected = None if first is None else max(first - 1, 0)
        case "broadcast":
            expected = max(call.ranks)
        case "0" | "1" | "2":
            expected = int(result.rank)
        case "reduce":
            expected = 0
        case "flat":
            expected = 1
        case "shape":
            expected = shape_rank(call.arguments)
        case "data":
            expected = numpy.ndim(call.arguments[-1])
        case "loss":
            expected = 0 if "reduction" not in call.keywords else None
    if expected is not None and value.ndim != expected:
        yield f"is of rank {value.ndim}, not {result.rank} ({expected}) with arguments of rank {call.ranks}"


def shape_rank(arguments: tuple[Any, ...]) -> int:
    """The length of the first list of numbers among the arguments, or else their count."""
    for argument in arguments:
        if isinstance(argument, (list, tuple)):
            return len(argument)
    return sum(isinstance(argument, int) for argument in arguments)


def wrong_dtype(result: Result, call: Call, value: Any) -> Iterator[str]:
    everything = [*call.arguments, *call.keywords.values()]
    given = [dtype_category(argument) for argument in everything if is_dtype(argument)]
    first = call.categories[0] if call.categories else "float"
    known = [found for found in [*call.categories, *number_categories(everything)] if found in CATEGORIES]
    highest = max(known, key=CATEGORIES.index, default="float")
    expected: set[str] = set(CATEGORIES) | {"other"}
    match result.dtype:
        case "same" | "argument-or-same":
            expected = {first}
        case "promote":
            expected = {highest}
        case "accumulate":
            expected = {"int" if first == "bool" else first}
        case "bool" | "int" | "float" | "complex":
            expected = {result.dtype}
        case "argument":
            expected = {"float"}
        case "data":
            data = list(leaves(call.arguments[-1], (*HOST, *ARRAYS, torch.Tensor)))
            expected = {category(numpy.asarray(data))}
    if given and result.dtype not in ("bool", "complex", "unknown"):
        expected = set(given)
    if "complex" in (first, highest):
        expected |= {"float"} if "complex" in expected else {"complex"} if "float" in expected else set()
    if category(value) not in expected:
        yield f"is {category(value)}, not {result.dtype} with arguments {call.categories}"


def number_categories(values: list[Any]) -> list[str]:
    return [category(numpy.asarray(value)) for value in values if type(value) in (bool, int, float, complex)]


def wrong_alias(result: Result, call: Call, value: Any) -> Iterator[str]:
    if result.alias == "same":
        if value is not call.tensors[0]:
            yield "is not the first itself"
    elif result.alias in ("fresh", "view") and numel(value) and all(map(is_dense, (value, *call.tensors))):
        shares = any(share_memory(value, other) for other in call.tensors)
        if shares != (result.alias == "view"):
            yield f"{'shares' if shares else 'does not share'} memory, not {result.alias}"


def numel(value: Any) -> int:
    return int(value.numel() if isinstance(value, torch.Tensor) else value.size)


def is_dense(value: Any) -> bool:
    """Has plain memory: neither sparse nor nested, nor a wrapper."""
    plain = type(value) in (torch.Tensor, torch.nn.Parameter) and value.layout == torch.strided and not value.is_nested
    return plain or isinstance(value, ARRAYS)


def share_memory(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor) and isinstance(other, numpy.ndarray):
        one = one.numpy()
    if isinstance(one, torch.Tensor):
        return bool(one.untyped_storage().data_ptr() == other.untyped_storage().data_ptr())
    return bool(numpy.may_share_memory(one, other))


def rows_of(owner: str) -> list[tuple[Row, Result]]:
    entries = [entry for entry in facts._results(facts._RESULTS[owner]) if entry.owner == owner]
    return [((owner, entry.kind, name), entry.result) for entry in entries for name in entry.names]


# none is installed for the tests alone
LIBRARIES = ("einops", "triton", "xgrammar", "llguidance.torch", "safetensors.torch")
OWNERS = sorted(owner for owner in facts._RESULTS if owner not in LIBRARIES)
CALLABLE = [owner for owner in OWNERS if owner != "torch.nn" and f"{owner}.*" not in EXEMPT]


@pytest.fixture(scope="module", autouse=True)
def one_process_group() -> Iterator[None]:
    store = owner_of("torch.distributed").HashStore()
    torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    with warnings.catch_warnings(), numpy.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield


@pytest.mark.parametrize("owner", OWNERS)
def test_every_name_exists(owner: str) -> None:
    holder = owner_of(owner)
    missing = [row[2] for row, _ in rows_of(owner) if not hasattr(holder, row[2]) and row[2] not in GONE.get(owner, ())]
    assert missing == []


@pytest.mark.parametrize("owner", CALLABLE)
def test_calls_do_what_the_rows_say(owner: str) -> None:
    wrong, never = [], []
    for row, result in rows_of(owner):
        if row[1] == "attribute" or is_exempt(row) or row[2] in GONE.get(owner, ()):
            continue
        called = list(calls(row, result))
        found = {text for call in called for text in contradictions(result, call)}
        wrong += [f"{row[2]} {text}" for text in sorted(found)]
        if not called:
            never.append(row[2])
    assert wrong == []
    assert never == []


def test_every_sample_is_used() -> None:
    assert set(SAMPLES) == {sample_key(row) for owner in OWNERS for row, _ in rows_of(owner) if not is_exempt(row)} - {
        None
    }


def test_most_rows_are_called() -> None:
    called = sum(not is_exempt(row) for owner in CALLABLE for row, _ in rows_of(owner) if row[1] != "attribute")
    assert called >= 2100


@pytest.mark.parametrize("owner", [owner for owner in CALLABLE if not owner.startswith(("numpy", "ndarray"))])
def test_results_are_where_the_rows_say(owner: str) -> None:
    """On the meta device: what follows its arguments is there too, and the default device decides for factories."""
    wrong = []
    for row, result in rows_of(owner):
        if result.returns not in ("tensor", "tensors") or row[1] == "attribute" or is_exempt(row):
            continue
        if result.device in ("first", "all", "like"):
            wrong += [row[2] for call in islice(calls(row, result, "meta"), 4) if moves(call)]
        if result.device in ("factory", "cpu"):
            with torch.device("meta"):
                found = {
                    tensor.device.type
                    for call in calls(row, result)
                    if not any(isinstance(tensor, torch.Tensor) for tensor in call.tensors)
                    for tensor in leaves(call.value, torch.Tensor)
                }
            if found - {"meta" if result.device == "factory" else "cpu"}:
                wrong.append(row[2])
        if result.device in ("factory", "like"):
            wrong += [row[2] for call in islice(calls(row, result), 4) if not obeys_device(row, call)]
        elementwise = result.returns == "tensor" and result.rank == "broadcast" and samples_of(row, result) == ("x, y",)
        if elementwise and result.device == "all" and leads_to_host(getattr(owner_of(owner), row[2])):
            wrong.append(row[2])
    assert sorted(set(wrong)) == []


def leads_to_host(function: Callable[..., Any]) -> bool:
    """Whether a 0-d CPU tensor as the first operand decides where the result is."""
    try:
        value = function(torch.ones((), dtype=torch.int64), torch.ones(3, dtype=torch.int64, device="meta"))
    except RuntimeError:  # the meta kernel is stricter than others, or wants floats
        return False
    return bool(value.device.type != "meta")


def moves(call: Call) -> bool:
    """Whether a call leaves the meta device that all its tensors are on."""
    return all(tensor.device.type == "meta" for tensor in call.tensors if isinstance(tensor, torch.Tensor)) and any(
        tensor.device.type != "meta" for tensor in leaves(call.value, torch.Tensor)
    )


def obeys_device(row: Row, call: Call) -> bool:
    try:
        value = getattr(owner_of(row[0]), row[2])(*call.arguments, **{**call.keywords, "device": "meta"})
    except (NotImplementedError, RuntimeError):  # what torch.asarray and the sparse factories do for meta
        return True
    return bool(value.device.type == "meta")


# Rows whose `dim` comes after another parameter, and what to give for that one.
BEFORE_DIM = {"norm": 2, "vector_norm": 2, "quantile": 0.5, "nanquantile": 0.5, "percentile": 50, "nanpercentile": 50}


@pytest.mark.parametrize("owner", ["torch", "Tensor", "torch.linalg", "numpy", "ndarray", "numpy.linalg"])
def test_dim_is_where_the_rows_say(owner: str) -> None:
    matrix = numpy.ones((3, 2)) if "n" in owner[:2] else torch.ones(3, 2)
    wrong = []
    for row, result in rows_of(owner):
        if result.dim is None:
            continue
        position = result.dim + (row[1] == "method")
        before = [False] * (position - 1) if result.variant == "flag" else [BEFORE_DIM.get(row[2], 2)] * (position - 1)
        arguments = [matrix, *before, 0]
        value = getattr(owner_of(owner), row[2])(*arguments)
        rank = 2 if result.rank == "flat" and row[2] != "flatten" else 1
        if {part.ndim for part in leaves(value, (torch.Tensor, *ARRAYS))} != {rank}:
            wrong.append(row[2])
        if isinstance(value, tuple) != (result.variant == "dim" or result.returns == "tensors"):
            wrong.append(row[2])
    assert wrong == []


FLAGS = {"nonzero": "as_tuple", "unique": "return_counts", "unique_consecutive": "return_counts"}


def test_variants() -> None:
    """What a row's variant says that a call gives instead."""
    matrix = torch.eye(4)
    image = {"1d": torch.ones(1, 4, 8), "2d": torch.ones(1, 4, 8, 8), "3d": torch.ones(1, 4, 8, 8, 8)}
    seen = set()
    for owner in ("torch", "Tensor", "torch.nn.functional", "numpy"):
        for row, result in rows_of(owner):
            name, variant = row[2], result.variant
            first: Any = matrix.numpy() if owner == "numpy" else matrix
            function: Any = getattr(owner_of(owner), name, None)
            several = (tuple, list)
            if variant == "flag" and name.endswith("d"):
                size = {"output_size": 2} if "fractional" in name else {}
                assert isinstance(function(image[name[-2:]], 2, return_indices=True, **size), several), row
            elif variant == "flag":
                assert isinstance(function(first, **{FLAGS[name]: True}), several), row
            elif variant == "alone":
                assert isinstance(function(first), several), row
            elif variant == "bare":
                assert isinstance(function(first), str), row
            elif variant == "index":
                assert isinstance(function(first, 0), int), row
            elif variant == "dim" and name in ("max", "min"):
                assert isinstance(function(first, first), torch.Tensor), row
            seen.add(variant)
    assert seen == {"", "flag", "alone", "bare", "index", "dim"}


@pytest.mark.parametrize("owner", ["Tensor", "ndarray", "torch", "numpy"])
def test_attributes_are_what_the_rows_say(owner: str) -> None:
    by_owner: dict[str, list[Any]] = {
        "Tensor": [torch.ones(2, 3), torch.ones(2, 3, dtype=torch.complex64), torch.ones(2, 3, requires_grad=True)],
        "ndarray": [numpy.ones((2, 3)), numpy.ones((2, 3), dtype=complex)],
    }
    holders = by_owner.get(owner) or [owner_of(owner)]
    wrong = []
    for row, result in rows_of(owner):
        if row[1] != "attribute":
            continue
        found = []
        for holder in holders:
            try:
                found.append((holder, getattr(holder, row[2])))
            except RuntimeError:  # imag of a real tensor
                continue
        for holder, value in found:
            if value is None and row[2] in ("grad", "grad_fn", "base", "name", "grad_dtype"):
                continue
            if not is_kind(result.returns, value):
                wrong.append(row[2])
            elif isinstance(value, (torch.Tensor, numpy.ndarray)):
                if result.rank == "same" and value.ndim != holder.ndim:
                    wrong.append(row[2])
                if result.alias == "view" and row[2] != "imag" and not share_memory(value, holder):
                    wrong.append(row[2])
                if result.dtype == "same" and value.dtype != holder.dtype:
                    wrong.append(row[2])
        if not found:
            wrong.append(row[2])
    assert wrong == []


def test_modules_are_modules() -> None:
    wrong = [
        row[2]
        for row, result in rows_of("torch.nn")
        if issubclass(getattr(torch.nn, row[2]), torch.nn.Module) != (result.returns == "module")
    ]
    assert wrong == []
    assert torch.nn.Linear(2, 3, device="meta").weight.device.type == "meta"


# Public names that need no row: they raise, they are types, or they are parts of other devices' and older back ends.
NO_ROW = {
    "Tensor": "cholesky eig index lstsq map2_ map_ module_load reinforce solve symeig",
    "torch": """
        range affine_grid_generator choose_qparams_optimized dsmm hsmm hspmm native_norm saddmm spmm sym_ite
        fused_moving_avg_obs_fake_quant batch_norm_* fbgemm_* miopen_* quantized_* *indices_copy values_copy
        """,
    "torch.nn.functional": "Callable DType Optional *Type Tensor assert_int_or_pair boolean_dispatch *_torch_function*",
    "torch.linalg": "LinAlgError",
    "torch.fft": "Tensor",
}


@pytest.mark.parametrize(
    "owner", ["torch", "Tensor", "torch.nn.functional", "torch.linalg", "torch.fft", "torch.special"]
)
def test_every_public_name_has_a_row(owner: str) -> None:
    holder = owner_of(owner)
    if owner == "torch":
        functions = torch.overrides.get_overridable_functions()[torch]
        names = [found.__name__ for found in functions if hasattr(torch, found.__name__)]
    else:
        names = [name for name in getattr(holder, "__all__", dir(holder)) if callable(getattr(holder, name, None))]
    known = {row[2] for row, _ in rows_of(owner)}
    without = [name for name in names if name not in known and not name.startswith("_")]
    patterns = NO_ROW.get(owner, "").split()
    assert [name for name in without if not any(fnmatch(name, pattern) for pattern in patterns)] == []


def test_other_names_of_an_owner_are_the_same() -> None:
    for other, owner in facts._SAME_OWNER.items():
        for row, _ in rows_of(owner):
            one, two = (getattr(owner_of(holder), row[2], None) for holder in (other, owner))
            deprecated = other == "torch.cuda.amp"
            assert one is None or one is two or deprecated, f"{other}.{row[2]}"


@pytest.mark.parametrize(
    ("dotted", "arguments"),
    [
        ("einops.rearrange", (torch.ones(2, 3), "a b -> b a")),
        ("einops.reduce", (torch.ones(2, 3), "a b -> a", "sum")),
        ("einops.repeat", (torch.ones(2), "a -> a 2")),
        ("einops.einsum", (torch.ones(2), torch.ones(2), "a, a ->")),
        ("einops.pack", ([torch.ones(2), torch.ones(3, 2)], "* a")),
        ("einops.asnumpy", (torch.ones(2),)),
        ("einops.parse_shape", (torch.ones(2, 3), "a b")),
        ("einops.unpack", (torch.ones(4, 2), [[], [3]], "* a")),
        ("triton.cdiv", (torch.tensor(5), 2)),
        ("triton.next_power_of_2", (5,)),
    ],
)
def test_libraries_around_torch(dotted: str, arguments: tuple[Any, ...]) -> None:
    owner, _, name = dotted.rpartition(".")
    library = pytest.importorskip(owner)
    result = facts.function(dotted)
    assert result is not None
    value = getattr(library, name)(*arguments)
    assert is_kind(result.returns, value)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (facts.function("torch.functional.einsum"), facts.function("torch.einsum")),
        (facts.function("torch.nothing"), None),
        (facts.function("nothing.at.all"), None),
        (facts.function("torch"), None),
        (facts.method("Tensor", "shape"), None),
        (facts.attribute("Tensor", "item"), None),
        (facts.method("list", "append"), None),
    ],
)
def test_looking_up(found: Result | None, expected: Result | None) -> None:
    assert found is expected
