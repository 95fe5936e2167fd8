"""What parameters hold: by annotation, by convention, or as passed at a call."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from synclint.finding import Confidence
from synclint.flow.annotations import annotated
from synclint.flow.conventions import (
    is_after_transfer,
    is_cold,
    is_for_cpu,
    is_host_side,
    is_preprocessing,
    named_value,
    names_batch,
    names_computed,
    names_grid,
    names_host_memory,
    names_host_value,
    names_kernel_argument,
    names_tensor,
)
from synclint.flow.lattice import DISAGREED, LIKELY_HOST, UNKNOWN
from synclint.flow.site import FunctionNode
from synclint.flow.values import Kind, Place, Value, Why

if TYPE_CHECKING:
    from synclint.flow.frame import Frame

_STATIC = frozenset(("staticmethod",))


def bind_conventions(frame: Frame, node: FunctionNode) -> None:
    """Binds the parameters for an unknown caller."""
    arguments = node.args
    positional = [*arguments.posonlyargs, *arguments.args]
    _bind_receiver(frame, node, positional)
    defaults = _defaults(arguments)
    skip = 1 if frame.receiver else 0
    for parameter in [*positional[skip:], *arguments.kwonlyargs]:
        value = by_convention(frame, parameter, defaults.get(parameter.arg), node)
        frame.env[parameter.arg] = frame.module.parameter(frame.scope, parameter.arg, value)
    if arguments.vararg:
        element = by_convention(frame, arguments.vararg, None, node)
        frame.env[arguments.vararg.arg] = Value(Kind.SEQUENCE, element=element)
    if arguments.kwarg:
        frame.env[arguments.kwarg.arg] = Value(Kind.MAPPING)


def bind_arguments(
    frame: Frame,
    node: FunctionNode,
    receiver: Value | None,
    call: ast.Call,
    arguments: Sequence[Value],
    keywords: Mapping[str, Value],
) -> None:
    """Binds the parameters to what a call passes; what it does not pass, by convention."""
    bind_conventions(frame, node)
    positional = [*node.args.posonlyargs, *node.args.args][1 if frame.receiver else 0 :]
    if receiver is not None and frame.receiver:
        frame.env[frame.receiver] = receiver
    for parameter, argument, value in zip(positional, call.args, arguments, strict=False):
        if isinstance(argument, ast.Starred):
            break
        frame.env[parameter.arg] = _passed(frame.env.get(parameter.arg, UNKNOWN), value)
    names = {parameter.arg for parameter in (*positional, *node.args.kwonlyargs)}
    for name, value in keywords.items():
        if name in names:
            frame.env[name] = _passed(frame.env.get(name, UNKNOWN), value)
    for name, default in _defaults(node.args).items():
        if name not in keywords and name in names and isinstance(default, ast.Constant):
            passed = [p.arg for p in positional[: len(call.args)]]
            if (
                name not in passed
                and not any(isinstance(a, ast.Starred) for a in call.args)
                and None not in (k.arg for k in call.keywords)
            ):
                frame.env[name] = Value(Kind.NONE) if default.value is None else Value(Kind.HOST, const=default.value)


def in_the_light_of_calls(declared: Value, passed: Value) -> Value:
    """A parameter's value by annotation or convention, with what its call sites agree on."""
    kind = passed.kind
    if passed is DISAGREED and declared.kind is Kind.TENSOR:  # what is declared, or convention, stands, but for less
        return declared.replace(sure=Confidence.POSSIBLE)
    if kind is Kind.UNKNOWN:
        return declared
    all_agree = passed.certainty is Confidence.CERTAIN
    if all_agree:  # as far as the call sites can be seen
        passed = passed.replace(certainty=Confidence.LIKELY, sure=min(passed.sure, Confidence.LIKELY))
    if declared.kind is Kind.UNKNOWN:
        return passed
    if kind is declared.kind and kind in (Kind.SEQUENCE, Kind.MAPPING):
        by_convention = declared.element is not None and declared.element.place is Place.CPU
        return declared if by_convention else passed
    if declared.kind is Kind.TENSOR and kind is Kind.TENSOR:
        weak = passed.place is Place.UNKNOWN or passed.sure < min(declared.sure, Confidence.LIKELY)
        if weak or (declared.place is Place.CPU and declared.sure is not Confidence.POSSIBLE):  # it says so itself
            return declared
        return declared.replace(
            place=passed.place,
            sure=passed.sure,
            certainty=max(declared.certainty, passed.certainty),
            pinned=passed.pinned,
            rank=passed.rank,
            dtype=passed.dtype,
            why=passed.why,
        )
    if declared.kind is Kind.TENSOR and declared.certainty is not Confidence.CERTAIN:
        return passed  # no annotation says so, and nobody passes one
    if declared.kind is Kind.TENSOR and all_agree and _is_numbers(passed):
        return passed  # the annotation is wrong
    if declared.kind is Kind.DEVICE and kind in (Kind.DEVICE, Kind.HOST) and passed.place is not Place.UNKNOWN:
        return declared.replace(place=passed.place, sure=passed.sure, why=passed.why)
    if declared.kind in (Kind.INSTANCE, Kind.MODULE) and kind in (Kind.INSTANCE, Kind.MODULE):
        return declared if declared.ref is not None else passed
    return declared


