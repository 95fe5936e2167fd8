"""How rules name code in messages."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from synclint.flow.values import Value
    from synclint.lint.context import Context

_LONGEST = 40


def shown(context: Context, node: ast.expr | None, otherwise: str) -> str:
    """The text of an expression in backticks where it is short and on one line, else ``otherwise``."""
    if node is None:
        return otherwise
    text = context.text(node)
    return f"`{text}`" if len(text) <= _LONGEST and "\n" not in text and "`" not in text else otherwise


def written(context: Context, node: ast.expr | None, otherwise: str) -> str:
    """The text of an expression to build on, such as ``x`` in ``x.fill_(0)``, else ``otherwise``."""
    text = shown(context, node, "").strip("`")
    return text or otherwise


def tensor_at(context: Context, value: Value) -> str:
    """``a CUDA tensor`` where that is certain."""
    return "a CUDA tensor" if context.surely_on_cuda(value) else "a tensor on the accelerator"
