"""Which functions of a project call which, resolved from the outlines of its files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from synclint.flow.nn_modules import is_nn_module
from synclint.flow.outline import LOCALS, Outline
from synclint.index.packages import Packages
from synclint.index.project import Class, Project
from synclint.index.records import FunctionRecord, Symbol
from synclint.index.sides import counts_for, is_side_file, top_folder

_FEW = 3  # definitions of a method's name, for a call by that name alone to be taken as a call of one of them
_MANY = 40  # classes that a mixin is mixed into: more are not looked at
_CALLABLE = ("__call__", "forward")


class Edge(NamedTuple):
    """``callee`` is reached from the function that the edge starts from.

    ``by_name``: nothing but the method's name says so. ``overrides``: it stands in for the function called. ``passed``:
    it is not called there but handed on, and may be called at any time.
    """

    callee: Node
    by_name: bool = False
    overrides: bool = False
    passed: bool = False


Edges = tuple[Edge, ...]


@dataclass(eq=False, slots=True)
class Node:
    """A function of the project, and the edges that start from it: ``plain`` ones of calls that may always happen,
    ``guarded`` ones behind guards, ``looped`` ones in loops over steps or data. ``order`` is that of the symbols.

    ``anyone``: no function, but what stands for all methods of a name that so many classes have that none is meant
    surely. ``inner``: the definitions in a function that may outlive it.
    """

    symbol: Symbol
    plain: Edges = ()
    guarded: Edges = ()
    looped: Edges = ()
    decorators: tuple[str, ...] = ()
    makes_module: bool = False
    anyone: bool = False
    inner: bool = False
    order: int = 0


@dataclass(slots=True)
class CallGraph:
    """``nodes``, sorted by their symbols, and what files reach when they are imported."""

    nodes: list[Node] = field(default_factory=list)
    imported: dict[str, Edges] = field(default_factory=dict)


def call_graph(outlines: Mapping[str, Outline]) -> CallGraph:
    """The call graph of the files whose outlines, by path, these are."""
    return _Resolver(outlines).graph()


class _Resolver:
    def __init__(self, outlines: Mapping[str, Outline]) -> None:
        self._outlines = outlines
        self._project = Project(Packages(outlines), {path: found.record for path, found in outlines.items()}.get)
        self._nodes: dict[Symbol, Node] = {}
        self._heirs: dict[Symbol, list[Symbol]] = {}
        self._overrides: dict[Symbol, list[Edge]] = {}
        self._definitions: dict[str, list[Node]] = {}
        self._named: dict[tuple[str, str], Edges] = {}
        self._held: dict[tuple[Symbol, str], list[Symbol]] = {}
        self._mixed_in: dict[tuple[Symbol, str], list[Edge]] = {}

    def graph(self) -> CallGraph:
        graph = CallGraph()
        for path in sorted(self._outlines):
            self._read_functions(path)
        for path in sorted(self._outlines):
            self._read_classes(path)
        for path in sorted(self._outlines):
            found = self._outlines[path]
            file = _File(self, path, found)
            for known in found.record.functions.values():
                self._connect(known, file, found)
            for owner in found.record.classes.values():
                names = _Class(file, Symbol(path, owner.qualname))
                for known in owner.methods.values():
                    self._connect(known, names, found)
            loose = found.calls.get("")
            if loose is not None and loose.plain:
                graph.imported[path] = file.edges(loose.plain)
        graph.nodes = sorted(self._nodes.values(), key=lambda node: node.symbol)
        for order, node in enumerate(graph.nodes):
            node.order = order
        return graph

    def _read_functions(self, path: str) -> None:
        record = self._outlines[path].record
        for known in record.functions.values():
            symbol = Symbol(path, known.qualname)
            self._nodes[symbol] = Node(symbol, decorators=known.decorators)
        for owner in record.classes.values():
            for known in owner.methods.values():
                symbol = Symbol(path, known.qualname)
                self._nodes[symbol] = Node(symbol, decorators=known.decorators)

    def _connect(self, record: FunctionRecord, names: _File | _Class, outline: Outline) -> None:
        """Gives a function its edges."""
        node = self._nodes[Symbol(names.path, record.qualname)]
        calls = outline.calls.get(record.qualname)
        if calls is not None:
            node.plain = names.edges(calls.plain)
            node.guarded = names.edges(calls.guarded)
            node.looped = names.edges(calls.looped)
        if node.symbol in self._overrides:
            node.plain = (*node.plain, *self._overrides[node.symbol])
        within = f"{record.qualname}.{LOCALS}"
        if within in outline.calls:
            inner = Node(Symbol(names.path, within), names.edges(outline.calls[within].plain), inner=True)
            self._nodes[inner.symbol] = inner
            node.plain = (*node.plain, Edge(inner, passed=True))

    # Classes

    def _read_classes(self, path: str) -> None:
        for owner in self._outlines[path].record.classes.values():
            symbol = Symbol(path, owner.qualname)
            for base in owner.bases:
                known = self._project.base(path, base)
                if known is not None:
                    self._heirs.setdefault(known, []).append(symbol)
            ancestors = self._project.ancestry(symbol)[1:]
            for name in owner.methods:
                if not name.startswith("__") or name == "__call__":
                    self._read_method(symbol, name, ancestors)
            if "__init__" in owner.methods and is_nn_module(self._project, symbol):
                self._nodes[Symbol(path, f"{owner.qualname}.__init__")].makes_module = True

    def _read_method(self, owner: Symbol, name: str, ancestors: Iterable[Class]) -> None:
        method = self._nodes[Symbol(owner.path, f"{owner.qualname}.{name}")]
        for at, record in ancestors:
            if name in record.methods:
                base = Symbol(at.path, f"{at.qualname}.{name}")
                self._overrides.setdefault(base, []).append(Edge(method, overrides=True))
                return
        self._definitions.setdefault(name, []).append(method)

    def node(self, symbol: Symbol) -> Node:
        return self._nodes[symbol]

    def method(self, owner: Symbol, name: str) -> Node | None:
        found = self._project.method(owner, name)
        return None if found is None else self._nodes[found.symbol]

    def constructors(self, owner: Symbol) -> list[Edge]:
        found = (self.method(owner, name) for name in ("__init__", "__post_init__"))
        return [Edge(node) for node in found if node is not None]

    def inherited(self, owner: Symbol, name: str) -> Node | None:
        """What ``super().name`` means in a class."""
        for at, record in self._project.ancestry(owner)[1:]:
            if name in record.methods:
                return self._nodes[Symbol(at.path, f"{at.qualname}.{name}")]
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
            found: dict[Node, None] = {}
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

    def is_property(self, method: Node) -> bool:
        record = self._project.function_record(method.symbol)
        return record is not None and record.is_property

    def of_project(self, dotted: str) -> bool:
        return dotted.partition(".")[0] in self._project.packages.tops

    def by_name(self, name: str, near: str) -> Edges:
        side = top_folder(near) if is_side_file(near) else ""
        key = (name, side)
        known = self._named.get(key)
        if known is None:
            visible = (one for one in self._definitions.get(name, ()) if counts_for(near, one.symbol.path))
            found = [one for one in visible if side or not is_side_file(one.symbol.path)]
            known = tuple(Edge(one, by_name=True) for one in found)
            if len(found) > _FEW:
                anyone = Node(Symbol(side, name), known, anyone=True)
                self._nodes[anyone.symbol] = anyone
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
        self._known: dict[str, Edges] = {}

    def edges(self, names: Iterable[str]) -> Edges:
        found: dict[Edge, None] = {}
        for name in names:
            for edge in self.meant(name):
                found[edge] = None
        return tuple(found)

    def meant(self, name: str) -> Edges:
        known = self._known.get(name)
        if known is None:
            known = self._known[name] = self._visible(self._meant(name))
        return known

    def _visible(self, edges: Iterable[Edge]) -> Edges:
        """Without what a test calls of the code that it tests: that says nothing of how often the code runs."""
        if not self._is_side:
            return tuple(edges)
        return tuple(edge for edge in edges if edge.by_name or counts_for(self.path, edge.callee.symbol.path))

    def _meant(self, name: str) -> Iterable[Edge]:
        resolver, record = self.resolver, self._record
        if name[0] == ".":
            return resolver.by_name(name[1:], self.path)
        if name[0] == "&":  # passed, not called
            return (Edge(resolver.node(Symbol(self.path, name[1:])), passed=True),)
        if name in record.functions:
            return (Edge(resolver.node(Symbol(self.path, name))),)
        head, dot, _ = name.partition(".")
        imported = record.imports.get(head)
        if imported is not None and not resolver.of_project(imported):
            return ()
        if imported is not None or head in record.classes or record.stars:
            found = resolver.member(self.path, name)
            if found is not None:
                return resolver.constructors(found) if resolver.is_class(found) else (Edge(resolver.node(found)),)
        return resolver.by_name(name.rpartition(".")[2], self.path) if dot else ()


class _Class:
    """The names in the methods of a class."""

    def __init__(self, file: _File, owner: Symbol) -> None:
        self.path = file.path
        self._file = file
        self._resolver = file.resolver
        self._owner = owner
        self._known: dict[str, Edges] = {}

    def edges(self, names: Iterable[str]) -> Edges:
        found: dict[Edge, None] = {}
        for name in names:
            own = name.startswith(("self.", "super().")) or name == "cls"
            for edge in self._meant(name) if own else self._file.meant(name):
                found[edge] = None
        return tuple(found)

    def _meant(self, name: str) -> Edges:
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
            if not classes and called and not rest and owner == self._owner:
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
