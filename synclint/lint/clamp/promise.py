"""What ``torch.where`` in place of a clamp guard can promise."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import TYPE_CHECKING

from synclint.finding import Confidence
from synclint.flow.values import Dtype, Kind
from synclint.lint.clamp.bounds import LARGEST, bounds_of, tested_dtypes
from synclint.lint.clamp.guard import ClampGuard, assigned_name
from synclint.lint.clamp.holders import holders, writes_after
from synclint.lint.conditions import operands
from synclint.lint.scalars.values import values_in

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from synclint.flow.values import Value
    from synclint.lint.clamp.bounds import Bounds
    from synclint.lint.clamp.holders import Holders
    from synclint.lint.context import Context
    from synclint.lint.scalars.bindings import Bindings

_CHECKS = frozenset({"isinf", "isnan", "isfinite", "isposinf", "isneginf"})
_REDUCTIONS = frozenset({"any", "all"})


@dataclass(frozen=True, slots=True)
class Verdict:
    """``refusal``: why no rewrite can be right, empty if one may be. ``doubts``: why one might not be."""

    refusal: str = ""
    doubts: tuple[str, ...] = ()


def weigh(guard: ClampGuard, context: Context) -> Verdict:
    """Whether clamping or not clamping may be chosen on the device, for a guard of the function at hand."""
    held = holders(guard)
    values = values_in(context.flow, context.site.scope)
    tensor = _tensor(guard, values)
    if held.origin == "new" and not _is_tensor_method(held.made_by, guard, values):
        held.origin = "unknown"
    dtypes = tested_dtypes([*held.tests, *guard.host], guard.name, guard.bindings)
    if dtypes is None and tensor is not None and tensor.dtype is Dtype.FLOAT and b"float8" not in context.source.data:
        dtypes = frozenset(LARGEST)
    bounds = bounds_of(guard, dtypes or LARGEST)
    refusal = _refusal(guard, held, tensor, bounds, is_floating=dtypes is not None)
    if refusal:
        return Verdict(refusal)
    return Verdict(doubts=tuple(_doubts(guard, held, tensor, bounds, is_floating=dtypes is not None)))


def _is_tensor_method(made_by: ast.expr | None, guard: ClampGuard, values: Mapping[ast.expr, Value]) -> bool:
    """Whether a call, if it is one of a method, is one of a tensor's; what others of that name return is not known."""
    if not (isinstance(made_by, ast.Call) and isinstance(made_by.func, ast.Attribute)):
        return True
    return guard.bindings.imported(made_by.func) is not None or _is_surely_tensor(values.get(made_by.func.value))


def _tensor(guard: ClampGuard, values: Mapping[ast.expr, Value]) -> Value | None:
    """What is known about the tensor that the guard looks at."""
    reads = (node for term in guard.asked for node in ast.walk(term) if isinstance(node, ast.Name))
    return next((values[node] for node in reads if node.id == guard.name and node in values), None)


def _refusal(guard: ClampGuard, held: Holders, tensor: Value | None, bounds: Bounds, *, is_floating: bool) -> str:
    name = guard.name
    if held.origin == "shared" or held.sharing:
        where = f" (`{held.sharing[0]}`)" if held.sharing else ""
        return f"`{name}` goes by another name as well{where}, and the guard keeps the two the same tensor"
    if bounds.tensor:
        return f"the bound `{bounds.tensor}` may be a tensor, which can change dtype and shape"
    other = tensor is not None and tensor.dtype in (Dtype.BOOL, Dtype.INT, Dtype.COMPLEX)
    if other or not (is_floating or any(_asks_for_floats(term) for term in guard.asked)):
        return f"nothing says that `{name}` is floating point, and clamping may change another dtype"
    return ""


def _asks_for_floats(term: ast.expr) -> bool:
    functions = (node.func for node in ast.walk(term) if isinstance(node, ast.Call))
    return any(isinstance(function, ast.Attribute) and function.attr in _CHECKS for function in functions)


