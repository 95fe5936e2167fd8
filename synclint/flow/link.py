"""What the files of a project say to each other: results, attributes and arguments, resolved across files.

Every answer is a function of the summaries alone. Chains of origins are followed to a fixed depth, so that neither the
order of questions nor a cycle can change an answer.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from synclint.finding import Confidence
from synclint.flow.heat import Heats
from synclint.flow.lattice import DISAGREED, UNKNOWN, item_value, join_told, join_writers
from synclint.flow.nn_modules import is_nn_module
from synclint.flow.origins import Attribute, Called, Defined, Element, Held, Mixed, Named, Origin, Passed, Super
from synclint.flow.places import as_device, place_of_name
from synclint.flow.summary import Call, Summary
from synclint.flow.values import Kind, Place, Value, Why
from synclint.flow.waiting import Waiting
from synclint.index.project import Project, Variable
from synclint.index.records import Symbol
from synclint.index.sides import counts_for, is_side_file

if TYPE_CHECKING:
    from synclint.flow.prospects import Prospect

_DEPTH = 5
_TARGET_DEPTH = 3  # at most, to find out which function a call reaches
_MAX_CALLS = 60  # call sites of one parameter that are looked at

Binding = Mapping[str, Value]


class InProject(NamedTuple):
    """Where a file stands: who answers for the others, the project's root (absolute), the file's path in it, with
    slashes, the dotted name of its module, the digest of the text that was parsed (empty if it could not be), and how
    hot the project's functions are (None: by the calls within the file)."""

    linker: Linker
    root: str
    path: str
    module: str
    digest: bytes = b""
    heats: Heats | None = None


class Callee(NamedTuple):
    """The function that a call reaches, and whether an object goes in as its first parameter."""

    function: Symbol
    bound: bool


class _Reaching(NamedTuple):
    """A call in a file, with what it passes by the names of the parameters of the function that it reaches."""

    path: str
    call: Call
    passed: Binding


class _At(NamedTuple):
    """Where an origin stands: the file, the function whose parameters are bound, and the depth that is left."""

    path: str
    depth: int
    function: Symbol | None = None
    bound: Binding = MappingProxyType({})

    def deeper(self, path: str | None = None) -> _At:
        if path is None or path == self.path:
            return self._replace(depth=self.depth - 1)
        return _At(path, self.depth - 1)


