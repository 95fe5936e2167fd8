"""Interpreting expressions."""

from __future__ import annotations

import ast
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from synclint.finding import Confidence
from synclint.flow.attributes import assign_attribute, evaluate_attribute
from synclint.flow.calls import evaluate_call
from synclint.flow.conventions import named_value, names_device, value_by_name
from synclint.flow.dispatch import EVALUATE
from synclint.flow.iteration import read_contained, read_elements
from synclint.flow.lattice import (
    HOST,
    NONE,
    OBJECT,
    UNKNOWN,
    blend,
    element_of,
    element_value,
    item_value,
    join,
    join_all,
)
from synclint.flow.module_containers import item_of_module
from synclint.flow.operations import read_number
from synclint.flow.places import LIKELY_ACCELERATOR, combine, is_host_scalar, place_of_name
from synclint.flow.refine import refine
from synclint.flow.subscripts import container_of, read_subscript, write_subscript
from synclint.flow.tensors import DTYPE_ORDER
from synclint.flow.values import Dtype, Kind, Place, Value
from synclint.index.names import dotted_name

if TYPE_CHECKING:
    from synclint.flow.frame import Frame

_BUILTINS = {
    name: Value(Kind.EXTERNAL, ref=f"builtins.{name}")
    for name in """
    abs all any bool bytes callable chr complex dict dir divmod enumerate filter float format frozenset getattr
    hasattr hash id int isinstance issubclass iter len list map max min next object open ord pow print range repr
    reversed round set setattr slice sorted str sum super tuple type vars zip
    """.split()
}


def truth(frame: Frame, node: ast.expr, context: str) -> Value:
    """Interprets an expression whose truth value is asked for, and returns its value."""
    if isinstance(node, ast.BoolOp):
        before = frame.env
        frame.env = dict(before)
        inner = "and" if isinstance(node.op, ast.And) else "or"
        result: Value | None = None
        for operand in node.values:
            value = truth(frame, operand, context if context in ("if", "while", "assert", "ifexp") else inner)
            result = value if result is None else join(result, value)
            refine(frame, operand, inner == "and")
        walrus = {name: value for name, value in frame.env.items() if name not in before}
        frame.env = before
        frame.env.update(walrus)
        return result or UNKNOWN
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        truth(frame, node.operand, context)
        return HOST
    value = frame.value(node)
    if value.kind is Kind.TENSOR:
        asked = value
        if value.rank is None and isinstance(node, (ast.Name, ast.Attribute)):
            # `if x:` on a tensor of several elements raises, so `x` is rather something else (or None).
            asked = value.replace(certainty=Confidence.POSSIBLE)
        frame.emit("truth(Tensor)", node, {"self": asked}, {"self": node}, context=context)
    else:
        frame.suspect(value)
    return value


def bind_target(frame: Frame, target: ast.expr, value: Value) -> None:
    """Assigns to a name, attribute, item, or a tuple of them."""
    if isinstance(target, ast.Name):
        frame.bind(target.id, value)
    elif isinstance(target, (ast.Tuple, ast.List)):
        items = value.items
        if items is not None and len(items) == len(target.elts):
            parts = list(items)
        else:
            starred = any(isinstance(part, ast.Starred) for part in target.elts)
            parts = [frame.module.item(value, None if starred else index) for index in range(len(target.elts))]
        for part, inner in zip(target.elts, parts, strict=True):
            if isinstance(part, ast.Starred):
                bind_target(frame, part.value, Value(Kind.SEQUENCE, element=element_value(value)))
            else:
                bind_target(frame, part, inner)
    elif isinstance(target, ast.Attribute):
        assign_attribute(frame, target, value)
    elif isinstance(target, ast.Subscript):
        container = frame.value(target.value)
        index = frame.value(target.slice)
        container = container_of(container, index, target)
        frame.suspect_write(container, index, value)
        if container.kind is Kind.TENSOR:
            write_subscript(frame, container, index, value, target)
        elif container.kind is Kind.SEQUENCE:
            read_number(frame, target.slice, index)
        if isinstance(target.value, ast.Name) and container.kind in (Kind.MAPPING, Kind.SEQUENCE):
            _put(frame, target.value.id, container, target.slice, value)
        elif container.kind is Kind.MODULE and container.ref is None:
            frame.grow(target.value, container, value)
        key = _path(target)
        if key is not None and container.kind is not Kind.TENSOR:
            frame.store(key, value)
    elif isinstance(target, ast.Starred):
        bind_target(frame, target.value, value)