def _is_numbers(value: Value) -> bool:
    """Whether a value is surely a number, an array, or a list or tuple of such."""
    if value.kind is not Kind.SEQUENCE:
        return value.kind in (Kind.HOST, Kind.NDARRAY) and value.certainty is not Confidence.POSSIBLE
    parts = value.items if value.items is not None else (value.element,)
    return all(part is not None and _is_numbers(part) for part in parts)


def _passed(declared: Value, value: Value) -> Value:
    return declared if value.kind is Kind.UNKNOWN else value


def _bind_receiver(frame: Frame, node: FunctionNode, positional: list[ast.arg]) -> None:
    if frame.owner is None or not positional:
        return
    names = {getattr(decorator, "id", "") for decorator in node.decorator_list}
    if names & _STATIC:
        return
    receiver = positional[0].arg
    frame.receiver = receiver
    if "classmethod" in names or node.name in ("__new__", "__init_subclass__"):
        frame.env[receiver] = Value(Kind.CLASS, ref=frame.owner)
    else:
        frame.env[receiver] = frame.module.instance(frame.owner)


def _defaults(arguments: ast.arguments) -> dict[str, ast.expr]:
    if not arguments.defaults and not arguments.kw_defaults:
        return {}
    positional = [*arguments.posonlyargs, *arguments.args]
    found = dict(
        zip([a.arg for a in positional[len(positional) - len(arguments.defaults) :]], arguments.defaults, strict=True)
    )
    for parameter, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        if default is not None:
            found[parameter.arg] = default
    return found


def by_convention(frame: Frame, parameter: ast.arg, default: ast.expr | None, node: FunctionNode) -> Value:
    """What a parameter holds when nothing is known about the callers."""
    name = parameter.arg
    value = annotated(parameter.annotation, frame.module.resolve_annotation)
    kind = value.kind
    if kind is Kind.MAPPING and names_batch(name) and is_preprocessing(node.name):
        return _loaded(name, node)
    if kind is Kind.TENSOR or (kind is Kind.SEQUENCE or kind is Kind.MAPPING):
        return _placed(frame, name, value, node)
    if kind is Kind.DEVICE:
        return value.replace(why=Why(node.lineno, f"parameter `{name}` is a device: the accelerator by convention"))
    if kind is not Kind.UNKNOWN:
        return value
    known = named_value(name, node.lineno) or frame.kept_on_host(name, node.lineno)
    if known is not None:
        if known.kind is Kind.DEVICE and isinstance(default, ast.Constant) and isinstance(default.value, str):
            return known.replace(sure=Confidence.POSSIBLE) if default.value == "cpu" else known
        return known
    if parameter.annotation is None:
        if isinstance(default, ast.Constant) and default.value is not None:
            return LIKELY_HOST
        if names_host_value(name):
            return UNKNOWN
        if names_batch(name) and is_preprocessing(node.name):
            return _loaded(name, node)
        in_model = frame.in_model_code and (names_tensor(name) or names_grid(name))
        if in_model or names_kernel_argument(name):
            return _placed(frame, name, Value(Kind.TENSOR, certainty=Confidence.LIKELY), node)
        if node.name == "forward" and frame.owner and frame.module.is_module_like(frame.owner):
            return _placed(frame, name, Value(Kind.TENSOR, certainty=Confidence.POSSIBLE), node)
    return value


