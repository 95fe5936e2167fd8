"""Calls of torch and methods of tensors: which argument is which operand of a fact, and which are read as numbers."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from synclint.facts import facts_for, may_be_reported
from synclint.finding import Confidence
from synclint.flow.conventions import is_device_interface
from synclint.flow.lattice import UNKNOWN
from synclint.flow.values import Keywords, Kind, Place, Value, Why

if TYPE_CHECKING:
    from synclint.flow.frame import Frame


class Argument(NamedTuple):
    """An operand of facts: where it stands in a call (after the tensor, the first argument of all) and its names."""

    operand: str
    position: int
    names: tuple[str, ...]


# By the last part of the spelling. ``self`` is always the tensor.
_OPERANDS: dict[str, tuple[Argument, ...]] = {
    **dict.fromkeys(
        ("masked_fill", "masked_fill_"), (Argument("mask", 0, ("mask",)), Argument("value", 1, ("value",)))
    ),
    **dict.fromkeys(
        ("masked_scatter", "masked_scatter_"), (Argument("mask", 0, ("mask",)), Argument("value", 1, ("source",)))
    ),
    "index_put_": (Argument("index", 0, ("indices",)), Argument("value", 1, ("values",))),
    "repeat_interleave": (Argument("repeats", 0, ("repeats",)), Argument("output-size", 2, ("output_size",))),
    "searchsorted": (Argument("sorter", -1, ("sorter",)),),
}
_FLAGS = {
    "isin": (("assume-unique", "assume_unique"),),
    "segment_reduce": (("unsafe", "unsafe"),),
    "index_put_": (("accumulate", "accumulate"),),
}

# Whose arguments are numbers: all of them, or those at these positions (after the tensor, of methods) and names.
_SIZES = frozenset(
    ("zeros", "ones", "empty", "rand", "randn", "arange", "linspace", "eye", "randperm", "randint", "Size")
)
_NUMBERS: dict[str, tuple[int, ...]] = {
    **dict.fromkeys(
        ("view", "reshape", "expand", "repeat", "tile", "new_zeros", "new_ones", "new_empty"), tuple(range(6))
    ),
    **dict.fromkeys(("split", "chunk", "topk", "unbind", "new_full"), (0,)),
    **dict.fromkeys(("narrow", "unflatten", "roll"), (0, 1, 2)),
    **dict.fromkeys(("split_with_sizes", "pad"), (0,)),
    "select": (0, 1),
}
_NUMBER_NAMES = frozenset(
    ("size", "end", "start", "steps", "n", "k", "length", "shape", "split_size", "split_size_or_sections")
)


def emit_function(frame: Frame, node: ast.Call, dotted: str, arguments: Sequence[Value], keywords: Keywords) -> None:
    """The sites of ``torch.name(...)``, by its own facts or by those of the method of that name."""
    owner, _, name = dotted.rpartition(".")
    first = arguments[0] if arguments else keywords.get("input", UNKNOWN)
    if dotted in _WITHOUT_TENSOR or not (arguments or keywords):
        frame.emit(dotted, node, {}, {})
        return
    nodes = list(node.args)
    if owner == "torch" and name == "Size" and first.kind is Kind.TENSOR and first.rank != 0:
        frame.emit("iter(Tensor)", node, {"self": first}, {"self": nodes[0]})
    elif owner == "torch" and name in _SIZES:
        _read_numbers(frame, zip(nodes, arguments, strict=False), unranked=True)
        _read_keywords(frame, node, keywords)
    if owner == "torch" and name in _SIZES:
        return
    if name == "where" and len(arguments) + len(keywords) == 1:
        dotted = "torch.nonzero"  # the positions of what is true
    if first.kind is Kind.TENSOR:
        spelling = dotted if facts_for(dotted) else f"Tensor.{name}" if owner == "torch" else ""
        emit_operation(frame, node, spelling, first, arguments[1:], keywords, nodes)
        if owner in ("torch", "torch.nn.functional"):
            read_sizes(frame, node, name, arguments[1:], keywords, nodes[1:])


#: Functions that wait whatever they are given.
_WITHOUT_TENSOR = frozenset(
    (
        "torch.cuda.synchronize",
        "torch.accelerator.synchronize",
        "torch.cuda.empty_cache",
        "torch.accelerator.empty_cache",
    )
)


def emit_operation(
    frame: Frame,
    node: ast.Call,
    spelling: str,
    tensor: Value,
    arguments: Sequence[Value],
    keywords: Keywords,
    nodes: Sequence[ast.expr],
) -> None:
    """The sites of an operation on ``tensor``. ``nodes`` are the expressions of ``tensor`` and of ``arguments``."""
    if not facts_for(spelling):
        return
    operands, expressions = {"self": tensor}, dict(zip(("self",), nodes, strict=False))
    extra = nodes[1:]
    name = spelling.rpartition(".")[2]
    flags: dict[str, bool | None] = {flag: boolean(keywords.get(key)) for flag, key in _FLAGS.get(name, ())}
    if name == "copy_":
        source = arguments[0] if arguments else keywords.get("other", UNKNOWN)
        operands["source"] = source if source.kind is Kind.TENSOR else _perhaps(source)
        if extra:
            expressions["source"] = extra[0]
        flags["non-blocking"] = boolean(keywords.get("non_blocking") or (arguments[1] if len(arguments) > 1 else None))
    elif name == "tolist":
        operands["target"] = Value(Kind.DEVICE, Place.CPU)
    elif name == "type":  # to another dtype: `torch.FloatTensor` is a copy, and no matter of this function
        operands["target"] = Value(Kind.DEVICE, tensor.place, sure=tensor.sure)
    elif name == "where":
        return  # of tensors alone it does not wait, and numbers go along with the kernel
    elif name == "histc":
        flags["range.given"] = "min" in keywords or "max" in keywords or len(arguments) > 1
    elif name == "isin":
        flags["sorts"] = _sorts(arguments[0]) if arguments else None
    for operand, position, names in _OPERANDS.get(name, ()):
        found = _argument(node, operand, position, names, arguments, keywords, extra)
        if found is not None:
            operands[operand], expression = found
            if expression is not None:
                expressions[operand] = expression
    if name == "repeat_interleave":
        operands["repeats"] = _beside(operands.get("repeats", tensor), tensor)  # torch.repeat_interleave(repeats)
    frame.emit(spelling, node, operands, expressions, flags)


def _beside(other: Value, tensor: Value) -> Value:
    """An operand that must be on the same device as the tensor."""
    if other.kind is not Kind.TENSOR or other.place is not Place.UNKNOWN or not tensor.place.on_accelerator:
        return other
    likely = min(tensor.confidence, Confidence.LIKELY)
    return other.replace(place=tensor.place, certainty=max(other.certainty, likely), sure=likely, why=tensor.why)


def _perhaps(value: Value) -> Value:
    return value.replace(certainty=Confidence.POSSIBLE)


def _sorts(among: Value) -> bool | None:
    """Whether ``torch.isin`` sorts: with ten elements or more, at least."""
    return None if among.length is None else (False if among.length < 10 else None)


def _argument(
    node: ast.Call,
    operand: str,
    position: int,
    names: tuple[str, ...],
    arguments: Sequence[Value],
    keywords: Keywords,
    nodes: Sequence[ast.expr],
) -> tuple[Value, ast.expr | None] | None:
    if 0 <= position < len(arguments):
        return arguments[position], nodes[position] if position < len(nodes) else None
    for keyword in node.keywords:
        if keyword.arg in names:
            return keywords[keyword.arg], keyword.value
    return None


def boolean(value: Value | None) -> bool | None:
    if value is None:
        return False
    return value.const if isinstance(value.const, bool) else None


# Streams and events

_STREAM_NAME = re.compile(r"(?:^|_)streams?$", re.IGNORECASE)
_EVENT_NAME = re.compile(r"(?:^|_)(?:events?|evt|copied|done)$", re.IGNORECASE)

#: What these give is known by the name of its class, whose methods the facts speak of.
_INSTANCES: dict[str, Value] = {
    dotted: Value(Kind.EXTERNAL, ref=ref)
    for ref, makers in {
        "torch.cuda.Stream": (
            "torch.cuda.Stream", "torch.cuda.ExternalStream", "torch.cuda.current_stream", "torch.cuda.default_stream",
        ),
        "torch.Stream": ("torch.Stream", "torch.accelerator.current_stream"),
        "torch.cuda.Event": ("torch.cuda.Event", "torch.cuda.Stream.record_event"),
        "torch.Event": ("torch.Event", "torch.Stream.record_event"),
    }.items()
    for dotted in makers
}  # fmt: skip


def stream_or_event(dotted: str) -> Value | None:
    """The stream or event that a call gives, None where it gives none."""
    return _INSTANCES.get(dotted)


def copied_by_helper(dotted: str, line: int) -> Value | None:
    """What ``async_tensor_h2d(data, device=...)`` gives, in whatever project it is."""
    if not dotted.endswith(".async_tensor_h2d"):
        return None
    why = Why(line, "`async_tensor_h2d` copies to the accelerator")
    return Value(Kind.TENSOR, Place.ACCELERATOR, certainty=Confidence.LIKELY, sure=Confidence.LIKELY, why=why)


def emit_synchronize(frame: Frame, node: ast.Call, receiver: ast.expr) -> None:
    """``copy_event.synchronize()`` of something that only its name speaks of."""
    while isinstance(receiver, ast.Subscript):
        receiver = receiver.value
    called = receiver.func if isinstance(receiver, ast.Call) else receiver
    name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
    if is_device_interface(name) or _is_looked_up(receiver):
        frame.emit("torch.cuda.synchronize", node, {}, {}, limit=Confidence.LIKELY)
        return
    for pattern, kind in ((_STREAM_NAME, "Stream"), (_EVENT_NAME, "Event")):
        if pattern.search(name):
            frame.emit(f"torch.cuda.{kind}.synchronize", node, {}, {}, limit=Confidence.LIKELY)


def _is_looked_up(node: ast.expr) -> bool:
    """``getattr(torch, device_type)``."""
    return (
        isinstance(node, ast.Call)
        and getattr(node.func, "id", "") == "getattr"
        and bool(node.args)
        and getattr(node.args[0], "id", "") == "torch"
    )


# Numbers


def read_number(frame: Frame, node: ast.expr, value: Value) -> None:
    """A place that takes a Python number: a tensor there is read."""
    if value.kind is Kind.TENSOR and value.rank in (0, None):
        frame.emit("index(Tensor)", node, {"self": value}, {"self": node})
    elif value.kind is Kind.UNKNOWN:
        frame.suspect_read("index(Tensor)", node, value)


def may_read(name: str) -> bool:
    """Whether there is anything about a method of tensors that can wait."""
    return name in _NUMBERS or may_be_reported(f"Tensor.{name}")


def read_sizes(
    frame: Frame,
    node: ast.Call,
    name: str,
    arguments: Sequence[Value],
    keywords: Keywords,
    nodes: Sequence[ast.expr],
) -> None:
    """The tensors that a method such as ``view`` or ``split`` is given where it takes numbers."""
    positions = _NUMBERS.get(name)
    if positions is None:
        return
    pairs = [pair for at, pair in enumerate(zip(nodes, arguments, strict=False)) if at in positions]
    _read_numbers(frame, pairs)
    _read_keywords(frame, node, keywords)


def _read_keywords(frame: Frame, node: ast.Call, keywords: Mapping[str, Value]) -> None:
    named = [(k.value, keywords[k.arg]) for k in node.keywords if k.arg is not None and k.arg in _NUMBER_NAMES]
    _read_numbers(frame, named)


def _read_numbers(frame: Frame, pairs: Iterable[tuple[ast.expr, Value]], *, unranked: bool = False) -> None:
    """``unranked``: nothing but numbers fits there, so a tensor of unknown rank must be one."""
    for node, value in pairs:
        if value.kind is Kind.UNKNOWN or (value.kind is Kind.TENSOR and (value.rank == 0 or unranked)):
            read_number(frame, node, value)
        elif value.kind is Kind.SEQUENCE and value.items is not None and isinstance(node, (ast.Tuple, ast.List)):
            _read_numbers(frame, zip(node.elts, value.items, strict=False))
