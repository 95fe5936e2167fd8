"""Which functions of a file may have a site at all, as far as the file alone can tell.

Most functions have nothing that could wait, whatever the rest of the project says: they need not be interpreted again
when all of it is known. A function may have a site if something in it could be one, were the values that other files
decide on the accelerator, and if one of these values turns out to be a tensor, or a thing of that sort.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping
from functools import cache, partial
from typing import TYPE_CHECKING, NamedTuple

from synclint.facts import facts_for, is_of_interest, may_be_reported, method
from synclint.finding import Confidence, Heat
from synclint.flow.always import always_runs
from synclint.flow.dispatch import EVALUATE
from synclint.flow.frame import Frame
from synclint.flow.origins import Attribute, Called, Element, Mixed, Origin, Passed
from synclint.flow.values import Kind, Place, Value
from synclint.flow.waiting import WAITING_CALL, Handed, Wait, callers_that_may_wait
from synclint.index.build import FUNCTION
from synclint.index.names import dotted_name
from synclint.index.records import Symbol

if TYPE_CHECKING:
    from synclint.flow.link import InProject
    from synclint.flow.module import ModuleFlow
    from synclint.flow.regions import Region
    from synclint.flow.site import FunctionNode, Scope
    from synclint.flow.summary import Call


_LONGEST = 40
_TRUTH = "truth(Tensor)"
_SURELY = {"certainty": Confidence.CERTAIN, "sure": Confidence.CERTAIN}
_MARK = re.compile(r"#.*(?:synclint:\s*ignore|noqa:.*SYN\d)")

#: Whether a class is an ``nn.Module``, and whether it has a ``forward``.
Standing = tuple[bool, bool]


class Prospect(NamedTuple):
    """What is known of a function that may have a site.

    ``facts``: the ids of the facts about the sites that it has anyway, with the confidence of the surest of each.
    ``origins`` decide whether it has others. ``numbers``: a number or a list among them would be enough. ``standing``
    is what the file alone says of its class; ``loops``: a loop over data makes a part of it hot.
    """

    facts: dict[str, Confidence]
    origins: tuple[Origin, ...]
    numbers: bool
    standing: Standing
    loops: bool


class Prospects:
    """What the interpretation of a file by itself meets in each function, by its qualname, nested ones included; the
    module and its classes are the function without a name."""

    def __init__(self) -> None:
        self._seen: dict[str, _Seen] = {}

    def seen(self, scope: Scope) -> _Seen:
        outermost = scope.outermost
        name = outermost.qualname if isinstance(outermost.node, FUNCTION) else ""
        known = self._seen.get(name)
        if known is None:
            known = self._seen[name] = _Seen()
        return known

    def found(self, loops: Callable[[FunctionNode], bool], nodes: Mapping[str, FunctionNode]) -> dict[str, Prospect]:
        """The functions that may have a site."""
        return {
            name: seen.prospect(name in nodes and loops(nodes[name])) for name, seen in self._seen.items() if seen.any
        }


class _Seen:
    """What was met in one function. ``all`` are the origins of all values that were met."""

    __slots__ = ("all", "facts", "numbers", "open", "standing", "suspects")

    def __init__(self) -> None:
        self.facts: dict[str, Confidence] = {}
        self.suspects: dict[int, Origin] = {}
        self.all: dict[int, Origin] = {}
        self.open = False  # something is suspect that was computed from other values
        self.numbers = False
        self.standing: Standing = (False, False)

    @property
    def any(self) -> bool:
        return self.open or bool(self.suspects) or bool(self.facts)

    def prospect(self, loops: bool) -> Prospect:
        decisive = self.all if self.open else self.suspects
        origins = tuple(dict.fromkeys(decisive.values()))
        return Prospect(self.facts, origins, self.numbers, self.standing, loops)


def worth_interpreting(
    place: InProject, claimed: Collection[str], coldest: Heat, minimum: Confidence
) -> frozenset[str] | None:
    """The functions of a file that may have sites of ``claimed`` facts which are hot and sure enough, in the light of
    its project; None where that is not known of the file, or a fact is claimed that was not looked for."""
    prospects = place.linker.prospects(place.path)
    if prospects is None or place.heats is None or not all(map(is_of_interest, claimed)):
        return None
    calling = callers_that_may_wait(place, coldest) if WAITING_CALL in claimed else frozenset()
    return calling.union(
        name
        for name, prospect in prospects.items()
        if name not in calling
        and (prospect.loops or place.heats.hottest(Symbol(place.path, name)) >= coldest)
        and _may_have_sites(place, name, prospect, claimed, minimum)
    )


def _may_have_sites(
    place: InProject, name: str, prospect: Prospect, claimed: Container[str], minimum: Confidence
) -> bool:
    if any(fact in claimed and confidence >= minimum for fact, confidence in prospect.facts.items()):
        return True
    linker = place.linker
    owner = Symbol(place.path, name).owner
    if owner.qualname and linker.standing(owner) != prospect.standing:
        return True
    return any(
        tells(linker.origin(part, place.path), numbers=prospect.numbers)
        for origin in prospect.origins
        for part in parts_of(origin)
    )


class ProspectingFrame(Frame):
    """Notes in what it interprets what could be a site, instead of recording sites."""

    __slots__ = ("seen",)

    def __init__(self, module: ModuleFlow, scope: Scope, env: dict[str, Value], *, recording: bool = True) -> None:
        super().__init__(module, scope, env, recording=recording)
        self.seen = module.prospects.seen(scope)
        if self.owner is not None:
            self.seen.standing = module.is_module_like(self.owner), module.has_forward(self.owner)

    def value(self, node: ast.expr) -> Value:
        value: Value = EVALUATE[node.__class__](self, node)
        origin = value.origin
        if origin is not None:
            self.seen.all[id(origin)] = origin
        return value

    def suspect(self, *values: Value) -> None:
        if not self.recording or self.allowed or self.meant:
            return
        for value in values:
            if value.origin is not None:
                self.seen.suspects[id(value.origin)] = value.origin
            elif value.kind is Kind.UNKNOWN or (value.kind is Kind.TENSOR and value.place is Place.UNKNOWN):
                self.seen.open = True
            elif value.items is not None:
                self.suspect(*value.items)
            elif value.element is not None:
                self.suspect(value.element)

    def suspect_index(self, container: Value, *indices: Value) -> None:
        if any(map(_may_select, indices)):
            self.suspect_write(container, *indices)

    def suspect_write(self, container: Value, *values: Value) -> None:
        if container.kind is Kind.TENSOR and self.recording:
            self.suspect(container, *values)
            self.seen.numbers |= any(map(is_open, values))
        elif is_open(container):
            self.suspect(container, *values)

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
        if not self.recording or self.allowed or self.meant or not may_be_reported(operation):
            return
        seen = self.seen
        self.suspect(*operands.values())
        some_open = any(map(is_open, operands.values()))
        seen.numbers |= some_open
        if some_open:
            self._waits(operation, node, operands, flags or {}, limit)
        for fact, confidence in self.holding(operation, operands, flags or {}, limit):
            if some_open:  # what is found out may make it as sure as anything
                confidence = Confidence.CERTAIN
            seen.facts[fact.id] = max(confidence, seen.facts.get(fact.id, confidence))

    def suspect_read(self, operation: str, node: ast.expr, value: Value) -> None:
        self.suspect(value)
        if self.recording and not self.allowed and not self.meant:
            self._waits(operation, node, {"self": value}, {}, Confidence.CERTAIN)

    def _waits(
        self,
        operation: str,
        node: ast.expr,
        operands: Mapping[str, Value],
        flags: Mapping[str, bool | None],
        limit: Confidence,
    ) -> None:
        """Notes the parameter that an operation waits for, if that is on the accelerator."""
        if not _reads(operation):
            return
        for name, value in operands.items():
            parameter = self._parameter_of(value)
            if parameter is None or value.place is Place.CPU:
                continue
            if operation == _TRUTH and dotted_name(node) == parameter:
                continue  # `if x:` of a tensor of several elements raises, so `x` is rather something else (or None)
            there = value.replace(kind=Kind.TENSOR, place=Place.ACCELERATOR, optional=False, **_SURELY)
            facts = self.holding(operation, {**operands, name: there}, flags, limit)
            waits = any(fact.direction == "d2h" and sure is not Confidence.POSSIBLE for fact, sure in facts)
            if waits and self._always(node, parameter, self.statement, self.region):
                self.module.waits.add(
                    self.scope.qualname, parameter, Wait(node.lineno, self._shown(node, operation), value)
                )

    def _shown(self, node: ast.expr, operation: str) -> str:
        start, end = self.module.source.span(node)
        text = self.module.source.data[start:end].decode()
        shown = f"`{text}`" if len(text) <= _LONGEST and "\n" not in text else f"`{operation}`"
        return f"the truth of {shown}" if operation == _TRUTH else shown

    def hand_on(self, node: ast.Call, call: Call) -> None:
        for value in call.arguments:
            if value.origin.__class__ is Passed:
                break
        else:
            for _, value in call.keywords:
                if value.origin.__class__ is Passed:
                    break
            else:
                return
        if self.allowed or self.meant or self.returns:
            return
        called = self.module.function_called(call.target)
        if called is None:
            return
        for name, value in (*zip(self.module.positional(*called), call.arguments, strict=False), *call.keywords):
            parameter = self._parameter_of(value)
            if parameter is not None and value.place is not Place.CPU:
                handed = Handed(node.lineno, called[0].qualname, name, value)
                runs = partial(self._always, node, parameter, self.statement, self.region)
                self.module.waits.hand_on(self.scope.qualname, parameter, handed, runs)

    def run_function(self, node: FunctionNode) -> Value:
        result = super().run_function(node)
        if self.generator:  # which does not run when it is called
            self.module.waits.forget(self.scope.qualname)
        return result

    def _parameter_of(self, value: Value) -> str | None:
        """The parameter of the function at hand that a value is a part or a view of, or computed from, if that is a
        tensor."""
        origin = value.origin
        if origin is None or value.kind not in (Kind.TENSOR, Kind.UNKNOWN):
            return None
        while not isinstance(origin, Passed):
            if isinstance(origin, Element):
                origin = origin.of
            elif isinstance(origin, Called) and isinstance(origin.target, Attribute):
                result = method("Tensor", origin.target.name)
                if result is None or result.returns != "tensor" or result.device != "first":
                    return None
                origin = origin.target.of
            else:
                return None
        return origin.name if origin.function.qualname == self.scope.qualname else None

    def _always(self, node: ast.expr, parameter: str, statement: ast.stmt, region: Region | None) -> bool:
        """Whether an expression is evaluated in every call with a tensor, and not marked as a wait that is meant."""
        function = self.scope.node
        if not isinstance(function, FUNCTION) or (region is not None and region.heat is Heat.COLD):
            return False
        return always_runs(function, statement, node, parameter) and not self._is_marked(node, statement)

    def _is_marked(self, node: ast.expr, statement: ast.stmt) -> bool:
        source = self.module.source
        lines = range(statement.lineno, (node.end_lineno or node.lineno) + 1)
        above = source.line_text(lines.start - 1).strip() if lines.start > 1 else ""
        return any(map(_MARK.search, (above if above.startswith("#") else "", *map(source.line_text, lines))))


@cache
def _reads(operation: str) -> bool:
    """Whether anything about an operation is a read of the device by the host."""
    return any(fact.direction == "d2h" for fact in facts_for(operation))


def is_open(value: Value) -> bool:
    """Whether what is known later can tell more about a value."""
    return (
        value.origin is not None
        or value.kind is Kind.UNKNOWN
        or (value.items is not None and any(map(is_open, value.items)))
        or (value.element is not None and is_open(value.element))
    )


def _may_select(index: Value) -> bool:
    return index.kind in (Kind.TENSOR, Kind.NDARRAY, Kind.SEQUENCE) or is_open(index)


def tells(value: Value, *, numbers: bool) -> bool:
    """Whether a value can make a site of an operation that has none where nothing is known of it."""
    kind = value.kind
    if kind in (Kind.SEQUENCE, Kind.MAPPING):
        parts: Iterable[Value] = value.items or ((value.element,) if value.element is not None else ())
        return numbers or any(tells(part, numbers=numbers) for part in parts)
    return kind in _TELLING or (numbers and kind is Kind.HOST)


_TELLING = frozenset((Kind.TENSOR, Kind.MODULE, Kind.DEVICE, Kind.NDARRAY))


def parts_of(origin: Origin) -> Iterator[Origin]:
    """An origin and all that it is made of."""
    pending = [origin]
    while pending:
        part = pending.pop()
        yield part
        if isinstance(part, (Attribute, Element)):
            pending.append(part.of)
        elif isinstance(part, Called):
            pending.append(part.target)
            values = [*part.arguments, *(value for _, value in part.keywords)]
            pending += [value.origin for value in values if value.origin is not None]
        elif isinstance(part, Mixed):
            pending += part.parts
