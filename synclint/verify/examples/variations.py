"""Other inputs for an example: its ``run`` expression with other tensors, numbers and lists in it.

``scaled(torch.ones(3, device='cuda'), 2)`` also runs with a tensor of another dtype, one that requires a gradient, one
without elements, a 0-d one, one that is not contiguous, and with other numbers.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

VARY = "vary"
"""The name by which an expression of :func:`variations` calls :func:`vary`."""

_MAKERS = frozenset(("arange", "empty", "full", "linspace", "ones", "rand", "randn", "tensor", "zeros"))


def variations(run: str) -> Iterator[str]:
    """Expressions like ``run``, each with one of its inputs replaced; ``vary`` must be in their namespace.

    Replaced are calls that make tensors (``torch.ones(...)``), and numbers and lists that stand as arguments.
    """
    count = len(_places(ast.parse(run, mode="eval").body))
    for at in range(count):
        for replacement in _replacements(_places(ast.parse(run, mode="eval").body)[at].node):
            tree = ast.parse(run, mode="eval")
            _places(tree.body)[at].put(replacement)
            yield ast.unparse(ast.fix_missing_locations(tree))


class _Place:
    """One argument of a call: the node, and how to put another in its place."""

    def __init__(self, arguments: list[ast.expr], at: int) -> None:
        self.node = arguments[at]
        self._arguments = arguments
        self._at = at

    def put(self, node: ast.expr) -> None:
        self._arguments[self._at] = node


def _places(node: ast.expr) -> list[_Place]:
    """The arguments of the calls in an expression, in order; what makes a tensor is one input and not searched."""
    found = []
    for call in ast.walk(node):
        if isinstance(call, ast.Call) and not _makes_tensor(call):
            inside = {id(inner) for outer in ast.walk(node) if _makes_tensor(outer) for inner in ast.walk(outer)}
            if id(call) not in inside:
                found += [_Place(call.args, at) for at in range(len(call.args))]
    return found


def _makes_tensor(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in _MAKERS
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id in ("torch", "th")
    )


def _replacements(node: ast.expr) -> Iterator[ast.expr]:
    if _makes_tensor(node):
        for way in WAYS:
            yield ast.Call(ast.Name(VARY, ast.Load()), [node, ast.Constant(way)], [])
    elif isinstance(node, ast.Constant) and type(node.value) is int:
        yield from (ast.Constant(value) for value in (0, 1, 7) if value != node.value)
    elif isinstance(node, ast.Constant) and type(node.value) is float:
        yield from (ast.Constant(value) for value in (0.0, -1.5, 3.0e38) if value != node.value)
    elif isinstance(node, ast.List) and node.elts:
        yield ast.List([], ast.Load())
        yield ast.List(node.elts[:1], ast.Load())
        yield ast.List(node.elts + node.elts, ast.Load())


def _random(tensor: torch.Tensor) -> torch.Tensor:
    if tensor.dtype.is_floating_point or tensor.dtype.is_complex:
        return torch.randn_like(tensor)
    return tensor.flatten()[torch.randperm(tensor.numel(), device=tensor.device)].view_as(tensor)


def _special(tensor: torch.Tensor) -> torch.Tensor:
    """The values that arithmetic treats apart, in turn."""
    if not tensor.dtype.is_floating_point:
        return torch.zeros_like(tensor)
    values = torch.tensor([float("nan"), float("inf"), -0.0, -float("inf"), 1.0], dtype=tensor.dtype)
    return values.repeat(-(-max(tensor.numel(), 1) // 5))[: tensor.numel()].view(tensor.shape).to(tensor.device)


def _strided(tensor: torch.Tensor) -> torch.Tensor:
    """The same values, each second element of memory."""
    return torch.stack((tensor, tensor), dim=-1)[..., 0]


def _expanded(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.flatten()[:1].expand(tensor.shape) if tensor.numel() else tensor


def _leaf(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.requires_grad_() if tensor.dtype.is_floating_point else tensor


WAYS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "random": _random,
    "special values": _special,
    "float64": lambda tensor: tensor.double(),
    "float16": lambda tensor: tensor.half(),
    "bfloat16": lambda tensor: tensor.bfloat16(),
    "int64": lambda tensor: tensor.long(),
    "int32": lambda tensor: tensor.int(),
    "requires grad": _leaf,
    "result of autograd": lambda tensor: _leaf(tensor) * 1 if tensor.dtype.is_floating_point else tensor,
    "empty": lambda tensor: tensor[:0] if tensor.dim() else tensor.new_empty(0),
    "0-d": lambda tensor: tensor.flatten()[:1].sum(),
    "not contiguous": _strided,
    "expanded": _expanded,
}
"""Ways in which an input may differ, by name."""


def vary(tensor: torch.Tensor, way: str) -> torch.Tensor:
    """The tensor, changed in one of the ``WAYS``. Made from the same seed each time it is called with the same one."""
    torch.manual_seed(len(way))
    return WAYS[way](tensor)
