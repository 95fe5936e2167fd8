"""What the functions of a file call: the compact form of a file that the heat of a project is computed from.

It holds no line numbers, so that it changes only when calls, imports or classes do.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from synclint.index.records import ClassRecord, FunctionRecord, ModuleRecord

#: The name of what stands for the functions and classes within a function where they may outlive it.
LOCALS = "<locals>"
#: What names start with that are of no project.
OUTSIDE = frozenset(
    (
        "torch np numpy math os sys re time json logging logger F nn warnings itertools functools random jnp tl triton"
    ).split()
)
_ONCE = frozenset(("lru_cache", "cache", "cached_property", "once", "run_once"))


def keeps_its_result(decorators: Iterable[str]) -> bool:
    """Whether one of the dotted names is of a decorator that runs a function once."""
    return any(name.rpartition(".")[2] in _ONCE for name in decorators)


class Calls(NamedTuple):
    """The names that a function calls, as written: where it always may, behind guards, and in loops over data.

    ``self.a()`` is called, ``self.a`` mentioned (where it is not known to be data), ``&a`` passed to another function;
    ``super().a`` is the base's, ``.a`` a method of what is not known.
    """

    plain: tuple[str, ...] = ()
    guarded: tuple[str, ...] = ()
    looped: tuple[str, ...] = ()


_NO_CALLS = Calls()


@dataclass(slots=True)
class Outline:
    """``record`` without lines and parameters; ``calls`` by qualname, those of the module itself under the empty one;
    ``holds``: by class and attribute the names, as written, of the classes that ``self.attribute`` may hold;
    ``local_imports``: what functions import, by the names that they give it."""

    record: ModuleRecord
    calls: dict[str, Calls] = field(default_factory=dict)
    holds: dict[str, dict[str, tuple[str, ...]]] = field(default_factory=dict)
    local_imports: dict[str, str] = field(default_factory=dict)


def dump(found: Outline) -> bytes:
    record = found.record
    data = [
        record.name,
        {**found.local_imports, **record.imports},
        record.stars,
        {name: _function_data(known, found.calls.get(name, _NO_CALLS)) for name, known in record.functions.items()},
        {name: _class_data(known, found) for name, known in record.classes.items()},
        {name: calls.plain for name, calls in found.calls.items() if not name or name.endswith(LOCALS)},
    ]
    return json.dumps(data, separators=(",", ":")).encode()


def _class_data(known: ClassRecord, found: Outline) -> list[Any]:
    methods = {
        name: _function_data(method, found.calls.get(method.qualname, _NO_CALLS))
        for name, method in known.methods.items()
    }
    return [known.bases, known.decorators, methods, found.holds.get(known.qualname, {})]


def _function_data(known: FunctionRecord, calls: Calls) -> list[Any]:
    data: list[Any] = [calls.plain, calls.guarded, calls.looped, known.decorators]
    while data and not data[-1]:
        data.pop()
    return data


def load(path: str, data: bytes) -> Outline:
    """What :func:`dump` was given, as far as heat depends on it."""
    name, imports, stars, functions, classes, loose = json.loads(data)
    record = ModuleRecord(path, name, imports, stars)
    found = Outline(record, {name: Calls(tuple(calls)) for name, calls in loose.items()})
    for function, parts in functions.items():
        record.functions[function] = _function_of(function, parts, found)
    for known, (bases, decorators, methods, holds) in classes.items():
        owner = record.classes[known] = ClassRecord(known, 0, tuple(bases), tuple(decorators))
        for method, parts in methods.items():
            owner.methods[method] = _function_of(f"{known}.{method}", parts, found)
        if holds:
            found.holds[known] = holds
    return found


def _function_of(qualname: str, parts: list[Any], found: Outline) -> FunctionRecord:
    if parts:
        found.calls[qualname] = Calls(*parts[:3])
    return FunctionRecord(qualname, 0, (), tuple(parts[3]) if len(parts) > 3 else ())
