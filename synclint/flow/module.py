"""The analysis of one file: its names, its classes' attributes, its functions' results, and the sites found."""

from __future__ import annotations

import ast
import builtins
import os
from collections.abc import Container, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from synclint.finding import Confidence, Heat
from synclint.flow import expressions as _expressions  # noqa: F401 - fills the dispatch table
from synclint.flow import statements as _statements  # noqa: F401 - fills the dispatch table
from synclint.flow.annotations import annotated
from synclint.flow.conventions import makes_inputs
from synclint.flow.file_heat import FileHeat
from synclint.flow.frame import Frame
from synclint.flow.heat import NO_NAMES, Names
from synclint.flow.lattice import PENDING, UNKNOWN, item_value, join, join_all, join_writers
from synclint.flow.loops import Loops
from synclint.flow.nn_modules import is_nn_module
from synclint.flow.origins import Attribute, Defined, Held, Mixed, Named, Origin, Passed, called, decides
from synclint.flow.parameters import bind_arguments, bind_conventions, in_the_light_of_calls, returned
from synclint.flow.prospects import ProspectingFrame, Prospects
from synclint.flow.site import FunctionNode, Scope, Site
from synclint.flow.summary import Call, Summary
from synclint.flow.values import Kind, Place, Value
from synclint.flow.waiting import Waiting, Waits
from synclint.index.build import FUNCTION, build, flat, is_overload, is_setter, resolve
from synclint.index.kept_on_host import kept_on_host
from synclint.index.packages import Packages
from synclint.index.project import Class, Method, Project
from synclint.index.records import ModuleRecord, Symbol
from synclint.source import Source, shown_path

if TYPE_CHECKING:
    from synclint.flow.link import InProject

#: The release that code is read for when nothing says otherwise: the newest that most installations can have.
ASSUMED_TORCH = (2, 14)

#: Kinds of parameters that callers cannot tell more about than the annotation has.
_TOLD = frozenset((Kind.HOST, Kind.NONE, Kind.INSTANCE, Kind.DTYPE, Kind.OBJECT))

_MAX_DEPTH = 4  # calls within calls that are followed with their own arguments
_DEEPEST = 30  # functions that wait for what others return: well within Python's stack, wherever it begins
_MAX_SPECIALISED = 300  # of them in one file
_MAX_STATEMENTS = 60  # in a function that is followed


