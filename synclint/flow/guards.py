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
_COUNTER = re.compile(r"(?:^|_)(?:step|steps|iter|iters|iteration|iterations|epoch|idx|index|it|i|count|counter|tick)$")
_INTERVAL = re.compile(r"log|print|save|eval|check|freq|interval|every|period|report|summary|display|plot|vis|dump")
_RARE = 10  # once in as many steps is no longer each step
_LEVELS = frozenset(("debug", "info", "warning", "error", "critical", "isEnabledFor", "getEffectiveLevel"))
_LOGGING = "only runs where the level of logging asks for it"
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


# ---------------------------------------------------------------------- what runs once


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
