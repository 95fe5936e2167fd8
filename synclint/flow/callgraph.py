"""Which functions of a project call which, resolved from the outlines of its files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from synclint.flow.conventions import counts_for, is_side_file, top_folder
from synclint.flow.nn_modules import is_nn_module
from synclint.flow.outline import LOCALS, Outline
from synclint.index.packages import Packages
from synclint.index.project import Class, Project
from synclint.index.records import FunctionRecord, ModuleRecord, Symbol

_FEW = 3  # definitions of a method's name, for a call by that name alone to be taken as a call of one of them
_MANY = 40  # classes that a mixin is mixed into: more are not looked at
ANY_OWNER = "<any>."
"""Begins the name of what stands for all methods of a name that so many classes have that none is surely meant."""

_CALLABLE = ("__call__", "forward")


class Edge(NamedTuple):
    """``callee`` is reached from the function that the edge starts from.

    ``by_name``: nothing but the method's name says so. ``overrides``: it stands in for the function called. ``passed``:
    it is not called there but handed on, and may be called at any time.
    """

    callee: Symbol
    by_name: bool = False
    overrides: bool = False
    passed: bool = False


@dataclass(slots=True)
class CallGraph:
    """``functions``: all of the project, sorted. Edges by the function that they start from: ``plain`` ones of calls
    that may always happen, ``guarded`` ones behind guards, ``looped`` ones in loops over data. ``imported``: what files
    reach when they are imported. ``decorators`` of functions that have any;
    ``module_constructors`` are those of ``nn.Module``s."""

    functions: tuple[Symbol, ...]
    plain: dict[Symbol, tuple[Edge, ...]] = field(default_factory=dict)
    guarded: dict[Symbol, tuple[Edge, ...]] = field(default_factory=dict)
    looped: dict[Symbol, tuple[Edge, ...]] = field(default_factory=dict)
    imported: dict[str, tuple[Edge, ...]] = field(default_factory=dict)
    decorators: dict[Symbol, tuple[str, ...]] = field(default_factory=dict)
    module_constructors: set[Symbol] = field(default_factory=set)


def call_graph(outlines: Mapping[str, Outline]) -> CallGraph:
    """The call graph of the files whose outlines, by path, these are."""
    return _Resolver(outlines).graph()


class _Resolver:
    def __init__(self, outlines: Mapping[str, Outline]) -> None:
        self._outlines = outlines
        self._project = Project(Packages(outlines), self._record)
        self._anyone: dict[Symbol, tuple[Edge, ...]] = {}
        self._locals: list[Symbol] = []
        self._heirs: dict[Symbol, list[Symbol]] = {}
        self._overrides: dict[Symbol, list[Edge]] = {}
        self._definitions: dict[str, list[Symbol]] = {}
        self._named: dict[tuple[str, str], tuple[Edge, ...]] = {}
        self._held: dict[tuple[Symbol, str], list[Symbol]] = {}
        self._mixed_in: dict[tuple[Symbol, str], list[Edge]] = {}

    def _record(self, path: str) -> ModuleRecord | None:
        found = self._outlines.get(path)
        return None if found is None else found.record

    def graph(self) -> CallGraph:
        self._read_classes()
        functions: list[Symbol] = []
        graph = CallGraph(())
        for path in sorted(self._outlines):
            found = self._outlines[path]
            record = found.record
            file = _File(self, path, found)
            functions += [self._function(known, file, graph) for known in record.functions.values()]
            for owner in record.classes.values():
                symbol = Symbol(path, owner.qualname)
                names = _Class(file, symbol)
                functions += [self._function(known, names, graph) for known in owner.methods.values()]
                if "__init__" in owner.methods and is_nn_module(self._project, symbol):
                    graph.module_constructors.add(Symbol(path, f"{owner.qualname}.__init__"))
            loose = found.calls.get("")
            if loose is not None and loose.plain:
                graph.imported[path] = file.edges(loose.plain)
        graph.plain.update(self._anyone)
        graph.functions = tuple(sorted((*functions, *self._locals, *self._anyone)))
        return graph

    def _function(self, record: FunctionRecord, names: _File | _Class, graph: CallGraph) -> Symbol:
        symbol = Symbol(names.path, record.qualname)
        calls = self._outlines[symbol.path].calls.get(symbol.qualname)
        overrides = self._overrides.get(symbol)
        if record.decorators:
            graph.decorators[symbol] = record.decorators
        if calls is not None:
            plain = names.edges(calls.plain)
            if calls.guarded:
                graph.guarded[symbol] = names.edges(calls.guarded)
            if calls.looped:
                graph.looped[symbol] = names.edges(calls.looped)
        else:
            plain = ()
        if overrides:
            plain = (*plain, *overrides)
        inner = self._outlines[symbol.path].calls.get(f"{symbol.qualname}.{LOCALS}")
        if inner is not None:
            known = Symbol(symbol.path, f"{symbol.qualname}.{LOCALS}")
            graph.plain[known] = names.edges(inner.plain)
            plain = (*plain, Edge(known, passed=True))
            self._locals.append(known)
        if plain:
            graph.plain[symbol] = plain
        return symbol

    # Classes

    def _read_classes(self) -> None:
        project = self._project
        for path in sorted(self._outlines):
            for owner in self._outlines[path].record.classes.values():
                symbol = Symbol(path, owner.qualname)
                for base in owner.bases:
                    known = project.base(path, base)
                    if known is not None:
                        self._heirs.setdefault(known, []).append(symbol)
                ancestors = project.ancestry(symbol)[1:]
                for name in owner.methods:
                    self._read_method(symbol, name, ancestors)

    def _read_method(self, owner: Symbol, name: str, ancestors: Iterable[Class]) -> None:
        if name.startswith("__") and name != "__call__":
            return
        method = Symbol(owner.path, f"{owner.qualname}.{name}")
        for at, record in ancestors:
            if name in record.methods:
                base = Symbol(at.path, f"{at.qualname}.{name}")
                self._overrides.setdefault(base, []).append(Edge(method, overrides=True))
                return
        self._definitions.setdefault(name, []).append(method)

    def method(self, owner: Symbol, name: str) -> Symbol | None:
        found = self._project.method(owner, name)
        return None if found is None else found.symbol

    def constructors(self, owner: Symbol) -> list[Edge]:
        found = (self.method(owner, name) for name in ("__init__", "__post_init__"))
        return [Edge(symbol) for symbol in found if symbol is not None]

    def inherited(self, owner: Symbol, name: str) -> Symbol | None:
        """What ``super().name`` means in a class."""
        for at, record in self._project.ancestry(owner)[1:]:
            if name in record.methods:
                return Symbol(at.path, f"{at.qualname}.{name}")
        return None

    def held(self, owner: Symbol, name: str) -> list[Symbol]:
        """The classes of what ``self.name`` may hold."""
        for at, _ in self._project.ancestry(owner):
            holds = self._outlines[at.path].holds.get(at.qualname)
            if holds is not None and name in holds:
                key = (at, name)
                if key not in self._held:
                    found = [self.member(at.path, dotted) for dotted in holds[name]]
                    self._held[key] = [one for one in found if one is not None and self.is_class(one)]
                return self._held[key]
        return []

    def mixed_in(self, owner: Symbol, name: str) -> list[Edge]:
        """The methods that ``self.name`` means in a class that leaves them to the classes that it is a base of."""
        key = (owner, name)
        if key not in self._mixed_in:
            pending, seen = list(self._heirs.get(owner, ())), {owner}
            found: dict[Symbol, None] = {}
            while pending and len(seen) < _MANY:
                heir = pending.pop(0)
                if heir not in seen:
                    seen.add(heir)
                    method = self.method(heir, name)
                    if method is None:
                        pending += self._heirs.get(heir, ())
                    else:
                        found[method] = None
            self._mixed_in[key] = [Edge(method) for method in found]
        return self._mixed_in[key]

    # Names

    def member(self, path: str, dotted: str) -> Symbol | None:
        found = self._project.member(path, dotted)
        return found if isinstance(found, Symbol) else None

    def is_class(self, symbol: Symbol) -> bool:
        return self._project.class_record(symbol) is not None

    def is_property(self, method: Symbol) -> bool:
        record = self._project.function_record(method)
        return record is not None and record.is_property

    def of_project(self, dotted: str) -> bool:
        return dotted.partition(".")[0] in self._project.packages.tops

    def by_name(self, name: str, near: str) -> tuple[Edge, ...]:
        side = top_folder(near) if is_side_file(near) else ""
        key = (name, side)
        known = self._named.get(key)
        if known is None:
            visible = (one for one in self._definitions.get(name, ()) if counts_for(near, one.path))
            found = [one for one in visible if side or not is_side_file(one.path)]
            known = tuple(Edge(one, by_name=True) for one in found)
            if len(found) > _FEW:
                anyone = Symbol(side, f"{ANY_OWNER}{name}")
                self._anyone[anyone] = known
                known = (Edge(anyone, by_name=True),)
            self._named[key] = known
        return known


class _File:
    """The names in a file."""

    def __init__(self, resolver: _Resolver, path: str, outline: Outline) -> None:
        self.resolver = resolver
        self.path = path
        self._is_side = is_side_file(path)
        self._record = outline.record
        self._known: dict[str, tuple[Edge, ...]] = {}

    def edges(self, names: Iterable[str]) -> tuple[Edge, ...]:
        found: dict[Edge, None] = {}
        for name in names:
            for edge in self.meant(name):
                found[edge] = None
        return tuple(found)

    def meant(self, name: str) -> tuple[Edge, ...]:
        known = self._known.get(name)
        if known is None:
            known = self._known[name] = self._visible(self._meant(name))
        return known

    def _visible(self, edges: Iterable[Edge]) -> tuple[Edge, ...]:
        """Without what a test calls of the code that it tests: that says nothing of how often the code runs."""
        if not self._is_side:
            return tuple(edges)
        return tuple(edge for edge in edges if edge.by_name or counts_for(self.path, edge.callee.path))

    def _meant(self, name: str) -> Iterable[Edge]:
        resolver = self.resolver
        if name[0] == ".":
            return resolver.by_name(name[1:], self.path)
        if name[0] == "&":  # passed, not called
            found = resolver.member(self.path, name[1:])
            return () if found is None or resolver.is_class(found) else (Edge(found, passed=True),)
        found = resolver.member(self.path, name)
        if found is not None:
            return resolver.constructors(found) if resolver.is_class(found) else (Edge(found),)
        head, dot, _ = name.partition(".")
        if not dot or not resolver.of_project(self._record.imports.get(head, self._record.name)):
            return ()
        return resolver.by_name(name.rpartition(".")[2], self.path)


class _Class:
    """The names in the methods of a class."""

    def __init__(self, file: _File, owner: Symbol) -> None:
        self.path = file.path
        self._file = file
        self._resolver = file.resolver
        self._owner = owner
        self._known: dict[str, tuple[Edge, ...]] = {}

    def edges(self, names: Iterable[str]) -> tuple[Edge, ...]:
        found: dict[Edge, None] = {}
        for name in names:
            own = name.startswith(("self.", "super().")) or name == "cls"
            for edge in self._meant(name) if own else self._file.meant(name):
                found[edge] = None
        return tuple(found)

    def _meant(self, name: str) -> tuple[Edge, ...]:
        known = self._known.get(name)
        if known is None:
            known = self._known[name] = tuple(self._own(name))
        return known

    def _own(self, name: str) -> Iterator[Edge]:
        if name == "cls":
            yield from self._resolver.constructors(self._owner)
        elif name.startswith("super()."):
            found = self._resolver.inherited(self._owner, name[8:])
            if found is not None:
                yield Edge(found)
        else:
            called = name.endswith("()")
            yield from self._chain([self._owner], name[5:].removesuffix("()").split("."), called)

    def _chain(self, owners: list[Symbol], names: list[str], called: bool) -> Iterator[Edge]:
        """What ``owner.a.b`` reaches: methods, properties, and what an attribute that holds an object has."""
        name, rest = names[0], names[1:]
        held: list[Symbol] = []
        met = False
        for owner in owners:
            method = self._resolver.method(owner, name)
            if method is not None:
                yield Edge(method, passed=not rest and not called and not self._resolver.is_property(method))
                met = True
                continue
            classes = self._resolver.held(owner, name)
            held += classes
            if not classes and owner == self._owner:
                yield from self._resolver.mixed_in(owner, name)
        if rest and held:
            yield from self._chain(held, rest, called)
        elif rest and called:
            yield from self._resolver.by_name(rest[-1], self._file.path)
        elif called and not rest:
            for owner in held:
                runs = (self._resolver.method(owner, one) for one in _CALLABLE)
                yield from [Edge(method) for method in runs if method is not None][:1]
            if not held and not met and len(owners) and owners[0] != self._owner:
                yield from self._resolver.by_name(name, self._file.path)
