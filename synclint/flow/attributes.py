"""Reading and assigning attributes: of modules of the language, tensors, instances, and things not known."""

from __future__ import annotations

import ast
from functools import lru_cache
from typing import TYPE_CHECKING

from synclint.facts import attribute as attribute_fact
from synclint.finding import Confidence
from synclint.flow.conventions import is_after_transfer, named_value, names_answer, names_tensor
from synclint.flow.lattice import HOST, OBJECT, UNKNOWN
from synclint.flow.origins import attribute_of as attribute_origin
from synclint.flow.tensors import apply_result
from synclint.flow.values import Dtype, Kind, Place, Value, Why
from synclint.index.names import canonical, dotted_name

if TYPE_CHECKING:
    from synclint.flow.frame import Frame


def evaluate_attribute(frame: Frame, node: ast.Attribute) -> Value:
    if node.attr in frame.paths:
        key = dotted_name(node)
        if key is not None:
            known = frame.env.get(key)
            if known is not None:
                return known
    return attribute_of(frame, frame.value(node.value), node.attr, node)


def attribute_of(frame: Frame, receiver: Value, name: str, node: ast.Attribute) -> Value:
    """``receiver.name``, when it is not a call."""
    kind = receiver.kind
    if kind is Kind.EXTERNAL:
        dotted = f"{receiver.ref}.{name}"
        known = frame.module.of_project(dotted)
        if known is not None and known.kind is not Kind.UNKNOWN:
            return known
        return _external_attribute(dotted, node.lineno)
    if kind is Kind.TENSOR:
        result = attribute_fact("Tensor", name)
        if name == "device":
            return _device_of(frame, receiver)
        if result is not None:
            return apply_result(frame, result, [receiver], {}, node, receiver=receiver)
        if receiver.certainty is Confidence.POSSIBLE or receiver.optional:
            return _unknown_attribute(frame, name, node)
        return UNKNOWN
    if kind is Kind.NDARRAY:
        result = attribute_fact("ndarray", name)
        return apply_result(frame, result, [receiver], {}, node, receiver=receiver) if result else UNKNOWN
    if kind in (Kind.INSTANCE, Kind.MODULE, Kind.CLASS) and receiver.ref is not None:
        return _instance_attribute(frame, receiver, name, node)
    if kind is Kind.MODULE and name in ("weight", "bias"):
        text = f"`.{name}` of a module: on the accelerator by convention"
        return Value(
            Kind.TENSOR,
            Place.ACCELERATOR,
            certainty=receiver.certainty,
            sure=Confidence.LIKELY,
            why=Why(node.lineno, text),
        )
    if kind is Kind.DEVICE:
        return Value(Kind.HOST, receiver.place, sure=receiver.sure) if name == "type" else HOST
    if kind in (Kind.HOST, Kind.DTYPE):
        return HOST
    if frame.module.linker is None:
        known = _unknown_attribute(frame, name, node)
        return known if receiver.origin is None else known.replace(origin=attribute_origin(receiver.origin, name))
    if kind is Kind.UNKNOWN and node.attr == name:
        owned = frame.module.linker.owned(name)
        if owned.kind is not Kind.UNKNOWN:
            return owned
    return _unknown_attribute(frame, name, node)


def _device_of(frame: Frame, tensor: Value) -> Value:
    if tensor.place in (Place.UNKNOWN, Place.EITHER):
        sure = Confidence.POSSIBLE if frame.prepares_inputs else Confidence.LIKELY
        return Value(Kind.DEVICE, Place.ACCELERATOR, sure=sure, origin=tensor.origin, why=tensor.why)
    sure = tensor.sure
    if tensor.place is Place.ACCELERATOR and not frame.prepares_data:
        # Whoever asks a tensor for its device writes for the accelerator, unless data is only being prepared.
        sure = max(sure, Confidence.LIKELY)
    return Value(Kind.DEVICE, tensor.place, sure=sure, origin=tensor.origin, why=tensor.why)


def _unknown_attribute(frame: Frame, name: str, node: ast.Attribute) -> Value:
    if name == "gpu":
        why = Why(node.lineno, "`.gpu` is the device half of a host/device buffer by its name")
        return Value(Kind.TENSOR, Place.ACCELERATOR, certainty=Confidence.LIKELY, sure=Confidence.LIKELY, why=why)
    if name == "np":
        return Value(Kind.NDARRAY, certainty=Confidence.LIKELY)
    known = named_value(name, node.lineno)
    if known is not None:
        return known.replace(sure=Confidence.POSSIBLE) if name == "device" and frame.prepares_inputs else known
    if names_answer(name) and not is_after_transfer(frame.owner_name, frame.scope.qualname):
        why = Why(node.lineno, f"`.{name}` is what a model has computed: on the accelerator by convention")
        return Value(Kind.TENSOR, Place.ACCELERATOR, certainty=Confidence.LIKELY, sure=Confidence.LIKELY, why=why)
    if names_tensor(name):
        return Value(Kind.TENSOR, certainty=Confidence.POSSIBLE)
    return UNKNOWN


