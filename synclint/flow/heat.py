"""How often a function runs: hot, warm or cold, by who calls it, and why."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from fnmatch import translate
from operator import attrgetter
from typing import NamedTuple

from synclint.finding import Heat
from synclint.flow.callgraph import CallGraph, Edge, Node
from synclint.flow.conventions import (
    is_cold,
    is_cool,
    is_frozen,
    is_hot,
    is_rare_file,
    lends_its_heat,
    tries_out,
)
from synclint.flow.outline import LOCALS, keeps_its_result
from synclint.index.packages import module_name
from synclint.index.records import Symbol
from synclint.index.sides import side_folder


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

    def of(self, symbol: Symbol) -> FunctionHeat:
        """The heat of a function."""
        return self.of_file(symbol.path).get(symbol.qualname, UNKNOWN)

    def inner(self, symbol: Symbol) -> Symbol:
        """What stands for the functions in a function, where these have a heat of their own; else the function."""
        inner = Symbol(symbol.path, f"{symbol.qualname}.{LOCALS}")
        return inner if inner.qualname in self.of_file(symbol.path) else symbol

    def hottest(self, symbol: Symbol) -> Heat:
        """The heat that no part of a function exceeds, loops over data aside; what runs on import is cold."""
        if not symbol.qualname:
            return Heat.COLD
        return max(self.of(symbol).heat, self.of(self.inner(symbol)).heat)

    def chain(self, symbol: Symbol) -> Iterator[tuple[Symbol, str]]:
        """Why a function is as hot as it is: what is to be said of it, then of the function it has that from, ..."""
        at: Symbol | None = symbol
        seen = set()
        while at is not None and at not in seen:
            seen.add(at)
            known = self.of(at)
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
    for node, heat in _Spread(graph, names, modules or {}).heats.items():
        if not node.anyone:
            found.setdefault(node.symbol.path, {})[node.symbol.qualname] = heat
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
        self._nature: dict[Node, _Nature] = {}
        self.heats: dict[Node, FunctionHeat] = {}
        self._scripted = {node for node in graph.nodes if node.symbol.qualname == "main"}
        for node in graph.nodes:
            self._nature[node], reason = self._natural(node)
            if self._nature[node] is _Nature.HOT:
                self.heats[node] = FunctionHeat(Heat.HOT, reason)
            elif self._nature[node] is _Nature.FROZEN:
                self.heats[node] = FunctionHeat(Heat.COLD, reason)
        self._spread_hot()
        for node in graph.nodes:
            if self._nature[node] in (_Nature.COLD, _Nature.COOL) and node not in self.heats:
                self.heats[node] = FunctionHeat(Heat.COLD, f"`{node.symbol.name}` does not run for every step")
        self._spread_cold(self._spread_warm())
        for node in graph.nodes:
            if node.inner:  # said even where nothing is known: they are not as hot as the function around them
                self.heats.setdefault(node, UNKNOWN)

    def _natural(self, node: Node) -> tuple[_Nature, str]:
        symbol = node.symbol
        if node.inner and lends_its_heat(symbol.owner.name):
            return _Nature.FROZEN, f"`{symbol.owner.name}` does not run for every step, nor does what it defines"
        if node.anyone or node.inner:
            return _Nature.PLAIN, ""
        name = symbol.name
        if self._cold_functions.match(symbol):
            return _Nature.FROZEN, f"`{symbol.qualname}` is cold: the configuration says so"
        if self._entry_points.match(symbol):
            return _Nature.HOT, f"`{symbol.qualname}` runs for every step: the configuration says so"
        if node.decorators and keeps_its_result(node.decorators):
            return _Nature.FROZEN, f"`{symbol.qualname}` runs once and is cached"
        if is_frozen(name) or node.makes_module:
            return _Nature.FROZEN, f"`{name}` does not run for every step"
        if is_cold(name):
            return _Nature.COLD, ""
        rare = is_rare_file(symbol.path) and not side_folder(symbol.path)
        if is_hot(name, symbol.owner.qualname) and not (rare and tries_out(symbol.path)):
            return _Nature.HOT, f"`{symbol.qualname}` runs for every step"
        return (_Nature.COOL if rare or is_cool(name, symbol.owner.qualname) else _Nature.PLAIN), ""

    def _with_heat(self, heat: Heat) -> list[Node]:
        return [node for node, known in self.heats.items() if known.heat is heat]

    # Hot

    def _spread_hot(self) -> None:
        looping: list[Node] = []
        for caller in self._graph.nodes:
            if caller.looped and not stays_cold(caller.symbol.qualname):
                how = f"is called by `{caller.symbol.qualname}` in a loop over steps or batches"
                for edge in caller.looped:
                    if self._may_heat(edge):
                        self._heat_up(edge.callee, how, None, looping)
        level = _sorted({*looping, *self._with_heat(Heat.HOT)})
        while level:
            following: list[Node] = []
            for caller in level:
                for edge in caller.plain:
                    if self._may_heat(edge):
                        self._heat_up(edge.callee, _reached(edge, caller), caller.symbol, following)
            level = _sorted(following)

    def _may_heat(self, edge: Edge) -> bool:
        return not edge.by_name and edge.callee not in self.heats

    def _heat_up(self, callee: Node, how: str, source: Symbol | None, following: list[Node]) -> None:
        text = f"`{callee.symbol.qualname}` {how}"
        if self._nature[callee] is _Nature.COLD:
            self.heats[callee] = FunctionHeat(Heat.WARM, text, source)
        else:
            self.heats[callee] = FunctionHeat(Heat.HOT, text, source)
            following.append(callee)

    # Warm

    def _spread_warm(self) -> set[Node]:
        """The functions that may be called by what is not cold; the reason of those that a hot one may call by name."""
        warm = {node for node in self._open() if node not in self.heats}
        warm.update(self._with_heat(Heat.HOT), self._with_heat(Heat.WARM))
        level = _sorted(warm)
        while level:
            following: list[Node] = []
            for caller in level:
                known = self.heats.get(caller)
                hot = known is not None and known.heat is Heat.HOT
                for edge in caller.plain:
                    callee = edge.callee
                    if callee in self.heats and not (edge.by_name and hot and self._is_cool(callee)):
                        continue
                    if edge.by_name and hot and not callee.anyone:
                        reason = f"may be called by `{caller.symbol.qualname}`, going by the name alone"
                        text = f"`{callee.symbol.qualname}` {reason}"
                        self.heats[callee] = FunctionHeat(Heat.WARM, text, caller.symbol)
                    if callee not in warm:
                        warm.add(callee)
                        following.append(callee)
            level = _sorted(following)
        return warm

    def _open(self) -> Iterator[Node]:
        """The functions that may have callers that are not known: without any, or handed on."""
        called: set[Node] = set()
        passed: set[Node] = set()
        for caller in self._graph.nodes:
            for edge in caller.plain + caller.guarded:
                if edge.callee is not caller and self._tells(caller, edge.callee):
                    (passed if edge.passed else called).add(edge.callee)
        for edges in self._graph.imported.values():
            for edge in edges:
                (passed if edge.passed else called).add(edge.callee)
        return (node for node in self._graph.nodes if node in passed or node not in called)

    def _is_cool(self, node: Node) -> bool:
        return self._nature[node] is _Nature.COOL and self.heats[node].heat is Heat.COLD

    def _tells(self, caller: Node, callee: Node) -> bool:
        """Whether being called there says how often a function runs: a script that uses other files is one user of
        many."""
        return caller not in self._scripted or caller.symbol.path == callee.symbol.path

    # Cold

    def _spread_cold(self, warm: set[Node]) -> None:
        start: list[Node] = []
        for path, edges in sorted(self._graph.imported.items()):
            for edge in edges:
                self._cool_down(edge.callee, warm, f"only runs when `{path}` is imported", None, start)
        for caller in self._graph.nodes:
            if caller.guarded and self.heats.get(caller, UNKNOWN).heat is not Heat.COLD:
                how = f"is only called behind a guard, by `{caller.symbol.qualname}`"
                for edge in caller.guarded:
                    self._cool_down(edge.callee, warm, how, None, start)
        level = _sorted({*start, *self._with_heat(Heat.COLD)})
        while level:
            following: list[Node] = []
            for caller in level:
                for edge in caller.plain + caller.guarded:
                    if self._tells(caller, edge.callee):
                        how = f"is only called by `{caller.symbol.qualname}`"
                        if self._cool_down(edge.callee, warm, how, caller.symbol, following):
                            self._scripted.update((edge.callee,) if caller in self._scripted else ())
            level = _sorted(following)

    def _cool_down(self, callee: Node, warm: set[Node], how: str, source: Symbol | None, following: list[Node]) -> bool:
        """Makes a function cold, unless more is known of it."""
        if callee in self.heats or callee in warm or callee.anyone:
            return False
        self.heats[callee] = FunctionHeat(Heat.COLD, f"`{callee.symbol.qualname}` {how}", source)
        following.append(callee)
        return True


def _sorted(nodes: Iterable[Node]) -> list[Node]:
    return sorted(nodes, key=attrgetter("order"))


def _reached(edge: Edge, caller: Node) -> str:
    if edge.overrides:
        return f"overrides `{caller.symbol.qualname}`"
    if edge.passed:
        how = "defined in" if edge.callee.inner else "handed on by"
        return f"is {how} `{caller.symbol.qualname}`"
    return f"is called by `{caller.symbol.qualname}`"


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
