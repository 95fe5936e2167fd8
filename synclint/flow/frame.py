"""A function in the course of being interpreted: its variables, its sites, what it returns."""

from __future__ import annotations

import ast
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from synclint.facts import applies, facts_for
from synclint.finding import Confidence
from synclint.flow.conventions import (
    is_after_transfer,
    is_cpu_backend,
    is_for_inputs,
    is_host_side,
    is_processor_file,
    names_host_memory,
    names_tensor,
    value_by_name,
)
from synclint.flow.dispatch import EVALUATE, EXECUTE
from synclint.flow.guards import Method
from synclint.flow.lattice import NONE, UNKNOWN, element_of, join, join_all
from synclint.flow.regions import Region, innermost
from synclint.flow.scopes import Nested, run_waiting
from synclint.flow.site import FunctionNode, Scope, Site
from synclint.flow.values import Dtype, Kind, Place, Value, Why
from synclint.index.names import dotted_name

if TYPE_CHECKING:
    from synclint.facts import Fact
    from synclint.flow.module import ModuleFlow
    from synclint.flow.summary import Call

Environment = dict[str, Value]

# Names of parameters of an attention layer, and of half of all loops over a dict.
_AMBIGUOUS = frozenset(("key", "value", "query", "target", "targets", "features"))


class Frame:
    """One activation. ``env`` maps names, and paths such as ``self.x``, to values; ``dead`` means unreachable.

    ``keys`` are the variables of the loops around; ``later`` is what mappings of these names hold once the loop ends.
    ``paths`` are the last parts of the paths bound so far, which spares most attributes the look-up. ``nested`` are the
    functions defined here that are still to be interpreted, ``around`` the activation that a nested one is defined in.
    """

    __slots__ = (
        "allowed",
        "around",
        "breaks",
        "continues",
        "dead",
        "default_device",
        "env",
        "generator",
        "keys",
        "later",
        "meant",
        "module",
        "narrowed",
        "nested",
        "owner",
        "paths",
        "receiver",
        "recording",
        "region",
        "returns",
        "scope",
        "sites",
        "statement",
    )

    def __init__(self, module: ModuleFlow, scope: Scope, env: Environment, *, recording: bool = True) -> None:
        self.module = module
        self.scope = scope
        self.env = env
        self.recording = recording
        self.owner = module.symbol(module.class_names[scope.owner]) if scope.owner is not None else None
        self.receiver = ""
        self.paths: set[str] = set()
        self.dead = False
        self.returns: list[Value] = []
        self.breaks: list[Environment] = []
        self.continues: list[Environment] = []
        self.sites: dict[tuple[ast.expr, str], Site] = {}
        self.statement: ast.stmt = ast.Pass()
        self.allowed = 0
        self.meant = False
        self.region: Region | None = None
        self.narrowed: dict[str, Value] = {}
        self.default_device: Value | None = None
        self.generator = False
        self.nested: dict[str, Nested] = {}
        self.around: Frame | None = None
        self.keys: frozenset[str] = frozenset()
        self.later: dict[str, Value] = {}

    def value(self, node: ast.expr) -> Value:
        """Interprets an expression."""
        return EVALUATE[node.__class__](self, node)

    #: Interprets a part of a condition once more, after it has been interpreted with the whole.
    again = value

    def execute(self, body: Sequence[ast.stmt]) -> None:
        """Interprets a body until its end or until no path goes on."""
        for statement in body:
            if self.dead:
                return
            self.statement = statement
            handler = EXECUTE.get(statement.__class__)
            if handler is not None:
                handler(self, statement)

    def execute_in(self, region: Region | None, body: Sequence[ast.stmt]) -> None:
        """Interprets a branch, which does not run as often as what is around it if ``region`` says so."""
        outer, meant = self.region, self.meant
        self.region = innermost(outer, region)
        self.execute(body)
        self.region, self.meant = outer, meant

    def run_function(self, node: FunctionNode) -> Value:
        """Interprets the body; the join of what it returns."""
        self.execute(node.body)
        if self.nested:
            run_waiting(self)
        if self.generator:
            return Value(Kind.SEQUENCE, element=join_all(self.returns))
        returns = self.returns
        if not self.dead:
            returns = [*returns, NONE]
        return join_all(returns) if returns else UNKNOWN

    # Variables

    def bind(self, name: str, value: Value) -> None:
        if self.paths:
            self.forget_paths(name)
        self.env[name] = self.by_name(name, value)

    def store(self, path: str, value: Value) -> None:
        """Binds a name, or a path such as ``self.x``."""
        self.env[path] = value
        if "." in path or "[" in path:
            self.paths.add(path.rpartition(".")[2])

    def grow(self, node: ast.expr, container: Value, added: Value) -> None:
        """Something is put into a list, dictionary or module that a name or attribute holds."""
        known = element_of(container)
        element = added if known is None else join(known, added)
        grown = container.replace(items=None, length=None, element=element, const=None)
        path = dotted_name(node)
        if path is None:
            return
        self.store(path, grown)
        if isinstance(node, ast.Attribute) and self.owner is not None and path == f"{self.receiver}.{node.attr}":
            self.module.assign_attribute(self.owner, self.scope, node.attr, grown)

    def forget_paths(self, root: str) -> None:
        prefixes = (root + ".", root + "[")
        for key in [key for key in self.env if key.startswith(prefixes)]:
            del self.env[key]

    def by_name(self, name: str, value: Value) -> Value:
        """``value`` in the light of the name it is given: names are evidence where inference has none."""
        kind = value.kind
        if kind is Kind.UNKNOWN:
            known = value_by_name(name) or self.kept_on_host(name, self.line)
            if known is None and self._names_tensor(name, value):
                why = Why(self.line, f"`{name}` is a tensor on the accelerator by convention of model code")
                known = Value(
                    Kind.TENSOR, Place.ACCELERATOR, certainty=Confidence.LIKELY, sure=Confidence.LIKELY, why=why
                )
            if known is None:
                return value
            return known if value.origin is None else known.replace(origin=value.origin)
        if kind is Kind.DEVICE and value.sure is Confidence.POSSIBLE and value.place is not Place.CPU:
            known = None if self.prepares_inputs else value_by_name(name)
            if known is not None and known.kind is Kind.DEVICE:
                return known.replace(origin=value.origin, why=value.why)
        if (
            kind is Kind.TENSOR
            and value.place.on_accelerator
            and value.confidence is Confidence.POSSIBLE
            and self._names_tensor(name, value)
        ):
            likely = Confidence.LIKELY
            why = value.why or Why(self.line, f"`{name}` is a tensor on the accelerator by convention of model code")
            return value.replace(certainty=max(value.certainty, likely), sure=max(value.sure, likely), why=why)
        if (
            kind is Kind.TENSOR
            and not (value.place is Place.CPU or value.confidence is Confidence.CERTAIN)
            and self.names_host_memory(name)
        ):
            why = Why(self.line, f"`{name}` is in host memory by its name", value.why)
            return value.replace(place=Place.CPU, sure=Confidence.LIKELY, origin=None, why=why)
        return value

    def names_host_memory(self, name: str) -> bool:
        """Whether what has this name is in host memory: the name, or the file, says so."""
        return names_host_memory(name) or name in self.module.kept_on_host

    def kept_on_host(self, name: str, line: int) -> Value | None:
        """What has a name of which the file says that it is kept in host memory."""
        if name not in self.module.kept_on_host:
            return None
        why = Why(line, f"`{name}` is kept in host memory: the file says so")
        return Value(Kind.TENSOR, Place.CPU, certainty=Confidence.LIKELY, sure=Confidence.LIKELY, why=why)

    def _names_tensor(self, name: str, value: Value) -> bool:
        """Whether model code that gives something this name means a tensor on the accelerator."""
        elsewhere = value.place in (Place.CPU, Place.EITHER, Place.OTHER)
        return not elsewhere and names_tensor(name) and name not in _AMBIGUOUS and self.in_model_code

    @property
    def in_model_code(self) -> bool:
        """Whether this is a method of an ``nn.Module``, of a class that has a ``forward``, or of a trainer."""
        owner = self.owner
        if owner is None or is_after_transfer(owner.name, self.scope.qualname) or is_processor_file(self.module.path):
            return False
        return owner.name.endswith("Trainer") or self.module.is_module_like(owner) or self.module.has_forward(owner)

    @property
    def prepares_data(self) -> bool:
        """Whether this prepares data before anything is on a device."""
        return is_host_side(self.module.path, self.owner_name, self.scope.qualname)

    @property
    def prepares_inputs(self) -> bool:
        """Whether that data is on its way to a model, and no answer of one."""
        return self.prepares_data and is_for_inputs(self.scope.qualname.rpartition(".")[2])

    @property
    def is_for_cpu(self) -> bool:
        """Whether this code runs where the CPU is the device: what it is told of an accelerator is not so there."""
        return is_cpu_backend(self.module.path, self.owner_name)

    @property
    def owner_name(self) -> str:
        """The name of the class that this is a method of; empty for a function."""
        return "" if self.owner is None else self.owner.name

    @property
    def method(self) -> Method | None:
        """The method at hand, with what is known of its class; for a nested function, the one around it."""
        if self.owner is None:
            return None
        record = self.module.record.classes.get(self.owner.qualname)
        return None if record is None else Method(record, self.scope.qualname.partition(".<locals>")[0])

    @property
    def line(self) -> int:
        return self.statement.lineno

    # Branches

    def merge(self, environments: list[Environment]) -> None:
        """Goes on with the join of several paths; dead if there is none."""
        if not environments:
            self.dead = True
            return
        self.dead = False
        merged = environments[0]
        for other in environments[1:]:
            merge_into(merged, other, self.paths)
        self.env = merged

    # Sites

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
        """Records a site for each fact about ``operation`` whose conditions may hold.

        ``flags`` answer predicates: those of the call, and those that no operand can answer. ``limit`` is the
        confidence at most.
        """
        if not self.recording or self.allowed or self.meant:
            return
        flags = flags or {}
        for fact, confidence in self.holding(operation, operands, flags, limit):
            if fact.event == "none" and fact.id not in self.module.wanted:
                continue
            self.sites[node, fact.id] = Site(
                node,
                self.statement,
                self.scope,
                operation,
                fact,
                operands,
                dict(arguments or {}),
                dict(flags),
                context,
                confidence,
                self.region,
            )

    def holding(
        self, operation: str, operands: Mapping[str, Value], flags: Mapping[str, bool | None], limit: Confidence
    ) -> Iterator[tuple[Fact, Confidence]]:
        """The facts about an operation whose conditions may hold, with how sure that is."""

        def answer(predicate: str) -> bool | None:
            return answer_to(predicate, operands, flags)

        verdicts = [(fact, applies(fact, answer, self.module.torch)) for fact in facts_for(operation)]
        # Where a fact that says so holds as well, nothing waits; where one may hold, perhaps.
        quiet = {verdict for fact, verdict in verdicts if fact.event == "none"}
        for fact, verdict in verdicts:
            waits = fact.event in ("sync", "pageable")
            if verdict is False or (waits and True in quiet):
                continue
            confidence = Confidence.CERTAIN if verdict and not (waits and None in quiet) else Confidence.POSSIBLE
            confidence = min(confidence, limit)
            for condition in fact.when:
                operand = operands.get(condition.predicate.partition(".")[0])
                if operand is not None:
                    confidence = min(confidence, operand.certainty, operand.sure)
            if self.is_for_cpu and confidence is not Confidence.CERTAIN:
                confidence = Confidence.POSSIBLE
            yield fact, confidence

    # What the file alone cannot tell (see ``prospects.py``)

    def suspect(self, *values: Value) -> None:
        """Operands, none of them a tensor as far as is known, of an operation that waits for tensors."""

    def suspect_read(self, operation: str, node: ast.expr, value: Value) -> None:
        """An operand that an operation reads, if it is a tensor; it is none as far as is known."""

    def suspect_index(self, container: Value, *indices: Value) -> None:
        """What is read from a container."""

    def suspect_write(self, container: Value, *values: Value) -> None:
        """What is written to a container, and where in it."""

    def hand_on(self, node: ast.Call, call: Call) -> None:
        """What a call is given that the function at hand was passed itself."""


