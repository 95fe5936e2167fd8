"""What a file says to the other files of its project: a picklable extract of its interpretation."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from synclint.flow.origins import Attribute, Called, Defined, Held, Named, Origin
from synclint.flow.values import Kind, Value, Why

if TYPE_CHECKING:
    from synclint.flow.prospects import Prospect
    from synclint.flow.waiting import Handed, Wait


class Call(NamedTuple):
    """One call: what is called, by which function of the file, on which line, and what is passed.

    ``arguments`` end before the first starred one.
    """

    target: Origin
    caller: str
    line: int
    arguments: tuple[Value, ...]
    keywords: tuple[tuple[str, Value], ...]

    @classmethod
    def of(
        cls,
        target: Origin,
        caller: str,
        node: ast.Call,
        arguments: Sequence[Value],
        keywords: Mapping[str, Value],
    ) -> Call:
        plain = 0
        while plain < len(node.args) and not isinstance(node.args[plain], ast.Starred):
            plain += 1
        return cls(target, caller, node.lineno, tuple(arguments[:plain]), tuple(keywords.items()))

    @property
    def name(self) -> str:
        """The name by which the called function or class may be found."""
        target = self.target
        if isinstance(target, Named):
            return target.dotted.rpartition(".")[2]
        if isinstance(target, Attribute):
            return target.name
        if isinstance(target, (Defined, Held)):  # a called instance runs its class's ``forward`` or ``__call__``
            return target.symbol.name
        if isinstance(target, Called):
            return Call(target.target, "", 0, (), ()).name
        return ""


@dataclass(slots=True)
class Summary:
    """``results`` of functions by qualname; ``attributes`` by (class, method that assigns, name); ``variables`` of the
    module; ``calls`` that may reach functions of the project, by the name of what is called; ``prospects``: which
    functions may have sites; ``waits``: what functions do with parameters, where they wait for them or hand them on."""

    results: dict[str, Value] = field(default_factory=dict)
    attributes: dict[tuple[str, str, str], Value] = field(default_factory=dict)
    variables: dict[str, Value] = field(default_factory=dict)
    calls: dict[str, list[Call]] = field(default_factory=dict)
    prospects: dict[str, Prospect] = field(default_factory=dict)
    waits: dict[str, dict[str, Wait | Handed]] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        path: str,
        results: Mapping[str, Value],
        attributes: Mapping[tuple[str, str, str], Value],
        variables: Mapping[str, Value],
        calls: Iterable[Call],
        prospects: dict[str, Prospect],
        waits: Mapping[str, Mapping[str, Wait | Handed]],
    ) -> Summary:
        """The extract of a file's interpretation: what says nothing is left out, and every step names the file."""
        place = _Placing(path)
        named: dict[str, list[Call]] = {}
        for call in calls:
            if call.name and (any(map(_tells, call.arguments)) or any(_tells(value) for _, value in call.keywords)):
                arguments = tuple(map(place.value, call.arguments))
                keywords = tuple((name, place.value(value)) for name, value in call.keywords)
                named.setdefault(call.name, []).append(call._replace(arguments=arguments, keywords=keywords))
        return cls(
            {name: place.value(value) for name, value in results.items() if _tells(value)},
            {key: place.value(value) for key, value in attributes.items() if _tells(value)},
            {name: place.value(value) for name, value in variables.items() if _tells(value)},
            named,
            prospects,
            {
                name: {of: one._replace(operand=place.value(one.operand)) for of, one in known.items()}
                for name, known in waits.items()
            },
        )


def _tells(value: Value) -> bool:
    return value.kind is not Kind.UNKNOWN or value.origin is not None


class _Placing:
    """Names the file in the chains of values that leave it."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._steps: dict[int, tuple[Why, Why]] = {}

    def value(self, value: Value) -> Value:
        if value.why is None and value.items is None and value.element is None and not value.fresh:
            return value
        items = None if value.items is None else tuple(map(self.value, value.items))
        element = None if value.element is None else self.value(value.element)
        return value.replace(items=items, element=element, why=self._step(value.why), fresh=False)

    def _step(self, why: Why | None) -> Why | None:
        if why is None or why.path:
            return why
        known = self._steps.get(id(why))
        if known is None:  # the step itself is kept, so that its id stays taken
            placed = Why(why.line, why.text, self._step(why.parent), self._path)
            known = self._steps[id(why)] = (why, placed)
        return known[1]
