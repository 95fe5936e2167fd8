"""Tensors made from host data: ``torch.tensor``, its kin, and the legacy constructors."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import TYPE_CHECKING

from synclint.finding import Confidence
from synclint.flow.lattice import EMPTY, HOST, LIKELY_HOST, UNKNOWN, element_of
from synclint.flow.places import CUDA_DEVICE, as_device
from synclint.flow.tensors import dtype_of_data, rank_of_data, target_device, where
from synclint.flow.values import Dtype, Keywords, Kind, Place, Value, Why

if TYPE_CHECKING:
    from synclint.flow.frame import Frame


_OF_NUMBERS = (ast.Pow, ast.Div, ast.FloorDiv, ast.Sub, ast.Mod)  # which lists cannot do

CONSTRUCTORS = frozenset(("torch.tensor", "torch.as_tensor", "torch.asarray"))
LEGACY = {
    f"{prefix}{name}Tensor": dtype
    for prefix in ("torch.", "torch.cuda.")
    for name, dtype in {
        "Float": Dtype.FLOAT,
        "Double": Dtype.FLOAT,
        "Half": Dtype.FLOAT,
        "BFloat16": Dtype.FLOAT,
        "Long": Dtype.INT,
        "Int": Dtype.INT,
        "Short": Dtype.INT,
        "Char": Dtype.INT,
        "Byte": Dtype.INT,
        "Bool": Dtype.BOOL,
        "": Dtype.FLOAT,
    }.items()
    if not (prefix == "torch.cuda." and not name)
}


def construct(frame: Frame, node: ast.Call, dotted: str, arguments: Sequence[Value], keywords: Keywords) -> Value:
    """``torch.tensor`` and its kin: from host data, onto the device asked for."""
    data = arguments[0] if arguments else keywords.get("data", keywords.get("obj", UNKNOWN))
    data_node = node.args[0] if node.args else None
    if data.kind is Kind.UNKNOWN and isinstance(data_node, ast.BinOp) and isinstance(data_node.op, _OF_NUMBERS):
        data = LIKELY_HOST
    given = keywords.get("device")
    if dotted == "torch.as_tensor" and given is None and len(arguments) > 2:
        given = arguments[2]
    keeps = dotted != "torch.tensor" and data.kind is Kind.TENSOR
    device = (
        Value(Kind.DEVICE, data.place, sure=data.sure, origin=data.origin)
        if keeps and given is None
        else target_device(frame, given)
    )
    emit_host_data(frame, node, dotted, data, data_node, device, keywords)
    dtype_value = keywords.get("dtype") or (
        arguments[1] if dotted == "torch.as_tensor" and len(arguments) > 1 else None
    )
    dtype = dtype_value.dtype if dtype_value is not None else dtype_of_data(data)
    pin = keywords.get("pin_memory")
    requires_grad = keywords.get("requires_grad")
    return Value(
        Kind.TENSOR,
        device.place,
        sure=device.sure,
        pinned=bool(pin.const) if pin is not None and isinstance(pin.const, bool) else (None if pin else False),
        dense=True if dotted == "torch.tensor" else None,
        leaf=requires_grad is None or requires_grad.const is False,
        rank=rank_of_data(data),
        length=data.length if data.kind is Kind.SEQUENCE and (rank_of_data(data) == 1 or data.length == 0) else None,
        dtype=dtype,
        fresh=dotted == "torch.tensor" or data.kind in (Kind.SEQUENCE, Kind.HOST),
        origin=device.origin,
        why=Why(node.lineno, f"`{dotted}(...)` makes a tensor {where(device.place)}", device.why),
    )


def emit_host_data(
    frame: Frame,
    node: ast.Call,
    spelling: str,
    data: Value,
    data_node: ast.expr | None,
    device: Value,
    keywords: Keywords,
) -> None:
    if data is EMPTY:
        return
    if data.kind is Kind.UNKNOWN or (data.kind is Kind.SEQUENCE and not data.items and data.element is None):
        # Nobody calls torch.tensor on a device tensor (it warns): unknown data is host data, most likely.
        guess = Confidence.LIKELY if spelling != "torch.as_tensor" else Confidence.POSSIBLE
        data = Value(Kind.SEQUENCE, element=HOST, certainty=guess)
    elif data.kind is Kind.SEQUENCE:
        data = _with_numbers(data)
    elif data.kind is Kind.TENSOR and data.place is Place.CPU and data.certainty is Confidence.POSSIBLE:
        data = data.replace(certainty=Confidence.LIKELY)  # named for host memory, be it a tensor or a list
    weakest = _weakest_tensor(data)
    if weakest < data.certainty:
        data = data.replace(certainty=weakest)
    pin = keywords.get("requires_grad")
    frame.emit(
        spelling,
        node,
        {"data": data, "target": device},
        {"data": data_node} if data_node is not None else {},
        {"requires-grad": None if pin is None else pin.const is not False},
    )


def _weakest_tensor(data: Value) -> Confidence:
    """The least confidence in a tensor that a list, or a list of lists, has in it."""
    if data.kind is Kind.TENSOR:
        return data.confidence
    if data.kind is not Kind.SEQUENCE:
        return Confidence.CERTAIN
    element = element_of(data)
    return Confidence.CERTAIN if element is None else _weakest_tensor(element)


def _with_numbers(data: Value) -> Value:
    """A list of lists of unknown things as the data of a tensor: they are numbers, most likely."""
    if data.kind is Kind.UNKNOWN:
        return LIKELY_HOST
    if data.kind is not Kind.SEQUENCE:
        return data
    items = None if data.items is None else tuple(map(_with_numbers, data.items))
    element = None if data.element is None else _with_numbers(data.element)
    parts = items or ((element,) if element is not None else ())
    if all(part is known for part, known in zip(parts, data.items or (data.element,), strict=False)):
        return data
    return data.replace(items=items, element=element, certainty=min([data.certainty, *(p.certainty for p in parts)]))


def construct_legacy(frame: Frame, node: ast.Call, dotted: str, arguments: Sequence[Value]) -> Value:
    """``torch.LongTensor(list)``, where a number is a size."""
    data = arguments[0] if arguments else UNKNOWN
    on_cuda = dotted.startswith("torch.cuda.")
    device = CUDA_DEVICE if on_cuda else Value(Kind.DEVICE, Place.CPU)
    if data.kind is not Kind.HOST:
        emit_host_data(frame, node, dotted, data, node.args[0] if node.args else None, device, {})
    return Value(
        Kind.TENSOR,
        device.place,
        pinned=False,
        dense=True,
        leaf=True,
        rank=rank_of_data(data) if data.kind is not Kind.HOST else len(arguments),
        length=data.length if data.kind is Kind.SEQUENCE and rank_of_data(data) == 1 else None,
        dtype=LEGACY[dotted],
        fresh=True,
        why=Why(node.lineno, f"`{dotted}(...)` makes a tensor {where(device.place)}"),
    )


def construct_device(arguments: Sequence[Value], keywords: Keywords) -> Value:
    named = arguments[0] if arguments else keywords.get("type")
    if named is None:
        return Value(Kind.DEVICE, Place.UNKNOWN)
    return as_device(named) or Value(Kind.DEVICE, Place.UNKNOWN, origin=named.origin)