class Linker:
    """Answers about the files of ``project``.

    ``summary`` gives a file's summary, ``callers`` the files with a call by a name, ``owners`` the classes that have an
    attribute of a name, ``waiting`` the names of the functions that may wait for a parameter.
    """

    def __init__(
        self,
        project: Project,
        summary: Callable[[str], Summary | None],
        callers: Callable[[str], Sequence[str]],
        owners: Callable[[str], Sequence[Symbol]],
        waiting: Callable[[], Collection[str]] = tuple,
    ) -> None:
        self.project = project
        self.summary = summary
        self.waiting = Waiting(self, waiting)
        self._callers = callers
        self._owners = owners
        self._results: dict[tuple[Symbol, int], Value] = {}
        self._attributes: dict[tuple[Symbol, str, int], Value] = {}
        self._parameters: dict[tuple[Symbol, str, int], Value] = {}
        self._reaching: dict[tuple[str, int], dict[Symbol, list[_Reaching]]] = {}
        self._calls: dict[tuple[Symbol, int], list[_Reaching]] = {}
        self._names: dict[tuple[str, str, int], Value | None] = {}
        self._owned_values: dict[tuple[str, int], Value] = {}
        self._like: dict[Symbol, bool] = {}

    # What the interpretation of a file asks

    def named(self, dotted: str, near: str) -> Value | None:
        """What a dotted name means; None when it is not of the project."""
        return self._named(dotted, near, _DEPTH)

    def value(self, found: Symbol | Variable) -> Value:
        """A class, a function, or what a variable of a module holds."""
        return self._found(found, _DEPTH)

    def result(self, function: Symbol) -> Value:
        """What a function returns, whoever calls it."""
        return self._result(function, _DEPTH)

    def call(self, function: Symbol, bound: bool, arguments: Sequence[Value], keywords: Mapping[str, Value]) -> Value:
        """What a function returns for these arguments; ``bound``: an object goes in as the first parameter."""
        return self._call(Callee(function, bound), arguments, keywords, _DEPTH)

    def written(self, owner: Symbol, writer: str, name: str) -> Value:
        """What a method of a class (its body, if empty) assigns to an attribute."""
        return self._written(owner, writer, name, _DEPTH)

    def parameter(self, function: Symbol, name: str) -> Value:
        """What the call sites of a function agree on; unknown where none tells. Certain only where all pass numbers."""
        return self._parameter(function, name, _DEPTH)

    def owned(self, name: str) -> Value:
        """What an attribute holds, by its name, when only one class of the project has it."""
        return self._owned(name, _DEPTH)

    def origin(self, origin: Origin, path: str) -> Value:
        """What an origin in a file turns out to be."""
        return self._origin(origin, _At(path, _DEPTH + 1))  # as deep as the questions above, one step further in

    def callee(self, target: Origin, path: str) -> Callee | None:
        """The function of the project that a call in a file reaches."""
        return self._callee(target, _At(path, _TARGET_DEPTH))

    def prospects(self, path: str) -> Mapping[str, Prospect] | None:
        """The functions of a file that may have sites; None if the file was not read."""
        summary = self.summary(path)
        return None if summary is None else summary.prospects

    def standing(self, symbol: Symbol) -> tuple[bool, bool]:
        """Whether a class is an ``nn.Module``, and whether it has a ``forward``."""
        return self._instance(symbol).kind is Kind.MODULE, self.project.method(symbol, "forward") is not None

    # Functions

    def _result(self, function: Symbol, depth: int) -> Value:
        key = (function, depth)
        if key not in self._results:
            summary = self.summary(function.path)
            raw = UNKNOWN if summary is None else summary.results.get(function.qualname, UNKNOWN)
            self._results[key] = self._resolve(raw, _At(function.path, depth - 1))
        return self._results[key]

    def _call(self, callee: Callee, arguments: Sequence[Value], keywords: Mapping[str, Value], depth: int) -> Value:
        function = callee.function
        summary = self.summary(function.path)
        raw = UNKNOWN if summary is None else summary.results.get(function.qualname, UNKNOWN)
        if not _open(raw):
            return raw
        bound = self._bind(callee, arguments, keywords)
        return self._resolve(raw, _At(function.path, depth - 1, function, bound))

    def _bind(self, callee: Callee, arguments: Sequence[Value], keywords: Mapping[str, Value]) -> dict[str, Value]:
        names = self.positional(callee)
        return {**dict(zip(names, arguments, strict=False)), **keywords}

    def positional(self, callee: Callee) -> Sequence[str]:
        """The parameters that a call's arguments go to, in order."""
        record = self.project.function_record(callee.function)
        if record is not None:
            skipped = 1 if callee.bound and record.has_receiver else 0
            return record.parameters[skipped : record.positional]
        fields: list[str] = []  # of a dataclass, its bases' first
        for _, known in reversed(self.project.ancestry(callee.function.owner)):
            fields += [name for name in known.fields if name not in fields]
        return fields

    def _callee(self, target: Origin, at: _At) -> Callee | None:
        """The function that calling ``target`` runs, if it is one of the project."""
        if isinstance(target, Attribute) and isinstance(target.of, Held):  # most calls: `self.method(...)`
            method = self.project.method(target.of.symbol, target.name)
            if method is not None and not method.record.is_property:
                return Callee(method.symbol, True)
        value = self._origin(target, at)
        if value.kind is Kind.FUNCTION and isinstance(value.ref, Symbol):
            return Callee(value.ref, "." in value.ref.qualname and self._is_object(target, at, value.ref))
        if not isinstance(value.ref, Symbol):
            return None
        if value.kind is Kind.CLASS:
            method = self.project.method(value.ref, "__init__")
            symbol = method.symbol if method is not None else Symbol(value.ref.path, f"{value.ref.qualname}.__init__")
            return Callee(symbol, True)
        for name in ("__call__", "forward"):
            method = self.project.method(value.ref, name)
            if method is not None:
                return Callee(method.symbol, True)
        return None

    def _is_object(self, target: Origin, at: _At, function: Symbol) -> bool:
        """Whether ``of.name`` binds ``of``: an instance, or a class (as in any dotted name) and a class method."""
        if isinstance(target, Attribute) and self._origin(target.of, at).kind is not Kind.CLASS:
            return True
        record = self.project.function_record(function)
        return record is not None and "classmethod" in record.decorators

    # Arguments

    def _parameter(self, function: Symbol, name: str, depth: int) -> Value:
        if depth <= 0:
            return UNKNOWN
        key = (function, name, depth)
        known = self._parameters.get(key)
        if known is None:
            known = self._parameters[key] = self._agreed(function, name, depth)
        return known

    def _agreed(self, function: Symbol, name: str, depth: int) -> Value:
        values = []
        sure_of_kind = True
        for path, call, arguments in self._calls_of(function, min(depth, _TARGET_DEPTH))[:_MAX_CALLS]:
            passed = arguments.get(name)
            if passed is None or self._delegates(passed.origin, function):
                continue
            value = passed if _says_nothing(passed) else self._resolve(passed, _At(path, depth - 1))
            sure_of_kind &= value.kind is not Kind.UNKNOWN and value.certainty is Confidence.CERTAIN
            if value.kind is not Kind.UNKNOWN:
                step = Why(call.line, f"passed as `{name}` by `{call.caller or path}`", value.why, path)
                place = value.place if value.const is None else _device_named(value)
                values.append(value.replace(why=step, fresh=False, const=None, place=place))
        agreed = join_told(values)
        if agreed.place is Place.EITHER:
            return UNKNOWN if _mostly_on_accelerator(values) else DISAGREED
        numbers = sure_of_kind and agreed.kind in (Kind.HOST, Kind.SEQUENCE, Kind.NDARRAY)
        return agreed if numbers else _at_most_likely(agreed)  # there may be callers that cannot be seen

    def _delegates(self, origin: Origin | None, function: Symbol) -> bool:
        """Whether a parameter is what another override of the same method was given: that says nothing new."""
        if not isinstance(origin, Passed) or origin.function == function or origin.function.name != function.name:
            return False
        own, other = (self._defining(function), self._defining(origin.function))
        return not own.isdisjoint(other)

    def _defining(self, method: Symbol) -> set[Symbol]:
        """The class of a method, and its bases that define it as well."""
        if not method.owner.qualname:
            return set()
        return {at for at, record in self.project.ancestry(method.owner) if method.name in record.methods}

    def _calls_of(self, function: Symbol, depth: int) -> list[_Reaching]:
        """The calls that may reach a function: as such, or as the same method of a base."""
        known = self._calls.get((function, depth))
        if known is None:
            name, owner = function.name, function.owner
            names = [name, owner.name] if name in ("__init__", "__call__", "forward") else [name]
            targets = [function]
            if owner.qualname:
                targets += [Symbol(at.path, f"{at.qualname}.{name}") for at, _ in self.project.ancestry(owner)[1:]]
            known = self._calls[function, depth] = [
                call
                for called in names
                for target in targets
                for call in self._calls_by_name(called, depth).get(target, ())
                if counts_for(call.path, function.path)
            ]
        return known

    def _calls_by_name(self, name: str, depth: int) -> dict[Symbol, list[_Reaching]]:
        """The calls by a name, by the function that they reach."""
        known = self._reaching.get((name, depth))
        if known is None:
            known = {}
            for path in self._callers(name):
                summary = self.summary(path)
                for call in summary.calls.get(name, ()) if summary is not None else ():
                    callee = self._callee(call.target, _At(path, depth))
                    if callee is not None:
                        passed = self._bind(callee, call.arguments, dict(call.keywords))
                        known.setdefault(callee.function, []).append(_Reaching(path, call, passed))
            self._reaching[name, depth] = known
        return known

    # Attributes

    def _attribute(self, base: Value, name: str, at: _At) -> Value:
        if base.kind in (Kind.INSTANCE, Kind.MODULE, Kind.CLASS) and isinstance(base.ref, Symbol):
            return self._attribute_of(base.ref, name, at.depth - 1)
        if base.kind is Kind.EXTERNAL:
            dotted = f"{base.ref}.{name}"
            return self._named(dotted, at.path, at.depth - 1) or Value(Kind.EXTERNAL, ref=dotted)
        if base.kind is Kind.TENSOR and name == "device":
            return Value(Kind.DEVICE, base.place, sure=base.sure, why=base.why)
        if base.kind is Kind.UNKNOWN:
            return self._owned(name, at.depth - 1)
        return UNKNOWN

    def _item(self, of: Value, index: int | str | None, at: _At) -> Value:
        if isinstance(index, str):
            if of.kind is Kind.INSTANCE and isinstance(of.ref, Symbol):  # of a TypedDict
                return self._attribute_of(of.ref, index, at.depth - 1) if index else UNKNOWN
            if of.kind is Kind.MAPPING:
                return of.element or UNKNOWN
            index = None
        if of.kind is Kind.INSTANCE and index is not None and isinstance(of.ref, Symbol):
            names = self.project.items(of.ref)
            return self._attribute_of(of.ref, names[index], at.depth - 1) if -1 < index < len(names) else UNKNOWN
        return item_value(of, index)

    def _attribute_of(self, symbol: Symbol, name: str, depth: int) -> Value:
        if depth <= 0:
            return UNKNOWN
        key = (symbol, name, depth)
        known = self._attributes.get(key)
        if known is None:
            known = self._attributes[key] = self._attribute_by_class(symbol, name, depth)
        return known

    def _attribute_by_class(self, symbol: Symbol, name: str, depth: int) -> Value:
        for at, record in self.project.ancestry(symbol):
            if name in record.methods:
                method = Symbol(at.path, f"{at.qualname}.{name}")
                if record.methods[name].is_property:
                    return self._result(method, depth)
                return Value(Kind.FUNCTION, ref=method)
            writers = record.attributes.get(name)
            if writers:
                return join_writers({writer: self._written(at, writer, name, depth) for writer in writers})
        nested = self.project.nested(symbol, name)
        return UNKNOWN if nested is None else Value(Kind.CLASS, ref=nested.symbol)

    def _written(self, owner: Symbol, writer: str, name: str, depth: int) -> Value:
        summary = self.summary(owner.path)
        raw = None if summary is None else summary.attributes.get((owner.qualname, writer, name))
        return UNKNOWN if raw is None else self._resolve(raw, _At(owner.path, depth - 1))

    def _owned(self, name: str, depth: int) -> Value:
        key = (name, depth)
        known = self._owned_values.get(key)
        if known is None:
            known = self._owned_values[key] = self._owned_by_one(name, depth)
        return known

    def _owned_by_one(self, name: str, depth: int) -> Value:
        owners = [owner for owner in self._owners(name) if not is_side_file(owner.path)]
        if len(owners) != 1 or depth <= 0:
            return UNKNOWN
        value = self._attribute_of(owners[0], name, depth)
        return value.replace(certainty=min(value.certainty, Confidence.LIKELY), sure=min(value.sure, Confidence.LIKELY))

    # Origins

    def _named(self, dotted: str, near: str, depth: int) -> Value | None:
        if not self.project.knows(dotted):
            return None
        key = (dotted, near, depth)
        if key not in self._names:
            self._names[key] = self._meaning(dotted, near, depth)
        return self._names[key]

    def _meaning(self, dotted: str, near: str, depth: int) -> Value | None:
        found = self.project.find(dotted, near)
        if found is not None:
            return self._found(found, depth)
        owner, _, name = dotted.rpartition(".")
        if depth <= 0:
            return None
        base = self._named(owner, near, depth - 1)  # an attribute of a class, or of what a variable holds
        if base is None or base.kind in (Kind.UNKNOWN, Kind.EXTERNAL):
            return None
        value = self._attribute(base, name, _At(near, depth - 1))
        return None if value.kind is Kind.UNKNOWN else value

    def _found(self, found: Symbol | Variable, depth: int) -> Value:
        if isinstance(found, Variable):
            if depth <= 0:
                return UNKNOWN
            summary = self.summary(found.path)
            raw = UNKNOWN if summary is None else summary.variables.get(found.name, UNKNOWN)
            return self._resolve(raw, _At(found.path, depth - 1))
        is_class = self.project.class_record(found) is not None
        return Value(Kind.CLASS if is_class else Kind.FUNCTION, ref=found)

    def _instance(self, symbol: Symbol) -> Value:
        like = self._like.get(symbol)
        if like is None:
            like = self._like[symbol] = is_nn_module(self.project, symbol)
        return Value(Kind.MODULE if like else Kind.INSTANCE, ref=symbol)

    def _resolve(self, value: Value, at: _At) -> Value:
        """A value of a summary, with what its origin turns out to be."""
        origin = value.origin
        if origin is None:
            if value.kind is Kind.EXTERNAL:
                return self._named(value.ref, at.path, at.depth) or value
            if value.items is not None or value.element is not None:
                items = None if value.items is None else tuple(self._resolve(item, at) for item in value.items)
                element = None if value.element is None else self._resolve(value.element, at)
                return value.replace(items=items, element=element)
            return value
        found = self._origin(origin, at)
        if found.kind is Kind.UNKNOWN and found.place is Place.UNKNOWN:
            return value.replace(origin=None)
        kind = value.kind
        if kind is Kind.UNKNOWN:
            return found
        guess = kind is Kind.TENSOR and value.certainty is Confidence.POSSIBLE
        if guess and found.kind is Kind.HOST and not isinstance(found.const, str):
            return found  # a number, which only its name made a tensor
        if kind is Kind.TENSOR or kind is Kind.DEVICE:
            placed = as_device(found) if found.kind is Kind.HOST else found
            if placed is None or placed.place is Place.UNKNOWN:
                certain = found.kind in (Kind.UNKNOWN, Kind.TENSOR, Kind.DEVICE)
                return value.replace(origin=None) if certain or kind is Kind.DEVICE else found
            return value.replace(
                place=placed.place, sure=placed.sure, certainty=max(value.certainty, found.certainty), origin=None,
                why=value.why if value.why is not None and found.why is None else found.why,
            )  # fmt: skip
        return value.replace(origin=None) if found.kind is not kind else found

    def _origin(self, origin: Origin, at: _At) -> Value:
        if at.depth <= 0:
            return UNKNOWN
        if isinstance(origin, Named):
            return self._named(origin.dotted, at.path, at.depth) or Value(Kind.EXTERNAL, ref=origin.dotted)
        if isinstance(origin, Defined):
            return self._found(origin.symbol, at.depth)
        if isinstance(origin, (Held, Super)):
            return self._instance(origin.symbol)
        if isinstance(origin, Passed):
            if origin.function == at.function and origin.name in at.bound:
                return at.bound[origin.name]
            passed = self._parameter(origin.function, origin.name, at.depth - 1)
            return UNKNOWN if passed is DISAGREED else _at_most_likely(passed)
        if isinstance(origin, Attribute):
            if isinstance(origin.of, Super):
                method = self.project.inherited(origin.of.symbol, origin.name)
                return UNKNOWN if method is None else Value(Kind.FUNCTION, ref=method.symbol)
            return self._attribute(self._origin(origin.of, at), origin.name, at)
        if isinstance(origin, Element):
            return self._item(self._origin(origin.of, at), origin.position, at)
        if isinstance(origin, Mixed):
            return UNKNOWN
        return self._called(origin, at)

    def _called(self, origin: Called, at: _At) -> Value:
        target = self._origin(origin.target, at)
        if target.kind is Kind.CLASS:
            return self._instance(target.ref)
        if target.kind not in (Kind.FUNCTION, Kind.MODULE, Kind.INSTANCE):
            return UNKNOWN
        callee = self._callee(origin.target, at)
        if callee is None:
            return UNKNOWN
        arguments = [self._resolve(value, at.deeper()) for value in origin.arguments]
        keywords = {name: self._resolve(value, at.deeper()) for name, value in origin.keywords}
        return self._call(callee, arguments, keywords, at.depth - 1)


def _mostly_on_accelerator(values: Sequence[Value]) -> bool:
    """Whether few call sites pass something in host memory: then what is declared, or convention, stands."""
    return sum(value.place.on_accelerator for value in values) > sum(value.place is Place.CPU for value in values)


def _at_most_likely(value: Value) -> Value:
    if value.certainty is not Confidence.CERTAIN and value.sure is not Confidence.CERTAIN:
        return value
    limit = Confidence.LIKELY
    return value.replace(certainty=min(value.certainty, limit), sure=min(value.sure, limit))


def _says_nothing(value: Value) -> bool:
    return value.kind is Kind.UNKNOWN and value.origin is None


def _device_named(value: Value) -> Place:
    """The place of a constant: what a string names, if that decides whether anything waits."""
    if value.kind is not Kind.HOST or not isinstance(value.const, str):
        return value.place
    place = place_of_name(value.const)
    return Place.UNKNOWN if place is Place.OTHER else place


def _open(value: Value) -> bool:
    """Whether anything about a value is left to resolve."""
    return (
        value.origin is not None
        or value.kind is Kind.EXTERNAL
        or (value.items is not None and any(map(_open, value.items)))
        or (value.element is not None and _open(value.element))
    )