def _external_attribute(dotted: str, line: int) -> Value:
    value = _known_external(dotted)
    if value.kind is Kind.EXTERNAL and not value.ref.startswith(("torch.", "numpy.")):
        return named_value(value.ref.rpartition(".")[2], line) or value  # `current_platform.device_type`
    return value


@lru_cache(maxsize=16384)
def _known_external(dotted: str) -> Value:
    dotted = canonical(dotted)
    owner, _, name = dotted.rpartition(".")
    result = attribute_fact(owner, name)
    if result is not None:
        if result.returns == "dtype":
            return dtype_value(name)
        if result.returns == "host":
            return HOST
    return Value(Kind.EXTERNAL, ref=dotted)


def dtype_value(name: str) -> Value:
    """The DTYPE value of ``torch.float32`` and its like; const is its name."""
    category = Dtype.FLOAT
    if name in ("bool", "bool_"):
        category = Dtype.BOOL
    elif name.startswith(("int", "uint", "long", "short")):
        category = Dtype.INT
    elif name.startswith(("complex", "cfloat", "cdouble", "chalf")):
        category = Dtype.COMPLEX
    return Value(Kind.DTYPE, dtype=category, const=name)


def _instance_attribute(frame: Frame, receiver: Value, name: str, node: ast.Attribute) -> Value:
    module = frame.module
    method = module.method(receiver.ref, name)
    if method is not None:
        if method.record.is_property:
            if receiver.kind is Kind.CLASS:
                return OBJECT
            return frame.by_name(name, module.result_of(method.symbol))
        return Value(Kind.FUNCTION, ref=method.symbol)
    value = module.attribute(receiver.ref, name)
    if value.kind is Kind.DEVICE:
        return frame.by_name(name, value)
    if value.kind is Kind.UNKNOWN:
        known = _unknown_attribute(frame, name, node)
        if value.origin is not None:
            known = known.replace(origin=value.origin)
        if known.kind is Kind.UNKNOWN and receiver.kind is Kind.MODULE and name in ("weight", "bias"):
            return attribute_of(frame, Value(Kind.MODULE, certainty=Confidence.LIKELY), name, node)
        return known
    return value


def assign_attribute(frame: Frame, target: ast.Attribute, value: Value) -> None:
    receiver = target.value
    value = frame.by_name(target.attr, value)
    named = value.replace(fresh=False) if value.fresh else value
    if frame.scope.qualname.endswith(".__init__"):
        named = _without_placeholders(named)
    if isinstance(receiver, ast.Name) and receiver.id == frame.receiver and frame.owner:
        stored = named
        if frame.module.is_module_like(frame.owner):
            stored = _stored_in_module(frame, target.attr, named)
        frame.module.assign_attribute(frame.owner, frame.scope, target.attr, stored)
    else:
        frame.value(receiver)
    key = dotted_name(target)
    if key is not None:
        frame.store(key, named)


def _without_placeholders(value: Value) -> Value:
    """``self.cache = torch.tensor([])``: what stands there until it is set says nothing of where that will be."""
    if value.items:
        return value.replace(items=tuple(map(_without_placeholders, value.items)))
    if value.kind is Kind.TENSOR and value.length == 0 and value.place is Place.CPU:
        return value.replace(place=Place.UNKNOWN, rank=None, length=None, pinned=None, why=None)
    return value


def _stored_in_module(frame: Frame, name: str, value: Value) -> Value:
    """A plain tensor attribute of a module does not move with ``.to()``; a Parameter does (see ``calls``)."""
    if value.kind is Kind.TENSOR and value.place is Place.CPU and value.sure is Confidence.CERTAIN:
        text = f"`self.{name}` is made in host memory and is no buffer, so `.to()` of the module leaves it there"
        return value.replace(sure=Confidence.LIKELY, why=Why(frame.line, text, value.why))
    if value.kind is Kind.UNKNOWN and frame.scope.node is not None and frame.scope.qualname.endswith(".__init__"):
        statement = frame.statement
        call = getattr(statement, "value", None)
        if isinstance(call, ast.Call):
            last = (dotted_name(call.func) or "").rpartition(".")[2]
            if last[:1].isupper():  # an imported class: in a module's constructor, most often a submodule
                return Value(Kind.MODULE, certainty=Confidence.LIKELY, origin=value.origin)
    return value