def merge_into(target: Environment, other: Environment, paths: Collection[str]) -> bool:
    """Joins ``other`` into ``target`` in place; whether a variable that ``target`` had changed."""
    changed = False
    for name, value in other.items():
        known = target.get(name)
        if known is value:
            continue
        if known is None:
            if not paths or ("." not in name and "[" not in name):
                target[name] = value
            continue
        merged = join(known, value)
        if merged is not known:
            target[name] = merged
            changed = True
    if paths:
        for name in [name for name in target if name not in other and ("." in name or "[" in name)]:
            del target[name]
            changed = True
    return changed


def answer_to(predicate: str, operands: Mapping[str, Value], flags: Mapping[str, bool | None]) -> bool | None:
    """Whether a predicate of the facts' vocabulary is true of an operation; None where that is not known."""
    name, dot, question = predicate.partition(".")
    if not dot or predicate in flags:
        return flags.get(predicate, False)
    operand = operands.get(name)
    if question == "given":
        return operand is not None and (None if operand.optional else operand.kind is not Kind.NONE)
    return None if operand is None else _ANSWERS[question](operand)


def _on(value: Value, *, host: bool) -> bool | None:
    """Whether a value is in host memory, or else on the accelerator."""
    if value.kind is not Kind.TENSOR and is_host_data(value):
        return host
    place = value.place
    if place in (Place.UNKNOWN, Place.EITHER):
        return None
    return place is Place.CPU if host else place.on_accelerator


