"""How often a function runs: hot, warm or cold, by the calls within its file."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

from synclint.finding import Heat
from synclint.flow.conventions import is_cold, is_cool, is_hot

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from synclint.flow.module import ModuleFlow
    from synclint.flow.site import Scope

HeatReason = tuple[Heat, str]

UNKNOWN: HeatReason = (Heat.WARM, "")
MODULE: HeatReason = (Heat.COLD, "runs when the module is imported")

_OWN_ATTRIBUTE = re.compile(rb"\b(?:self|cls)\.(\w+)")
_CALLED_NAME = re.compile(rb"(?<![.\w])(\w+)(?=\()")
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
    calls = {qualname: _called(module, qualname) for qualname in nodes}
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
        for callee in calls[caller]:
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


def _called(module: ModuleFlow, qualname: str) -> set[str]:
    """Functions of this file that a function names as ``f(`` or ``self.f``: to call them, or to have them called.

    By text, comments included: walking every tree for this would cost as much as interpreting them.
    """
    data = module.source.data
    start, end = module.source.span(module.function_nodes[qualname])
    found = set()
    owner = module.owners.get(qualname)
    if owner:
        for name in set(_OWN_ATTRIBUTE.findall(data, start, end)):
            method = module.method(owner, name.decode())
            if method is not None:
                found.add(method.qualname)
    if module.record.functions:
        for name in set(_CALLED_NAME.findall(data, start, end)):
            if name.decode() in module.record.functions:
                found.add(name.decode())
    found.discard(qualname)
    return found
