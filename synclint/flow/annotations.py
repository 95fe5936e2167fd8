"""What an annotation says about a value."""

from __future__ import annotations

import ast
from collections.abc import Callable
from functools import lru_cache

from synclint.finding import Confidence
from synclint.flow.lattice import HOST, NONE, OBJECT, UNKNOWN, join_all
from synclint.flow.origins import Called, Named
from synclint.flow.values import Dtype, Kind, Place, Value
from synclint.index.names import dotted_name

_TENSOR = Value(Kind.TENSOR)
_STREAMS = ("torch.cuda.Stream", "torch.Stream", "torch.cuda.Event", "torch.Event")
_NAMES: dict[str, Value] = {
    "torch.Tensor": _TENSOR,
    "torch.LongTensor": Value(Kind.TENSOR, dtype=Dtype.INT),
    "torch.IntTensor": Value(Kind.TENSOR, dtype=Dtype.INT),
    "torch.ByteTensor": Value(Kind.TENSOR, dtype=Dtype.INT),
    "torch.BoolTensor": Value(Kind.TENSOR, dtype=Dtype.BOOL),
    # Written where any floating tensor is meant, and where any tensor is.
    "torch.FloatTensor": _TENSOR,
    "torch.HalfTensor": _TENSOR,
    "torch.cuda.FloatTensor": Value(Kind.TENSOR, Place.CUDA),
    "torch.cuda.LongTensor": Value(Kind.TENSOR, Place.CUDA),
    **{name: Value(Kind.EXTERNAL, ref=name) for name in _STREAMS},
    "torch.nn.Parameter": _TENSOR,
    "torch.nn.Module": Value(Kind.MODULE),
    "torch.device": Value(Kind.DEVICE, Place.ACCELERATOR, sure=Confidence.LIKELY),
    "torch.dtype": Value(Kind.DTYPE),
    "torch.Size": Value(Kind.SEQUENCE, element=HOST),
    "numpy.ndarray": Value(Kind.NDARRAY),
    "numpy.typing.NDArray": Value(Kind.NDARRAY),
    "None": NONE,
    **dict.fromkeys(("int", "float", "bool", "str", "bytes", "complex", "slice", "range"), HOST),
    **dict.fromkeys(("type", "pathlib.Path", "datetime.datetime"), OBJECT),
}
_CONTAINERS = frozenset(
    """
    list tuple set frozenset deque Sequence Iterable Iterator Generator Collection List Tuple Set Deque
    MutableSequence
    """.split()
)
_TUPLES = frozenset(("tuple", "Tuple"))
_MAPPINGS = frozenset(
    """
    dict Dict Mapping MutableMapping OrderedDict defaultdict DefaultDict
    """.split()
)
_TENSOR_LIKE = frozenset(
    """
    Float Int Bool Num Shaped Integer UInt8 Int32 Int64 Float32
    """.split()
)  # jaxtyping

Resolver = Callable[[str], Value | str]


def annotated(node: ast.expr | None, resolve: Resolver) -> Value:
    """The value that an annotation promises; UNKNOWN when it says nothing.

    ``resolve`` maps a dotted name as written to its canonical name, or to a value when it is a class of the file.
    """
    if node is None:
        return UNKNOWN
    if isinstance(node, ast.Constant):
        if node.value is None:
            return NONE
        parsed = _parse(node.value) if isinstance(node.value, str) else None
        return annotated(parsed, resolve)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return _union([annotated(node.left, resolve), annotated(node.right, resolve)])
    if isinstance(node, ast.Subscript):
        return _subscripted(node, resolve)
    name = dotted_name(node)
    if name is None:
        return UNKNOWN
    resolved = resolve(name)
    if isinstance(resolved, Value):
        return resolved
    known = _NAMES.get(resolved)
    if known is not None:
        return known
    last = resolved.rpartition(".")[2]
    if last in _CONTAINERS:
        return Value(Kind.SEQUENCE)
    if last in _MAPPINGS:
        return Value(Kind.MAPPING)
    named = "." in resolved and last[:1].isupper() and not resolved.startswith("typing.")
    return Value(origin=Called(Named(resolved))) if named else UNKNOWN


def _subscripted(node: ast.Subscript, resolve: Resolver) -> Value:
    name = dotted_name(node.value)
    if name is None:
        return UNKNOWN
    resolved = resolve(name)
    if isinstance(resolved, Value):
        return resolved
    last = resolved.rpartition(".")[2]
    inner = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    if last == "Optional":
        return _union([annotated(inner[0], resolve), NONE])
    if last == "Union":
        return _union([annotated(part, resolve) for part in inner])
    if last in ("Annotated", "Final", "ClassVar", "Required", "NotRequired"):
        return annotated(inner[0], resolve)
    if last in ("tuple", "Tuple") and not any(isinstance(part, ast.Constant) and part.value is ... for part in inner):
        return Value(Kind.SEQUENCE, items=tuple(annotated(part, resolve) for part in inner), ref="tuple")
    if last in _CONTAINERS:
        return Value(Kind.SEQUENCE, element=annotated(inner[0], resolve), ref="tuple" if last in _TUPLES else None)
    if last in _MAPPINGS:
        return Value(Kind.MAPPING, element=annotated(inner[-1], resolve))
    if last == "Literal":
        return HOST
    if last in _TENSOR_LIKE and "jaxtyping" in resolved:
        return _TENSOR
    return _NAMES.get(resolved, UNKNOWN)


def _union(parts: list[Value]) -> Value:
    """A tensor or something else is not surely a tensor; a sequence of tensors or a tensor is neither."""
    rest = [part for part in parts if part.kind is not Kind.NONE]
    devices = [part for part in rest if part.kind is Kind.DEVICE]
    if devices:  # `torch.device | str | int`
        return devices[0]
    value = join_all(rest)
    if len(rest) > 1 and any(part.kind is Kind.UNKNOWN for part in rest):
        value = UNKNOWN
    elif value.kind is Kind.TENSOR and any(part.kind is not Kind.TENSOR for part in rest):
        lists = [part.element for part in rest if part.kind is not Kind.TENSOR]
        held = _TENSOR if all(one is not None and one.kind is Kind.TENSOR for one in lists) else None
        value = value.replace(certainty=Confidence.POSSIBLE, element=held)
    if len(rest) < len(parts) and value.kind is not Kind.UNKNOWN:
        value = value.replace(optional=True)
    return value


@lru_cache(maxsize=4096)
def _parse(text: str) -> ast.expr | None:
    try:
        return ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
