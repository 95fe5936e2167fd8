"""Keeps what inference believes of every expression of a file, for those who ask why.

An observed file is interpreted by frames of a class of their own, so that checking does not pay for it.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from synclint.finding import Confidence
from synclint.flow.frame import Frame, answer_to
from synclint.flow.heat import NO_NAMES, Names
from synclint.flow.lattice import UNKNOWN
from synclint.flow.module import ModuleFlow

if TYPE_CHECKING:
    from synclint.flow.link import InProject
    from synclint.flow.regions import Region
    from synclint.flow.site import FunctionNode, Scope, Site
    from synclint.flow.values import Value
    from synclint.source import Source


class Operation(NamedTuple):
    """An operation of which the facts speak, whether or not one of them holds. Fields as in ``Site``.

    ``allowed``: it stands in a block in which waits are meant to happen, and makes no site.
    """

    operation: str
    node: ast.expr
    statement: ast.stmt
    scope: Scope
    operands: Mapping[str, Value]
    arguments: Mapping[str, ast.expr]
    flags: Mapping[str, bool | None]
    context: str
    allowed: bool

    def answer(self, predicate: str) -> bool | None:
        return answer_to(predicate, self.operands, self.flags)


class Observation:
    """What was seen while a file was interpreted for an unknown caller; of several passes (loops), the last.

    ``values`` are those of expressions; of a part of a condition, before the condition is taken to be true or false.
    ``bound`` is what a statement made of a name, or of a path such as ``self.x``; ``setters`` are the lines that set a
    name in a function or class (None: the module). ``parameters`` are as the function starts; ``results`` are what it
    returns. ``reached`` are the statements that were interpreted, ``regions`` the parts of functions that they are in.
    """

    def __init__(self, flow: ModuleFlow) -> None:
        self.flow = flow
        self.sites: tuple[Site, ...] = ()
        self.values: dict[ast.expr, Value] = {}
        self.bound: dict[tuple[ast.stmt, str], Value] = {}
        self.setters: dict[tuple[ast.AST | None, str], list[int]] = {}
        self.parameters: dict[ast.arg, Value] = {}
        self.results: dict[FunctionNode, Value] = {}
        self.scopes: dict[FunctionNode, Scope] = {}
        self.reached: dict[ast.stmt, Scope] = {}
        self.regions: dict[ast.stmt, Region | None] = {}
        self.operations: dict[tuple[ast.expr, str], Operation] = {}

    def analyse(self) -> None:
        self.flow.frames = _observed(self)
        self.sites = tuple(self.flow.analyse())
        self.flow.heat.fill_in({*self.scopes.values(), *self.reached.values()})


def observe(
    source: Source,
    wanted: frozenset[str],
    torch: tuple[int, int] | None,
    place: InProject | None = None,
    names: Names = NO_NAMES,
) -> Observation:
    """Interprets a file as ``flow.module.analyse`` does. Raises SourceError when it cannot be parsed."""
    observation = Observation(ModuleFlow(source, wanted, torch, place=place, names=names))
    observation.analyse()
    return observation


def _observed(observation: Observation) -> type[Frame]:
    """A class of frames that tell ``observation`` what they see, unless they follow one call alone."""
    silent = False

    class ObservedFrame(Frame):
        __slots__ = ()

        def value(self, node: ast.expr) -> Value:
            value = super().value(node)
            if self.recording and not silent:
                observation.values[node] = value
            return value

        def again(self, node: ast.expr) -> Value:
            nonlocal silent
            before, silent = silent, True
            try:
                return super().again(node)
            finally:
                silent = before

        def execute(self, body: Sequence[ast.stmt]) -> None:
            for statement in body:
                if self.dead:
                    return
                if self.recording:
                    observation.reached[statement] = self.scope
                    observation.regions[statement] = self.region
                super().execute([statement])

        def run_function(self, node: FunctionNode) -> Value:
            if not self.recording:
                return super().run_function(node)
            arguments = node.args
            for parameter in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
                observation.parameters[parameter] = self.env.get(parameter.arg, UNKNOWN)
            for starred in (arguments.vararg, arguments.kwarg):
                if starred is not None:
                    observation.parameters[starred] = self.env.get(starred.arg, UNKNOWN)
            observation.scopes[node] = self.scope
            result = observation.results[node] = super().run_function(node)
            return result

        def bind(self, name: str, value: Value) -> None:
            super().bind(name, value)
            if self.recording:
                observation.bound[self.statement, name] = self.env[name]
                lines = observation.setters.setdefault((self.scope.node, name), [])
                if self.line not in lines:
                    lines.append(self.line)

        def store(self, path: str, value: Value) -> None:
            super().store(path, value)
            if self.recording:
                observation.bound[self.statement, path] = value

        def emit(
            self,
            operation: str,
            node: ast.expr,
            operands: dict[str, Value],
            arguments: Mapping[str, ast.expr] | None = None,
            flags: Mapping[str, bool | None] | None = None,
            context: str = "",
            limit: Confidence = Confidence.CERTAIN,
        ) -> None:
            super().emit(operation, node, operands, arguments, flags, context, limit)
            if self.recording and not silent:
                observation.operations[node, operation] = Operation(
                    operation,
                    node,
                    self.statement,
                    self.scope,
                    operands,
                    arguments or {},
                    flags or {},
                    context,
                    bool(self.allowed),
                )

    return ObservedFrame