class ModuleFlow:
    """Everything that the interpretation of one file shares.

    ``wanted`` are the ids of facts whose sites are kept even if nothing waits (a rule claims them). ``path`` is the
    file's path in the project, ``name`` the dotted name of the module. ``place`` says who answers for the other files;
    without it the file stands alone, and what it cannot tell keeps its origin.
    """

    def __init__(
        self,
        source: Source,
        wanted: frozenset[str] = frozenset(),
        torch: tuple[int, int] | None = None,
        *,
        path: str = "",
        name: str = "",
        place: InProject | None = None,
        names: Names = NO_NAMES,
    ) -> None:
        if place is not None:
            path, name = place.path, place.module
        self.source = source
        self.place = place
        self.path = path or source.path
        self.tree = source.tree
        read = None
        if place is not None and place.digest == source.digest:
            read = place.linker.project.record(path)
        if read is None:
            read = build(self.path, self.tree, name)
            read.kept_on_host = kept_on_host(source)
        self.record = read
        self.wanted = wanted
        self.torch = torch or ASSUMED_TORCH
        self.heat = FileHeat(self, None if place is None else place.heats, names)
        self.loops = Loops(source)
        self.linker = None if place is None else place.linker
        self.calls: dict[ast.Call, Call] | None = None
        self.frames: type[Frame] = Frame
        self.prospects = Prospects()
        self.waits = Waits()
        self.sites: dict[tuple[ast.expr, str], Site] = {}
        self.globals: dict[str, Value] = {}
        self.class_nodes: dict[str, ast.ClassDef] = {}
        self.class_names: dict[ast.ClassDef, str] = {}
        self.function_nodes: dict[str, FunctionNode] = {}
        self._others: dict[str, list[FunctionNode]] = {}
        self.owners: dict[str, str] = {}
        for statement in flat(self.tree.body):
            if isinstance(statement, ast.ClassDef):
                self._add_class(statement, statement.name)
            elif isinstance(statement, FUNCTION):
                self._add_function(statement, statement.name)
        self.module_scope = Scope("", None, None, None, Heat.COLD)
        self._project = _project(self.path, self.record, source, place)
        self._defined = {
            **{name: Value(Kind.CLASS, ref=self.symbol(name)) for name in self.record.classes},
            **{name: Value(Kind.FUNCTION, ref=self.symbol(name)) for name in self.record.functions},
        }
        self._results: dict[str, Value] = {}
        self._specialised: dict[tuple[object, ...], Value] = {}
        self._attributes: dict[tuple[Symbol, str], Value] = {}
        self._assigned: dict[tuple[str, str, str], Value] = {}
        self._module_like: dict[Symbol, bool] = {}
        self._instances: dict[Symbol, Value] = {}
        self._depth = 0
        self._followed = 0

    def _add_class(self, node: ast.ClassDef, name: str) -> None:
        self.class_nodes[name] = node
        self.class_names[node] = name
        for statement in flat(node.body):
            if isinstance(statement, FUNCTION):
                qualname = f"{name}.{statement.name}"
                self._add_function(statement, qualname)
                self.owners[qualname] = name
            elif isinstance(statement, ast.ClassDef):
                self._add_class(statement, f"{name}.{statement.name}")

    def _add_function(self, node: FunctionNode, qualname: str) -> None:
        """Adds a definition: of several, the last one is meant, setters aside; all are interpreted."""
        known = self.function_nodes.get(qualname)
        if known is not None:
            other, node = (node, known) if is_setter(node) else (known, node)
            self._others.setdefault(qualname, []).append(other)
        self.function_nodes[qualname] = node

    # The whole file

    def analyse(self, coldest: Heat = Heat.COLD, asked: Container[str] | None = None) -> list[Site]:
        """The sites in source order. Functions below ``coldest``, and all but those ``asked`` about, are interpreted
        only where others ask about them."""
        self._execute_definitions()
        wanted = {
            qualname
            for qualname in self.function_nodes
            if (asked is None or qualname in asked) and self.heat.hottest(qualname) >= coldest
        }
        # Constructors say where attributes live.
        wanted |= {f"{self.owners[qualname]}.__init__" for qualname in wanted if qualname in self.owners}
        for qualname in sorted(wanted & self.function_nodes.keys(), key=self._order):
            self.result(qualname)
        self.heat.fill_in([site.scope for site in self.sites.values()])
        found = [site for site in self.sites.values() if site.heat >= coldest]
        return sorted(found, key=lambda site: (site.node.lineno, site.node.col_offset, site.operation))

    def summarise(self) -> Summary:
        """What the file says to the others: no sites, every function, with the calls that it makes."""
        self.calls, self.frames = {}, ProspectingFrame
        self._execute_definitions()
        for qualname in sorted(self.function_nodes, key=self._order):
            self.result(qualname)
        prospects = self.prospects.found(self.loops.any_in, self.function_nodes)
        calls, waits = self.calls.values(), self.waits.found(without=self._others)
        return Summary.of(self.path, self._results, self._assigned, self.globals, calls, prospects, waits)

    def _execute_definitions(self) -> None:
        frame = self.frames(self, self.module_scope, self.globals)
        frame.execute(self.tree.body)
        self.sites.update(frame.sites)
        for name, node in self.class_nodes.items():
            scope = Scope(name, node, node, self.module_scope, Heat.COLD)
            body = self.frames(self, scope, {})
            body.execute([s for s in node.body if not isinstance(s, FUNCTION)])
            self.sites.update(body.sites)
            record = self.record.classes.get(name)
            for attribute in record.attributes if record is not None else ():
                value = body.env.get(attribute)
                if value is not None and record is not None:
                    if attribute in record.fields:
                        value = self._field(self.symbol(f"{name}.__init__"), attribute, value)
                    self._assigned[name, "", attribute] = value

    def _field(self, constructor: Symbol, name: str, declared: Value) -> Value:
        """What a field holds, given what its annotation and default say: what the constructor's calls agree on."""
        if self.linker is None:
            return declared.replace(origin=Passed(constructor, name))
        return in_the_light_of_calls(declared, self.linker.parameter(constructor, name))

    def _order(self, qualname: str) -> tuple[bool, int]:
        """Constructors first: they say where attributes live."""
        node = self.function_nodes[qualname]
        return node.name != "__init__", node.lineno

    @cached_property
    def kept_on_host(self) -> frozenset[str]:
        """The names of data that is kept in host memory by a flag: in this file, in one with a base of its classes, or
        in one that it has what makes its inputs from."""
        paths = {at.path for name in self.record.classes for at, _ in self.ancestry(self.symbol(name))[1:]}
        for name, dotted in self.record.imports.items():
            found = self._project.find(dotted, self.path) if makes_inputs(name) else None
            if found is not None:
                paths.add(found.path)
        records = (self._project.record(path) for path in sorted(paths - {self.path}))
        return self.record.kept_on_host.union(*(record.kept_on_host for record in records if record is not None))

    # Names

    def symbol(self, qualname: str) -> Symbol:
        """The symbol of a class or function of this file."""
        return Symbol(self.path, qualname)

    def shown(self, path: str) -> str:
        """The path of a file of the project, as reports show it; that of this file, if empty."""
        if not path or path == self.path or self.place is None:
            return self.source.path
        return shown_path(os.path.join(self.place.root, path))

    def external(self, dotted: str) -> str:
        return resolve(dotted, self.record)

    def resolve_annotation(self, dotted: str) -> Value | str:
        if dotted in self.record.classes:
            return self.instance(self.symbol(dotted))
        name = resolve(dotted, self.record)
        found = self._project.find(name, self.path)
        return self.instance(found) if isinstance(found, Symbol) and self._project.class_record(found) else name

    def name(self, name: str) -> Value | None:
        """What a name of the module means, None if the module does not bind it."""
        known = self._defined.get(name) or self.globals.get(name)
        if known is None and name in self.record.imports:
            dotted = self.record.imports[name]
            known = self._defined[name] = self.of_project(dotted) or Value(Kind.EXTERNAL, ref=dotted)
        if known is None and self.record.stars:
            if self.linker is None:
                return None if hasattr(builtins, name) else Value(origin=Named(f"{self.record.name}.{name}"))
            found = self._project.find(f"{self.record.name}.{name}", self.path)
            known = self._defined[name] = self.linker.value(found) if found is not None else UNKNOWN
            return None if known is UNKNOWN else known
        return known

    def of_project(self, dotted: str) -> Value | None:
        """What a dotted name means in another file of the project; None when it is not of the project."""
        return None if self.linker is None else self.linker.named(dotted, self.path)

    def instance(self, symbol: Symbol) -> Value:
        known = self._instances.get(symbol)
        if known is None:
            kind = Kind.MODULE if self.is_module_like(symbol) else Kind.INSTANCE
            known = self._instances[symbol] = Value(kind, ref=symbol)
        return known

    # Classes

    def is_module_like(self, symbol: Symbol) -> bool:
        """Whether a class is an ``nn.Module``, by its bases or their names."""
        known = self._module_like.get(symbol)
        if known is None:
            known = self._module_like[symbol] = is_nn_module(self._project, symbol)
        return known

    def has_forward(self, symbol: Symbol) -> bool:
        return self.method(symbol, "forward") is not None

    def ancestry(self, symbol: Symbol) -> tuple[Class, ...]:
        """The class and its bases in the project (without a linker, in this file), nearest first."""
        return self._project.ancestry(symbol)

    def method(self, symbol: Symbol, name: str) -> Method | None:
        return self._project.method(symbol, name)

    def inherited(self, symbol: Symbol, name: str) -> Method | None:
        return self._project.inherited(symbol, name)

    def item(self, of: Value, index: int | None) -> Value:
        """``of[index]``, or what unpacking gives in its place; any item, if the index is not known."""
        if of.kind is Kind.INSTANCE and of.ref is not None and index is not None:
            names = self._project.items(of.ref)
            return self.attribute(of.ref, names[index]) if -1 < index < len(names) else UNKNOWN
        return item_value(of, index)

    def attribute(self, symbol: Symbol, name: str) -> Value:
        """What ``self.name`` holds: the join over the assignments in the class, or in the nearest base that has one."""
        key = (symbol, name)
        known = self._attributes.get(key)
        if known is not None:
            return UNKNOWN if known is PENDING else known
        self._attributes[key] = PENDING
        values: dict[str, Value] = {}
        complete = True
        for at, record in self.ancestry(symbol):
            if name in record.methods:
                break
            writers = record.attributes.get(name, [])
            for writer in writers:
                value = self._written_by(at, writer, name)
                complete &= value is not PENDING
                values[writer] = value
            if writers:
                break
        result = join_writers({writer: value for writer, value in values.items() if value is not PENDING})
        if not values:
            nested = self._project.nested(symbol, name)
            result = UNKNOWN if nested is None else Value(Kind.CLASS, ref=nested.symbol)
        if result.kind is Kind.UNKNOWN and not decides(result.origin) and self.linker is None:
            result = result.replace(origin=Attribute(Held(symbol), name))
        if complete:
            self._attributes[key] = result
        else:  # computed under a cut: good for now, not for later
            del self._attributes[key]
        return result

    def _written_by(self, owner: Symbol, writer: str, name: str) -> Value:
        if owner.path != self.path:
            return self.linker.written(owner, writer, name) if self.linker is not None else UNKNOWN
        if writer:
            if self._results.get(writer) is PENDING and (owner.qualname, writer, name) not in self._assigned:
                return PENDING
            self.result(writer)
        return self._assigned.get((owner.qualname, writer, name), UNKNOWN)

    def assign_attribute(self, owner: Symbol, scope: Scope, name: str, value: Value) -> None:
        key = (owner.qualname, scope.qualname, name)
        known = self._assigned.get(key)
        self._assigned[key] = value if known is None else join(known, value)

    def line_of(self, function: Symbol) -> int:
        """Where a function of the project begins; where that is not known, 1."""
        if function.path == self.path and function.qualname in self.function_nodes:
            return self.function_nodes[function.qualname].lineno
        record = self._project.function_record(function)
        return 1 if record is None else record.line

    # Functions

    def result(self, qualname: str) -> Value:
        """What a function of this file returns, whoever calls it; its sites are recorded on the way."""
        known = self._results.get(qualname)
        if known is not None:
            return UNKNOWN if known is PENDING else known
        node = self.function_nodes.get(qualname)
        if node is None or self._depth >= _DEEPEST:
            return UNKNOWN
        self._results[qualname] = PENDING
        depth, self._depth = self._depth, self._depth + 1
        followed, self._followed = self._followed, 0  # whoever asks, the answer is the same
        try:
            returned = []
            for other in self._others.get(qualname, ()):
                value = self._run(qualname, other)
                if not (is_setter(other) or is_overload(other)):
                    returned.append(value)
            result = join_all([self._run(qualname, node), *returned])
        finally:
            self._depth, self._followed = depth, followed
        self._results[qualname] = result
        return result

    def _run(self, qualname: str, node: FunctionNode) -> Value:
        """Interprets one definition of a function for an unknown caller."""
        frame = self.frames(self, self.scope_of(qualname, node), {})
        bind_conventions(frame, node)
        try:
            result = frame.run_function(node)
        except RecursionError:
            result = UNKNOWN
            frame.sites.clear()
        if result.kind is Kind.UNKNOWN and node.returns is not None:
            result = promised(frame, node, result)
        self.sites.update(frame.sites)
        return result

    def scope_of(self, qualname: str, node: FunctionNode | None = None) -> Scope:
        owner = self.owners.get(qualname)
        return Scope(
            qualname,
            node or self.function_nodes[qualname],
            self.class_nodes[owner] if owner else None,
            self.module_scope,
        )

    def parameter(self, scope: Scope, name: str, declared: Value) -> Value:
        """What a parameter holds, given what its annotation or convention says: what the call sites agree on."""
        if scope.parent is not self.module_scope or declared.kind in _TOLD:
            return declared
        symbol = self.symbol(scope.qualname)
        if self.linker is None:
            return declared if declared.origin is not None else declared.replace(origin=Passed(symbol, name))
        return in_the_light_of_calls(declared, self.linker.parameter(symbol, name))

    def result_of(self, function: Symbol) -> Value:
        """What a function of the project returns, whoever calls it."""
        if function.path == self.path:
            return self.result(function.qualname)
        return self.linker.result(function) if self.linker is not None else UNKNOWN

    def note(
        self, frame: Frame, node: ast.Call, target: Origin, arguments: Sequence[Value], keywords: Mapping[str, Value]
    ) -> None:
        """Keeps what a call passes, for the sake of the function that it calls."""
        if self.calls is not None and frame.recording and not isinstance(target, Mixed):
            call = self.calls[node] = Call.of(target, frame.scope.qualname, node, arguments, keywords)
            frame.hand_on(node, call)

    @cached_property
    def waiting(self) -> Waiting | None:
        """Who knows which functions wait for what they are passed: nobody, while that is being found out."""
        if self.linker is not None:
            return self.linker.waiting
        if self.calls is not None:
            return None
        from synclint.flow.link import Linker

        alone = ModuleFlow(self.source, torch=self.torch, path=self.path, name=self.record.name)
        summary = alone.summarise()
        names = {qualname.rpartition(".")[2] for qualname in summary.waits}
        nobody: tuple[str, ...] = ()
        return Linker(self._project, lambda path: summary, lambda name: nobody, lambda name: (), lambda: names).waiting

    def function_called(self, target: Origin) -> tuple[Symbol, Value | None] | None:
        """The function of this file that a call reaches, and what it is called on."""
        if isinstance(target, Defined) and target.symbol.qualname in self.function_nodes:
            return target.symbol, None
        if isinstance(target, Attribute) and isinstance(target.of, Held):
            method = self.method(target.of.symbol, target.name)
            if method is not None and method.symbol.path == self.path and not method.record.is_property:
                return method.symbol, self.instance(target.of.symbol)
        return None

    def positional(self, function: Symbol, receiver: Value | None) -> Sequence[str]:
        """The parameters that a call's arguments go to, in order; ``receiver`` is what it is called on."""
        record = self._project.function_record(function)
        if record is None:
            return ()
        bound = "classmethod" in record.decorators or (receiver is not None and receiver.kind is not Kind.CLASS)
        return record.parameters[1 if bound and record.has_receiver else 0 : record.positional]

    def call(
        self,
        function: Symbol,
        receiver: Value | None,
        call: ast.Call,
        arguments: Sequence[Value],
        keywords: Mapping[str, Value],
    ) -> Value:
        """The result of a call within the project: the function's own, or with these arguments where they tell more."""
        if function.path != self.path:
            if self.linker is None:
                return UNKNOWN
            return self.linker.call(function, receiver is not None, arguments, keywords)
        qualname = function.qualname
        general = self.result(qualname)
        if _settled(general) or not any(map(_informative, (*arguments, *keywords.values()))):
            return general
        if self.calls is not None:  # with these arguments, the summary is resolved when all files are known
            return general.replace(origin=called(Defined(function), call, arguments, keywords) or general.origin)
        node = self.function_nodes.get(qualname)
        if node is None or self._followed >= _MAX_DEPTH or len(self._specialised) >= _MAX_SPECIALISED:
            return general
        if len(flat(node.body)) > _MAX_STATEMENTS:
            return general
        key = (qualname, *map(_signature, arguments), *((name, _signature(v)) for name, v in keywords.items()))
        known = self._specialised.get(key)
        if known is None:
            self._specialised[key] = PENDING
            depth, self._depth = self._depth, self._depth + 1
            self._followed += 1
            try:
                frame = self.frames(self, self.scope_of(qualname), {}, recording=False)
                bind_arguments(frame, node, receiver, call, arguments, keywords)
                known = frame.run_function(node)
            except RecursionError:
                known = UNKNOWN
            finally:
                self._depth = depth
                self._followed -= 1
            self._specialised[key] = known
        if known is PENDING or known.kind is Kind.UNKNOWN:
            return general
        placed = general.place is not Place.UNKNOWN and general.sure is not Confidence.POSSIBLE
        return general if placed and known.kind is Kind.TENSOR and known.place is Place.UNKNOWN else known