def _has_one_element(value: Value) -> bool | None:
    if value.kind is Kind.HOST or value.rank == 0:
        return True
    return None if value.length is None else value.length == 1


def _has_no_dimension(value: Value) -> bool | None:
    if value.kind is Kind.HOST:
        return True
    return None if value.rank is None else value.rank == 0


def is_host_data(value: Value) -> bool | None:
    """Whether a value is numbers, lists of them, an array or a CPU tensor."""
    if value.kind in (Kind.HOST, Kind.NDARRAY):
        return True
    if value.kind is Kind.TENSOR:
        return {Place.CPU: True, Place.CUDA: False, Place.ACCELERATOR: False}.get(value.place)
    if value.kind is Kind.SEQUENCE:
        parts = value.items if value.items is not None else ((value.element,) if value.element else ())
        answers = [is_host_data(part) for part in parts]
        if any(answer is False for answer in answers):
            return False
        return None if None in answers else True
    return None


def holds_device_tensors(value: Value) -> bool | None:
    """Whether a list (or a list of lists) has device tensors in it."""
    if value.kind is not Kind.SEQUENCE:
        return False
    parts = value.items if value.items is not None else ((value.element,) if value.element else ())
    for part in parts:
        if part.kind is Kind.TENSOR and part.place.on_accelerator:
            return True
        if part.kind is Kind.SEQUENCE and holds_device_tensors(part):
            return True
    return False


_ANSWERS: Mapping[str, Callable[[Value], bool | None]] = {
    "cuda": lambda value: _on(value, host=False),
    "cpu": lambda value: _on(value, host=True),
    "pinned": lambda value: value.pinned,
    "dense": lambda value: value.dense,
    "bool": lambda value: None if value.dtype is None else value.dtype is Dtype.BOOL,
    "rank0": _has_no_dimension,
    "single": _has_one_element,
    "empty": lambda value: value.length == 0,
    "scalar": lambda value: value.kind is Kind.HOST,
    "holds-cuda": holds_device_tensors,
    "host": is_host_data,
    "alone": lambda value: None,
}
