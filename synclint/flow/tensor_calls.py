"""Methods of tensors: their sites and results."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import TYPE_CHECKING

from synclint.facts import facts_for, method
from synclint.finding import Confidence
from synclint.flow.construct import emit_host_data
from synclint.flow.lattice import UNKNOWN
from synclint.flow.places import CUDA_DEVICE, as_device
from synclint.flow.tensors import apply_result, target_device, where
from synclint.flow.values import Keywords, Kind, Place, Value, Why

if TYPE_CHECKING:
    from synclint.flow.frame import Frame


def tensor_method(
    frame: Frame, node: ast.Call, name: str, tensor: Value, arguments: Sequence[Value], keywords: Keywords
) -> Value:
    """``tensor.name(...)``: its sites and its result."""
    if name in ("to", "cuda", "cpu", "type_as"):
        return _move(frame, node, name, tensor, arguments, keywords)
    if name == "new_tensor":
        data = arguments[0] if arguments else UNKNOWN
        given = keywords.get("device")
        device = (
            target_device(frame, given) if given is not None else Value(Kind.DEVICE, tensor.place, sure=tensor.sure)
        )
        emit_host_data(frame, node, "Tensor.new_tensor", data, node.args[0] if node.args else None, device, keywords)
    else:
        emit_method(frame, node, f"Tensor.{name}", tensor, arguments, keywords)
    if name == "pin_memory":
        return tensor.replace(pinned=True, fresh=tensor.fresh or tensor.pinned is False, place=Place.CPU)
    result = method("Tensor", name)
    if result is None:
        return UNKNOWN
    return apply_result(frame, result, [tensor, *arguments], keywords, node, receiver=tensor)


def emit_method(
    frame: Frame, node: ast.Call, spelling: str, tensor: Value, arguments: Sequence[Value], keywords: Keywords
) -> None:
    if not facts_for(spelling):
        return
    method_call = isinstance(node.func, ast.Attribute) and len(node.args) == len(arguments)
    extra = node.args if method_call else node.args[1:]
    receiver = node.func.value if method_call and isinstance(node.func, ast.Attribute) else node.args[0]
    operands, nodes = {"self": tensor}, {"self": receiver}
    flags: dict[str, bool | None] = {}
    if spelling == "Tensor.copy_":
        source = arguments[0] if arguments else keywords.get("other", UNKNOWN)
        operands["source"] = source
        if source.kind is not Kind.TENSOR:
            operands["source"] = source.replace(certainty=Confidence.POSSIBLE)
        if extra:
            nodes["source"] = extra[0]
        flags["non-blocking"] = _boolean(keywords.get("non_blocking") or (arguments[1] if len(arguments) > 1 else None))
    elif spelling.startswith(("Tensor.masked_scatter", "Tensor.masked_fill")):
        operands["mask"] = arguments[0] if arguments else keywords.get("mask", UNKNOWN)
        if extra:
            nodes["mask"] = extra[0]
        if len(arguments) > 1:
            operands["value"] = arguments[1]
            if len(extra) > 1:
                nodes["value"] = extra[1]
    frame.emit(spelling, node, operands, nodes, flags)


def _boolean(value: Value | None) -> bool | None:
    if value is None:
        return False
    return value.const if isinstance(value.const, bool) else None


def _move(
    frame: Frame, node: ast.Call, name: str, tensor: Value, arguments: Sequence[Value], keywords: Keywords
) -> Value:
    """``.to()``, ``.cuda()``, ``.cpu()``: told apart by what the arguments are."""
    device, dtype, flag = _destination(name, arguments, keywords)
    nodes: dict[str, ast.expr] = {}
    if len(node.args) > len(arguments):  # torch.Tensor.to(x, device)
        nodes["self"] = node.args[0]
    elif isinstance(node.func, ast.Attribute):
        nodes["self"] = node.func.value
    changed = tensor
    if dtype is not None:
        changed = tensor.replace(dtype=dtype.dtype, leaf=None)
    if device is None:
        return changed.replace(fresh=tensor.fresh, dense=tensor.dense)
    if tensor.place is Place.CPU and tensor.certainty is Confidence.POSSIBLE:
        tensor = tensor.replace(certainty=Confidence.LIKELY)  # named for host memory, and sent to a device
    frame.emit(
        "Tensor.to" if name in ("to", "type_as") else f"Tensor.{name}",
        node,
        {"self": tensor, "target": device},
        nodes,
        {"non-blocking": flag},
    )
    text = f"`.{name}(...)` moves it {where(device.place)}"
    moved = tensor.place is not device.place
    pinned: bool | None = False
    if device.place is Place.CPU:
        # A non-blocking copy to the host lands in pinned memory; a CPU tensor stays what it was.
        pinned = tensor.pinned if tensor.place is Place.CPU else (True if flag else None)
    return changed.replace(
        place=device.place,
        sure=device.sure,
        certainty=tensor.certainty,
        pinned=pinned,
        fresh=tensor.fresh or (moved and tensor.place is not Place.UNKNOWN and tensor.place is not Place.EITHER),
        leaf=None,
        origin=device.origin,
        optional=False,
        why=Why(node.lineno, text, device.why or tensor.why),
    )


def _destination(
    name: str, arguments: Sequence[Value], keywords: Keywords
) -> tuple[Value | None, Value | None, bool | None]:
    """(device or None, dtype or None, non_blocking) of a ``.to``-like call."""
    flag = _boolean(keywords.get("non_blocking"))
    device: Value | None = None
    dtype: Value | None = keywords.get("dtype")
    if dtype is not None and dtype.kind is Kind.NONE:
        dtype = None
    if name == "cpu":
        return Value(Kind.DEVICE, Place.CPU), None, flag
    if name == "cuda":
        if len(arguments) > 1:
            flag = _boolean(arguments[1])
        elif arguments and isinstance(arguments[0].const, bool):
            flag = arguments[0].const
        return CUDA_DEVICE, None, flag
    rest = list(arguments)
    if rest:
        first = rest.pop(0)
        if first.kind is Kind.TENSOR:
            device = Value(
                Kind.DEVICE, first.place, certainty=first.certainty, sure=first.sure, origin=first.origin, why=first.why
            )
            dtype = Value(Kind.DTYPE, dtype=first.dtype)
        elif first.kind is Kind.DTYPE:
            dtype = first
        elif first.kind is not Kind.NONE:
            device = as_device(first) or Value(Kind.DEVICE, Place.UNKNOWN, origin=first.origin)
        if rest and rest[0].kind is Kind.DTYPE:
            dtype = rest.pop(0)
        if rest and isinstance(rest[0].const, bool):
            flag = rest[0].const
    given = keywords.get("device")
    if given is not None and given.kind is not Kind.NONE:
        device = as_device(given) or Value(Kind.DEVICE, Place.UNKNOWN, origin=given.origin)
    other = keywords.get("other")
    if other is not None and other.kind is Kind.TENSOR:
        device = Value(Kind.DEVICE, other.place, sure=other.sure, origin=other.origin)
    return device, dtype, flag
