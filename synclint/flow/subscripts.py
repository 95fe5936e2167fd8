"""Subscripts of tensors: what an index selects, what is written there, and the sites of both."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from synclint.finding import Confidence
from synclint.flow.conventions import names_mask, names_one_dimension, names_positions, names_several
from synclint.flow.frame import is_host_data
from synclint.flow.lattice import SLICE
from synclint.flow.operations import read_number
from synclint.flow.values import Dtype, Kind, Place, Value

if TYPE_CHECKING:
    from synclint.flow.frame import Frame


class Part(NamedTuple):
    """One of the indices in a subscript."""

    node: ast.expr
    value: Value

    @property
    def is_slice(self) -> bool:
        return isinstance(self.node, ast.Slice) or self.value.ref == SLICE.ref

    @property
    def is_full(self) -> bool:
        """``:`` or ``...``, which leave everything."""
        if isinstance(self.node, ast.Slice):
            return self.node.lower is None and self.node.upper is None and self.node.step is None
        return isinstance(self.node, ast.Constant) and self.node.value is ...

    @property
    def is_number(self) -> bool:
        """An int, or what is read as one: it takes a dimension away."""
        kind = self.value.kind
        if self.is_slice or self.is_full:
            return False
        return kind is Kind.HOST or (kind in (Kind.TENSOR, Kind.NDARRAY) and self.value.rank == 0)

    @property
    def selects(self) -> bool:
        """Whether it is a tensor, an array or a list of positions or of truth values: the result is a copy."""
        return not (self.is_slice or self.is_full or self.is_number or self.value.kind is Kind.NONE)


def container_of(container: Value, index: Value, node: ast.Subscript) -> Value:
    """The tensor that a mask on the device indexes, where nothing else says so: it is next to its mask."""
    unplaced = container.place is Place.UNKNOWN
    known = container.kind is Kind.TENSOR and container.confidence is not Confidence.POSSIBLE and not unplaced
    if known or container.kind not in (Kind.UNKNOWN, Kind.TENSOR) or container.place is Place.CPU:
        return container
    for part, one in _pairs(index, node):
        one = _by_name(part, one)
        if one.kind is Kind.TENSOR and one.place.on_accelerator and _tells(one, node):
            likely_at_most = min(one.sure, Confidence.LIKELY)
            if container.kind is Kind.TENSOR:
                return container.replace(
                    place=one.place,
                    certainty=max(container.certainty, min(one.certainty, Confidence.LIKELY)),
                    sure=likely_at_most if unplaced else max(container.sure, likely_at_most),
                    why=container.why or one.why,
                )
            likely = min(one.confidence, Confidence.LIKELY)
            return Value(Kind.TENSOR, one.place, certainty=likely, sure=likely, why=one.why)
    return container


def _tells(index: Value, node: ast.Subscript) -> bool:
    """Whether only a tensor can be indexed so. Assigning to positions waits, be it to those of a list."""
    assigned = isinstance(node.ctx, ast.Store) and index.dtype is Dtype.INT and index.rank != 0
    return index.dtype is Dtype.BOOL or assigned


def read_subscript(frame: Frame, tensor: Value, index: Value, node: ast.Subscript) -> Value:
    """``tensor[index]``, read: its sites and its value."""
    parts = _parts(tensor, index, node)
    if isinstance(node.ctx, ast.Load):
        for part in parts:
            if part.selects:
                _emit(frame, "getitem(Tensor)", node, tensor, part, {})
            elif part.is_number:
                read_number(frame, part.node, part.value)
    return _selected(tensor, parts, node)


def write_subscript(frame: Frame, tensor: Value, index: Value, value: Value, node: ast.Subscript) -> None:
    """``tensor[index] = value``: its sites."""
    parts = [_position(part, tensor) for part in _parts(tensor, index, node)]
    selecting = [part for part in parts if part.selects]
    for part in parts:
        if part.is_number:
            read_number(frame, part.node, part.value)
    for part in selecting:
        _emit(frame, "setitem(Tensor)", node, tensor, part, {"value": value}, alone=len(selecting) == 1)
    if selecting:
        return
    place = _selected(tensor, parts, node)
    is_element = tensor.rank is None and len(parts) == 1 and parts[0].is_number
    if is_element and names_one_dimension(_name_of(node.value)):
        place = place.replace(rank=0, certainty=min(place.certainty, Confidence.LIKELY))
    if value.kind is Kind.HOST:
        frame.emit("assign(Tensor)", node, {"self": place, "source": value}, {"self": node.value})
    elif value.kind is Kind.TENSOR:
        flags = {"non-blocking": False}
        frame.emit("Tensor.copy_", node, {"self": place, "source": value}, {"self": node.value}, flags)


def _pairs(index: Value, node: ast.Subscript) -> list[tuple[ast.expr, Value]]:
    """The indices of a subscript, with what they hold."""
    if isinstance(node.slice, ast.Tuple) and index.items is not None:
        return list(zip(node.slice.elts, index.items, strict=True))
    return [(node.slice, index)]


def _parts(tensor: Value, index: Value, node: ast.Subscript) -> list[Part]:
    return [Part(expression, _beside(expression, value, tensor)) for expression, value in _pairs(index, node)]


def _by_name(node: ast.expr, value: Value) -> Value:
    """A tensor in the light of its name, where inference does not know whether it is a mask."""
    if value.kind is not Kind.TENSOR or value.dtype is not None:
        return value
    name = _name_of(node)
    if names_mask(name):
        return value.replace(dtype=Dtype.BOOL, certainty=min(value.certainty, Confidence.LIKELY))
    if names_positions(name):
        return value.replace(dtype=Dtype.INT, certainty=min(value.certainty, Confidence.LIKELY))
    return value


def _beside(node: ast.expr, value: Value, tensor: Value) -> Value:
    """An index of ``tensor``. A mask of which nothing else is known is next to the tensor that it masks."""
    value = _by_name(node, value)
    if value.kind is Kind.TENSOR:
        is_mask = value.dtype is Dtype.BOOL and value.place is Place.UNKNOWN
    else:
        unknown = value.kind in (Kind.UNKNOWN, Kind.HOST) and value.const is None
        is_mask = unknown and (
            _compares(node)
            or (value.kind is Kind.UNKNOWN and (value.dtype is Dtype.BOOL or names_mask(_name_of(node))))
        )
    if not is_mask:
        return value
    likely = Confidence.LIKELY
    sure = min(tensor.sure, likely)
    return Value(Kind.TENSOR, tensor.place, certainty=likely, sure=sure, dtype=Dtype.BOOL, why=value.why or tensor.why)


def _position(part: Part, tensor: Value) -> Part:
    """An index that is assigned to, in the light of its name where nothing is known of it.

    Of a tensor of one dimension it is a number, if not several; of others several at most tell anything: a list and a
    tensor of positions both wait, where a number is assigned, and a single number does not.
    """
    value = part.value
    if value.kind is not Kind.UNKNOWN or part.is_slice or not names_positions(_name_of(part.node)):
        return part
    likely = Confidence.LIKELY
    if names_several(_name_of(part.node)):
        sure = min(tensor.sure, likely)
        value = Value(Kind.TENSOR, tensor.place, certainty=likely, sure=sure, dtype=Dtype.INT, why=tensor.why)
    elif tensor.rank == 1:
        value = Value(Kind.HOST, certainty=likely)
    return Part(part.node, value)


def _compares(node: ast.expr) -> bool:
    """``a == b``, ``~(a < b)``, ``(a > 0) & mask``: truth values, of whatever."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Invert):
        return _compares(node.operand)
    if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.BitAnd, ast.BitOr)):
        return _compares(node.left) or _compares(node.right)
    return isinstance(node, ast.Compare) and not any(isinstance(op, _IDENTITY) for op in node.ops)


