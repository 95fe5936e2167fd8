"""Branches that run more rarely than the code around them: what runs once, and what logging or an interval asks for."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterator
from typing import NamedTuple

from synclint.finding import Heat
from synclint.flow.conventions import is_cold, is_cool, is_frozen
from synclint.flow.regions import Region
from synclint.index.build import flat
from synclint.index.names import dotted_name
from synclint.index.records import ClassRecord

_VERBOSE = re.compile(r"(?:^|_)(?:verbose|verbosity|debug|debugging|profiling|is_debug)(?:_|$)|^(?:VERBOSE|DEBUG)$")
_OCCASION = re.compile(r"^_?should_(?:save|log|evaluate|eval|profile|checkpoint)|^_?do_(?:log|profile|save)$")
_EXPORTING = re.compile(r"(?:^|_)(?:in_onnx_export|is_(?:jit_)?tracing|is_scripting|is_(?:\w+_)?exporting)$")
_ELSEWHERE = re.compile(r"(?:^|_)is_(?:torch_)?(?:cpu|xpu|tpu|hpu|npu|mps|mlu|musa|neuron|gaudi)(?:_available)?$")
_COUNTER = re.compile(r"(?:^|_)(?:step|steps|iter|iters|iteration|iterations|epoch|idx|index|it|i|count|counter|tick)$")
_INTERVAL = re.compile(r"log|print|save|eval|check|freq|interval|every|period|report|summary|display|plot|vis|dump")
_RARE = 10  # once in as many steps is no longer each step
_LEVELS = frozenset(("debug", "info", "warning", "error", "critical", "isEnabledFor", "getEffectiveLevel"))
_LOGGING = "only runs where the level of logging asks for it"
_STARTED = re.compile(r"(?:^|_)(?:initiali[sz]ed|inited|warmed_up)$")
# Not of keys and values: these caches are filled with every step.
_KEPT = re.compile(
    r"^(?!.*(?:kv_|key_|value_|layer)).*"
    r"(?:caches?|cached|pools?|memo|plans?|kernels?|compiled|buffers?|synchroni[sz]ed|prepared)(?:$|_)"
)
_MOVES = frozenset(("to", "cuda", "cpu", "float", "half", "bfloat16", "contiguous", "type_as"))
_COUNTS_STEPS = re.compile(r"(?:^|_)(?:step|steps|iter|iters|iteration|epoch)$")


class Branches(NamedTuple):
    """The regions of an ``if``: its body, its ``else``, and what comes after it."""

    body: Region | None = None
    other: Region | None = None
    after: Region | None = None


_PLAIN = Branches()


class Method(NamedTuple):
    """The class and the qualified name of the method that a guard stands in."""

    owner: ClassRecord
    qualname: str


def branches(node: ast.If, method: Method | None) -> Branches:
    """What the condition of an ``if`` says of how often its branches run."""
    body = other = None
    for test, negative in _conjuncts(node.test):
        rare = _rare(test, negative)
        if rare is not None:
            return Branches(Region(*rare, node.lineno))
        kept = _kept_by_key(node, test, negative)
        if kept is not None:
            return kept
        if _moves_itself(node, test, negative):
            return Branches(Region(Heat.COLD, "runs once, until it has been moved", node.lineno))
        flag = _start_flag(test)
        if flag:
            start = Region(Heat.COLD, f"runs once, until `{flag}` is set", node.lineno)
            if negative:
                return Branches(start)
            if node.test is test:
                ends = not node.orelse and _leaves(node.body)
                return Branches(other=start, after=start if ends else None)
        guarded = _guarded(test, negative) if method is not None else None
        if method is None or guarded is None:
            continue
        attribute, unset = guarded
        guarding = node.body if unset else node.orelse
        once = Region(Heat.COLD, f"runs once, until `self.{attribute}` is set", node.lineno)
        if unset and _set_once(attribute, guarding, method):
            body = once
        elif not unset and len(_operands(node.test)) == 1:
            if guarding and _set_once(attribute, guarding, method):
                other = once
            elif not guarding and _leaves(node.body) and _set_here(attribute, method):
                return Branches(after=once)
    return _PLAIN if body is None and other is None else Branches(body, other)


def _operands(test: ast.expr) -> list[ast.expr]:
    return test.values if isinstance(test, ast.BoolOp) else [test]


def _conjuncts(test: ast.expr) -> Iterator[tuple[ast.expr, bool]]:
    """What must hold for a condition to hold, each with whether it is negated."""
    if isinstance(test, ast.BoolOp):
        if isinstance(test.op, ast.And):
            for value in test.values:
                yield from _conjuncts(value)
    elif isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        yield test.operand, True
    else:
        yield test, False


# ---------------------------------------------------------------------- rare branches


def _rare(test: ast.expr, negative: bool) -> tuple[Heat, str] | None:
    if isinstance(test, ast.Compare):
        return _rare_comparison(test, negative) if len(test.ops) == 1 else None
    if isinstance(test, ast.BinOp):
        return _rare_turn(test) if negative else None
    if negative:
        return None
    if isinstance(test, ast.Call):
        test = test.func
        if isinstance(test, ast.Attribute) and test.attr == "isEnabledFor":
            return Heat.COLD, _LOGGING
    name = (dotted_name(test) or "").rpartition(".")[2]
    if _EXPORTING.search(name):
        return Heat.COLD, "only runs while the model is traced or exported"
    if _ELSEWHERE.search(name):
        return Heat.COLD, f"only runs where `{name}` holds, not on CUDA"
    name = test.attr if isinstance(test, ast.Attribute) else test.id if isinstance(test, ast.Name) else ""
    if _VERBOSE.search(name):
        return Heat.COLD, f"only runs where `{name}` is set"
    if _OCCASION.search(name):
        return Heat.COLD, f"only runs for the steps where `{name}` holds"
    return None


def _rare_comparison(test: ast.Compare, negative: bool) -> tuple[Heat, str] | None:
    left, operator, right = test.left, test.ops[0], test.comparators[0]
    if isinstance(operator, (ast.Eq, ast.NotEq)):
        equal = isinstance(operator, ast.Eq) is not negative
        if equal and isinstance(left, ast.BinOp) and isinstance(right, ast.Constant):
            return _rare_turn(left)
        return None
    for side in (left, right):
        name = dotted_name(side.func if isinstance(side, ast.Call) else side) or ""
        head, _, last = name.rpartition(".")
        if last in _LEVELS or (last == "level" and "log" in head.lower()) or last in ("DEBUG", "verbosity", "verbose"):
            return Heat.COLD, _LOGGING
    return None


def _rare_turn(test: ast.BinOp) -> tuple[Heat, str] | None:
    """``step % interval``: once in so many steps."""
    if not isinstance(test.op, ast.Mod):
        return None
    counted = test.left
    while isinstance(counted, ast.BinOp):
        counted = counted.left
    counter = (dotted_name(counted) or "").rpartition(".")[2]
    if not _COUNTER.search(counter):
        return None
    if isinstance(test.right, ast.Constant):
        often = test.right.value
        return (Heat.COLD, f"runs once in {often} steps") if isinstance(often, int) and often >= _RARE else None
    interval = (dotted_name(test.right) or "").rpartition(".")[2]
    if "accum" in interval:  # an optimizer's step is a step
        return None
    if not interval or not _INTERVAL.search(interval):
        return (Heat.WARM, f"runs once in `{interval}` steps") if interval and _COUNTS_STEPS.search(counter) else None
    return Heat.COLD, f"runs once in `{interval}` steps"


# ---------------------------------------------------------------------- what runs once for each key


def _kept_by_key(node: ast.If, test: ast.expr, negative: bool) -> Branches | None:
    """``if key not in self._plans: self._plans[key] = ...`` and ``if plan is None: cls.plans[key] = plan = ...``."""
    kept = _found_by_key(test, negative)
    if kept is not None and node.test is test and not node.orelse and _leaves(node.body):
        text = f"runs once for each key of `{ast.unparse(kept)}`"
        return Branches(after=Region(Heat.COLD, text, node.lineno))
    missing = _missing(test, negative)
    if missing is None:
        return None
    for statement in [one for one in flat(node.body) if isinstance(one, ast.Assign)]:
        for target in statement.targets:
            if isinstance(target, ast.Subscript) and _keeps(target.value) and _fills(missing, target, statement):
                text = f"runs once for each key of `{ast.unparse(target.value)}`"
                return Branches(Region(Heat.COLD, text, node.lineno))
    return None


def _found_by_key(test: ast.expr, negative: bool) -> ast.expr | None:
    """What a condition finds a key in: ``key in self._plans``, ``(plan := PLANS.get(key)) is not None``."""
    if negative:
        return None
    if isinstance(test, ast.Compare) and len(test.ops) == 1:
        right = test.comparators[0]
        if isinstance(test.ops[0], ast.In):
            return right if _keeps(right) else None
        if not isinstance(test.ops[0], ast.IsNot) or not isinstance(right, ast.Constant) or right.value is not None:
            return None
        test = test.left
    call = test.value if isinstance(test, ast.NamedExpr) else None
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute) or call.func.attr != "get":
        return None
    return call.func.value if _keeps(call.func.value) else None


def _missing(test: ast.expr, negative: bool) -> ast.expr | None:
    """What a condition finds a key missing in, or the variable that it finds to be None."""
    if not isinstance(test, ast.Compare) or len(test.ops) != 1:
        return None
    operator, right = test.ops[0], test.comparators[0]
    if isinstance(operator, (ast.In, ast.NotIn)):
        return right if isinstance(operator, ast.In) is negative else None
    is_none = isinstance(operator, ast.Is) and isinstance(right, ast.Constant) and right.value is None
    return test.left if is_none and not negative and isinstance(test.left, ast.Name) else None


def _fills(missing: ast.expr, target: ast.Subscript, statement: ast.Assign) -> bool:
    """Whether an assignment to an item puts there what was missing."""
    if ast.dump(missing) == ast.dump(target.value):
        return True
    return isinstance(missing, ast.Name) and missing.id in (
        getattr(one, "id", "") for one in (statement.value, *statement.targets)
    )


def _keeps(node: ast.expr) -> bool:
    """Whether something is kept for good, by its name: an attribute or a variable of the module."""
    if isinstance(node, ast.Attribute):
        return isinstance(node.value, ast.Name) and _KEPT.search(node.attr) is not None
    return isinstance(node, ast.Name) and node.id.isupper() and _KEPT.search(node.id.lower()) is not None


# ---------------------------------------------------------------------- what runs once


def _moves_itself(node: ast.If, test: ast.expr, negative: bool) -> bool:
    """``if self.table.device != device: self.table = self.table.to(device)``."""
    if not isinstance(test, ast.Compare) or len(test.ops) != 1:
        return False
    if isinstance(test.ops[0], ast.NotEq) is negative or not isinstance(test.ops[0], (ast.Eq, ast.NotEq)):
        return False
    sides = [side for side in (test.left, test.comparators[0]) if isinstance(side, ast.Attribute)]
    moved = {name for side in sides if side.attr == "device" and (name := _own(side.value)) is not None}
    return any(
        isinstance(one, ast.Assign) and any(_own(target) in moved for target in one.targets) for one in flat(node.body)
    )


def moved_once(node: ast.Assign, method: Method | None) -> Region | None:
    """The region of ``self.table = self.table.to(device)``, where nobody takes it back: from then on it is there."""
    name = _own(node.targets[0])
    if name is None or method is None or len(node.targets) != 1:
        return None
    moved = node.value
    while isinstance(moved, ast.Call) and isinstance(moved.func, ast.Attribute) and moved.func.attr in _MOVES:
        moved = moved.func.value
    writers = method.owner.attributes.get(name, ())
    if moved is node.value or _own(moved) != name or not _others_are_cold(writers, {method.qualname}):
        return None
    return Region(Heat.COLD, f"runs once, in effect: then `self.{name}` has been moved", node.lineno)


def _start_flag(test: ast.expr) -> str:
    """The name of a flag that says whether something has been initialized; empty if a condition is no such."""
    name = dotted_name(test) or ""
    return name if _STARTED.search(name.rpartition(".")[2]) else ""


def _guarded(test: ast.expr, negative: bool) -> tuple[str, bool] | None:
    """The attribute of ``self`` that a condition asks for, and whether it holds while that is not set."""
    if isinstance(test, ast.Compare) and len(test.ops) == 1 and isinstance(test.comparators[0], ast.Constant):
        constant = test.comparators[0].value
        if constant is not None and constant is not False:
            return None
        if isinstance(test.ops[0], (ast.Is, ast.Eq)):
            positive = True
        elif isinstance(test.ops[0], (ast.IsNot, ast.NotEq)):
            positive = False
        else:
            return None
        name = _own(test.left)
        return None if name is None else (name, positive is not negative)
    if isinstance(test, ast.Call):
        if getattr(test.func, "id", "") != "hasattr" or len(test.args) != 2:
            return None
        owner, attribute = test.args
        if getattr(owner, "id", "") != "self" or not isinstance(attribute, ast.Constant):
            return None
        return str(attribute.value), negative
    name = _own(test)
    return None if name is None else (name, negative)


def _own(node: ast.expr) -> str | None:
    if isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == "self":
        return node.attr
    return None


def _set_once(attribute: str, body: Collection[ast.stmt], method: Method) -> bool:
    """Whether the body sets the attribute, itself or by a method that it calls, and nothing else but what is cold."""
    assigned = called = False
    helpers = set()
    for statement in flat(list(body)):
        if isinstance(statement, (ast.Assign, ast.AnnAssign)):
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            assigned |= any(_own(target) == attribute for target in targets)
        value = getattr(statement, "value", None)
        if isinstance(value, ast.Call) and (name := _own(value.func)) is not None:
            called = True
            helpers.add(f"{method.owner.qualname}.{name}")
    writers = method.owner.attributes.get(attribute, ())
    if not assigned and not (called and helpers.intersection(writers)):
        return False
    return _others_are_cold(writers, {method.qualname} | ({*helpers} if not assigned else set()))


def _set_here(attribute: str, method: Method) -> bool:
    writers = method.owner.attributes.get(attribute, ())
    return method.qualname in writers and _others_are_cold(writers, {method.qualname})


def _others_are_cold(writers: Collection[str], own: Collection[str]) -> bool:
    names = (writer.rpartition(".")[2] for writer in writers if writer and writer not in own)
    return all(is_cold(name) or is_cool(name) or is_frozen(name) for name in names)


def _leaves(body: Collection[ast.stmt]) -> bool:
    return isinstance(list(body)[-1], (ast.Return, ast.Raise, ast.Continue))