def _loaded(name: str, node: FunctionNode) -> Value:
    why = Why(node.lineno, f"`{name}` comes from a data loader: in host memory until it is moved")
    tensor = Value(Kind.TENSOR, Place.CPU, certainty=Confidence.LIKELY, sure=Confidence.LIKELY, why=why)
    return Value(Kind.MAPPING, element=tensor)


def field(frame: Frame, name: str, value: Value, line: int) -> Value:
    """What the annotated field of a class holds: a tensor on the accelerator, unless its name says otherwise."""
    if value.kind is not Kind.TENSOR or value.place is not Place.UNKNOWN:
        return value
    if frame.names_host_memory(name):
        text, place, sure = f"field `{name}` is in host memory by its name", Place.CPU, Confidence.LIKELY
    elif is_host_side(frame.module.path, frame.scope.qualname):
        text, place, sure = f"field `{name}` is a tensor", Place.ACCELERATOR, Confidence.POSSIBLE
    else:
        text = f"field `{name}` of `{frame.scope.qualname}` is a tensor: on the accelerator by convention"
        place, sure = Place.ACCELERATOR, Confidence.LIKELY
    return value.replace(place=place, sure=sure, why=Why(line, text))


def returned(frame: Frame, declared: Value, line: int) -> Value:
    """What a function is annotated to return: a tensor on the accelerator, unless its surroundings say otherwise."""
    if declared.kind is not Kind.TENSOR or declared.place is not Place.UNKNOWN:
        return declared
    text, place, sure = "returns a tensor: on the accelerator by convention", Place.ACCELERATOR, Confidence.LIKELY
    name = frame.scope.qualname.rpartition(".")[2]
    if names_host_memory(name) or is_for_cpu(frame.module.path, frame.owner_name, name):
        text, place = "returns a tensor in host memory, by its name", Place.CPU
    elif is_host_side(frame.module.path, frame.owner_name, name) or is_cold(name):
        sure = Confidence.POSSIBLE
    return declared.replace(place=place, sure=sure, why=Why(line, f"`{frame.scope.qualname}` {text}"))


def _placed(frame: Frame, name: str, value: Value, node: FunctionNode) -> Value:
    """Puts a tensor parameter (or the tensors in a container) where convention has it."""
    if value.kind is Kind.SEQUENCE or value.kind is Kind.MAPPING:
        if value.items is not None:
            return value.replace(items=tuple(_placed(frame, name, item, node) for item in value.items))
        if value.element is None:
            return value
        return value.replace(element=_placed(frame, name, value.element, node))
    if value.kind is not Kind.TENSOR or value.place is not Place.UNKNOWN:
        return value
    line = node.lineno
    if frame.names_host_memory(name):
        why = Why(line, f"parameter `{name}` is in host memory by its name")
        return value.replace(place=Place.CPU, sure=Confidence.LIKELY, why=why)
    if is_cold(node.name) or node.name in ("__init__", "collate_fn") or is_after_transfer(frame.owner_name, node.name):
        return value.replace(sure=Confidence.POSSIBLE, why=Why(line, f"parameter `{name}` is a tensor"))
    qualname = frame.scope.qualname
    if is_for_cpu(frame.module.path, frame.owner_name, node.name):
        text = f"parameter `{name}` of `{qualname}`, which is for the CPU by its name"
        return value.replace(place=Place.CPU, sure=Confidence.POSSIBLE, why=Why(line, text))
    if frame.in_model_code:
        text = f"parameter `{name}` of `{qualname}`: on the accelerator by convention of model code"
        return value.replace(place=Place.ACCELERATOR, sure=Confidence.LIKELY, why=Why(line, text))
    prepares = is_host_side(frame.module.path, frame.owner_name, node.name)
    if prepares and not names_computed(name):
        text = f"parameter `{name}` is a tensor, in host memory as far as this preprocessing code is concerned"
        return value.replace(place=Place.ACCELERATOR, sure=Confidence.POSSIBLE, why=Why(line, text))
    text = f"parameter `{name}` of `{qualname}` is a tensor: on the accelerator by convention"
    return value.replace(place=Place.ACCELERATOR, sure=Confidence.LIKELY, why=Why(line, text))
