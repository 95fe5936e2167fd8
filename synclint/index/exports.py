"""What ``__all__`` lists."""

from __future__ import annotations

import ast
from collections.abc import Iterable


def exports(statements: Iterable[ast.stmt]) -> set[str] | None:
    """The names that the statements of a module put into ``__all__``; None where they are no literals."""
    found: set[str] = set()
    for statement in statements:
        added = _added(statement)
        if added is None:
            continue
        names = _literals(added)
        if names is None:
            return None
        found.update(names)
    return found


def _added(statement: ast.stmt) -> ast.expr | None:
    """What a statement puts into ``__all__``."""
    if isinstance(statement, ast.Assign):
        return statement.value if any(map(_is_all, statement.targets)) else None
    if isinstance(statement, (ast.AnnAssign, ast.AugAssign)):
        return statement.value if _is_all(statement.target) else None
    call = statement.value if isinstance(statement, ast.Expr) else None
    if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and _is_all(call.func.value) and call.args:
        return ast.List([call.args[0]]) if call.func.attr == "append" else call.args[0]
    return None


def _is_all(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "__all__"


def _literals(node: ast.expr) -> list[str] | None:
    if isinstance(node, ast.BinOp):
        left, right = _literals(node.left), _literals(node.right)
        return None if left is None or right is None else left + right
    if not isinstance(node, (ast.List, ast.Tuple)):
        return None
    names = [element.value for element in node.elts if isinstance(element, ast.Constant)]
    return [name for name in names if isinstance(name, str)] if len(names) == len(node.elts) else None