def _project(path: str, record: ModuleRecord, source: Source, place: InProject | None) -> Project:
    """The project with the file as it is at hand: there may be none, or one that knows another text of it, or none."""
    if place is None:
        return Project(Packages([path]), lambda asked: record if asked == path else None)
    known = place.linker.project
    if place.digest == source.digest:
        return known
    return Project(known.packages, lambda asked: record if asked == path else known.record(asked))


def promised(frame: Frame, node: FunctionNode, result: Value) -> Value:
    """What a function returns, in the light of its annotation."""
    declared = annotated(node.returns, frame.module.resolve_annotation)
    if declared.kind is Kind.UNKNOWN:
        return result if decides(result.origin) or result.kind is not Kind.UNKNOWN else declared
    if result.kind is declared.kind:
        likely = result.certainty is Confidence.POSSIBLE and declared.certainty is not Confidence.POSSIBLE
        return result.replace(certainty=Confidence.LIKELY) if likely else result
    if result.kind is not Kind.UNKNOWN:
        return result
    return returned(frame, declared, node.lineno).replace(origin=result.origin)


def analyse(
    source: Source,
    wanted: frozenset[str] = frozenset(),
    torch: tuple[int, int] | None = None,
    coldest: Heat = Heat.COLD,
    place: InProject | None = None,
    names: Names = NO_NAMES,
    asked: Container[str] | None = None,
) -> tuple[ModuleFlow, list[Site]]:
    """The sites of one file that are at least as hot as ``coldest``, in source order: of the functions ``asked``
    about, if not of all.

    ``names`` is what the project says of the heat of functions, for a file that stands alone.
    Raises SourceError when it cannot be parsed.
    """
    module = ModuleFlow(source, wanted, torch, place=place, names=names)
    return module, module.analyse(coldest, asked)


def _settled(value: Value) -> bool:
    if value.kind is Kind.TENSOR:
        return value.place not in (Place.UNKNOWN, Place.EITHER) and value.confidence is Confidence.CERTAIN
    if value.kind is Kind.SEQUENCE:
        return value.items is not None and all(map(_settled, value.items))
    return value.kind is not Kind.UNKNOWN


def _informative(value: Value) -> bool:
    return value.kind in (Kind.TENSOR, Kind.DEVICE, Kind.NDARRAY) or (
        value.kind is Kind.SEQUENCE and any(map(_informative, value.items or (value.element or UNKNOWN,)))
    )


def _signature(value: Value) -> tuple[object, ...]:
    held = value.items or (() if value.element is None else (value.element,))
    known = (value.kind, value.place, value.rank, value.dtype, value.certainty, value.sure, value.pinned)
    return (*known, *map(_signature, held)) if held else known