def _put(frame: Frame, name: str, container: Value, key: ast.expr, value: Value) -> None:
    """``name[key] = value`` for a list or dictionary."""
    element = element_of(container)
    kept = False
    if container.kind is Kind.MAPPING and element is not None and element.kind is Kind.TENSOR:
        # One key of a batch that is moved leaves the others where they are (that one is kept by its path).
        kept = isinstance(key, ast.Constant)
        if isinstance(key, ast.Name) and key.id in frame.keys:  # each key has its turn in this loop
            kept = True
            frame.later[name] = value
    widened = value if element is None else element if kept else join(element, value)
    frame.env[name] = container.replace(items=None, element=widened, fresh=False)


def put_into_mapping(frame: Frame, name: str, value: Value) -> None:
    """What a dictionary holds after a loop that has put something in the place of its values."""
    container = frame.env.get(name)
    if container is not None and container.element is not None:
        frame.env[name] = container.replace(element=join(container.element, value))


# Expressions


def _constant(frame: Frame, node: ast.Constant) -> Value:
    return NONE if node.value is None else _literal(node.value)


@lru_cache(maxsize=4096, typed=True)
def _literal(value: object) -> Value:
    return Value(Kind.HOST, const=value, dtype=_DTYPES.get(type(value)))


def _name(frame: Frame, node: ast.Name) -> Value:
    name = node.id
    value = frame.env.get(name)
    if value is not None:
        return value
    value = frame.module.name(name)
    if value is not None:
        is_device = value.kind is Kind.UNKNOWN and names_device(name)
        return LIKELY_ACCELERATOR.replace(origin=value.origin) if is_device else value
    value = _BUILTINS.get(name)
    if value is not None:
        return value
    return named_value(name, node.lineno) or UNKNOWN


def _path(node: ast.Subscript) -> str | None:
    """``batch["img"]`` as a key, None when it is more than names and a constant."""
    if isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, (str, int)):
        root = dotted_name(node.value)
        return None if root is None else f"{root}[{node.slice.value!r}]"
    return None


def _subscript(frame: Frame, node: ast.Subscript) -> Value:
    if frame.paths:
        key = _path(node)
        known = frame.env.get(key) if key is not None else None
        if known is not None:
            return known
    container = frame.value(node.value)
    index = frame.value(node.slice) if not isinstance(node.slice, ast.Slice) else _slice(frame, node.slice)
    container = container_of(container, index, node)
    frame.suspect_index(container, index)
    kind = container.kind
    if kind is Kind.TENSOR:
        return read_subscript(frame, container, index, node)
    if kind is Kind.SEQUENCE:
        read_number(frame, node.slice, index)
        items = container.items
        if items is not None and isinstance(index.const, int) and -len(items) <= index.const < len(items):
            return items[index.const]
        if isinstance(node.slice, ast.Slice):
            return Value(Kind.SEQUENCE, element=element_of(container))
        return element_of(container) or UNKNOWN
    if kind is Kind.MAPPING:
        return container.element or UNKNOWN
    if kind is Kind.NDARRAY or kind is Kind.HOST:
        return container.replace(const=None, rank=None, length=None)
    if kind is Kind.MODULE and container.ref is None:
        return item_of_module(container, node, index)
    number = index.const if isinstance(index.const, int) else None
    if kind is Kind.INSTANCE and number is not None:
        return frame.module.item(container, number)
    if kind is Kind.INSTANCE and container.ref is not None and isinstance(index.const, str):  # of a TypedDict
        return frame.module.attribute(container.ref, index.const)
    if kind is not Kind.UNKNOWN:
        return UNKNOWN
    asked = number if number is not None else index.const if isinstance(index.const, str) else ""
    held = item_value(container, asked)
    if isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str):
        known = value_by_name(node.slice.value) or frame.kept_on_host(node.slice.value, node.lineno)
        return held if known is None else known.replace(origin=held.origin)
    return held


