"""Methods of tensors: their sites and results."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import TYPE_CHECKING

from synclint.facts import method
from synclint.finding import Confidence
from synclint.flow.construct import LEGACY, emit_host_data
from synclint.flow.conventions import is_in_and_out, is_mover, names_batch, names_module
from synclint.flow.lattice import UNKNOWN
from synclint.flow.operations import boolean, emit_operation, read_sizes
from synclint.flow.places import CUDA_DEVICE, as_device
from synclint.flow.tensors import apply_result, target_device, where
from synclint.flow.values import Keywords, Kind, Place, Value, Why
from synclint.index.names import dotted_name

if TYPE_CHECKING:
    from synclint.flow.frame import Frame


def tensor_method(
    frame: Frame, node: ast.Call, name: str, tensor: Value, arguments: Sequence[Value], keywords: Keywords
) -> Value:
    """``tensor.name(...)``: its sites and its result."""
    if name == "type" and arguments and arguments[0].kind is Kind.EXTERNAL and arguments[0].ref in LEGACY:
        return _move(frame, node, name, tensor, arguments, keywords)
    if name in ("to", "cuda", "cpu", "type_as"):
        return _move(frame, node, name, tensor, arguments, keywords)
    if name == "numpy" and boolean(keywords.get("force")) is True:
        moved = _move(frame, node, name, tensor, arguments, {})
        return Value(Kind.NDARRAY, rank=moved.rank, dtype=moved.dtype)
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
    made = apply_result(frame, result, [tensor, *arguments], keywords, node, receiver=tensor)
    if name == "view" and arguments and all(value.kind in (Kind.HOST, Kind.SEQUENCE) for value in arguments):
        return made.replace(dtype=tensor.dtype)  # another shape, not another dtype
    return made


def emit_method(
    frame: Frame, node: ast.Call, spelling: str, tensor: Value, arguments: Sequence[Value], keywords: Keywords
) -> None:
    nodes = list(node.args)
    if isinstance(node.func, ast.Attribute) and len(nodes) == len(arguments):  # not torch.Tensor.name(tensor, ...)
        nodes.insert(0, node.func.value)
    emit_operation(frame, node, spelling, tensor, arguments, keywords, nodes)
    read_sizes(frame, node, spelling.rpartition(".")[2], arguments, keywords, nodes[1:])


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
        frame.suspect_index(tensor, *arguments)
        return changed.replace(fresh=tensor.fresh, dense=tensor.dense)
    if device.place is Place.CPU is tensor.place and device.sure is not Confidence.CERTAIN and _joins_another(node):
        # Nobody copies from the host to the host: the part of the batch that was asked for its device has been moved.
        device = device.replace(place=Place.ACCELERATOR, sure=Confidence.LIKELY)
    untold = tensor.place is Place.UNKNOWN or _guessed(tensor)
    if device.place is Place.CPU and device.sure is Confidence.CERTAIN and untold:
        tensor = _sent_to_host(frame, nodes.get("self"), tensor)
    sent = device.place.on_accelerator and device.sure is not Confidence.POSSIBLE
    if sent:
        tensor = _before_it_is_sent(frame, node, nodes.get("self"), tensor)
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
        # A non-blocking copy to the host lands in pinned memory, a blocking one does not; a CPU tensor stays what it
        # was.
        pinned = tensor.pinned if not tensor.place.on_accelerator else flag
        if flag and tensor.place is not Place.CPU:
            pinned = True
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


def _joins_another(call: ast.Call) -> bool:
    """``batch["a"].to(batch["b"].device)``."""
    named = [keyword.value for keyword in call.keywords if keyword.arg == "device"]
    node = next(iter(named or call.args), None)
    if not (isinstance(node, ast.Attribute) and node.attr == "device" and isinstance(call.func, ast.Attribute)):
        return False
    moved, asked = call.func.value, node.value
    if not (isinstance(moved, ast.Subscript) and isinstance(asked, ast.Subscript)):
        return False
    return dotted_name(moved.value) == dotted_name(asked.value) is not None


def _sent_to_host(frame: Frame, node: ast.expr | None, tensor: Value) -> Value:
    """What is copied to the host, of which nothing else is known: few copy there what is there already."""
    name = _last_name(node)
    if names_module(name) or frame.prepares_data:
        return tensor
    if is_in_and_out(frame.module.path) and not frame.in_model_code:
        return tensor
    line = frame.line if node is None else node.lineno
    why = Why(line, "it is sent to the host, so it is on the accelerator, most likely")
    certainty = max(tensor.certainty, Confidence.LIKELY)
    return tensor.replace(place=Place.ACCELERATOR, certainty=certainty, sure=Confidence.LIKELY, why=why)


def _last_name(node: ast.expr | None) -> str:
    """``weights`` of ``self.weights[0].detach()``."""
    while True:
        if isinstance(node, ast.Subscript):
            node = node.value
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if method("Tensor", node.func.attr) is None:
                return node.func.attr
            node = node.func.value
        elif isinstance(node, ast.Call):
            node = node.func
        elif isinstance(node, ast.Attribute):
            return node.attr
        else:
            return node.id if isinstance(node, ast.Name) else ""


def _place_of_type(dotted: str) -> Place:
    """Where ``torch.BoolTensor`` and ``torch.cuda.BoolTensor`` are."""
    return Place.CUDA if dotted.startswith("torch.cuda.") else Place.CPU


def _puts_together(node: ast.expr | None) -> bool:
    """``torch.stack(pieces)``, ``torch.cat(pieces)``."""
    return isinstance(node, ast.Call) and dotted_name(node.func) in ("torch.stack", "torch.cat", "torch.concat")


def _before_it_is_sent(frame: Frame, call: ast.Call, node: ast.expr | None, tensor: Value) -> Value:
    """Where a tensor was before it is sent to the accelerator, where inference does not know."""
    known = tensor.place is not Place.UNKNOWN and tensor.sure is Confidence.CERTAIN
    if known or tensor.place is Place.CPU:
        return tensor
    name = _last_name(node)
    in_module = frame.owner is not None and frame.module.is_module_like(frame.owner)  # whose results are on the device
    if tensor.place is Place.UNKNOWN and not in_module and _puts_together(node):
        text = "put together and sent to the accelerator"
    elif is_mover(frame.scope.outermost.name) and (names_batch(name) or not names_module(name)):
        text = f"`{frame.scope.outermost.name}` is there to send it to the accelerator"
    elif _guessed(tensor):
        text = "a tensor, whatever else it might have been, that is sent to the accelerator"
    else:
        return tensor
    why = Why(call.lineno, f"{text}: in host memory until then, most likely")
    certainty = max(tensor.certainty, Confidence.LIKELY)
    return tensor.replace(place=Place.CPU, sure=Confidence.LIKELY, certainty=certainty, why=why)


def _guessed(tensor: Value) -> bool:
    """Whether a test of its type alone says that it is a tensor (see ``refine``)."""
    return tensor.place is Place.ACCELERATOR and tensor.sure is Confidence.POSSIBLE and tensor.why is None


def _destination(
    name: str, arguments: Sequence[Value], keywords: Keywords
) -> tuple[Value | None, Value | None, bool | None]:
    """(device or None, dtype or None, non_blocking) of a ``.to``-like call."""
    flag = boolean(keywords.get("non_blocking"))
    device: Value | None = None
    dtype: Value | None = keywords.get("dtype")
    if dtype is not None and dtype.kind is Kind.NONE:
        dtype = None
    if name in ("cpu", "numpy"):
        return Value(Kind.DEVICE, Place.CPU), None, flag
    if name == "cuda":
        if len(arguments) > 1:
            flag = boolean(arguments[1])
        elif arguments and isinstance(arguments[0].const, bool):
            flag = arguments[0].const
        return CUDA_DEVICE, None, flag
    rest = list(arguments)
    if name == "type":
        ref = rest[0].ref
        return Value(Kind.DEVICE, _place_of_type(ref)), Value(Kind.DTYPE, dtype=LEGACY[ref]), flag
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
