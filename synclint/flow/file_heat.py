"""How hot the parts of one file are, in the light of its project, and why."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cached_property
from typing import TYPE_CHECKING
from weakref import proxy

from synclint.finding import Heat
from synclint.flow.callgraph import call_graph
from synclint.flow.conventions import is_compiler, is_frozen
from synclint.flow.heat import NO_NAMES, Heats, Names, heats, stays_cold
from synclint.flow.mentions import outline
from synclint.flow.nested import Nested
from synclint.flow.values import Why
from synclint.index.build import FUNCTION, flat

if TYPE_CHECKING:
    import ast

    from synclint.flow.module import ModuleFlow
    from synclint.flow.regions import Region
    from synclint.flow.site import FunctionNode, Scope
    from synclint.index.records import Symbol

_COMPILED = re.compile(rb"torch\.compile\(\s*([\w.]+)")


class FileHeat:
    """The heat of the functions and sites of a file.

    ``project`` answers for all files of the project; without it the file stands alone, and ``names`` is what the
    project says of its functions.
    """

    def __init__(self, flow: ModuleFlow, project: Heats | None = None, names: Names = NO_NAMES) -> None:
        self._flow: ModuleFlow = proxy(flow)  # which holds this: a cycle would keep its trees until they are collected
        self._project = project
        self._names = names
        self._local: dict[str, set[FunctionNode]] = {}

    @cached_property
    def _heats(self) -> Heats:
        flow = self._flow
        if self._project is not None:
            return self._project
        graph = call_graph({flow.path: outline(flow.source, flow.record)})
        found = heats(graph, self._names, {flow.path: flow.record.name})
        return Heats(lambda path: found.get(path, {}))

    def hottest(self, qualname: str) -> Heat:
        """The heat that no part of a function exceeds."""
        if self._flow.loops.any_in(self._flow.function_nodes[qualname]):
            return Heat.HOT
        return self._heats.hottest(self._flow.symbol(qualname))

    def of(self, function: Symbol) -> Heat:
        """The heat of a function of the project."""
        return self._heats.of(function).heat

    def fill_in(self, scopes: Iterable[Scope]) -> None:
        """Sets the heat of scopes; functions in functions are as hot as these, unless they may outlive them."""
        for scope in scopes:
            name = self._name(scope)
            if self._rare(scope) is not None:
                scope.heat, scope.stays_cold = Heat.COLD, True
            elif name is not None:
                known = self._heats.of(self._flow.symbol(name))
                scope.heat = known.heat
                scope.stays_cold = known.heat is Heat.COLD and stays_cold(name)

    def why(self, scope: Scope, region: Region | None, statement: ast.stmt) -> list[Why]:
        """Why a statement is as hot as it is, the nearest reason first."""
        name = self._name(scope)
        steps = []
        if name is not None and self._is_compiled(scope.outermost.qualname):
            text = f"`{name}` is compiled by `torch.compile`: a wait breaks the graph"
            steps.append(Why(self._flow.function_nodes[scope.outermost.qualname].lineno, text))
        if region is not None and scope.heat_within(region) is region.heat:
            return [*steps, Why(region.line, region.text)]
        if name is None:
            return [Why(statement.lineno, "runs when the module is imported")]
        rare = self._rare(scope)
        if rare is not None:
            return [*steps, Why(rare.lineno, f"`{rare.name}` does not run for every step")]
        for symbol, text in self._heats.chain(self._flow.symbol(name)):
            steps.append(Why(self._flow.line_of(symbol), text, path=symbol.path))
        return steps

    def _name(self, scope: Scope) -> str | None:
        """The function that a scope is as hot as; None for the module and classes."""
        outermost = scope.outermost
        if not isinstance(outermost.node, FUNCTION):
            return None
        if not self._outlives(scope):
            return outermost.qualname
        return self._heats.inner(self._flow.symbol(outermost.qualname)).qualname

    def _outlives(self, scope: Scope) -> bool:
        """Whether a function within a function may run after it."""
        outermost = scope.outermost
        if scope is outermost:
            return False
        while scope.parent is not outermost and scope.parent is not None:
            scope = scope.parent
        local = self._local.get(outermost.qualname)
        if local is None:
            node = outermost.node
            defined = [one for one in flat(node.body) if isinstance(one, FUNCTION)] if node is not None else []
            leaving = Nested(self._flow.source).outliving(node, defined) if isinstance(node, FUNCTION) else []
            local = self._local[outermost.qualname] = {one for one in defined if one not in leaving}
        return scope.node not in local

    @staticmethod
    def _rare(scope: Scope) -> FunctionNode | None:
        """The innermost function around a scope, within a function, that is cold by its name whoever calls it."""
        while scope.parent is not None and scope.parent.node is not None:
            node = scope.node
            if isinstance(node, FUNCTION) and isinstance(scope.parent.node, FUNCTION) and is_frozen(node.name):
                return node
            scope = scope.parent
        return None

    # torch.compile

    def _is_compiled(self, qualname: str) -> bool:
        """Whether a function is decorated with, or passed to, ``torch.compile`` in this file."""
        record = self._flow.record
        owner, _, name = qualname.rpartition(".")
        known = record.classes.get(owner)
        function = record.functions.get(name) if known is None else known.methods.get(name)
        decorators = list(function.decorators) if function is not None else []
        if known is not None and name == "forward":
            decorators += known.decorators
        mentions = (f"self.{name}", f"cls.{name}", qualname) if owner else (name,)
        return any(map(is_compiler, decorators)) or not self._compiled.isdisjoint(mentions)

    @cached_property
    def _compiled(self) -> frozenset[str]:
        return frozenset(text.decode() for text in _COMPILED.findall(self._flow.source.data))