def _slice(frame: Frame, node: ast.Slice) -> Value:
    for part in (node.lower, node.upper, node.step):
        if part is not None:
            read_number(frame, part, frame.value(part))
    return HOST


def _call(frame: Frame, node: ast.Call) -> Value:
    return evaluate_call(frame, node)


def _bool_op(frame: Frame, node: ast.BoolOp) -> Value:
    context = "and" if isinstance(node.op, ast.And) else "or"
    before = frame.env
    frame.env = dict(before)
    result: Value | None = None
    for operand in node.values[:-1]:
        value = truth(frame, operand, context)
        result = value if result is None else join(result, value)
        refine(frame, operand, context == "and")
    last = frame.value(node.values[-1])
    frame.env = before
    return last if result is None else join(result, last)


def _unary(frame: Frame, node: ast.UnaryOp) -> Value:
    if isinstance(node.op, ast.Not):
        truth(frame, node.operand, "not")
        return HOST
    operand = frame.value(node.operand)
    if operand.kind is Kind.TENSOR:
        return operand.replace(fresh=True, leaf=None, pinned=False)
    if operand.kind is Kind.HOST and isinstance(operand.const, (int, float)):
        if isinstance(node.op, ast.USub):
            return Value(Kind.HOST, const=-operand.const)
        return HOST
    return operand


def _binary(frame: Frame, node: ast.BinOp) -> Value:
    left, right = frame.value(node.left), frame.value(node.right)
    if isinstance(node.op, ast.Mult):
        for sequence, times, expression in ((left, right, node.right), (right, left, node.left)):
            if sequence.kind is Kind.SEQUENCE and times.kind is Kind.TENSOR:  # `[value] * count`
                read_number(frame, expression, times)
                return Value(Kind.SEQUENCE, element=element_of(sequence), fresh=True)
            if sequence.kind is Kind.SEQUENCE:
                frame.suspect(times)
    return binary(frame, left, right, node.op)


_DTYPES: dict[type, Dtype] = {bool: Dtype.BOOL, int: Dtype.INT, float: Dtype.FLOAT, complex: Dtype.COMPLEX}


def binary(frame: Frame, left: Value, right: Value, operator: ast.operator) -> Value:
    """The result of an arithmetic operator."""
    best = combine((left, right))
    if best is not None:
        return _tensor_result(best, left, right, isinstance(operator, ast.Div))
    if Kind.NDARRAY in (left.kind, right.kind):
        return left if left.kind is Kind.NDARRAY else right
    if left.kind is Kind.SEQUENCE or right.kind is Kind.SEQUENCE:
        if isinstance(operator, ast.Add) and left.kind is right.kind:
            one, two = element_of(left), element_of(right)
            element = one or two if one is None or two is None else join(one, two)
            return Value(Kind.SEQUENCE, element=element, fresh=True)
        if isinstance(operator, ast.Mult):
            sequence = left if left.kind is Kind.SEQUENCE else right
            return Value(Kind.SEQUENCE, element=element_of(sequence), fresh=True)
        return UNKNOWN
    if left.kind is Kind.HOST and right.kind is Kind.HOST:
        return HOST
    return blend(left, right)


