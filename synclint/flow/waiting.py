"""Functions that wait for what they are passed: a call with a tensor on the accelerator waits, whatever else is known.

The pass over a file by itself notes which parameters a function waits for, or hands on. A call is a site where the
operation in the function is none: there, callers that disagree, or of whom too little is known, say nothing of the
parameter.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Collection, Container, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from synclint.finding import Confidence, Heat
from synclint.flow.parameters import in_the_light_of_calls
from synclint.flow.regions import Region, innermost
from synclint.flow.values import Kind, Value, Why
from synclint.index.records import Symbol

if TYPE_CHECKING:
    from synclint.flow.frame import Frame
    from synclint.flow.link import InProject, Linker

_DEPTH = 3  # functions that hand a parameter on

#: The fact about calls, and the operation that it is about.
WAITING_CALL = "waiting-call"
_OPERATION = "call(Tensor)"


class Wait(NamedTuple):
    """An operation of a function that waits for a parameter: its line, what it is, and what is known of its operand."""

    line: int
    text: str
    operand: Value


class Handed(NamedTuple):
    """A call of a function of the same file that is passed a parameter: its line, the function that is called, as which
    parameter, and what is known of it."""

    line: int
    function: str
    parameter: str
    operand: Value


class Waits:
    """What the functions of a file do with their parameters, while it is interpreted by itself."""

    def __init__(self) -> None:
        self._direct: dict[str, dict[str, Wait]] = {}
        self._handed: dict[str, list[tuple[str, Handed, Callable[[], bool]]]] = {}

    def add(self, function: str, parameter: str, wait: Wait) -> None:
        self._direct.setdefault(function, {}).setdefault(parameter, wait)

    def hand_on(self, function: str, parameter: str, handed: Handed, runs: Callable[[], bool]) -> None:
        """A call that a parameter goes to; ``runs`` says whether the function always comes to it."""
        self._handed.setdefault(function, []).append((parameter, handed, runs))

    def forget(self, function: str) -> None:
        self._direct.pop(function, None)
        self._handed.pop(function, None)

    def found(self, *, without: Container[str]) -> dict[str, dict[str, Wait | Handed]]:
        """The parameters that functions wait for, or hand on to one that does, a few steps deep. Asked once."""
        found: dict[str, dict[str, Wait | Handed]] = {
            name: {**known} for name, known in self._direct.items() if name not in without
        }
        for _ in range(_DEPTH - 1 if found else 0):
            added = [
                (name, parameter, handed)
                for name, calls in self._handed.items()
                if name not in without
                for parameter, handed, runs in calls
                if handed.parameter in found.get(handed.function, ())
                and parameter not in found.get(name, ())
                and runs()
            ]
            for name, parameter, handed in added:
                found.setdefault(name, {}).setdefault(parameter, handed)
        self._handed.clear()  # whose questions hold what is interpreted, which holds this
        return found


class Waiting:
    """Answers which functions of a project wait for a parameter. ``names`` gives the names of those that may."""

    def __init__(self, linker: Linker, names: Callable[[], Collection[str]]) -> None:
        self._linker = linker
        self._load = names
        self._names: Collection[str] | None = None
        self._known: dict[tuple[Symbol, str, int], Why | None] = {}

    @property
    def names(self) -> Collection[str]:
        if self._names is None:
            self._names = frozenset(self._load())
        return self._names

    def on(self, function: Symbol, parameter: str) -> Why | None:
        """Where and how a call of a function waits for what is passed as a parameter, the first step last; None where
        it does not, or where the operation is a site by itself."""
        return self._on(function, parameter, _DEPTH)

    def _on(self, function: Symbol, parameter: str, depth: int) -> Why | None:
        key = (function, parameter, depth)
        if key not in self._known:
            self._known[key] = self._find(function, parameter, depth)
        return self._known[key]

    def _find(self, function: Symbol, parameter: str, depth: int) -> Why | None:
        linker = self._linker
        summary = linker.summary(function.path)
        known = None if summary is None else summary.waits.get(function.qualname, {}).get(parameter)
        if known is None or depth <= 0 or self._is_site(function, parameter, known.operand):
            return None
        name = function.name
        if isinstance(known, Wait):
            return Why(known.line, f"`{name}` waits for `{parameter}`: {known.text}", None, function.path)
        callee = Symbol(function.path, known.function)
        end = self._on(callee, known.parameter, depth - 1)
        text = f"`{name}` passes `{parameter}` on to `{callee.name}`"
        return None if end is None else _after(Why(known.line, text, None, function.path), end)

    def _is_site(self, function: Symbol, parameter: str, operand: Value) -> bool:
        """Whether the file of the function has a site for an operation on its parameter, whoever calls it."""
        passed = self._linker.parameter(function, parameter)
        return _waits_for(in_the_light_of_calls(operand.replace(origin=None), passed))


def _after(first: Why, then: Why) -> Why:
    """The steps of ``then`` after those of ``first``."""
    for step in then.steps():
        first = step._replace(parent=first)
    return first


def _waits_for(value: Value) -> bool:
    return value.kind is Kind.TENSOR and value.place.on_accelerator and value.confidence is not Confidence.POSSIBLE


def emit_waiting_call(
    frame: Frame,
    node: ast.Call,
    function: Symbol,
    receiver: Value | None,
    arguments: Sequence[Value],
    keywords: Mapping[str, Value],
) -> None:
    """The site of a call that passes a tensor on the accelerator to a function that waits for it."""
    if not frame.recording or not (any(map(_waits_for, arguments)) or any(map(_waits_for, keywords.values()))):
        return
    module = frame.module
    waiting = module.waiting
    if waiting is None or function.name not in waiting.names:
        return
    plain = next((at for at, one in enumerate(node.args) if isinstance(one, ast.Starred)), len(node.args))
    names = module.positional(function, receiver)
    passed = [*zip(names, arguments[:plain], node.args, strict=False)]
    passed += [(one.arg, keywords[one.arg], one.value) for one in node.keywords if one.arg is not None]
    for name, value, expression in passed:
        if not _waits_for(value):
            continue
        end = waiting.on(function, name)
        if end is None:
            continue
        step = Why(node.lineno, f"passed as `{name}` to `{function.name}`", value.why)
        waited = value.replace(why=_after(step, end))
        outer = frame.region
        if module.heat.of(function) is Heat.COLD:
            frame.region = innermost(outer, Region(Heat.COLD, f"`{function.name}` does not run often", node.lineno))
        frame.emit(_OPERATION, node, {"self": waited}, {"self": expression}, limit=Confidence.LIKELY)
        frame.region = outer
        return


def callers_that_may_wait(place: InProject, coldest: Heat) -> frozenset[str]:
    """The functions of a file with a call that passes something to a function that waits for it."""
    linker = place.linker
    summary = linker.summary(place.path)
    found: set[str] = set()
    if summary is None:
        return frozenset()
    for name in summary.calls.keys() & linker.waiting.names:
        for call in summary.calls[name]:
            caller = call.caller.partition(".<locals>")[0]
            if caller in found or not _hot_enough(place, caller, coldest):
                continue
            callee = linker.callee(call.target, place.path)
            if callee is None:
                continue
            passed = [*linker.positional(callee)[: len(call.arguments)], *(name for name, _ in call.keywords)]
            if any(linker.waiting.on(callee.function, parameter) is not None for parameter in passed):
                found.add(caller)
    return frozenset(found)


def _hot_enough(place: InProject, caller: str, coldest: Heat) -> bool:
    prospects = place.linker.prospects(place.path) or {}
    known = prospects.get(caller)
    if known is not None and known.loops:
        return True
    return place.heats is None or place.heats.hottest(Symbol(place.path, caller)) >= coldest
