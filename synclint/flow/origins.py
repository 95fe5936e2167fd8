"""Where a value comes from, when the file at hand cannot tell what it is: a name, a call, an attribute, a parameter.

An origin is a recipe that another pass resolves, once the whole project has been read (see ``link.py``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    import ast
    from collections.abc import Mapping, Sequence

    from synclint.flow.values import Value
    from synclint.index.records import Symbol


class Named(NamedTuple):
    """What an imported name means."""

    dotted: str


class Defined(NamedTuple):
    """A class or function of the project."""

    symbol: Symbol


class Held(NamedTuple):
    """An instance of a class of the project."""

    symbol: Symbol


class Super(NamedTuple):
    """An instance of a class of the project, as ``super()`` shows it: with what its bases have."""

    symbol: Symbol


class Passed(NamedTuple):
    """What callers pass as a parameter."""

    function: Symbol
    name: str


class Attribute(NamedTuple):
    """An attribute of what another origin gives."""

    of: Origin
    name: str


class Element(NamedTuple):
    """What iterating over what another origin gives, or indexing it, gives: ``position`` is the index, a key (empty, if
    it is not known), or None for any element that iterating over it yields."""

    of: Origin
    position: int | str | None = None


class Called(NamedTuple):
    """The result of calling what another origin gives."""

    target: Origin
    arguments: tuple[Value, ...] = ()
    keywords: tuple[tuple[str, Value], ...] = ()


class Mixed(NamedTuple):
    """Several origins, of what was computed from them: that stays unknown, but it is known whom it depends on."""

    parts: tuple[Origin, ...]


Origin: TypeAlias = Named | Defined | Held | Super | Passed | Attribute | Element | Called | Mixed

_DEEPEST = 5
_MOST_PARTS = 8


def mixed(first: Origin | None, second: Origin | None) -> Origin | None:
    """The origin of what is computed from two values, or is one of the two; None where nothing can be said of it."""
    one = first.parts if isinstance(first, Mixed) else () if first is None else (first,)
    two = second.parts if isinstance(second, Mixed) else () if second is None else (second,)
    added = tuple(part for part in two if part not in one)
    if isinstance(first, Mixed) and not added:
        return first
    parts = one + added
    return Mixed(parts) if 0 < len(parts) <= _MOST_PARTS else None


def decides(origin: Origin | None) -> bool:
    """Whether following an origin can tell what a value is."""
    return origin is not None and not isinstance(origin, Mixed)


def depth(origin: Origin) -> int:
    """How many steps it takes to the start of an origin."""
    steps = 1
    while isinstance(origin, (Attribute, Element, Called)):
        origin = origin.target if isinstance(origin, Called) else origin.of
        steps += 1
    return steps


def attribute_of(origin: Origin | None, name: str) -> Origin | None:
    """The origin of an attribute; None where the chain has become too long to mean anything."""
    if isinstance(origin, Mixed):
        return origin
    return None if origin is None or depth(origin) > _DEEPEST else Attribute(origin, name)


def element_of(origin: Origin | None, index: int | str | None = None) -> Origin | None:
    """The origin of an element of a container, of the one at an index or a key if there is one."""
    if isinstance(origin, Mixed):
        return origin
    return None if origin is None or depth(origin) > _DEEPEST else Element(origin, index)


def called(target: Origin, node: ast.Call, arguments: Sequence[Value], keywords: Mapping[str, Value]) -> Origin | None:
    """The origin of what a call returns."""
    if isinstance(target, Mixed):
        return target
    if depth(target) > _DEEPEST:
        return None
    plain = arguments if len(arguments) == len(node.args) else ()
    return Called(target, tuple(plain), tuple(keywords.items()))