_IDENTITY = (ast.Is, ast.IsNot, ast.In, ast.NotIn)
_RESHAPES = frozenset(
    """
    view reshape flatten squeeze unsqueeze expand expand_as contiguous clone detach bool to cpu cuda transpose permute
    """.split()
)


def _name_of(node: ast.expr) -> str:
    """The name that speaks for an index: of ``~masks[i].flatten()``, ``masks``."""
    while True:
        if isinstance(node, ast.UnaryOp):
            node = node.operand
        elif isinstance(node, ast.Subscript):
            if isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str):
                return node.slice.value
            node = node.value
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _RESHAPES:
            node = node.func.value
        elif isinstance(node, ast.Attribute):
            return node.attr
        else:
            return node.id if isinstance(node, ast.Name) else ""


def _emit(
    frame: Frame,
    operation: str,
    node: ast.Subscript,
    tensor: Value,
    part: Part,
    operands: dict[str, Value],
    *,
    alone: bool = True,
) -> None:
    index = part.value
    if index.kind is Kind.SEQUENCE:
        if index.ref == "tuple" or is_host_data(index) is not True:
            return  # a tuple of indices, or of slices
        # Truth values, too, are copied to the device, and made positions there.
        index = index.replace(dtype=Dtype.INT)
    elif index.kind is Kind.NDARRAY:
        certainty = index.certainty if index.rank is not None else min(index.certainty, Confidence.LIKELY)
        index = index.replace(dtype=Dtype.INT, certainty=certainty)
    elif index.kind not in (Kind.TENSOR, Kind.NDARRAY):
        return
    frame.emit(
        operation,
        node,
        {"self": tensor, "index": index, **operands},
        {"self": node.value, "index": part.node},
        {"index.alone": alone},
    )


