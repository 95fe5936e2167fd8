"""The bounds of a clamp: numbers that fit the dtype, or not."""

from __future__ import annotations

import ast
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from synclint.lint.clamp.guard import ClampGuard, assigned_name, is_name
from synclint.lint.conditions import conjuncts
from synclint.lint.scalars.bindings import Bindings

LARGEST = {
    "float16": 65504.0,
    "bfloat16": 3.3895313892515355e38,
    "float32": 3.4028234663852886e38,
    "float64": 1.7976931348623157e308,
}
"""The largest finite number of each dtype that ``clamp`` takes; to convert a larger bound to it raises."""

_ALIASES = {"half": "float16", "float": "float32", "double": "float64"}
_NUMBER_BUILTINS = frozenset({"float", "int", "abs", "min", "max", "round"})
_NUMBER_FUNCTIONS = frozenset({"torch.finfo", "torch.iinfo"})


@dataclass(frozen=True, slots=True)
class Bounds:
    """``tensor``: the text of one that may be a tensor. ``unknown``: the text of one that is not known to be a number
    that fits. Empty for none."""

    tensor: str = ""
    unknown: str = ""


def bounds_of(guard: ClampGuard, dtypes: Collection[str]) -> Bounds:
    """What is to be said about the bounds of a guard, for any of these dtypes of the tensor that is clamped."""
    local = {assigned_name(part): part.value for part in guard.numbers}
    unknown = ""
    for bound in (*guard.limits, *local.values()):
        if _may_be_tensor(bound, guard):
            return Bounds(tensor=ast.unparse(bound))
        for dtype in dtypes:
            value = _Evaluation(guard.name, LARGEST[dtype], guard.bindings).value(bound, local)
            if value is None or not abs(value) <= LARGEST[dtype]:
                unknown = unknown or ast.unparse(bound)
    return Bounds(unknown=unknown)


def tested_dtypes(tests: Collection[ast.expr], name: str, bindings: Bindings) -> frozenset[str] | None:
    """The floating dtypes that a tensor can have where these tests hold, None if none of them asks for its dtype."""
    known: frozenset[str] | None = None
    for test in tests:
        for term in conjuncts(test):
            found = _dtypes_of_test(term, name, bindings)
            if found is not None:
                known = found if known is None else known & found
    return known


def _dtypes_of_test(test: ast.expr, name: str, bindings: Bindings) -> frozenset[str] | None:
    if not (isinstance(test, ast.Compare) and len(test.ops) == 1 and _is_dtype_of(test.left, name)):
        return None
    operator, right = test.ops[0], test.comparators[0]
    if isinstance(operator, ast.In) and isinstance(right, (ast.Tuple, ast.List, ast.Set)):
        named = [_floating_dtype(item, bindings) for item in right.elts]
    elif isinstance(operator, (ast.Eq, ast.Is)):
        named = [_floating_dtype(right, bindings)]
    else:
        return None
    return frozenset(named) if named and "" not in named else None


def _is_dtype_of(node: ast.expr, name: str) -> bool:
    return isinstance(node, ast.Attribute) and node.attr == "dtype" and is_name(node.value, name)


def _floating_dtype(node: ast.expr, bindings: Bindings) -> str:
    owner, _, dtype = (bindings.imported(node) or "").rpartition(".")
    dtype = _ALIASES.get(dtype, dtype)
    return dtype if owner == "torch" and dtype in LARGEST else ""


def _may_be_tensor(bound: ast.AST, guard: ClampGuard) -> bool:
    """Whether something in a bound is what a call gives that need not give a number, or is said to be a tensor."""
    if isinstance(bound, ast.Attribute) and bound.attr in ("dtype", "shape", "ndim"):
        return False
    if isinstance(bound, ast.Call) and not _gives_number(bound, guard.bindings):
        return True
    if isinstance(bound, ast.Name):
        values = [value for value in guard.bindings.values(bound.id) if value is not None]
        calls = (node for value in values for node in ast.walk(value) if isinstance(node, ast.Call))
        return _is_tensor_parameter(bound.id, guard) or not all(_gives_number(call, guard.bindings) for call in calls)
    return any(_may_be_tensor(part, guard) for part in ast.iter_child_nodes(bound))


def _gives_number(call: ast.Call, bindings: Bindings) -> bool:
    if isinstance(call.func, ast.Name) and call.func.id in _NUMBER_BUILTINS:
        return not bindings.is_shadowed(call.func.id)
    return bindings.imported(call.func) in _NUMBER_FUNCTIONS


def _is_tensor_parameter(name: str, guard: ClampGuard) -> bool:
    for node in ast.walk(guard.function.args):
        if isinstance(node, ast.arg) and node.arg == name and node.annotation is not None:
            return "Tensor" in ast.unparse(node.annotation)
    return False


@dataclass(frozen=True, slots=True)
class _Evaluation:
    """Computes bounds of the tensor ``name``, where ``largest`` is the largest number of its dtype."""

    name: str
    largest: float
    bindings: Bindings

    def value(self, node: ast.expr, local: Mapping[str, ast.expr]) -> float | None:
        """The number that an expression gives, None if that is not known."""
        if isinstance(node, ast.Constant):
            return node.value if isinstance(node.value, (int, float)) and not isinstance(node.value, bool) else None
        if isinstance(node, ast.Name):
            return self.value(local[node.id], {}) if node.id in local else None
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
            value = self.value(node.operand, local)
            return -value if value is not None and isinstance(node.op, ast.USub) else value
        if isinstance(node, ast.BinOp):
            left, right = self.value(node.left, local), self.value(node.right, local)
            return None if left is None or right is None else _arithmetic(left, node.op, right)
        return self._finfo(node)

    def _finfo(self, node: ast.expr) -> float | None:
        """``torch.finfo(dtype).max`` or ``.min``."""
        call = node.value if isinstance(node, ast.Attribute) and node.attr in ("max", "min") else None
        if not isinstance(call, ast.Call) or self.bindings.imported(call.func) != "torch.finfo":
            return None
        if len(call.args) != 1 or call.keywords:
            return None
        dtype = _floating_dtype(call.args[0], self.bindings)
        largest = self.largest if _is_dtype_of(call.args[0], self.name) else LARGEST.get(dtype)
        if largest is None:
            return None
        return largest if isinstance(node, ast.Attribute) and node.attr == "max" else -largest


def _arithmetic(left: float, operator: ast.operator, right: float) -> float | None:
    if isinstance(operator, ast.Add):
        return left + right
    if isinstance(operator, ast.Sub):
        return left - right
    if isinstance(operator, ast.Mult):
        return left * right
    return left / right if isinstance(operator, ast.Div) and right else None
