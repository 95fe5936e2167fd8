"""What may happen to a tensor between two reads of it."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field

from synclint.facts import function as function_result
from synclint.facts import method as method_result
from synclint.finding import Confidence
from synclint.flow.values import Kind, Value
from synclint.lint.scalars.bindings import Bindings
from synclint.lint.scalars.reads import as_read

# They run code of the values that they are given (__len__, __str__, ...), none that writes to a tensor.
_HARMLESS_BUILTINS = frozenset(
    "abs bool complex divmod float format int isinstance issubclass len max min print range repr round str type".split()
)
# Owners of functions that run no code of others and write to nothing but by out= and a trailing underscore, save these.
_PURE_OWNERS = frozenset({"torch", "torch.nn.functional", "torch.linalg", "torch.fft", "torch.special"})
_WRITERS = frozenset({"backward", "batch_norm", "instance_norm", "embedding", "embedding_bag", "cond", "while_loop"})
_CONTAINERS = (Kind.SEQUENCE, Kind.MAPPING)
_READING_ATTRIBUTES = frozenset({"shape", "dtype", "device", "ndim", "is_cuda", "requires_grad"})
_READING_METHODS = frozenset({"size", "numel", "dim", "tolist", "item", "element_size", "is_pinned"})


@dataclass(slots=True)
class Effects:
    """What some code does to a tensor and to what its indices are made of.

    surely: one of them is bound anew, or a tensor written to that may share its memory. perhaps: reasons, in words,
    why that may be. calls: something else than reads and host arithmetic runs, so that a later read may wait for more
    than an earlier one.
    """

    surely: bool = False
    perhaps: list[str] = field(default_factory=list)
    calls: bool = False


def effects(
    roots: Iterable[ast.AST],
    after: Set[ast.AST],
    base: ast.expr,
    indices: Iterable[ast.expr],
    bindings: Bindings,
    values: Mapping[ast.expr, Value],
) -> Effects:
    """What running some code may do to ``base`` (``t`` or ``a.b.t``), read at ``indices``.

    ``after`` are nodes in it that do not count.
    """
    judge = _Judge(base, indices, bindings, values)
    for root in roots:
        for node in ast.walk(root):
            if node not in after:
                judge.visit(node)
    return judge.found


class _Judge:
    def __init__(
        self, base: ast.expr, indices: Iterable[ast.expr], bindings: Bindings, values: Mapping[ast.expr, Value]
    ) -> None:
        self.found = Effects()
        self.bindings = bindings
        self.values = values
        self.shown = ast.unparse(base)
        self.parts = {node.attr for node in ast.walk(base) if isinstance(node, ast.Attribute)}
        self.root = _root(base)
        made_of = [node for index in indices for node in ast.walk(index)]
        self.names = {self.root} | {node.id for node in made_of if isinstance(node, ast.Name)}
        self.fragile = not all(bindings.is_local(name) for name in self.names - {self.root, "len"})
        self.fragile |= any(isinstance(node, ast.Attribute) for node in made_of)
        self.private = isinstance(base, ast.Name) and is_private(base.id, bindings)

    def visit(self, node: ast.AST) -> None:
        context = getattr(node, "ctx", None)
        if isinstance(context, (ast.Store, ast.Del)):
            self._write(node)
        elif isinstance(node, ast.AugAssign):
            self._augmented(node)
        elif isinstance(node, ast.Call):
            self._call(node)
        elif isinstance(node, (ast.Await, ast.Yield, ast.YieldFrom)):
            self._perhaps(node, "other code runs")

    def _perhaps(self, node: ast.expr | ast.stmt, text: str) -> None:
        self.found.calls = True
        if not self.private:
            self.found.perhaps.append(f"line {node.lineno}: {text} between the reads of `{self.shown}`")

    def _is(self, node: ast.expr, *kinds: Kind) -> bool:
        value = self.values.get(node)
        return value is not None and value.kind in kinds and value.certainty is Confidence.CERTAIN

    def _write(self, node: ast.AST) -> None:
        if isinstance(node, ast.Name):
            self.found.surely |= node.id in self.names
        elif isinstance(node, ast.Attribute):
            self.found.surely |= node.attr in self.parts or self.fragile
        elif isinstance(node, ast.Subscript) and not self._is(node.value, *_CONTAINERS):
            if self._may_share(node.value):
                self.found.surely = True
            self._perhaps(node, f"`{ast.unparse(node.value)}[...]`, which may share its memory, is written to")

    def _may_share(self, node: ast.expr) -> bool:
        """Whether something that is written to is the tensor, a view of it, or another one that may be."""
        return _root(node) == self.root or (not self.private and self._is(node, Kind.TENSOR))

    def _augmented(self, node: ast.AugAssign) -> None:
        target = node.target
        if isinstance(target, ast.Subscript) or self._is(target, Kind.HOST):
            return  # a store to an item is judged as such
        if self._may_share(target):
            self.found.surely = True
        if not (isinstance(target, ast.Name) and self.bindings.surely_number(target)):
            self._perhaps(node, f"`{ast.unparse(target)}`, which may share its memory, is changed in place")

    def _call(self, node: ast.Call) -> None:
        if as_read(node) is not None:
            return
        self.found.surely |= self.fragile  # an index that is no local may have changed
        if self._runs_on_host(node):
            return
        self.found.calls = True
        function = node.func
        if isinstance(function, ast.Attribute) and _mutates(function.attr) and self._may_share(function.value):
            self.found.surely = True
        elif not self._makes_new(node):
            self._perhaps(node, f"`{ast.unparse(function)}(...)`, which may write to it, is called")

    def _runs_on_host(self, node: ast.Call) -> bool:
        """Whether a call runs nothing on the device and writes to no tensor."""
        function = node.func
        if isinstance(function, ast.Name):
            return function.id in _HARMLESS_BUILTINS and not self.bindings.is_shadowed(function.id)
        if not isinstance(function, ast.Attribute):
            return False
        if self._is(function.value, Kind.TENSOR):
            return function.attr in _READING_METHODS
        return self._is(function.value, Kind.HOST, *_CONTAINERS)

    def _makes_new(self, node: ast.Call) -> bool:
        """Whether a call is one of torch's that write to none of their arguments."""
        if any(keyword.arg in ("out", "inplace", None) for keyword in node.keywords):
            return False
        dotted = self.bindings.imported(node.func)
        if dotted is not None:
            owner, _, name = dotted.rpartition(".")
            return owner in _PURE_OWNERS and not _mutates(name) and function_result(dotted) is not None
        function = node.func
        return (
            isinstance(function, ast.Attribute)
            and self._is(function.value, Kind.TENSOR)
            and not _mutates(function.attr)
            and method_result("Tensor", function.attr) is not None
        )


