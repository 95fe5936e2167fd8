"""The tables that say which function interprets which kind of ``ast`` node; filled by the modules that define them."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from synclint.flow.frame import Frame
    from synclint.flow.values import Value

#: Expressions: ``EVALUATE[type(node)](frame, node)`` is the node's value.
EVALUATE: dict[type[ast.expr], Callable[[Frame, Any], Value]] = {}

#: Statements: ``EXECUTE[type(node)](frame, node)`` changes the frame. Kinds without an entry do nothing.
EXECUTE: dict[type[ast.stmt], Callable[[Frame, Any], None]] = {}
