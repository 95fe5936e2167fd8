"""What operations on tensors give, by the results tables."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from synclint.facts import Result
from synclint.finding import Confidence
from synclint.flow.lattice import HOST, NONE, OBJECT, UNKNOWN, element_of
from synclint.flow.places import CPU_DEVICE, as_device, combine
from synclint.flow.values import Dtype, Kind, Place, Value, Why

if TYPE_CHECKING:
    from synclint.flow.frame import Frame

#: Categories from the lowest to the highest, as type promotion ranks them.
DTYPE_ORDER = (Dtype.BOOL, Dtype.INT, Dtype.FLOAT, Dtype.COMPLEX)
_DTYPES = {"bool": Dtype.BOOL, "int": Dtype.INT, "float": Dtype.FLOAT, "complex": Dtype.COMPLEX}
_PLAIN: dict[str, Value] = {
    "host": HOST,
    "sequence": Value(Kind.SEQUENCE, element=HOST),
    "nested": Value(Kind.SEQUENCE, element=UNKNOWN),
    "none": NONE,
    "object": OBJECT,
    "unknown": UNKNOWN,
    "module": Value(Kind.MODULE),
    "dtype": Value(Kind.DTYPE),
    "ndarray": Value(Kind.NDARRAY),
    "ndarrays": Value(Kind.SEQUENCE, element=Value(Kind.NDARRAY)),
}


def apply_result(
    frame: Frame,
    result: Result,
    arguments: Sequence[Value],
    keywords: Mapping[str, Value],
    node: ast.expr,
    *,
    receiver: Value | None = None,
) -> Value:
    """The value that a row of the results tables gives for these arguments.

    ``arguments`` include the receiver of a method, first.
    """
    returns = result.returns
    plain = _PLAIN.get(returns)
    if plain is not None:
        if result.variant == "index" and (len(arguments) > (receiver is not None) or keywords):
            return HOST
        if returns == "nested" and arguments:
            return _as_list(arguments[0])
        return plain
    if returns == "device":
        place = Place.CUDA if result.device == "cuda" else Place.CPU if result.device == "cpu" else Place.UNKNOWN
        if result.device == "first" and arguments:
            return Value(Kind.DEVICE, arguments[0].place, sure=arguments[0].sure, origin=arguments[0].origin)
        return Value(Kind.DEVICE, place)
    out = keywords.get("out")
    if out is not None and out.kind is Kind.TENSOR:
        return out.replace(fresh=False)
    extra = arguments[1:] if receiver is not None else arguments
    if result.variant == "numbers" and next(_tensors(arguments, keywords), None) is None:
        return HOST
    variant = _variant(result, extra, keywords, receiver is not None)
    if variant == "host":
        return HOST
    tensor = _tensor(frame, result, arguments, keywords, node, receiver is not None)
    if variant == "tensors" and isinstance(node, ast.Call) and _called(node) in ("nonzero", "where"):
        tensor = tensor.replace(rank=1, dtype=Dtype.INT)  # one index tensor for each dimension
    if returns == "mapping":  # a device without its keyword is not looked at
        return Value(Kind.MAPPING, element=tensor.replace(fresh=False)) if len(extra) < 2 else UNKNOWN
    if returns == "tensors" or variant == "tensors":
        return Value(Kind.SEQUENCE, element=tensor.replace(fresh=result.alias == "fresh"))
    return tensor


def _called(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def _variant(result: Result, extra: Sequence[Value], keywords: Mapping[str, Value], method: bool) -> str:
    variant = result.variant
    if variant == "dim":
        position = result.dim if result.dim is not None else 0
        given = keywords.get("dim") or (extra[position] if position < len(extra) else None)
        is_dim = given is not None and given.kind is not Kind.TENSOR and not isinstance(given.const, bool)
        return "tensors" if is_dim else ""
    if variant == "flag":
        flagged = any(v.const is True for v in keywords.values()) or any(v.const is True for v in extra)
        return "tensors" if flagged else ""
    if variant == "alone":
        return "tensors" if len(extra) + len(keywords) == 1 else ""
    if variant == "bare":
        return "" if extra or keywords else "host"
    if variant == "index":
        return "host" if extra or "dim" in keywords else ""
    return ""


def _tensors(arguments: Sequence[Value], keywords: Mapping[str, Value]) -> Iterator[Value]:
    for value in (*arguments, *keywords.values()):
        if value.kind is Kind.TENSOR:
            yield value
        elif value.kind is Kind.SEQUENCE:
            for part in value.items if value.items is not None else (value.element,):
                if part is not None and part.kind is Kind.TENSOR:
                    yield part


def _tensor(
    frame: Frame,
    result: Result,
    arguments: Sequence[Value],
    keywords: Mapping[str, Value],
    node: ast.expr,
    method: bool,
) -> Value:
    first = next(_tensors(arguments, keywords), None)
    place, sure, certainty, why = Place.UNKNOWN, Confidence.CERTAIN, Confidence.CERTAIN, None
    origin = None
    pinned: bool | None = False
    rule = result.device
    if rule == "cpu":
        place = Place.CPU
    elif rule == "cuda":
        place = Place.CUDA
    elif rule in ("factory", "like"):
        given = keywords.get("device")
        if rule == "factory" or (given is not None and given.kind is not Kind.NONE):
            return _factory(frame, result, arguments, keywords, node, method)
        if first is not None:
            place, sure, certainty, why, origin = first.place, first.sure, first.certainty, first.why, first.origin
        pinned = _flag(keywords.get("pin_memory"), False)
    else:
        source = first if rule == "first" else combine(_tensors(arguments, keywords))
        subject = arguments[0] if arguments else None
        unknown = subject is not None and subject.kind is Kind.UNKNOWN and subject.place is not Place.CPU
        if source is None and unknown and frame.in_model_code:
            place, sure = Place.ACCELERATOR, Confidence.LIKELY
            why = Why(node.lineno, "computed by model code: on the accelerator by convention")
        if source is not None:
            place, sure, certainty, why, origin = (
                source.place, source.sure, source.certainty, source.why, source.origin,
            )  # fmt: skip
            if result.alias in ("view", "same", "maybe") and first is not None:
                pinned = first.pinned
    return Value(
        Kind.TENSOR,
        place,
        certainty=certainty,
        sure=sure,
        pinned=pinned,
        dense=True if result.alias == "fresh" else (first.dense if first and result.alias == "same" else None),
        leaf=first.leaf if first is not None and result.alias == "same" else None,
        rank=_rank(result, arguments, keywords, first, method),
        length=first.length if first is not None and result.alias == "same" else None,
        dtype=_dtype(result, keywords, first, arguments),
        fresh=result.alias == "fresh" or (first is not None and first.fresh and result.alias != "same"),
        origin=origin,
        why=why,
    )


def _factory(
    frame: Frame,
    result: Result,
    arguments: Sequence[Value],
    keywords: Mapping[str, Value],
    node: ast.expr,
    method: bool,
) -> Value:
    given = keywords.get("device")
    device = target_device(frame, given)
    first = next(_tensors(arguments, keywords), None)
    text = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
    rank = _rank(result, arguments, keywords, first, method)
    if rank is None and result.rank == "shape" and isinstance(node, ast.Call) and "size" not in keywords:
        rank = _rank_of_sizes(node.args)
    return Value(
        Kind.TENSOR,
        device.place,
        sure=device.sure,
        pinned=_flag(keywords.get("pin_memory"), False),
        dense=True,
        leaf=True,
        rank=rank,
        length=_length(result, arguments, method),
        dtype=_dtype(result, keywords, first, arguments),
        fresh=True,
        origin=device.origin,
        why=Why(node.lineno, f"`{text}(...)` makes a tensor {where(device.place)}", device.why),
    )


def _rank_of_sizes(nodes: Sequence[ast.expr]) -> int | None:
    """The rank that ``torch.zeros(...)`` makes, where the sizes can be nothing but numbers, by how they are written."""
    if any(isinstance(node, ast.Starred) for node in nodes):
        return None
    if len(nodes) != 1:
        return len(nodes) or None
    size = nodes[0]
    if isinstance(size, ast.BinOp) and isinstance(size.op, (ast.Add, ast.Sub, ast.FloorDiv)):
        numbers = [part for part in (size.left, size.right) if isinstance(part, ast.Constant)]
        return 1 if any(isinstance(part.value, int) for part in numbers) else None
    return None


def _length(result: Result, arguments: Sequence[Value], method: bool) -> int | None:
    """The elements of ``torch.zeros(3)`` or ``torch.arange(3)``, where one number says so."""
    sizes = arguments[1:] if method else arguments
    if len(sizes) == 1 and result.rank in ("shape", "1") and type(sizes[0].const) is int and sizes[0].const >= 0:
        return int(sizes[0].const)
    return None


def target_device(frame: Frame, given: Value | None) -> Value:
    """Where a factory puts its tensor: the device given, else the default device."""
    if given is not None and given.kind is not Kind.NONE:
        return as_device(given) or Value(Kind.DEVICE, Place.UNKNOWN, origin=given.origin)
    return frame.default_device or CPU_DEVICE


def where(place: Place) -> str:
    return {
        Place.CUDA: "on CUDA",
        Place.ACCELERATOR: "on the accelerator",
        Place.CPU: "in host memory",
        Place.EITHER: "on either side",
        Place.OTHER: "on another device",
    }.get(place, "on a device not known")


def _flag(value: Value | None, default: bool) -> bool | None:
    if value is None:
        return default
    return value.const if isinstance(value.const, bool) else None


def _rank(
    result: Result, arguments: Sequence[Value], keywords: Mapping[str, Value], first: Value | None, method: bool
) -> int | None:
    rule = result.rank
    rank = first.rank if first is not None else None
    if rule == "same":
        return rank
    if rule in ("0", "1", "2"):
        return int(rule)
    if rule == "reduce":
        extra = arguments[1:] if method else arguments
        position = result.dim
        if "dim" in keywords or "axis" in keywords or "keepdim" in keywords:
            return None
        if position is not None and position < len(extra):
            return None
        return 0
    if rule == "plus-one":
        return None if rank is None else rank + 1
    if rule == "minus-one":
        return None if rank is None else max(rank - 1, 0)
    if rule == "broadcast":
        ranks = [value.rank for value in _tensors(arguments, keywords)]
        return max(rank for rank in ranks if rank is not None) if ranks and None not in ranks else None
    if rule == "shape":
        sizes = arguments[1:] if method else arguments
        shape = keywords.get("size") or (sizes[0] if sizes else None)
        if shape is not None and shape.kind is Kind.SEQUENCE:
            return shape.length
        if sizes and all(size.kind is Kind.HOST for size in sizes):
            return len(sizes)
        return None
    if rule == "loss":
        return None if "reduction" in keywords else 0
    if rule == "flat":
        return None if "dim" in keywords else 1
    if rule == "data":
        sizes = arguments[1:] if method else arguments
        return rank_of_data(sizes[0]) if sizes else None
    return None


def rank_of_data(data: Value) -> int | None:
    """The rank of the tensor that ``torch.tensor(data)`` makes."""
    if data.kind is Kind.HOST:
        return 0
    if data.kind in (Kind.TENSOR, Kind.NDARRAY):
        return data.rank
    if data.kind is Kind.SEQUENCE:
        element = element_of(data)
        inner = rank_of_data(element) if element is not None else None
        return None if inner is None else inner + 1
    return None


def _dtype(
    result: Result, keywords: Mapping[str, Value], first: Value | None, arguments: Sequence[Value]
) -> Dtype | None:
    rule = result.dtype
    given = keywords.get("dtype")
    if given is not None and given.kind is Kind.DTYPE:
        return given.dtype
    if given is not None and given.kind is not Kind.NONE:
        return None
    if rule in _DTYPES:
        return _DTYPES[rule]
    if rule == "accumulate" and first is not None:
        return Dtype.INT if first.dtype is Dtype.BOOL else first.dtype
    if rule == "promote":
        dtypes = [value.dtype for value in _tensors(arguments, keywords)]
        dtypes += [value.dtype for value in arguments if value.kind is Kind.HOST and value.dtype is not None]
        return (
            max((d for d in dtypes if d is not None), key=DTYPE_ORDER.index) if dtypes and None not in dtypes else None
        )
    if rule == "argument":
        return Dtype.FLOAT
    if rule in ("same", "argument-or-same") and first is not None:
        return first.dtype
    if rule == "data" and arguments:
        return dtype_of_data(arguments[-1])
    return None


def dtype_of_data(data: Value) -> Dtype | None:
    if data.kind is Kind.SEQUENCE:
        element = element_of(data)
        return dtype_of_data(element) if element is not None else None
    return data.dtype


def _as_list(tensor: Value) -> Value:
    """``tolist()``: a number, or nested lists of numbers."""
    if tensor.rank == 0:
        return HOST
    if tensor.rank == 1:
        return Value(Kind.SEQUENCE, element=HOST)
    if tensor.rank == 2:
        return Value(Kind.SEQUENCE, element=Value(Kind.SEQUENCE, element=HOST))
    return Value(Kind.SEQUENCE, element=HOST)