def _doubts(
    guard: ClampGuard, held: Holders, tensor: Value | None, bounds: Bounds, *, is_floating: bool
) -> Iterator[str]:
    name = guard.name
    if held.origin == "parameter":
        yield f"`{name}` is a parameter: where nothing is clamped, the caller gets the tensor back that it passed"
    elif held.origin != "new":
        yield f"`{name}` may be held elsewhere, or share its memory: where nothing is clamped, it stays the same tensor"
    if held.passing:
        yield f"`{held.passing[0]}` may hold on to `{name}`"
    if not is_floating:
        yield f"`{name}` is not known to be floating point: on another dtype `clamp` raises or changes it"
    if bounds.unknown:
        yield f"`{bounds.unknown}` is not known to be a number that fits the dtype"
    checks = [_checked(operand, guard.bindings) for term in guard.asked for operand in operands(term)]
    if any(check is None or check[0] != name for check in checks):
        yield f"the condition asks more than whether `{name}` has infinities or NaN, and would be computed always"
    elif not (_is_surely_tensor(tensor) or any(check is not None and check[1] for check in checks)):
        yield f"`{name}` may not be a tensor"
    if written := writes_after(guard):
        yield f"`{name}` is written in place (`{written}`)"
    for part in guard.numbers:
        if _is_read_elsewhere(assigned_name(part), guard):
            yield f"`{assigned_name(part)}` is used elsewhere and would be assigned more often"


def _is_surely_tensor(value: Value | None) -> bool:
    return value is not None and value.kind is Kind.TENSOR and value.certainty is Confidence.CERTAIN


def _checked(operand: ast.expr, bindings: Bindings) -> tuple[str, bool] | None:
    """The name that ``torch.isinf(name).any()`` and its like ask, and whether a function for tensors alone does."""
    reduced = _argument(operand, _REDUCTIONS, bindings)
    checked = _argument(reduced[0], _CHECKS, bindings) if reduced else None
    return (checked[0].id, checked[1]) if checked and isinstance(checked[0], ast.Name) else None


def _argument(node: ast.expr, names: frozenset[str], bindings: Bindings) -> tuple[ast.expr, bool] | None:
    """The only argument of a torch function of these names (True), or the receiver of a method (False)."""
    if not isinstance(node, ast.Call) or node.keywords:
        return None
    owner, _, called = (bindings.imported(node.func) or "").rpartition(".")
    if owner == "torch" and called in names and len(node.args) == 1:
        return node.args[0], True
    if isinstance(node.func, ast.Attribute) and node.func.attr in names and not node.args:
        return node.func.value, False
    return None


def _is_read_elsewhere(number: str, guard: ClampGuard) -> bool:
    """Whether code outside the guard may read a number that the guard assigned."""
    inside = set(ast.walk(guard.statement))
    reads = (
        node
        for node in _reached(guard.function, number, guard.statement)
        if isinstance(node, ast.Name) and node.id == number and isinstance(node.ctx, ast.Load) and node not in inside
    )
    return number in guard.bindings.outer or next(reads, None) is not None


def _reached(owner: ast.AST, number: str, guard: ast.stmt) -> Iterator[ast.AST]:
    """All nodes below ``owner`` but those before which their block assigns ``number``, with no guard between."""
    yield owner
    for _, value in ast.iter_fields(owner):
        is_assigned = False
        for child in value if isinstance(value, list) else (value,):
            if not isinstance(child, ast.AST):
                continue
            has_guard = isinstance(child, ast.stmt) and child.lineno <= guard.lineno <= (child.end_lineno or 0)
            if has_guard or not is_assigned:
                yield from _reached(child, number, guard)
            is_assigned = not has_guard and (
                is_assigned or (isinstance(child, ast.stmt) and assigned_name(child) == number)
            )
