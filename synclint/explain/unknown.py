"""Why nothing is known of an expression, or different things on different paths: what to look at next."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from synclint.flow.values import Kind, Value
from synclint.index.names import dotted_name

if TYPE_CHECKING:
    from synclint.flow.observe import Observation
    from synclint.flow.site import Scope


def why_unknown(node: ast.expr, seen: Observation, scope: Scope) -> str:
    """A reason in a few words; empty where there is none to give."""
    if isinstance(node, ast.Name):
        return _name(node, seen, scope)
    if isinstance(node, ast.Attribute):
        return _attribute(node, seen, scope)
    if isinstance(node, ast.Call):
        return _call(node, seen)
    if isinstance(node, ast.Subscript):
        held = seen.values.get(node.value)
        if held is not None and held.kind in (Kind.SEQUENCE, Kind.MAPPING):
            return f"what `{_short(node.value)}` holds is not known"
        return _because(node.value, seen)
    if isinstance(node, ast.BinOp):
        return _because(node.left, seen) or _because(node.right, seen) or "what the operator gives here is not known"
    if isinstance(node, ast.NamedExpr):
        return _because(node.value, seen)
    if isinstance(node, ast.UnaryOp):
        return _because(node.operand, seen)
    if isinstance(node, ast.Await):
        return "what an `await` gives is not followed"
    if isinstance(node, ast.Yield | ast.YieldFrom):
        return "what is sent to a generator is not followed"
    if isinstance(node, ast.IfExp):
        alternatives = (node.body, node.orelse)
    elif isinstance(node, ast.BoolOp):
        alternatives = (node.values[0], node.values[-1])
    else:
        return "expressions of this kind are not followed"
    return next(filter(None, (_because(one, seen) for one in alternatives)), "it can be of different kinds")


def why_parameter_unknown(parameter: ast.arg) -> str:
    annotated = "its annotation does not say" if parameter.annotation is not None else "it has no annotation"
    return f"{annotated}, and neither its name nor a convention says what callers pass"


def other_paths(name: str, seen: Observation, scope: Scope) -> str:
    """Where a name is set that holds different things on different paths."""
    lines = seen.setters.get((scope.node, name))
    return f"it depends on the path: set in {_lines(lines)}, too" if lines else ""


def _because(node: ast.expr, seen: Observation) -> str:
    value = seen.values.get(node)
    return f"`{_short(node)}` is unknown" if value is not None and value.kind is Kind.UNKNOWN else ""


def _name(node: ast.Name, seen: Observation, scope: Scope) -> str:
    name = node.id
    for lambda_ in (one for one in seen.values if isinstance(one, ast.Lambda)):
        if any(one is node for one in ast.walk(lambda_.body)) and name in (one.arg for one in lambda_.args.args):
            return "a parameter of a lambda"
    around: Scope | None = scope
    while around is not None:
        lines = seen.setters.get((around.node, name))
        if lines:
            return f"set in {_lines(lines)}, to something that is not known"
        if isinstance(around.node, ast.FunctionDef | ast.AsyncFunctionDef):
            arguments = around.node.args
            for parameter in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
                if parameter.arg == name:
                    return f"a parameter (line {parameter.lineno}); {why_parameter_unknown(parameter)}"
        around = around.parent
    return "nothing that synclint has read sets it"


def _attribute(node: ast.Attribute, seen: Observation, scope: Scope) -> str:
    receiver = seen.values.get(node.value)
    if receiver is None:  # known by its path
        path = dotted_name(node)
        lines = {at.lineno for at, bound in seen.bound if bound == path and seen.reached.get(at) is scope}
        return f"set in {_lines(sorted(lines))}, to something that is not known" if lines else ""
    if receiver.kind in (Kind.INSTANCE, Kind.MODULE) and receiver.ref is not None:
        for _, record in seen.flow.ancestry(receiver.ref):
            writers = [f"`{writer or record.name}`" for writer in record.attributes.get(node.attr, ())]
            if writers:
                return f"set in {_joined(writers)}, to something that is not known"
        return f"nothing that synclint has read sets `{node.attr}` of `{receiver.ref.name}`"
    if receiver.kind is Kind.UNKNOWN:
        return f"`{_short(node.value)}` is unknown"
    return f"synclint knows no attribute `{node.attr}` of `{_short(node.value)}`"


def _call(node: ast.Call, seen: Observation) -> str:
    target = node.func
    callee = seen.values.get(target)
    if callee is not None:
        return _callee(target, callee)
    if not isinstance(target, ast.Attribute):
        return ""
    receiver = seen.values.get(target.value)
    if receiver is None:
        return "what the method of a base class returns is not known" if _is_super(target.value) else ""
    if receiver.kind is Kind.EXTERNAL:
        return f"what `{receiver.ref}.{target.attr}` returns is not known"
    if receiver.kind is Kind.UNKNOWN:
        return f"a method of `{_short(target.value)}`, which is unknown"
    if receiver.kind in (Kind.INSTANCE, Kind.MODULE, Kind.CLASS) and receiver.ref is not None:
        name = receiver.ref.name
        if seen.flow.method(receiver.ref, target.attr) is None:
            return f"synclint has read no method `{target.attr}` of `{name}`"
        return f"what `{name}.{target.attr}` returns is not known"
    return f"what `.{target.attr}()` of it returns is not known"


def _callee(target: ast.expr, callee: Value) -> str:
    if callee.kind is Kind.UNKNOWN:
        return f"`{_short(target)}` is unknown"
    if callee.kind is Kind.EXTERNAL:
        return f"what `{callee.ref}` returns is not known"
    if callee.kind is Kind.FUNCTION:
        return f"what `{callee.ref.qualname}` (line {callee.ref.line}) returns is not known"
    return f"what calling `{_short(target)}` returns is not known"


def _is_super(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and getattr(node.func, "id", "") == "super"


def _short(node: ast.expr) -> str:
    text = dotted_name(node) or ast.unparse(node)
    return text if len(text) <= 40 else text[:37] + "..."


def _lines(lines: list[int]) -> str:
    shown = [str(line) for line in sorted(lines)[:4]] + ["..."] * (len(lines) > 4)
    return f"line{'s' * (len(lines) > 1)} {', '.join(shown)}"


def _joined(writers: list[str]) -> str:
    return ", ".join(dict.fromkeys(writers[:3])) + ", ..." * (len(writers) > 3)
