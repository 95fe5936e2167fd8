"""What a guard says about the values it tests."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from synclint.finding import Confidence
from synclint.flow.annotations import annotated
from synclint.flow.lattice import HOST, NONE, UNKNOWN
from synclint.flow.places import place_of_name
from synclint.flow.values import Kind, Place, Value, Why
from synclint.index.names import dotted_name

if TYPE_CHECKING:
    from synclint.flow.frame import Frame

_TENSOR_TESTS = frozenset(("torch.is_tensor", "torch.Tensor", "torch.LongTensor", "torch.FloatTensor"))
_AVAILABLE = frozenset(("torch.cuda.is_available", "torch.accelerator.is_available"))


def narrow(frame: Frame, test: ast.expr, outcome: bool) -> dict[str, Value]:
    """``refine``, and what it changed."""
    frame.narrowed = {}
    refine(frame, test, outcome)
    return frame.narrowed


def refine(frame: Frame, test: ast.expr, outcome: bool) -> None:
    """Narrows ``frame.env`` for the path on which ``test`` turned out as ``outcome``."""
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        refine(frame, test.operand, not outcome)
    elif isinstance(test, ast.BoolOp):
        if isinstance(test.op, ast.And) is outcome:
            for operand in test.values:
                refine(frame, operand, outcome)
    elif isinstance(test, ast.Compare):
        if len(test.ops) == 1:
            _refine_comparison(frame, test, outcome)
    elif isinstance(test, ast.Call):
        _refine_call(frame, test, outcome)
    elif isinstance(test, ast.Attribute) and test.attr == "is_cuda":
        _place(frame, test.value, Place.CUDA if outcome else Place.CPU)
    elif isinstance(test, (ast.Name, ast.Attribute)):
        _not_none(frame, test, outcome)
    elif isinstance(test, ast.NamedExpr):
        refine(frame, test.target, outcome)


def _set(frame: Frame, node: ast.expr, value: Value) -> None:
    key = dotted_name(node)
    if key is None:
        return
    frame.store(key, value)
    frame.narrowed[key] = value


def _refine_comparison(frame: Frame, test: ast.Compare, outcome: bool) -> None:
    left, operator, right = test.left, test.ops[0], test.comparators[0]
    if isinstance(operator, (ast.IsNot, ast.NotEq)):
        outcome = not outcome
    elif not isinstance(operator, (ast.Is, ast.Eq)):
        return
    if isinstance(right, ast.Constant) and right.value is None:
        if dotted_name(left) is not None:
            value = frame.again(left)
            if outcome:
                if value.optional or value.kind is Kind.UNKNOWN:
                    _set(frame, left, NONE)
            elif value.optional:
                _set(frame, left, value.replace(optional=False))
            elif value.kind is Kind.NONE:
                _set(frame, left, UNKNOWN)
        return
    _refine_device(frame, left, right, outcome)


def _refine_device(frame: Frame, left: ast.expr, right: ast.expr, outcome: bool) -> None:
    """``x.device.type == "cuda"``, ``device == torch.device("cpu")``, ``x.device == y.device``."""
    if isinstance(left, ast.Constant):
        left, right = right, left
    place = _named_place(right)
    subject = left.value if isinstance(left, ast.Attribute) and left.attr == "type" else left
    if place is None:
        return
    if not outcome:
        place = {Place.CPU: Place.ACCELERATOR, Place.CUDA: Place.CPU}.get(place)
        if place is None:
            return
    if isinstance(subject, ast.Attribute) and subject.attr == "device":
        _place(frame, subject.value, place)
    if frame.again(subject).kind is Kind.DEVICE:
        _set(frame, subject, Value(Kind.DEVICE, place))


def _named_place(node: ast.expr) -> Place | None:
    if isinstance(node, ast.Call) and (dotted_name(node.func) or "").endswith("device") and node.args:
        node = node.args[0]
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return place_of_name(node.value)
    return None


def _place(frame: Frame, node: ast.expr, place: Place) -> None:
    value = frame.again(node)
    if place is Place.CPU:
        _doubt_conventions(frame)
    if value.kind in (Kind.TENSOR, Kind.UNKNOWN):
        text = f"the guard says so: on {'the CPU' if place is Place.CPU else 'the accelerator'}"
        why = Why(node.lineno, text)
        _set(
            frame,
            node,
            value.replace(
                kind=Kind.TENSOR,
                certainty=max(value.certainty, Confidence.LIKELY) if value.kind is Kind.TENSOR else Confidence.LIKELY,
                place=place,
                sure=Confidence.CERTAIN,
                origin=None,
                why=why,
            ),
        )


def _doubt_conventions(frame: Frame) -> None:
    """Where one tensor is on the CPU, others are there as well, unless they surely are not."""
    for key, value in list(frame.env.items()):
        if value.kind is Kind.TENSOR and value.place is Place.ACCELERATOR and value.sure is Confidence.LIKELY:
            doubted = value.replace(sure=Confidence.POSSIBLE)
            frame.env[key] = doubted
            frame.narrowed[key] = doubted


def _refine_call(frame: Frame, test: ast.Call, outcome: bool) -> None:
    name = dotted_name(test.func)
    if name == "isinstance" and len(test.args) == 2:
        _refine_isinstance(frame, test.args[0], test.args[1], outcome)
        return
    dotted = frame.module.external(name) if name else ""
    if dotted == "torch.is_tensor" and test.args:
        _tensor(frame, test.args[0], outcome)


def _refine_isinstance(frame: Frame, subject: ast.expr, classes: ast.expr, outcome: bool) -> None:
    parts = classes.elts if isinstance(classes, ast.Tuple) else [classes]
    names = [frame.module.external(dotted_name(part) or "?") for part in parts]
    if all(name in _TENSOR_TESTS for name in names):
        _tensor(frame, subject, outcome)
    elif outcome and dotted_name(subject) is not None:
        value = frame.again(subject)
        if all(name in ("int", "float", "bool", "str", "complex") for name in names):
            _set(frame, subject, HOST)
        elif all(name in ("list", "tuple") for name in names) and value.kind is not Kind.SEQUENCE:
            _set(frame, subject, Value(Kind.SEQUENCE))
        elif all(name in ("dict", "collections.abc.Mapping") for name in names) and value.kind is not Kind.MAPPING:
            _set(frame, subject, Value(Kind.MAPPING))
        elif names == ["numpy.ndarray"]:
            _set(frame, subject, Value(Kind.NDARRAY))
        elif len(parts) == 1 and value.kind in (Kind.UNKNOWN, Kind.INSTANCE, Kind.MODULE, Kind.OBJECT):
            known = annotated(parts[0], frame.module.resolve_annotation)
            if known.kind in (Kind.INSTANCE, Kind.MODULE) or known.origin is not None:
                _set(frame, subject, known)


def _tensor(frame: Frame, subject: ast.expr, outcome: bool) -> None:
    if dotted_name(subject) is None:
        return
    value = frame.again(subject)
    if outcome:
        known = value.kind is Kind.TENSOR
        _set(
            frame,
            subject,
            value.replace(certainty=Confidence.CERTAIN, optional=False)
            if known
            else Value(Kind.TENSOR, Place.ACCELERATOR, sure=Confidence.POSSIBLE),
        )
    elif value.kind is Kind.TENSOR:
        _set(frame, subject, UNKNOWN)


def _not_none(frame: Frame, node: ast.expr, outcome: bool) -> None:
    if dotted_name(node) is None:
        return
    key = dotted_name(node) or ""
    value = frame.env.get(key)
    if value is not None and value.optional and outcome:
        _set(frame, node, value.replace(optional=False))