def _tensor_result(best: Value, left: Value, right: Value, true_division: bool = False) -> Value:
    rank: int | None
    dtype: Dtype | None
    if left.kind is Kind.TENSOR and right.kind is Kind.TENSOR:
        rank = max(left.rank, right.rank) if left.rank is not None and right.rank is not None else None
        dtype = max(left.dtype, right.dtype, key=DTYPE_ORDER.index) if left.dtype and right.dtype else None
    else:
        tensor, other = (left, right) if left.kind is Kind.TENSOR else (right, left)
        rank = tensor.rank if other.kind is Kind.HOST else None
        # An unknown number leaves a floating tensor floating (or makes it complex, which is rare enough).
        dtype = tensor.dtype if tensor.dtype in (Dtype.FLOAT, Dtype.COMPLEX) else None
        if tensor.dtype is not None and other.dtype is not None:
            dtype = max(tensor.dtype, other.dtype, key=DTYPE_ORDER.index)
    if true_division and dtype in (Dtype.INT, Dtype.BOOL):
        dtype = Dtype.FLOAT
    if is_host_scalar(best) and Kind.UNKNOWN in (left.kind, right.kind):  # which decides where the result is
        best = best.replace(place=Place.UNKNOWN, sure=Confidence.CERTAIN, origin=None)
    return Value(
        Kind.TENSOR,
        best.place,
        certainty=best.certainty,
        sure=best.sure,
        pinned=False,
        dense=True,
        rank=rank,
        dtype=dtype,
        fresh=True,
        origin=best.origin,
        why=best.why,
    )


_NEVER_TENSOR: frozenset[type[ast.cmpop]] = frozenset((ast.Is, ast.IsNot, ast.In, ast.NotIn))


def _compare(frame: Frame, node: ast.Compare) -> Value:
    values = [frame.value(node.left), *map(frame.value, node.comparators)]
    if isinstance(node.ops[0], (ast.In, ast.NotIn)):
        read_contained(frame, node, values[0], values[1])
    if not _NEVER_TENSOR.isdisjoint(map(type, node.ops)):
        return HOST
    if str in [value.const.__class__ for value in values]:
        return HOST  # a tensor never equals a string, and says so at once
    best = combine(values)
    if best is None:
        frame.suspect(*values)
        if any(value.kind is Kind.NDARRAY for value in values):
            return Value(Kind.NDARRAY)
        # Unknown things may be tensors, and then so is what comparing them with numbers gives.
        known = Kind.NONE in [value.kind for value in values] or Kind.UNKNOWN not in [value.kind for value in values]
        return HOST if known else blend(values[0], values[1]).replace(dtype=Dtype.BOOL)
    if all(value.kind in (Kind.TENSOR, Kind.HOST, Kind.UNKNOWN, Kind.NDARRAY) for value in values):
        first = _tensor_result(best, values[0], values[1]).replace(dtype=Dtype.BOOL)
        if len(node.ops) > 1:
            frame.emit("truth(Tensor)", node, {"self": first}, {"self": node}, context="compare")
        return first
    return HOST


def _if_expression(frame: Frame, node: ast.IfExp) -> Value:
    truth(frame, node.test, "ifexp")
    before = frame.env
    frame.env = dict(before)
    refine(frame, node.test, True)
    first = frame.value(node.body)
    frame.env = dict(before)
    refine(frame, node.test, False)
    second = frame.value(node.orelse)
    frame.env = before
    if first.kind is Kind.HOST and second.kind is Kind.HOST and isinstance(first.const, str):
        return _device_choice(first, second)
    if (
        first.kind is Kind.DEVICE
        and second.kind is Kind.DEVICE
        and {first.place, second.place} == {Place.CUDA, Place.CPU}
    ):
        return Value(Kind.DEVICE, Place.ACCELERATOR, sure=min(first.sure, second.sure), why=first.why)
    return join(first, second)


def _device_choice(first: Value, second: Value) -> Value:
    """``"cuda" if torch.cuda.is_available() else "cpu"``: the accelerator whenever one is used."""
    if isinstance(second.const, str):
        places = {place_of_name(first.const), place_of_name(second.const)}
        if Place.CUDA in places and Place.CPU in places:
            return Value(Kind.DEVICE, Place.ACCELERATOR)
    return join(first, second)


def _sequence(frame: Frame, node: ast.Tuple | ast.List | ast.Set) -> Value:
    items = [frame.value(item) for item in node.elts]
    if any(isinstance(item, ast.Starred) for item in node.elts) or len(items) > 12:
        return Value(Kind.SEQUENCE, element=join_all(items) if items else None, fresh=True)
    ref = "tuple" if isinstance(node, ast.Tuple) else None
    return Value(Kind.SEQUENCE, items=tuple(items), length=len(items), fresh=True, ref=ref)


