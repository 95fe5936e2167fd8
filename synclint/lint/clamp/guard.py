"""Finding clamp guards."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import TYPE_CHECKING

from synclint.flow.values import Dtype
from synclint.lint.conditions import conjuncts, operands
from synclint.lint.scalars.bindings import Bindings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from synclint.flow.site import FunctionNode
    from synclint.lint.conditions import Condition
    from synclint.lint.context import Context

CLAMPS = frozenset({"clamp", "clip", "clamp_min", "clamp_max"})

_Conjuncts = tuple[ast.expr, ...]


@dataclass(frozen=True, slots=True)
class ClampGuard:
    """``if host and asked: numbers; name = clamp(name, limits)``, in ``function``.

    ``host`` are the terms that need no tensor, ``asked`` those after them: bool tensors of rank 0, joined by ``and``,
    ``or`` and ``not``. ``numbers`` are the assignments before ``assignment``.
    """

    function: FunctionNode
    bindings: Bindings
    statement: ast.If
    host: _Conjuncts
    asked: _Conjuncts
    numbers: tuple[ast.Assign, ...]
    assignment: ast.Assign
    name: str
    limits: tuple[ast.expr, ...]


def clamp_guard(condition: Condition, context: Context) -> ClampGuard | None:
    """The guard whose test is the condition at hand, None if there is none or it cannot be taken apart."""
    statement, function = context.site.statement, context.site.scope.node
    if not isinstance(statement, ast.If) or condition.root is not statement.test or statement.orelse:
        return None
    if context.node is None or not isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return None
    *before, last = statement.body
    numbers = tuple(part for part in before if isinstance(part, ast.Assign) and assigned_name(part))
    if len(numbers) < len(before) or not isinstance(last, ast.Assign):
        return None
    name, assigned = assigned_name(last), {assigned_name(part) for part in numbers}
    bindings = Bindings(function, context.flow.record)
    limits = _limits(last.value, name, bindings)
    parts = _split(condition)
    if not limits or parts is None or not bindings.is_local(name) or _has_long_strings(statement.body):
        return None
    if any(isinstance(node, ast.Name) and node.id in assigned - {name} for node in ast.walk(statement.test)):
        return None
    return None if name in assigned else ClampGuard(function, bindings, statement, *parts, numbers, last, name, limits)


def assigned_name(statement: ast.stmt) -> str:
    """``name`` of ``name = value``, else empty."""
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1 and isinstance(statement.targets[0], ast.Name):
        return statement.targets[0].id
    return ""


def is_name(node: ast.expr, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def _limits(value: ast.expr, name: str, bindings: Bindings) -> tuple[ast.expr, ...]:
    """The bounds in ``torch.clamp(name, ...)`` or ``name.clamp(...)``; empty where it is neither."""
    if not isinstance(value, ast.Call):
        return ()
    function, arguments = value.func, list(value.args)
    if isinstance(function, ast.Attribute) and is_name(function.value, name):
        called = function.attr
    else:
        owner, _, called = (bindings.imported(function) or "").rpartition(".")
        if owner != "torch" or not arguments or not is_name(arguments.pop(0), name):
            return ()
    if called not in CLAMPS or any(isinstance(argument, ast.Starred) for argument in arguments):
        return ()
    if not {keyword.arg for keyword in value.keywords} <= {"min", "max"}:
        return ()
    given = [*arguments, *(keyword.value for keyword in value.keywords)]
    return tuple(bound for bound in given if not (isinstance(bound, ast.Constant) and bound.value is None))


def _split(condition: Condition) -> tuple[_Conjuncts, _Conjuncts] | None:
    """The terms that need no tensor, and those after them that are bool tensors of rank 0; None for any other test."""
    terms = conjuncts(condition.root)
    tensors = {site.node for site in condition.sites}
    count = 0
    while count < len(terms) and tensors.isdisjoint(operands(terms[count])):
        count += 1
    asked = terms[count:]
    if not asked or not tensors.issuperset(operand for term in asked for operand in operands(term)):
        return None
    values = [site.operands["self"] for site in condition.sites]
    if any(value.rank != 0 or value.dtype is not Dtype.BOOL for value in values):
        return None
    if any(isinstance(node, (ast.NamedExpr, ast.Await, ast.Yield, ast.YieldFrom)) for node in ast.walk(condition.root)):
        return None
    return tuple(terms[:count]), tuple(asked)


def _has_long_strings(body: Sequence[ast.stmt]) -> bool:
    """Whether moving lines to the left might change what a string holds."""
    nodes = (node for statement in body for node in ast.walk(statement))
    return any(isinstance(node, (ast.Constant, ast.JoinedStr)) and node.lineno != node.end_lineno for node in nodes)
