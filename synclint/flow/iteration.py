"""Going over the elements of a tensor: it gives views, and waits where Python looks at their values."""

from __future__ import annotations

import ast
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from synclint.flow.lattice import element_of
from synclint.flow.values import Kind, Value

if TYPE_CHECKING:
    from synclint.flow.frame import Frame
    from synclint.flow.site import Site

#: Builtins that compare elements, or ask for their truth.
COMPARING = frozenset(("sorted", "min", "max", "any", "all"))


def read_compared(frame: Frame, node: ast.Call, name: str, arguments: Sequence[Value]) -> None:
    """``max(tensor)``, ``max(a, b)`` of tensors, ``any(...)`` over tensors."""
    for argument, value in zip(node.args, arguments, strict=False):
        if value.kind is Kind.TENSOR:
            # Of several arguments each is compared as a whole; one alone is gone through.
            compared: Value | None = value if len(arguments) > 1 or value.rank in (1, None) else None
        else:
            element = element_of(value) if value.kind is Kind.SEQUENCE and len(arguments) == 1 else None
            compared = element if element is not None and element.kind is Kind.TENSOR else None
            if compared is not None and compared.rank not in (0, None):
                compared = None  # the truth of several elements is an error
        if compared is not None:
            frame.emit(f"{name}(Tensor)", node, {"self": compared}, {"self": argument})
            return
    frame.suspect(*arguments)


def read_contained(frame: Frame, node: ast.Compare, left: Value, right: Value) -> None:
    """``element in tensor``, and a tensor that is looked for among numbers."""
    if right.kind is Kind.TENSOR:
        frame.emit("in(Tensor)", node, {"self": right}, {"self": node.comparators[0]})
    elif left.kind is Kind.TENSOR and left.rank == 0 and right.kind is Kind.SEQUENCE:
        element = element_of(right)
        if element is not None and element.kind is Kind.HOST:
            frame.emit("in(Tensor)", node, {"self": left}, {"self": node.left})
    else:
        frame.suspect(left, right)


def read_elements(frame: Frame, iterable: ast.expr, target: ast.expr, before: Collection[tuple[ast.expr, str]]) -> None:
    """A loop whose body uses its elements as numbers. ``before`` are the sites that were there before the loop."""
    called = ""
    if isinstance(iterable, ast.Call) and isinstance(iterable.func, ast.Name):
        called = iterable.func.id
        if called == "enumerate" and iterable.args and isinstance(target, ast.Tuple) and len(target.elts) == 2:
            read_elements(frame, iterable.args[0], target.elts[1], before)
            return
    names = {part.id for part in ast.walk(target) if isinstance(part, ast.Name)}
    # Whoever takes rows apart, `for height, width in sizes`, wants numbers.
    unpacks = isinstance(target, (ast.Tuple, ast.List)) and called != "zip"
    read = [site for key, site in frame.sites.items() if key not in before and _reads(site, names, unpacks)]
    if read:
        surest = max(read, key=lambda site: site.confidence)
        frame.emit("iter(Tensor)", iterable, {"self": surest.operands["self"]}, {"self": iterable})


def _reads(site: Site, names: Collection[str], unpacks: bool) -> bool:
    subject = site.arguments.get("self")
    if site.operation == "index(Tensor)":
        return isinstance(subject, ast.Name) and subject.id in names
    if not unpacks or subject is None or site.fact.id != "truth-value":
        return False
    return any(isinstance(part, ast.Name) and part.id in names for part in ast.walk(subject))