def _selected(tensor: Value, parts: Sequence[Part], node: ast.Subscript) -> Value:
    """What stands at the indices: a view of the tensor, or a copy where one of them selects."""
    copies = any(part.selects for part in parts)
    length = None
    rank = _rank(tensor, parts)
    if tensor.length is not None and rank == 1 and not isinstance(node.slice, ast.Slice):
        length = tensor.length
    return Value(
        Kind.TENSOR,
        tensor.place,
        certainty=tensor.certainty,
        sure=tensor.sure,
        pinned=False if copies else tensor.pinned,
        dense=True if copies else _dense(tensor, parts),
        rank=rank,
        length=length,
        dtype=tensor.dtype,
        fresh=copies or tensor.fresh,
        origin=tensor.origin,
        why=tensor.why,
    )


def _rank(tensor: Value, parts: Sequence[Part]) -> int | None:
    rank, selected = tensor.rank, -1
    if rank is None:
        return None
    for part in parts:
        if part.is_number:
            rank -= 1
        elif part.value.kind is Kind.NONE:
            rank += 1
        elif part.selects:
            taken, given = _dimensions(part.value)
            if taken is None or given is None:
                return None
            rank, selected = rank - taken, max(selected, given)
    return max(rank + max(selected, 0), 0)


def _dimensions(index: Value) -> tuple[int | None, int | None]:
    """How many dimensions an index that selects takes away, and how many it gives."""
    if index.kind is Kind.SEQUENCE:
        return 1, 1
    if index.dtype is Dtype.BOOL:
        return index.rank, 1
    return (1 if index.dtype is not None else None), index.rank


def _dense(tensor: Value, parts: Sequence[Part]) -> bool | None:
    """Whether a view fills its memory: rows of a dense tensor do, columns of several rows do not."""
    several = False
    for part in parts:
        if isinstance(part.node, ast.Slice):
            if part.node.step is not None:
                return None
            if several and not part.is_full:
                return False
            several = True
        elif part.is_full:
            several = True
        elif part.value.kind is not Kind.NONE and several:
            return False
    return tensor.dense
