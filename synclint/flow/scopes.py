"""Functions within functions: they see what is around them, and are told what their calls pass."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from synclint.finding import Confidence
from synclint.flow.lattice import OBJECT, join_told
from synclint.flow.parameters import bind_conventions, in_the_light_of_calls
from synclint.flow.site import FunctionNode, Scope
from synclint.flow.values import Keywords, Kind, Place, Value, Why
from synclint.index.build import FUNCTION

if TYPE_CHECKING:
    from synclint.flow.frame import Frame


@dataclass(slots=True)
class Nested:
    """A function within a function that is still to be interpreted, and what its calls pass as parameters."""

    node: FunctionNode
    frame: Frame
    passed: dict[str, list[Value]] = field(default_factory=dict)

    def call(self, node: ast.Call, arguments: Sequence[Value], keywords: Keywords) -> None:
        parameters = [*self.node.args.posonlyargs, *self.node.args.args]
        for parameter, argument, value in zip(parameters, node.args, arguments, strict=False):
            if isinstance(argument, ast.Starred):
                break
            self._add(node, parameter.arg, value)
        for name, value in keywords.items():
            self._add(node, name, value)

    def _add(self, node: ast.Call, name: str, value: Value) -> None:
        why = Why(node.lineno, f"passed as `{name}`", value.why)
        self.passed.setdefault(name, []).append(value.replace(const=None, fresh=False, origin=None, why=why))

    def run(self) -> None:
        env = self.frame.env
        for name, values in self.passed.items():
            if name in env:
                agreed = join_told([value for value in values if value.kind is not Kind.UNKNOWN])
                if agreed.place is Place.EITHER:  # these are all calls, and they do not agree
                    env[name] = env[name].replace(sure=Confidence.POSSIBLE)
                    continue
                if any(value.kind is Kind.UNKNOWN or value.certainty is not Confidence.CERTAIN for value in values):
                    agreed = agreed.replace(certainty=min(agreed.certainty, Confidence.LIKELY))
                env[name] = in_the_light_of_calls(env[name], agreed)
        self.frame.run_function(self.node)


def run_nested(frame: Frame, node: FunctionNode) -> None:
    """Binds the name of a function that is defined in another, a class or a module, and interprets it: one in a
    function when that has been interpreted."""
    frame.env[node.name] = OBJECT
    if not frame.recording:
        return
    outer = frame.scope
    qualname = f"{outer.qualname}.<locals>.{node.name}" if outer.qualname else node.name
    scope = Scope(qualname, node, outer.owner, outer)
    inner = frame.module.frames(frame.module, scope, dict(frame.env))
    inner.around = frame
    inner.paths, inner.allowed, inner.default_device = set(frame.paths), frame.allowed, frame.default_device
    inner.region, inner.meant = frame.region, frame.meant
    inner.owner = None  # its first parameter is no receiver
    bind_conventions(inner, node)
    inner.owner, inner.receiver = frame.owner, frame.receiver
    if not isinstance(outer.node, FUNCTION):
        inner.run_function(node)
        frame.sites.update(inner.sites)
        return
    known = frame.nested.get(node.name)
    if known is not None and known.node is not node:
        _run(frame, known)
        known = None
    frame.nested[node.name] = Nested(node, inner, {} if known is None else known.passed)


def find_nested(frame: Frame, name: str) -> Nested | None:
    """The function of a name that is defined in the function at hand or around it."""
    at: Frame | None = frame
    while at is not None:
        if name in at.nested:
            return at.nested[name]
        at = at.around
    return None


def run_waiting(frame: Frame) -> None:
    """Interprets the functions that are defined in a function, the last first: it may call those before it."""
    while frame.nested:
        _, known = frame.nested.popitem()
        _run(frame, known)


def _run(frame: Frame, known: Nested) -> None:
    known.run()
    frame.sites.update(known.frame.sites)
