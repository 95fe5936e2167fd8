"""How often a function runs: hot, warm or cold, by who calls it, and why."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from fnmatch import translate
from typing import NamedTuple

from synclint.finding import Heat
from synclint.flow.callgraph import ANY_OWNER, CallGraph, Edge
from synclint.flow.conventions import is_cold, is_cool, is_frozen, is_hot
from synclint.flow.outline import LOCALS, keeps_its_result
from synclint.index.packages import module_name
from synclint.index.records import Symbol


def stays_cold(qualname: str) -> bool:
    """Whether not even a loop over data makes a part of a function hot: a test or a warm-up, but not ``main``."""
    name = qualname.rpartition(".")[2]
    return is_frozen(name) and name != "main"


class FunctionHeat(NamedTuple):
    """How hot a function is, what is to be said of that, and the function that it has its heat from, if any."""

    heat: Heat
    reason: str = ""
    source: Symbol | None = None


UNKNOWN = FunctionHeat(Heat.WARM)


@dataclass(frozen=True, slots=True)
class Names:
    """What a project says of its own functions: patterns of names such as ``Class.method``, ``function`` or
    ``package.module:Class.method``, with ``*``."""

    entry_points: tuple[str, ...] = ()
    cold_functions: tuple[str, ...] = ()


NO_NAMES = Names()


class Heats:
    """The heat of the functions of a project; ``load`` gives those of a file by qualname, unknown ones left out."""

    def __init__(self, load: Callable[[str], Mapping[str, FunctionHeat]]) -> None:
        self.of_file = load

    def chain(self, symbol: Symbol) -> Iterator[tuple[Symbol, str]]:
        """Why a function is as hot as it is: what is to be said of it, then of the function it has that from, ..."""
        at: Symbol | None = symbol
        seen = set()
        while at is not None and at not in seen:
            seen.add(at)
            known = self.of_file(at.path).get(at.qualname, UNKNOWN)
            if known.reason:
                yield at, known.reason
            at = known.source


def heats(
    graph: CallGraph, names: Names = NO_NAMES, modules: Mapping[str, str] | None = None
) -> dict[str, dict[str, FunctionHeat]]:
    """The heat of every function, by file and qualname; those of which nothing is known are left out.

    Hot: an entry point, by name or by the project's word, or called by a hot function or in a loop over steps or data.
    What nothing but the name of a method makes a hot function's callee is warm. Cold: a constructor, loader, test or
    the like, a function that runs once, or one that is only called by such, behind guards, or on import. ``modules``
    are the names of files.
    """
    found: dict[str, dict[str, FunctionHeat]] = {}
    for symbol, heat in _Spread(graph, names, modules or {}).heats.items():
        if not symbol.qualname.startswith(ANY_OWNER):
            found.setdefault(symbol.path, {})[symbol.qualname] = heat
    return found


class _Nature(IntEnum):
    """What the name of a function says of it, before it is known who calls it."""

    FROZEN = 0  # cold, whoever calls it
    COLD = 1  # cold, or warm if a hot function calls it
    COOL = 2  # cold unless a hot function calls it
    PLAIN = 3
    HOT = 4


class _Spread:
    """Spreads heat along the edges of the graph, nearest first and in sorted order, so that every chain is a shortest
    one and always the same."""

    def __init__(self, graph: CallGraph, names: Names, modules: Mapping[str, str]) -> None:
        self._graph = graph
        self._entry_points = _Patterns(names.entry_points, modules)
        self._cold_functions = _Patterns(names.cold_functions, modules)
        self._nature: dict[Symbol, _Nature] = {}
        self.heats: dict[Symbol, FunctionHeat] = {}
        for symbol in graph.functions:
            self._nature[symbol], reason = self._natural(symbol)
            if self._nature[symbol] is _Nature.HOT:
                self.heats[symbol] = FunctionHeat(Heat.HOT, reason)
            elif self._nature[symbol] is _Nature.FROZEN:
                self.heats[symbol] = FunctionHeat(Heat.COLD, reason)
        self._spread_hot()
        for symbol in graph.functions:
            if symbol not in self.heats and self._nature[symbol] in (_Nature.COLD, _Nature.COOL):
                reason = f"`{symbol.name}` does not run for every step"
                self.heats[symbol] = FunctionHeat(Heat.COLD, reason)
        warm = self._spread_warm()
        self._spread_cold(warm)
        for symbol in graph.functions:
            if symbol.qualname.endswith(LOCALS):  # said even where nothing is known: they are not as the function is
                self.heats.setdefault(symbol, UNKNOWN)

    def _natural(self, symbol: Symbol) -> tuple[_Nature, str]:
        if symbol.qualname.startswith(ANY_OWNER):
            return _Nature.PLAIN, ""
        name = symbol.name
        if self._cold_functions.match(symbol):
            return _Nature.FROZEN, f"`{symbol.qualname}` is cold: the configuration says so"
        if self._entry_points.match(symbol):
            return _Nature.HOT, f"`{symbol.qualname}` runs for every step: the configuration says so"
        if keeps_its_result(self._graph.decorators.get(symbol, ())):
            return _Nature.FROZEN, f"`{symbol.qualname}` runs once and is cached"
        if is_frozen(name) or symbol in self._graph.module_constructors:
            return _Nature.FROZEN, f"`{name}` does not run for every step"
        if is_cold(name):
            return _Nature.COLD, ""
        if is_hot(name, symbol.owner.qualname):
            return _Nature.HOT, f"`{symbol.qualname}` runs for every step"
        return (_Nature.COOL if is_cool(name) else _Nature.PLAIN), ""

    # Hot

    def _spread_hot(self) -> None:
        looping: list[Symbol] = []
        for caller, edges in sorted(self._graph.looped.items()):
            if stays_cold(caller.qualname):
                continue
            for edge in edges:
                self._heat_up(edge, f"called by `{caller.qualname}` in a loop over steps or batches", None, looping)
        level = sorted({*looping, *(symbol for symbol, known in self.heats.items() if known.heat is Heat.HOT)})
        while level:
            following: list[Symbol] = []
            for caller in level:
                for edge in self._graph.plain.get(caller, ()):
                    self._heat_up(edge, _called(edge, caller), caller, following)
            level = sorted(following)

    def _heat_up(self, edge: Edge, how: str, source: Symbol | None, following: list[Symbol]) -> None:
        callee = edge.callee
        if edge.by_name or callee in self.heats:
            return
        text = f"`{callee.qualname}` {_is(how)}"
        if self._nature[callee] is _Nature.COLD:
            self.heats[callee] = FunctionHeat(Heat.WARM, text, source)
        else:
            self.heats[callee] = FunctionHeat(Heat.HOT, text, source)
            following.append(callee)

    # Warm

    def _spread_warm(self) -> set[Symbol]:
        """The functions that may be called by what is not cold; the reason of those that a hot one may call by name."""
        graph = self._graph
        called: set[Symbol] = set()
        passed: set[Symbol] = set()
        for edges_of in (graph.plain, graph.guarded):
            for caller, edges in edges_of.items():
                called.update(edge.callee for edge in edges if edge.callee != caller)
                passed.update(edge.callee for edge in edges if edge.passed)
        for edges in graph.imported.values():
            called.update(edge.callee for edge in edges)
            passed.update(edge.callee for edge in edges if edge.passed)
        warm = {symbol for symbol, known in self.heats.items() if known.heat is not Heat.COLD}
        warm |= {symbol for symbol in graph.functions if symbol not in called or symbol in passed}
        warm = {symbol for symbol in warm if self.heats.get(symbol, UNKNOWN).heat is not Heat.COLD}
        level = sorted(warm)
        while level:
            following: list[Symbol] = []
            for caller in level:
                hot = self.heats.get(caller, UNKNOWN).heat is Heat.HOT
                for edge in graph.plain.get(caller, ()):
                    callee = edge.callee
                    if callee in self.heats and not (edge.by_name and hot and self._is_cool(callee)):
                        continue
                    if edge.by_name and hot and not callee.qualname.startswith(ANY_OWNER):
                        text = f"`{callee.qualname}` may be called by `{caller.qualname}`, going by the name alone"
                        self.heats[callee] = FunctionHeat(Heat.WARM, text, caller)
                    if callee not in warm:
                        warm.add(callee)
                        following.append(callee)
            level = sorted(following)
        return warm

    def _is_cool(self, symbol: Symbol) -> bool:
        return self._nature[symbol] is _Nature.COOL and self.heats[symbol].heat is Heat.COLD

    # Cold

    def _spread_cold(self, warm: set[Symbol]) -> None:
        graph = self._graph
        start: list[Symbol] = []
        for path, edges in sorted(graph.imported.items()):
            for edge in edges:
                self._cool_down(edge, warm, f"only runs when `{path}` is imported", None, start)
        for caller, edges in sorted(graph.guarded.items()):
            if self.heats.get(caller, UNKNOWN).heat is not Heat.COLD:
                how = f"only called behind a guard, by `{caller.qualname}`"
                for edge in edges:
                    self._cool_down(edge, warm, how, None, start)
        level = sorted({*start, *(symbol for symbol, known in self.heats.items() if known.heat is Heat.COLD)})
        while level:
            following: list[Symbol] = []
            for caller in level:
                how = f"only called by `{caller.qualname}`"
                for edge in (*graph.plain.get(caller, ()), *graph.guarded.get(caller, ())):
                    self._cool_down(edge, warm, how, caller, following)
            level = sorted(following)

    def _cool_down(
        self, edge: Edge, warm: set[Symbol], how: str, caller: Symbol | None, following: list[Symbol]
    ) -> None:
        callee = edge.callee
        if callee in self.heats or callee in warm or callee.qualname.startswith(ANY_OWNER):
            return
        self.heats[callee] = FunctionHeat(Heat.COLD, f"`{callee.qualname}` {_is(how)}", caller)
        following.append(callee)


def _called(edge: Edge, caller: Symbol) -> str:
    return f"overrides `{caller.qualname}`" if edge.overrides else f"called by `{caller.qualname}`"


def _is(how: str) -> str:
    return how if how.startswith(("overrides", "only runs")) else f"is {how}"


class _Patterns:
    """Patterns of names of functions. Without a module, one without a dot is the name of any function or method."""

    def __init__(self, patterns: Iterable[str], modules: Mapping[str, str]) -> None:
        self._modules = modules
        self._qualified = _any_of(p for p in patterns if ":" in p)
        self._dotted = _any_of(p for p in patterns if ":" not in p and "." in p)
        self._bare = _any_of(p for p in patterns if ":" not in p and "." not in p)

    def match(self, symbol: Symbol) -> bool:
        if self._bare is not None and self._bare.match(symbol.name):
            return True
        if self._dotted is not None and self._dotted.match(symbol.qualname):
            return True
        if self._qualified is None:
            return False
        module = self._modules.get(symbol.path, module_name(symbol.path, ()))
        return self._qualified.match(f"{module}:{symbol.qualname}") is not None


def _any_of(patterns: Iterable[str]) -> re.Pattern[str] | None:
    parts = [translate(pattern) for pattern in patterns]
    return re.compile("|".join(parts)) if parts else None


# ---------------------------------------------------------------------- as bytes


def dump(found: Mapping[str, FunctionHeat]) -> bytes:
    """The heats of a file."""
    data = {qualname: [known.heat, known.reason, *(known.source or ())] for qualname, known in sorted(found.items())}
    return json.dumps(data, separators=(",", ":")).encode()


def load(data: bytes) -> dict[str, FunctionHeat]:
    """What :func:`dump` was given."""
    return {
        qualname: FunctionHeat(Heat(heat), reason, Symbol(*source) if source else None)
        for qualname, (heat, reason, *source) in json.loads(data).items()
    }
