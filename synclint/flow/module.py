"""The analysis of one file: its names, its classes' attributes, its functions' results, and the sites found."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence

from synclint.finding import Confidence, Heat
from synclint.flow import expressions as _expressions  # noqa: F401 - fills the dispatch table
from synclint.flow import heat
from synclint.flow import statements as _statements  # noqa: F401 - fills the dispatch table
from synclint.flow.frame import Frame
from synclint.flow.lattice import PENDING, UNKNOWN, join, join_all
from synclint.flow.parameters import bind_arguments, bind_conventions
from synclint.flow.site import FunctionNode, Scope, Site
from synclint.flow.values import Kind, Place, Value
from synclint.index.build import FUNCTION, build, flat, resolve
from synclint.index.records import ClassRecord, FunctionRecord
from synclint.source import Source

NEWEST_TORCH = (2, 15)

_MODULE_NAME = re.compile(r"(?:Module|Model|Layer|PreTrainedModel|ForCausalLM|ForConditionalGeneration)$")

_MAX_DEPTH = 4  # calls within calls that are followed with their own arguments
_MAX_SPECIALISED = 300  # of them in one file
_MAX_STATEMENTS = 60  # in a function that is followed


class ModuleFlow:
    """Everything that the interpretation of one file shares.

    ``wanted`` are the ids of facts whose sites are kept even if nothing waits (a rule claims them).
    """

    def __init__(self, source: Source, wanted: frozenset[str], torch: tuple[int, int] | None) -> None:
        self.source = source
        self.tree = source.tree
        self.record = build(source.path, self.tree)
        self.wanted = wanted
        self.torch = torch or NEWEST_TORCH
        self.frames: type[Frame] = Frame
        self.sites: dict[tuple[ast.expr, str], Site] = {}
        self.globals: dict[str, Value] = {}
        self.class_nodes: dict[str, ast.ClassDef] = {}
        self.function_nodes: dict[str, FunctionNode] = {}
        self.owners: dict[str, str] = {}
        for statement in flat(self.tree.body):
            if isinstance(statement, ast.ClassDef):
                self.class_nodes[statement.name] = statement
                for inner in flat(statement.body):
                    if isinstance(inner, FUNCTION):
                        qualname = f"{statement.name}.{inner.name}"
                        self.function_nodes[qualname] = inner
                        self.owners[qualname] = statement.name
            elif isinstance(statement, FUNCTION):
                self.function_nodes[statement.name] = statement
        self.module_scope = Scope("", None, None, None, *heat.MODULE)
        self._defined = {
            **{name: Value(Kind.CLASS, ref=record) for name, record in self.record.classes.items()},
            **{name: Value(Kind.FUNCTION, ref=record) for name, record in self.record.functions.items()},
        }
        self._results: dict[str, Value] = {}
        self._specialised: dict[tuple[object, ...], Value] = {}
        self._attributes: dict[tuple[str, str], Value] = {}
        self._assigned: dict[tuple[str, str, str], Value] = {}
        self._module_like: dict[str, bool] = {}
        self._ancestries: dict[str, list[ClassRecord]] = {}
        self._instances: dict[str, Value] = {}
        self._depth = 0

    # The whole file

    def analyse(self, coldest: Heat = Heat.COLD) -> list[Site]:
        """The sites in source order. Functions below ``coldest`` are interpreted only where others ask about them."""
        frame = self.frames(self, self.module_scope, self.globals)
        frame.execute(self.tree.body)
        self.sites.update(frame.sites)
        for name, node in self.class_nodes.items():
            scope = Scope(name, node, node, self.module_scope, *heat.MODULE)
            body = self.frames(self, scope, {})
            body.execute([s for s in node.body if not isinstance(s, FUNCTION)])
            self.sites.update(body.sites)
        heats = heat.heat_map(self)
        for qualname in sorted(self.function_nodes, key=self._order):
            if heats.get(qualname, heat.UNKNOWN)[0] >= coldest or self.function_nodes[qualname].name == "__init__":
                self.result(qualname)
        heat.set_heat(heats, [site.scope for site in self.sites.values()])
        found = [site for site in self.sites.values() if site.scope.heat >= coldest]
        return sorted(found, key=lambda site: (site.node.lineno, site.node.col_offset, site.operation))

    def _order(self, qualname: str) -> tuple[bool, int]:
        """Constructors first: they say where attributes live."""
        node = self.function_nodes[qualname]
        return node.name != "__init__", node.lineno

    # Names

    def external(self, dotted: str) -> str:
        return resolve(dotted, self.record)

    def resolve_annotation(self, dotted: str) -> Value | str:
        record = self.record.classes.get(dotted)
        if record is not None:
            return self.instance(record)
        return resolve(dotted, self.record)

    def name(self, name: str) -> Value | None:
        """What a name of the module means, None if the module does not bind it."""
        known = self._defined.get(name) or self.globals.get(name)
        if known is None and name in self.record.imports:
            known = self._defined[name] = Value(Kind.EXTERNAL, ref=self.record.imports[name])
        return known

    def instance(self, record: ClassRecord) -> Value:
        known = self._instances.get(record.name)
        if known is None:
            kind = Kind.MODULE if self.is_module_like(record.name) else Kind.INSTANCE
            known = self._instances[record.name] = Value(kind, ref=record)
        return known

    # Classes

    def is_module_like(self, class_name: str) -> bool:
        """Whether a class of this file is an ``nn.Module``, by its bases or their names."""
        known = self._module_like.get(class_name)
        if known is None:
            self._module_like[class_name] = False  # a class that is its own base is none
            known = self._module_like[class_name] = self._looks_like_module(class_name)
        return known

    def _looks_like_module(self, class_name: str) -> bool:
        record = self.record.classes.get(class_name)
        if record is None:
            return False
        for base in record.bases:
            if base in self.record.classes:
                if self.is_module_like(base):
                    return True
            elif base.startswith("torch.nn.") or _MODULE_NAME.search(base):
                return True
        return False

    def has_forward(self, class_name: str) -> bool:
        return any("forward" in record.methods for record in self.ancestry(class_name))

    def ancestry(self, class_name: str) -> list[ClassRecord]:
        """The class and its bases in this file, nearest first."""
        found = self._ancestries.get(class_name)
        if found is None:
            found = self._ancestries[class_name] = []
            pending = [class_name]
            while pending:
                record = self.record.classes.get(pending.pop(0))
                if record is not None and record not in found:
                    found.append(record)
                    pending.extend(record.bases)
        return found

    def method(self, class_name: str, name: str) -> FunctionRecord | None:
        for record in self.ancestry(class_name):
            if name in record.methods:
                return record.methods[name]
        return None

    def attribute(self, class_name: str, name: str) -> Value:
        """What ``self.name`` holds: the join over every assignment in the class and its bases in this file."""
        key = (class_name, name)
        known = self._attributes.get(key)
        if known is not None:
            return UNKNOWN if known is PENDING else known
        self._attributes[key] = PENDING
        values: list[Value] = []
        complete = True
        for record in self.ancestry(class_name):
            if name in record.methods:
                break
            writers = record.attributes.get(name, [])
            for writer in writers:
                value = self._written_by(record, writer, name)
                complete &= value is not PENDING
                values.append(value)
            if writers:
                break
        result = join_all(value for value in values if value is not PENDING)
        if complete:
            self._attributes[key] = result
        else:  # computed under a cut: good for now, not for later
            del self._attributes[key]
        return result

    def _written_by(self, record: ClassRecord, writer: str, name: str) -> Value:
        if writer:
            if self._results.get(writer) is PENDING and (record.name, writer, name) not in self._assigned:
                return PENDING
            self.result(writer)
        return self._assigned.get((record.name, writer, name), UNKNOWN)

    def assign_attribute(self, class_name: str, scope: Scope, name: str, value: Value) -> None:
        key = (class_name, scope.qualname, name)
        known = self._assigned.get(key)
        self._assigned[key] = value if known is None else join(known, value)

    # Functions

    def result(self, qualname: str) -> Value:
        """What a function of this file returns, whoever calls it; its sites are recorded on the way."""
        known = self._results.get(qualname)
        if known is not None:
            return UNKNOWN if known is PENDING else known
        node = self.function_nodes.get(qualname)
        if node is None:
            return UNKNOWN
        self._results[qualname] = PENDING
        depth, self._depth = self._depth, self._depth + 1
        try:
            frame = self.frames(self, self.scope_of(qualname), {})
            bind_conventions(frame, node)
            try:
                result = frame.run_function(node)
            except RecursionError:
                result = UNKNOWN
                frame.sites.clear()
        finally:
            self._depth = depth
        self._results[qualname] = result
        self.sites.update(frame.sites)
        return result

    def scope_of(self, qualname: str) -> Scope:
        owner = self.owners.get(qualname)
        return Scope(
            qualname,
            self.function_nodes[qualname],
            self.class_nodes[owner] if owner else None,
            self.module_scope,
        )

    def call(
        self,
        qualname: str,
        receiver: Value | None,
        call: ast.Call,
        arguments: Sequence[Value],
        keywords: Mapping[str, Value],
    ) -> Value:
        """The result of a call within this file: the function's own, or with these arguments where they tell more."""
        general = self.result(qualname)
        if _settled(general) or not any(map(_informative, (*arguments, *keywords.values()))):
            return general
        node = self.function_nodes.get(qualname)
        if node is None or self._depth >= _MAX_DEPTH or len(self._specialised) >= _MAX_SPECIALISED:
            return general
        if len(flat(node.body)) > _MAX_STATEMENTS:
            return general
        key = (qualname, *map(_signature, arguments), *((name, _signature(v)) for name, v in keywords.items()))
        known = self._specialised.get(key)
        if known is None:
            self._specialised[key] = PENDING
            depth, self._depth = self._depth, self._depth + 1
            try:
                frame = self.frames(self, self.scope_of(qualname), {}, recording=False)
                bind_arguments(frame, node, receiver, call, arguments, keywords)
                known = frame.run_function(node)
            except RecursionError:
                known = UNKNOWN
            finally:
                self._depth = depth
            self._specialised[key] = known
        return general if known is PENDING or known.kind is Kind.UNKNOWN else known


def analyse(
    source: Source,
    wanted: frozenset[str] = frozenset(),
    torch: tuple[int, int] | None = None,
    coldest: Heat = Heat.COLD,
) -> tuple[ModuleFlow, list[Site]]:
    """The sites of one file that are at least as hot as ``coldest``, in source order.

    Raises SourceError when it cannot be parsed.
    """
    module = ModuleFlow(source, wanted, torch)
    return module, module.analyse(coldest)


def _settled(value: Value) -> bool:
    if value.kind is Kind.TENSOR:
        return value.place is not Place.UNKNOWN and value.confidence is Confidence.CERTAIN
    if value.kind is Kind.SEQUENCE:
        return value.items is not None and all(map(_settled, value.items))
    return value.kind is not Kind.UNKNOWN


def _informative(value: Value) -> bool:
    return value.kind in (Kind.TENSOR, Kind.DEVICE, Kind.NDARRAY) or (
        value.kind is Kind.SEQUENCE and any(map(_informative, value.items or (value.element or UNKNOWN,)))
    )


def _signature(value: Value) -> tuple[object, ...]:
    return (value.kind, value.place, value.rank, value.dtype, value.certainty, value.sure, value.pinned)