def _starred(frame: Frame, node: ast.Starred) -> Value:
    return element_value(frame.value(node.value))


def _dict(frame: Frame, node: ast.Dict) -> Value:
    values = []
    for key, item in zip(node.keys, node.values, strict=True):
        if key is not None:
            frame.value(key)
        value = frame.value(item)
        values.append(value if key is not None else (value.element or UNKNOWN))
    return Value(Kind.MAPPING, element=join_all(values) if values else None, fresh=True)


def _comprehension(frame: Frame, node: Any) -> Value:
    before = frame.env
    frame.env = dict(before)
    sites = set(frame.sites)
    for generator in node.generators:
        iterable = frame.value(generator.iter)
        bind_target(frame, generator.target, element_value(iterable))
        for condition in generator.ifs:
            truth(frame, condition, "comprehension")
            refine(frame, condition, True)
    if isinstance(node, ast.DictComp):
        frame.value(node.key)
        result = Value(Kind.MAPPING, element=frame.value(node.value), fresh=True)
    else:
        result = Value(Kind.SEQUENCE, element=frame.value(node.elt), fresh=True)
    for generator in node.generators:
        read_elements(frame, generator.iter, generator.target, sites)
    frame.env = before
    return result


def _lambda(frame: Frame, node: ast.Lambda) -> Value:
    before = frame.env
    frame.env = dict(before)
    arguments = node.args
    for parameter in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
        frame.env[parameter.arg] = value_by_name(parameter.arg) or UNKNOWN
    frame.value(node.body)
    frame.env = before
    return OBJECT


def _named(frame: Frame, node: ast.NamedExpr) -> Value:
    value = frame.value(node.value)
    bind_target(frame, node.target, value)
    return value


def _joined_string(frame: Frame, node: ast.JoinedStr) -> Value:
    text = ""
    for part in node.values:
        if isinstance(part, ast.FormattedValue):
            frame.value(part.value)
            if part.format_spec is not None:
                frame.value(part.format_spec)
        elif not text and isinstance(part, ast.Constant) and part is node.values[0]:
            text = str(part.value)
    if text.startswith(("cuda", "cpu")):
        return Value(Kind.HOST, place_of_name(text))
    return HOST


def _await(frame: Frame, node: ast.Await) -> Value:
    frame.value(node.value)
    return UNKNOWN


def _yield(frame: Frame, node: ast.Yield) -> Value:
    frame.generator = True
    if node.value is not None:
        frame.returns.append(frame.value(node.value))
    return UNKNOWN


def _yield_from(frame: Frame, node: ast.YieldFrom) -> Value:
    frame.generator = True
    frame.returns.append(element_value(frame.value(node.value)))
    return UNKNOWN


def _bare_slice(frame: Frame, node: ast.Slice) -> Value:
    return _slice(frame, node)


def _other(frame: Frame, node: ast.expr) -> Value:
    return UNKNOWN


EVALUATE.update(
    {
        ast.Constant: _constant,
        ast.Name: _name,
        ast.Attribute: evaluate_attribute,
        ast.Subscript: _subscript,
        ast.Call: _call,
        ast.BoolOp: _bool_op,
        ast.UnaryOp: _unary,
        ast.BinOp: _binary,
        ast.Compare: _compare,
        ast.IfExp: _if_expression,
        ast.Tuple: _sequence,
        ast.List: _sequence,
        ast.Set: _sequence,
        ast.Starred: _starred,
        ast.Dict: _dict,
        ast.ListComp: _comprehension,
        ast.SetComp: _comprehension,
        ast.GeneratorExp: _comprehension,
        ast.DictComp: _comprehension,
        ast.Lambda: _lambda,
        ast.NamedExpr: _named,
        ast.JoinedStr: _joined_string,
        ast.FormattedValue: _other,
        ast.Await: _await,
        ast.Yield: _yield,
        ast.YieldFrom: _yield_from,
        ast.Slice: _bare_slice,
    }
)
