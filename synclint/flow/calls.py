"""Interpreting calls: builtins, torch and numpy by their tables, methods by their receiver, functions of the file."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from synclint.facts import function, method
from synclint.finding import Confidence
from synclint.flow.annotations import annotated
from synclint.flow.builtin_calls import call_builtin
from synclint.flow.construct import CONSTRUCTORS, LEGACY, construct, construct_device, construct_legacy
from synclint.flow.container_calls import method_of_mapping, method_of_sequence
from synclint.flow.conventions import (
    TENSOR_METHODS,
    gives_device,
    is_device_interface,
    is_synchronize,
    names_host_memory,
    names_loss,
    value_by_name,
)
from synclint.flow.lattice import HOST, NONE, OBJECT, UNKNOWN, element_of
from synclint.flow.module_containers import CONTAINERS, method_of_container, module_container
from synclint.flow.operations import copied_by_helper, emit_function, emit_synchronize, may_read, stream_or_event
from synclint.flow.origins import Attribute, Defined, Held, Named, Origin, Super, attribute_of, called
from synclint.flow.places import LIKELY_ACCELERATOR
from synclint.flow.scopes import find_nested
from synclint.flow.tensor_calls import tensor_method
from synclint.flow.tensors import apply_result
from synclint.flow.values import Dtype, Keywords, Kind, Place, Value, Why
from synclint.flow.waiting import emit_waiting_call
from synclint.index.names import dotted_name
from synclint.index.records import Symbol

if TYPE_CHECKING:
    from synclint.flow.frame import Frame


_MADE_WITHOUT_DEVICE = Value(Kind.UNKNOWN, Place.CPU, sure=Confidence.LIKELY)
_MADE_OF_DEVICE_TENSORS = Value(Kind.UNKNOWN, Place.ACCELERATOR, sure=Confidence.LIKELY)
_REDUCTIONS = frozenset(("sum", "max", "min", "mean", "any", "all", "argmax", "argmin", "prod"))
_CUDA_INDEX = Value(Kind.HOST, Place.CUDA, dtype=Dtype.INT)
_PASSES_THROUGH = frozenset(("tqdm", "trange", "track", "progress_bar"))
_MAKES_MODULE = re.compile(r"model|net|module|layer|encoder|decoder|backbone|pipe|load|head|create|init|build")


def evaluate_call(frame: Frame, node: ast.Call) -> Value:
    """Interprets a call: its arguments, its sites, its result."""
    target = node.func
    if isinstance(target, ast.Attribute):
        receiver = _receiver(frame, target)
        arguments, keywords = _arguments(frame, node)
        if receiver.kind is Kind.EXTERNAL:
            return _external(frame, node, f"{receiver.ref}.{target.attr}", arguments, keywords)
        return _method(frame, node, target, receiver, arguments, keywords)
    callee = frame.value(target)
    arguments, keywords = _arguments(frame, node)
    if callee is OBJECT and isinstance(target, ast.Name):
        nested = find_nested(frame, target.id)
        if nested is not None:
            nested.call(node, arguments, keywords)
    return _apply(frame, node, callee, arguments, keywords)


def _receiver(frame: Frame, target: ast.Attribute) -> Value:
    if (
        isinstance(target.value, ast.Call)
        and isinstance(target.value.func, ast.Name)
        and target.value.func.id == "super"
    ):
        return OBJECT if frame.owner is None else Value(Kind.OBJECT, ref=Super(frame.owner))
    return frame.value(target.value)


def _arguments(frame: Frame, node: ast.Call) -> tuple[list[Value], Keywords]:
    arguments = [frame.value(argument) for argument in node.args]
    keywords: dict[str, Value] = {}
    for keyword in node.keywords:
        value = frame.value(keyword.value)
        if keyword.arg is not None:
            keywords[keyword.arg] = value
    return arguments, keywords


def _apply(frame: Frame, node: ast.Call, callee: Value, arguments: Sequence[Value], keywords: Keywords) -> Value:
    kind = callee.kind
    if kind is Kind.EXTERNAL:
        return _external(frame, node, callee.ref, arguments, keywords)
    if kind is Kind.FUNCTION:
        if callee.items is not None:  # given by ``functools.partial``
            return frame.module.result_of(callee.ref)
        return _function(frame, node, callee.ref, None, arguments, keywords)
    if kind is Kind.CLASS:
        frame.module.note(frame, node, Defined(callee.ref), arguments, keywords)
        return frame.module.instance(callee.ref)
    if kind is Kind.MODULE:
        return _call_module(frame, node, callee, arguments, keywords)
    if kind is Kind.INSTANCE:
        called = frame.module.method(callee.ref, "__call__") or frame.module.method(callee.ref, "forward")
        if called is not None:
            return _function(frame, node, called.symbol, callee, arguments, keywords)
    result = _opaque(frame, node, callee.origin, arguments, keywords)
    if gives_device((dotted_name(node.func) or "").rpartition(".")[2]):
        return LIKELY_ACCELERATOR.replace(origin=result.origin)
    return result


def _opaque(
    frame: Frame, node: ast.Call, target: Origin | None, arguments: Sequence[Value], keywords: Keywords
) -> Value:
    """The result of calling what is not known here: another pass may know."""
    computed = any(map(_on_accelerator, arguments)) or any(map(_on_accelerator, keywords.values()))
    made = _MADE_OF_DEVICE_TENSORS if computed else UNKNOWN
    if target is None or frame.module.linker is not None:
        return made
    frame.module.note(frame, node, target, arguments, keywords)
    return made.replace(origin=called(target, node, arguments, keywords))


def _on_accelerator(value: Value) -> bool:
    on_accelerator = value.kind is Kind.TENSOR and value.place.on_accelerator
    return on_accelerator and value.confidence is not Confidence.POSSIBLE


def _function(
    frame: Frame, node: ast.Call, symbol: Symbol, receiver: Value | None, arguments: Sequence[Value], keywords: Keywords
) -> Value:
    """The result of a function or method of the project."""
    target: Origin = Defined(symbol)
    if receiver is not None and receiver.ref is not None:
        target = Attribute(Held(receiver.ref), symbol.name)
    frame.module.note(frame, node, target, arguments, keywords)
    _emit_named_synchronize(frame, node, symbol.name, symbol.owner.name)
    emit_waiting_call(frame, node, symbol, receiver, arguments, keywords)
    return _returned(frame, node, symbol, receiver, arguments, keywords)


def _emit_named_synchronize(frame: Frame, node: ast.Call, name: str, owner: str = "") -> None:
    """A function or method that is there to wait for the device, by its name."""
    if is_synchronize(name) or (name == "synchronize" and is_device_interface(owner)):
        frame.emit("torch.cuda.synchronize", node, {}, {}, limit=Confidence.LIKELY)


def _returned(
    frame: Frame, node: ast.Call, symbol: Symbol, receiver: Value | None, arguments: Sequence[Value], keywords: Keywords
) -> Value:
    result = frame.module.call(symbol, receiver, node, arguments, keywords)
    if result.kind is Kind.TENSOR:
        return result.replace(why=Why(node.lineno, f"returned by `{symbol.qualname}`", result.why))
    return result


def _call_module(frame: Frame, node: ast.Call, module: Value, arguments: Sequence[Value], keywords: Keywords) -> Value:
    if module.ref is not None:
        forward = frame.module.method(module.ref, "forward")
        if forward is not None:
            return _function(frame, node, forward.symbol, module, arguments, keywords)
    if module.origin is not None:
        frame.module.note(frame, node, module.origin, arguments, keywords)
    known = next((value for value in arguments if value.kind is Kind.TENSOR), None)
    certainty = min(module.certainty, Confidence.LIKELY)
    text = f"result of the module `{ast.unparse(node.func)}`"
    if known is not None and known.place is not Place.UNKNOWN:
        return Value(
            Kind.TENSOR,
            known.place,
            certainty=certainty,
            sure=known.sure,
            why=Why(node.lineno, text, known.why),
        )
    return Value(
        Kind.TENSOR,
        Place.ACCELERATOR,
        certainty=certainty,
        sure=Confidence.LIKELY,
        why=Why(node.lineno, f"{text}: on the accelerator by convention"),
    )


# Functions known by their dotted name


def _external(frame: Frame, node: ast.Call, dotted: str, arguments: Sequence[Value], keywords: Keywords) -> Value:
    if dotted.startswith("builtins."):
        return call_builtin(frame, node, dotted[9:], arguments, keywords)
    if dotted in CONSTRUCTORS:
        return construct(frame, node, dotted, arguments, keywords)
    if dotted in LEGACY:
        return construct_legacy(frame, node, dotted, arguments)
    if dotted == "torch.device":
        return construct_device(arguments, keywords)
    if dotted == "torch.cuda.current_device":
        return _CUDA_INDEX
    if dotted.startswith("math.") and arguments:
        if arguments[0].kind is Kind.TENSOR:
            frame.emit("float(Tensor)", node, {"self": arguments[0]}, {"self": node.args[0]})
        else:
            frame.suspect(arguments[0])
    if dotted == "torch.from_numpy":
        return Value(
            Kind.TENSOR,
            Place.CPU,
            pinned=False,
            leaf=True,
            rank=arguments[0].rank if arguments else None,
            dtype=arguments[0].dtype if arguments else None,
            why=Why(node.lineno, "`torch.from_numpy(...)` shares host memory"),
        )
    if dotted in ("torch.nn.Parameter", "torch.nn.Buffer"):
        return _parameter(node, dotted.rpartition(".")[2].lower(), arguments)
    if dotted == "typing.cast" and len(arguments) == 2:
        promised = annotated(node.args[0], frame.module.resolve_annotation)
        return arguments[1] if promised.kind is Kind.UNKNOWN and promised.origin is None else promised
    if dotted == "functools.partial" and arguments:
        return _partial(frame, node, arguments, keywords)
    known = frame.module.of_project(dotted)
    if known is not None and known.kind is not Kind.UNKNOWN:
        return _apply(frame, node, known, arguments, keywords)
    if dotted.startswith("torch.Tensor.") and arguments:
        return tensor_method(frame, node, dotted[13:], arguments[0], arguments[1:], keywords)
    owner, _, name = dotted.rpartition(".")
    if dotted.startswith("torch."):
        emit_function(frame, node, dotted, arguments, keywords)
    result = function(dotted)
    made = stream_or_event(dotted) or copied_by_helper(dotted, node.lineno)
    if made is not None:
        return made
    if name in CONTAINERS and owner.startswith("torch.nn"):
        return module_container(name, node, arguments)
    if result is not None:
        return apply_result(frame, result, arguments, keywords, node)
    if dotted.startswith("numpy."):
        return Value(Kind.NDARRAY, certainty=Confidence.LIKELY)
    if name in _PASSES_THROUGH and arguments:
        return arguments[0]
    if owner == "torch.nn" and name[:1].isupper():
        return Value(Kind.MODULE)
    _emit_named_synchronize(frame, node, name, owner.rpartition(".")[2])
    opaque = _opaque(frame, node, Named(dotted), arguments, keywords)
    origin = opaque.origin
    if gives_device(name):
        return LIKELY_ACCELERATOR.replace(origin=origin)
    if name.islower() and not _MAKES_MODULE.search(name) and not _takes_device(arguments, keywords):
        # Whatever it makes, it was told of no device: if that is a tensor, it is in host memory, most likely.
        return _MADE_WITHOUT_DEVICE if origin is None else _MADE_WITHOUT_DEVICE.replace(origin=origin)
    return opaque


def _partial(frame: Frame, node: ast.Call, arguments: Sequence[Value], keywords: Keywords) -> Value:
    """A function with its first arguments; those with names are given up."""
    function, *given = arguments
    target = Defined(function.ref) if function.kind in (Kind.FUNCTION, Kind.CLASS) else function.origin
    if target is not None:
        frame.module.note(frame, node, target, given, keywords)
    return function if not given or function.kind is not Kind.FUNCTION else function.replace(items=tuple(given))


def _takes_device(arguments: Sequence[Value], keywords: Keywords) -> bool:
    if "device" in keywords:
        return True
    for value in (*arguments, *keywords.values()):
        if value.kind is Kind.SEQUENCE:
            value = element_of(value) or HOST
        if value.kind not in (Kind.HOST, Kind.NONE, Kind.NDARRAY, Kind.DTYPE) and value.place is not Place.CPU:
            return True
    return False


def _parameter(node: ast.Call, kind: str, arguments: Sequence[Value]) -> Value:
    """What a parameter or a buffer of a module holds."""
    data = arguments[0] if arguments else UNKNOWN
    return Value(
        Kind.TENSOR,
        Place.ACCELERATOR if data.place is not Place.CUDA else Place.CUDA,
        sure=Confidence.LIKELY,
        rank=data.rank,
        dtype=data.dtype,
        why=Why(node.lineno, f"a {kind} follows its module to the accelerator"),
    )


# Methods


def _method(
    frame: Frame,
    node: ast.Call,
    target: ast.Attribute,
    receiver: Value,
    arguments: Sequence[Value],
    keywords: Keywords,
) -> Value:
    name = target.attr
    kind = receiver.kind
    if kind is Kind.TENSOR:
        return tensor_method(frame, node, name, receiver, arguments, keywords)
    if kind is Kind.UNKNOWN:
        return _method_of_unknown(frame, node, target, receiver, arguments, keywords)
    if kind in (Kind.INSTANCE, Kind.MODULE, Kind.CLASS):
        return _method_of_object(frame, node, target, receiver, arguments, keywords)
    if kind is Kind.NDARRAY:
        result = method("ndarray", name)
        return (
            apply_result(frame, result, [receiver, *arguments], keywords, node, receiver=receiver)
            if result
            else UNKNOWN
        )
    if kind is Kind.SEQUENCE:
        return method_of_sequence(frame, target, receiver, arguments)
    if kind is Kind.MAPPING:
        batch = receiver.element
        if name in ("to", "cuda"):
            frame.suspect(receiver)
        if name in ("to", "cuda") and batch is not None and batch.kind is Kind.TENSOR:  # a batch that moves as one
            moved = tensor_method(frame, node, name, batch, arguments, keywords)
            return receiver.replace(element=moved, fresh=True)
        found = method_of_mapping(name, receiver, arguments)
        key = arguments[0].const if arguments and name in ("get", "pop") else None
        kept = frame.kept_on_host(key, node.lineno) if found.kind is Kind.UNKNOWN and isinstance(key, str) else None
        return found if kept is None else kept
    if kind is Kind.HOST:
        return HOST if name != "split" else Value(Kind.SEQUENCE, element=HOST)
    if kind is Kind.DEVICE and name == "synchronize":  # `device_module`, which is called like a device
        emit_synchronize(frame, node, target.value)
    if isinstance(receiver.ref, Super):
        return _method_of_bases(frame, node, receiver.ref, name, arguments, keywords)
    return UNKNOWN


def _method_of_bases(
    frame: Frame, node: ast.Call, receiver: Super, name: str, arguments: Sequence[Value], keywords: Keywords
) -> Value:
    """``super().name(...)``."""
    target = Attribute(receiver, name)
    method = frame.module.inherited(receiver.symbol, name)
    if method is None:
        return _opaque(frame, node, target, arguments, keywords)
    frame.module.note(frame, node, target, arguments, keywords)
    instance = frame.module.instance(receiver.symbol)
    emit_waiting_call(frame, node, method.symbol, instance, arguments, keywords)
    return _returned(frame, node, method.symbol, instance, arguments, keywords)


def _method_of_unknown(
    frame: Frame,
    node: ast.Call,
    target: ast.Attribute,
    receiver: Value,
    arguments: Sequence[Value],
    keywords: Keywords,
) -> Value:
    name = target.attr
    if may_read(name):
        frame.suspect(receiver)
    if name in TENSOR_METHODS:
        why = Why(node.lineno, f"has a tensor's method `{name}`")
        place = Value(Kind.TENSOR, certainty=Confidence.LIKELY, dtype=receiver.dtype, origin=receiver.origin, why=why)
        if frame.in_model_code:
            why = Why(node.lineno, "on the accelerator by convention of model code", why)
            place = place.replace(place=Place.ACCELERATOR, sure=Confidence.LIKELY, why=why)
        subject = dotted_name(target.value)
        if subject is not None:
            frame.store(subject, frame.by_name(subject.rpartition(".")[2], place))
        return tensor_method(frame, node, name, place, arguments, keywords)
    if name in ("item", "cuda", "to", "cpu", "tolist", "numpy"):
        guess = _guess(frame, target, receiver)
        if name in ("to", "cuda"):
            moved = tensor_method(frame, node, name, guess, arguments, keywords)
            if moved.place is Place.UNKNOWN:
                return UNKNOWN if receiver.origin is None else Value(origin=receiver.origin)
            return moved.replace(certainty=Confidence.POSSIBLE)
        return tensor_method(frame, node, name, guess, arguments, keywords)
    if name == "synchronize":
        emit_synchronize(frame, node, target.value)
    result = _opaque(frame, node, attribute_of(receiver.origin, name), arguments, keywords)
    if gives_device(name):
        return LIKELY_ACCELERATOR.replace(origin=result.origin)
    if names_host_memory(name):
        return (value_by_name(name) or UNKNOWN).replace(origin=result.origin)
    return result


def _guess(frame: Frame, target: ast.Attribute, receiver: Value) -> Value:
    """The receiver of ``.item()``, ``.to(device)`` and the like, when nothing says that it is a tensor."""
    if receiver.place is Place.CPU:
        why = Why(target.value.lineno, "made by a call that was told of no device")
        return Value(Kind.TENSOR, Place.CPU, certainty=Confidence.LIKELY, sure=Confidence.LIKELY, why=why)
    if receiver.place is Place.ACCELERATOR and target.attr in ("item", "tolist"):
        why = Why(target.value.lineno, "made by a call that was given a tensor on the accelerator")
        return Value(Kind.TENSOR, Place.ACCELERATOR, certainty=Confidence.LIKELY, sure=Confidence.LIKELY, why=why)
    key = target.value.slice if isinstance(target.value, ast.Subscript) else None
    if target.attr in ("to", "cuda") and isinstance(key, ast.Constant) and isinstance(key.value, str):
        why = Why(target.value.lineno, f"`{ast.unparse(target.value)}` is moved to a device: in host memory until then")
        return Value(Kind.TENSOR, Place.CPU, certainty=Confidence.LIKELY, sure=Confidence.LIKELY, why=why)
    name = (dotted_name(target.value) or "").rpartition(".")[2]
    if target.attr == "item" and names_loss(name):
        why = Why(target.value.lineno, f"`{name}` is computed on the accelerator by convention")
        return Value(Kind.TENSOR, Place.ACCELERATOR, certainty=Confidence.LIKELY, sure=Confidence.LIKELY, why=why)
    if target.attr == "item" and frame.in_model_code and _is_reduced(target.value):
        why = Why(target.value.lineno, "computed by model code: on the accelerator by convention")
        return Value(Kind.TENSOR, Place.ACCELERATOR, certainty=Confidence.LIKELY, sure=Confidence.LIKELY, why=why)
    return Value(Kind.TENSOR, certainty=Confidence.POSSIBLE, origin=receiver.origin)


def _is_reduced(node: ast.expr) -> bool:
    """``lengths.max()``: what has ``item`` then is a tensor of one element (or a number of NumPy)."""
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _REDUCTIONS


def _method_of_object(
    frame: Frame,
    node: ast.Call,
    target: ast.Attribute,
    receiver: Value,
    arguments: Sequence[Value],
    keywords: Keywords,
) -> Value:
    name = target.attr
    module = frame.module
    if receiver.ref is not None:
        method = module.method(receiver.ref, name)
        if method is not None:
            if method.record.is_property:
                return _apply(frame, node, module.result_of(method.symbol), arguments, keywords)
            return _function(frame, node, method.symbol, receiver, arguments, keywords)
        if name == "register_buffer" and isinstance(target.value, ast.Name) and target.value.id == frame.receiver:
            _register_buffer(frame, node, arguments, keywords)
            return NONE
        if name == "add_state" and isinstance(target.value, ast.Name) and target.value.id == frame.receiver:
            _add_state(frame, node, arguments, keywords)
            return NONE
        attribute = module.attribute(receiver.ref, name)
        if attribute.kind in (Kind.MODULE, Kind.FUNCTION, Kind.CLASS):
            return _apply(frame, node, attribute, arguments, keywords)
        if attribute.kind is Kind.EXTERNAL:
            return _external(frame, node, attribute.ref, arguments, keywords)
        opaque = _opaque(frame, node, Attribute(Held(receiver.ref), name), arguments, keywords)
        if opaque.origin is not None:
            return LIKELY_ACCELERATOR.replace(origin=opaque.origin) if gives_device(name) else opaque
    if receiver.kind is Kind.MODULE:
        held = method_of_container(frame, target, receiver, arguments) if receiver.ref is None else None
        if held is not None:
            return held
        if name in ("to", "cuda", "cpu", "eval", "train", "half", "float", "bfloat16", "requires_grad_", "double"):
            return receiver
        if name in ("parameters", "buffers"):
            text = f"`.{name}()` of a module: on the accelerator by convention"
            tensor = Value(Kind.TENSOR, Place.ACCELERATOR, sure=Confidence.LIKELY, why=Why(node.lineno, text))
            return Value(Kind.SEQUENCE, element=tensor)
        if name in ("children", "modules"):
            return Value(Kind.SEQUENCE, element=Value(Kind.MODULE))
    if gives_device(name):
        return LIKELY_ACCELERATOR
    return UNKNOWN


def _add_state(frame: Frame, node: ast.Call, arguments: Sequence[Value], keywords: Keywords) -> None:
    """A state of a metric of ``torchmetrics``: a tensor that moves with it, or a list of what it is given."""
    name = arguments[0].const if arguments else None
    default = arguments[1] if len(arguments) > 1 else keywords.get("default", UNKNOWN)
    if not isinstance(name, str) or frame.owner is None:
        return
    text = f"`{name}` is a state of a metric: it follows it to the accelerator"
    state = Value(Kind.TENSOR, Place.ACCELERATOR, sure=Confidence.LIKELY, why=Why(node.lineno, text))
    if default.kind is Kind.SEQUENCE:
        state = Value(Kind.SEQUENCE, element=state)
    elif default.kind is Kind.TENSOR:
        state = state.replace(rank=default.rank, dtype=default.dtype)
    else:
        state = state.replace(certainty=Confidence.LIKELY)
    frame.module.assign_attribute(frame.owner, frame.scope, name, state)


def _register_buffer(frame: Frame, node: ast.Call, arguments: Sequence[Value], keywords: Keywords) -> None:
    name = arguments[0].const if arguments else None
    data = arguments[1] if len(arguments) > 1 else keywords.get("tensor", UNKNOWN)
    if not isinstance(name, str):
        return
    buffer = Value(
        Kind.TENSOR,
        Place.ACCELERATOR,
        sure=Confidence.LIKELY,
        rank=data.rank,
        length=data.length,
        dtype=data.dtype,
        optional=data.kind is Kind.NONE or data.optional,
        why=Why(node.lineno, f"`{name}` is a registered buffer: it follows its module to the accelerator"),
    )
    if frame.owner is not None:
        frame.module.assign_attribute(frame.owner, frame.scope, name, buffer)
    frame.store(f"{frame.receiver}.{name}", data.replace(fresh=False))