def is_private(name: str, bindings: Bindings) -> bool:
    """Whether nothing but this name can reach the memory of the tensor that it holds.

    It is a local, made anew wherever it is bound, and the function only looks at it: it is read, asked for its shape,
    computed with, but never passed on, returned, stored or given a second name.
    """
    values = bindings.values(name)
    if not bindings.is_local(name) or not values or not all(map(bindings.makes_memory, values)):
        return False
    return all(map(_only_looks, _uses(name, bindings.function)))


def _uses(name: str, function: ast.AST) -> Iterator[list[ast.AST]]:
    """The three nearest ancestors of every use of a name, the nearest first."""
    pending: list[tuple[ast.AST, list[ast.AST]]] = [(function, [])]
    while pending:
        node, above = pending.pop()
        if isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Load):
            yield above
        pending += [(child, [node, *above[:2]]) for child in ast.iter_child_nodes(node)]


def _only_looks(above: list[ast.AST]) -> bool:
    parent, outer, outermost = (*above, None, None)[:3]
    if isinstance(parent, ast.Subscript):
        if isinstance(parent.slice, ast.Slice) or not isinstance(parent.ctx, ast.Load):
            return False
        if isinstance(outer, ast.Attribute):
            return outer.attr == "item" and isinstance(outermost, ast.Call)
        return isinstance(outer, ast.Call) and as_read(outer) is not None
    if isinstance(parent, ast.Attribute):
        return parent.attr in _READING_ATTRIBUTES or (parent.attr in _READING_METHODS and isinstance(outer, ast.Call))
    if isinstance(parent, ast.Call):
        return isinstance(parent.func, ast.Name) and parent.func.id == "len"
    return isinstance(parent, (ast.BinOp, ast.Compare))


def _mutates(name: str) -> bool:
    return name in _WRITERS or (name.endswith("_") and not name.endswith("__"))


def _root(node: ast.expr) -> str:
    """The name that an expression starts from, empty for none."""
    while isinstance(node, (ast.Attribute, ast.Subscript, ast.Call)):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ""
