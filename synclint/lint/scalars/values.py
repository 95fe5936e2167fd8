"""What every expression of a function holds, by the interpretation that also finds the sites."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from synclint.flow.frame import Frame
from synclint.flow.parameters import bind_conventions
from synclint.lint.scalars.layout import layout_of

if TYPE_CHECKING:
    from synclint.flow.module import ModuleFlow
    from synclint.flow.site import Scope
    from synclint.flow.values import Value
    from synclint.lint.context import Context


class _Watching(Frame):
    """Remembers what it sees."""

    __slots__ = ("seen",)

    def __init__(self, module: ModuleFlow, scope: Scope) -> None:
        super().__init__(module, scope, {}, recording=False)
        self.seen: dict[ast.expr, Value] = {}

    def value(self, node: ast.expr) -> Value:
        value = super().value(node)
        self.seen[node] = value
        return value


def values_of(context: Context) -> dict[ast.expr, Value]:
    """What the expressions around a site hold: those of its function, computed once."""
    memo = layout_of(context).memo
    key = ("values", context.site.scope.node)
    if key not in memo:
        memo[key] = values_in(context.flow, context.site.scope)
    found: dict[ast.expr, Value] = memo[key]
    return found


def values_in(flow: ModuleFlow, scope: Scope) -> dict[ast.expr, Value]:
    """The value of each expression of a function or method; empty for what stands elsewhere (nested functions)."""
    node = flow.function_nodes.get(scope.qualname)
    if node is None or node is not scope.node:
        return {}
    frame = _Watching(flow, flow.scope_of(scope.qualname))
    bind_conventions(frame, node)
    try:
        frame.run_function(node)
    except RecursionError:
        return {}
    return frame.seen
