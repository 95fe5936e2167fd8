"""One read of a tensor as a Python scalar, as it is written."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from synclint.flow.values import Dtype
from synclint.index.names import dotted_name

if TYPE_CHECKING:
    from synclint.flow.site import Site

CONVERSIONS = ("int", "float", "bool", "complex")

_EXACT = {"int": Dtype.INT, "float": Dtype.FLOAT, "bool": Dtype.BOOL}


@dataclass(frozen=True, slots=True)
class ScalarRead:
    """``node`` reads ``operand`` with ``conversion``: ``item`` for ``.item()``, else the builtin's name."""

    node: ast.expr
    operand: ast.expr
    conversion: str

    @property
    def spelling(self) -> str:
        """For messages."""
        return "`.item()`" if self.conversion == "item" else f"`{self.conversion}()`"

    def converted(self, element: str, dtype: Dtype | None) -> str:
        """The code that gives the same number from ``element``, which holds what ``tolist()`` makes of the operand."""
        if self.conversion == "item" or _EXACT.get(self.conversion) is dtype is not None:
            return element
        return f"{self.conversion}({element})"


def as_read(node: ast.expr) -> ScalarRead | None:
    """An expression of the form ``x.item()``, ``int(x)``, ``float(x)``, ``bool(x)`` or ``complex(x)``, else None."""
    if not isinstance(node, ast.Call) or node.keywords:
        return None
    function = node.func
    if isinstance(function, ast.Attribute):
        return ScalarRead(node, function.value, "item") if function.attr == "item" and not node.args else None
    if isinstance(function, ast.Name) and function.id in CONVERSIONS and len(node.args) == 1:
        return None if isinstance(node.args[0], ast.Starred) else ScalarRead(node, node.args[0], function.id)
    return None


def read_of(site: Site) -> ScalarRead | None:
    """The read that a site is about, None for a form that cannot be rewritten (``torch.Tensor.item(x)``)."""
    read = as_read(site.node)
    return read if read is not None and read.operand is site.arguments.get("self") else None


def element_of(operand: ast.expr) -> tuple[ast.expr, ast.expr] | None:
    """The tensor and the index of ``x[i]`` or ``a.b[i]``, None for anything else (slices and several indices too)."""
    if not isinstance(operand, ast.Subscript) or dotted_name(operand.value) is None:
        return None
    if isinstance(operand.slice, (ast.Slice, ast.Tuple, ast.Starred)):
        return None
    return operand.value, operand.slice


def dtype_doubts(text: str, reads: Sequence[ScalarRead], dtype: Dtype | None, data: bytes) -> list[str]:
    """Why ``int()`` and its like of what ``tolist()`` gives may differ from that of the tensor's element."""
    spelled = {read.conversion for read in reads}
    if dtype is Dtype.COMPLEX or (dtype is None and spelled & {"int", "float"}):
        return [f"`{text}` may be complex: converting its elements then raises another error, or where it did not"]
    if dtype is not Dtype.FLOAT and "int" in spelled and b"uint64" in data:
        return [f"`{text}` may be uint64: an element of 2**63 or more no longer raises"]
    return []
