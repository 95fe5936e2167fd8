"""Interpreting statements: assignments, branches and their join, loops to a fixed point."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from synclint.finding import Confidence
from synclint.flow import regions
from synclint.flow.annotations import annotated
from synclint.flow.dispatch import EXECUTE
from synclint.flow.expressions import binary, bind_target, put_into_mapping, truth
from synclint.flow.frame import Environment, Frame, merge_into
from synclint.flow.guards import branches, moved_once
from synclint.flow.iteration import read_elements
from synclint.flow.lattice import OBJECT, UNKNOWN, element_value
from synclint.flow.parameters import field
from synclint.flow.places import as_device
from synclint.flow.refine import narrow, refine
from synclint.flow.regions import innermost
from synclint.flow.scopes import run_nested
from synclint.flow.values import Kind, Place, Value
from synclint.index.build import FUNCTION
from synclint.index.names import dotted_name, imported_names

if TYPE_CHECKING:
    from synclint.flow.site import FunctionNode

_ROUNDS = 4  # of a loop, before what still changes is given up

#: Context managers inside which waits are meant to happen.
_ALLOWS_WAITS = frozenset(("gpu_sync_allowed", "allow_sync"))


def _assign(frame: Frame, node: ast.Assign) -> None:
    region = frame.region
    if isinstance(node.targets[0], ast.Attribute) and f"{frame.receiver}.{node.targets[0].attr}" not in frame.env:
        frame.region = innermost(region, moved_once(node, frame.method))
    value = frame.value(node.value)
    frame.region = region
    for target in node.targets:
        bind_target(frame, target, value)


def _annotated_assign(frame: Frame, node: ast.AnnAssign) -> None:
    declared = annotated(node.annotation, frame.module.resolve_annotation)
    if node.value is not None:
        value = frame.value(node.value)
        if frame.scope.node.__class__ is ast.ClassDef and isinstance(node.target, ast.Name):
            value = _field(frame, node.target.id, declared, value, node.lineno)
        if value.kind is Kind.UNKNOWN or (value.kind is Kind.SEQUENCE and not value.items and value.element is None):
            value = declared if declared.kind is not Kind.UNKNOWN else value
        bind_target(frame, node.target, value)
    elif isinstance(node.target, ast.Name) and frame.scope.node.__class__ is ast.ClassDef:
        bind_target(frame, node.target, field(frame, node.target.id, declared, node.lineno))


def _field(frame: Frame, name: str, declared: Value, default: Value, line: int) -> Value:
    """What a field of a class holds that has a default: what its annotation says, for that says more."""
    if default.kind not in (Kind.NONE, Kind.UNKNOWN) or declared.kind is Kind.UNKNOWN:
        return default
    known = field(frame, name, declared, line)
    return known.replace(optional=True) if default.kind is Kind.NONE else known


def _augmented_assign(frame: Frame, node: ast.AugAssign) -> None:
    target = node.target
    current = frame.value(target)
    operand = frame.value(node.value)
    result = binary(frame, current, operand, node.op)
    if current.kind is Kind.TENSOR and result.kind is Kind.TENSOR:
        result = current  # in place: the same tensor
    bind_target(frame, target, result)


def _expression(frame: Frame, node: ast.Expr) -> None:
    frame.value(node.value)
    if isinstance(node.value, ast.Call):
        mode = regions.debug_mode(node.value)
        if mode is not None:
            frame.meant = mode.meant
            frame.region = innermost(frame.region, mode.region)


def _return(frame: Frame, node: ast.Return) -> None:
    frame.returns.append(frame.value(node.value) if node.value is not None else Value(Kind.NONE))
    frame.dead = True


def _raise(frame: Frame, node: ast.Raise) -> None:
    if node.exc is not None:
        frame.allowed += 1  # what a message costs matters no more
        frame.value(node.exc)
        frame.allowed -= 1
    frame.dead = True


def _delete(frame: Frame, node: ast.Delete) -> None:
    for target in node.targets:
        if isinstance(target, ast.Name):
            frame.env.pop(target.id, None)


def _assert(frame: Frame, node: ast.Assert) -> None:
    truth(frame, node.test, "assert")
    refine(frame, node.test, True)


def _if(frame: Frame, node: ast.If) -> None:
    truth(frame, node.test, "if")
    found = branches(node, frame.method)
    before = frame.env
    frame.env = dict(before)
    when_true = narrow(frame, node.test, True)
    frame.execute_in(found.body, node.body)
    ends = [] if frame.dead else [frame.env]
    frame.dead = False
    frame.env = dict(before)
    frame.statement = node
    when_false = narrow(frame, node.test, False)
    frame.execute_in(found.other, node.orelse)
    if not frame.dead:
        ends.append(frame.env)
    # What the guard said holds no longer where both paths meet, unless one of them assigned.
    untouched = [
        name
        for name in {**when_true, **when_false}
        if len(ends) == 2
        and ends[0].get(name) is when_true.get(name, before.get(name))
        and ends[1].get(name) is when_false.get(name, before.get(name))
    ]
    if len(ends) == 2:
        _make_tensors(node.test, ends, (when_true, when_false))
    frame.merge(ends)
    for name in untouched:
        if name in before:
            frame.env[name] = before[name]
        else:
            frame.env.pop(name, None)
    frame.region = innermost(frame.region, found.after)


def _make_tensors(test: ast.expr, ends: Sequence[Environment], starts: Sequence[Mapping[str, Value]]) -> None:
    """``if isinstance(x, list): x = torch.tensor(x, device=...)``, or vice versa: afterwards it is a tensor."""
    while isinstance(test, ast.UnaryOp):
        test = test.operand
    if not (isinstance(test, ast.Call) and getattr(test.func, "id", "") == "isinstance" and test.args):
        return
    name = dotted_name(test.args[0])
    for one, other in ((0, 1), (1, 0)):
        made, left = ends[one].get(name or ""), ends[other].get(name or "")
        if name is None or made is None or left is None or made is starts[one].get(name) or made is left:
            continue
        unplaced = left.kind is not Kind.TENSOR or left.confidence is Confidence.POSSIBLE
        if made.kind is Kind.TENSOR and made.place.on_accelerator and unplaced and left.place is not Place.CPU:
            likely = Confidence.LIKELY
            certainty, sure = min(made.certainty, likely), min(made.sure, likely)
            ends[other][name] = made.replace(certainty=certainty, sure=sure, fresh=False)
            return


def _loop(frame: Frame, start: Callable[[], None], body: Sequence[ast.stmt], node: ast.stmt) -> list[Environment]:
    """Runs a loop body to a fixed point; the environments of its breaks."""
    breaks, continues = frame.breaks, frame.continues
    sites = dict(frame.sites)
    for _ in range(_ROUNDS):
        frame.breaks, frame.continues = [], []
        before = frame.env
        frame.env = dict(before)
        frame.statement = node
        start()
        frame.execute(body)
        ends = frame.continues if frame.dead else [frame.env, *frame.continues]
        frame.dead = False
        frame.env = before
        changed = False
        for end in ends:
            changed |= merge_into(before, end, frame.paths)
        if not changed or frame.module.calls is not None:  # a summary is content with one round
            break
        ended = frame.breaks
        frame.sites = dict(sites)
    else:
        frame.breaks = ended
        _replay(frame, start, body, node)
    leaving = frame.breaks
    frame.breaks, frame.continues = breaks, continues
    return leaving


def _replay(frame: Frame, start: Callable[[], None], body: Sequence[ast.stmt], node: ast.stmt) -> None:
    """Once more for the sites, on the last state, when rounds ran out."""
    before = frame.env
    frame.env = dict(before)
    frame.statement = node
    start()
    frame.execute(body)
    frame.dead = False
    frame.env = before


def _for(frame: Frame, node: ast.For | ast.AsyncFor) -> None:
    iterable = frame.value(node.iter)
    element = element_value(iterable)
    sites = set(frame.sites)
    outer, frame.region = frame.region, innermost(frame.region, frame.module.loops.region(node))
    keys, later = frame.keys, frame.later
    frame.keys = keys | {part.id for part in ast.walk(node.target) if isinstance(part, ast.Name)}
    frame.later = {}
    leaving = _loop(frame, lambda: bind_target(frame, node.target, element), node.body, node)
    for name, value in frame.later.items():
        put_into_mapping(frame, name, value)
    frame.keys, frame.later = keys, later
    frame.region = outer
    frame.statement = node
    read_elements(frame, node.iter, node.target, sites)
    frame.execute(node.orelse)
    frame.merge([*([] if frame.dead else [frame.env]), *leaving])


def _while(frame: Frame, node: ast.While) -> None:
    def start() -> None:
        truth(frame, node.test, "while")
        refine(frame, node.test, True)

    outer, frame.region = frame.region, innermost(frame.region, frame.module.loops.region(node))
    leaving = _loop(frame, start, node.body, node)
    frame.region = outer
    endless = isinstance(node.test, ast.Constant) and bool(node.test.value)
    frame.dead = endless
    if not endless:
        refine(frame, node.test, False)
        frame.execute(node.orelse)
    frame.merge([*([] if frame.dead else [frame.env]), *leaving])


def _break(frame: Frame, node: ast.Break) -> None:
    frame.breaks.append(frame.env)
    frame.dead = True


def _continue(frame: Frame, node: ast.Continue) -> None:
    frame.continues.append(frame.env)
    frame.dead = True


def _with(frame: Frame, node: ast.With | ast.AsyncWith) -> None:
    allowed, default, region = frame.allowed, frame.default_device, frame.region
    for item in node.items:
        value = frame.value(item.context_expr)
        name = dotted_name(item.context_expr.func) if isinstance(item.context_expr, ast.Call) else None
        if name is not None:
            if name.rpartition(".")[2] in _ALLOWS_WAITS:
                frame.allowed += 1
            frame.region = innermost(frame.region, regions.context(frame.module.external(name), node.lineno))
        if value.kind is Kind.DEVICE:
            frame.default_device = as_device(value)
        if item.optional_vars is not None:
            bind_target(frame, item.optional_vars, value if value.kind is not Kind.DEVICE else UNKNOWN)
    frame.execute(node.body)
    frame.allowed, frame.default_device, frame.region = allowed, default, region


def _try(frame: Frame, node: Any) -> None:
    before = dict(frame.env)
    frame.execute(node.body)
    after, dead = frame.env, frame.dead
    frame.dead = False
    ends: list[Environment] = []
    # A handler starts from anywhere in the body.
    middle = dict(before)
    merge_into(middle, after, frame.paths)
    for handler in node.handlers:
        frame.env = dict(middle)
        frame.dead = False
        if handler.name:
            frame.env[handler.name] = OBJECT
        frame.execute_in(regions.handler(handler), handler.body)
        if not frame.dead:
            ends.append(frame.env)
    frame.env, frame.dead = after, dead
    if not dead:
        frame.execute(node.orelse)
        if not frame.dead:
            ends.insert(0, frame.env)
    if not node.finalbody:
        frame.merge(ends)
        return
    if ends:
        frame.merge(ends)
        frame.execute(node.finalbody)
    else:
        frame.env, frame.dead = middle, False
        frame.execute(node.finalbody)
        frame.dead = True


def _match(frame: Frame, node: Any) -> None:
    subject = frame.value(node.subject)
    before = frame.env
    ends: list[Environment] = []
    exhaustive = False
    for case in node.cases:
        frame.env = dict(before)
        frame.dead = False
        frame.statement = node
        for part in ast.walk(case.pattern):
            name = getattr(part, "name", None) or getattr(part, "rest", None)
            if isinstance(name, str):
                whole = part is case.pattern
                frame.bind(name, subject if whole else UNKNOWN)
        if case.guard is not None:
            truth(frame, case.guard, "match")
            refine(frame, case.guard, True)
        elif isinstance(case.pattern, ast.MatchAs) and case.pattern.pattern is None:
            exhaustive = True
        frame.execute_in(None, case.body)
        if not frame.dead:
            ends.append(frame.env)
    if not exhaustive:
        ends.append(before)
    frame.merge(ends)


def _function(frame: Frame, node: FunctionNode) -> None:
    if frame.scope.node is None and node.name in frame.module.record.functions:
        return  # a function of the module: interpreted by itself
    run_nested(frame, node)


def _class(frame: Frame, node: ast.ClassDef) -> None:
    if frame.scope.node is None:
        return
    known = frame.module.class_names.get(node)
    if known is not None:  # interpreted by itself
        frame.env[node.name] = Value(Kind.CLASS, ref=frame.module.symbol(known))
        return
    frame.env[node.name] = UNKNOWN
    for statement in node.body:
        if isinstance(statement, FUNCTION):
            run_nested(frame, statement)


def _import(frame: Frame, node: ast.Import | ast.ImportFrom) -> None:
    for name, dotted in imported_names(node, frame.module.record.package):
        frame.env[name] = Value(Kind.EXTERNAL, ref=dotted)


def _global(frame: Frame, node: ast.Global | ast.Nonlocal) -> None:
    for name in node.names:
        if name not in frame.env:
            frame.env[name] = frame.module.name(name) or UNKNOWN


EXECUTE.update(
    {
        ast.Assign: _assign,
        ast.AnnAssign: _annotated_assign,
        ast.AugAssign: _augmented_assign,
        ast.Expr: _expression,
        ast.Return: _return,
        ast.Raise: _raise,
        ast.Delete: _delete,
        ast.Assert: _assert,
        ast.If: _if,
        ast.For: _for,
        ast.AsyncFor: _for,
        ast.While: _while,
        ast.Break: _break,
        ast.Continue: _continue,
        ast.With: _with,
        ast.AsyncWith: _with,
        ast.Try: _try,
        ast.Match: _match,
        ast.FunctionDef: _function,
        ast.AsyncFunctionDef: _function,
        ast.ClassDef: _class,
        ast.Import: _import,
        ast.ImportFrom: _import,
        ast.Global: _global,
        ast.Nonlocal: _global,
    }
)
if hasattr(ast, "TryStar"):  # Python 3.11
    EXECUTE[ast.TryStar] = _try
