"""How often a function runs: hot, warm or cold, by the calls within its file."""

from __future__ import annotations

import ast
import re
from bisect import bisect_right
from typing import TYPE_CHECKING

from synclint.finding import Heat
from synclint.flow.conventions import is_cold, is_cool, is_hot

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from synclint.flow.module import ModuleFlow
    from synclint.flow.site import Scope

HeatReason = tuple[Heat, str]

UNKNOWN: HeatReason = (Heat.WARM, "")
MODULE: HeatReason = (Heat.COLD, "runs when the module is imported")

# Each starts with plain text, which the search for it makes use of; that no longer name ends with it is asked after.
_OWN_ATTRIBUTES = (re.compile(rb"self\.(?<!\wself\.)(\w+)"), re.compile(rb"cls\.(?<!\wcls\.)(\w+)"))
_GOES_ON = frozenset(b"._0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
_ONCE = frozenset(("lru_cache", "cache", "cached_property", "once"))


def set_heat(heats: Mapping[str, HeatReason], scopes: Iterable[Scope]) -> None:
    """Fills in the heat of scopes; nested functions run as often as the function around them."""
    for scope in scopes:
        outermost = scope
        while outermost.parent is not None and outermost.parent.node is not None:
            outermost = outermost.parent
        if isinstance(outermost.node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            scope.heat, scope.heat_reason = heats.get(outermost.qualname, UNKNOWN)


def heat_map(module: ModuleFlow) -> dict[str, HeatReason]:
    """The heat of every function of a file.

    Hot: an entry point by name (``forward``, ``step``, ...) or called by name from a hot one. Cold: a
    constructor, loader, test or the like, a function that runs once, or called from cold ones alone. Calls that are
    resolved by name only make warm.
    """
    nodes = module.function_nodes
    calls = _calls(module)
    heats: dict[str, HeatReason] = {}
    pending: list[str] = []
    for qualname, node in nodes.items():
        name = node.name
        if _runs_once(node):
            heats[qualname] = (Heat.COLD, "runs once and is cached")
        elif is_cold(name):
            heats[qualname] = (Heat.COLD, f"`{name}` does not run for every step")
        elif is_hot(name):
            heats[qualname] = (Heat.HOT, f"`{qualname}` runs for every step")
            pending.append(qualname)
    while pending:
        caller = pending.pop()
        for callee in sorted(calls[caller]):
            if callee not in heats:
                heats[callee] = (Heat.HOT, f"called by `{caller}`")
                pending.append(callee)
    for qualname, node in nodes.items():
        if qualname not in heats and is_cool(node.name):
            heats[qualname] = (Heat.COLD, f"`{node.name}` does not run for every step")
    callers: dict[str, set[str]] = {}
    for caller, callees in calls.items():
        for callee in callees:
            callers.setdefault(callee, set()).add(caller)
    changed = True
    while changed:
        changed = False
        for callee, names in callers.items():
            if callee not in heats and all(heats.get(name, UNKNOWN)[0] is Heat.COLD for name in names):
                heats[callee] = (Heat.COLD, f"only called by `{min(names)}`")
                changed = True
    return heats


def _runs_once(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    for decorator in node.decorator_list:
        target = decorator.func if isinstance(decorator, ast.Call) else decorator
        name = target.attr if isinstance(target, ast.Attribute) else getattr(target, "id", "")
        if name in _ONCE:
            return True
    return False


def _calls(module: ModuleFlow) -> dict[str, set[str]]:
    """The functions of this file that each names as ``f(`` or ``self.f``: to call them, or to have them called.

    By text, comments included: walking every tree for this would cost as much as interpreting them.
    """
    spans = sorted((*module.source.span(node), qualname) for qualname, node in module.function_nodes.items())
    found = {qualname: _own_methods(module, qualname, start, end) for start, end, qualname in spans}
    starts = [start for start, _, _ in spans]
    for name in module.record.functions:
        for place in _places_called(name.encode(), module.source.data):
            _, end, caller = spans[bisect_right(starts, place) - 1]
            if starts[0] <= place < end:
                found[caller].add(name)
    for qualname, callees in found.items():
        callees.discard(qualname)
    return found


def _own_methods(module: ModuleFlow, qualname: str, start: int, end: int) -> set[str]:
    """The methods that the bytes ``[start, end)`` of a method name as ``self.f`` or ``cls.f``."""
    owner = module.owners.get(qualname)
    if owner is None:
        return set()
    names = {name for attribute in _OWN_ATTRIBUTES for name in attribute.findall(module.source.data, start, end)}
    methods = (module.method(module.symbol(owner), name.decode()) for name in names)
    return {method.record.qualname for method in methods if method is not None and method.symbol.path == module.path}


def _places_called(name: bytes, data: bytes) -> Iterator[int]:
    """Where ``name(`` stands, not as an attribute or the end of a longer name."""
    call = name + b"("
    place = data.find(call)
    while place >= 0:
        if place == 0 or data[place - 1] not in _GOES_ON:
            yield place
        place = data.find(call, place + 1)
