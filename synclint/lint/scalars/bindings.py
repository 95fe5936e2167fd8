"""What the names of a function hold, as far as its own text proves it."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from synclint.facts import function as function_result
from synclint.facts import method as method_result
from synclint.index.build import resolve
from synclint.index.names import dotted_name
from synclint.lint.scalars.layout import layout_of

if TYPE_CHECKING:
    from synclint.flow.site import FunctionNode
    from synclint.index.records import ModuleRecord
    from synclint.lint.context import Context

_INT_METHODS = frozenset({"numel", "dim", "size", "element_size", "nelement", "ndimension", "count", "bit_length"})
_INT_BUILTINS = frozenset({"int", "len", "ord", "id", "hash"})
_NUMBER_BUILTINS = _INT_BUILTINS | {"float", "bool", "complex"}


class Bindings:
    """The names that a function binds, those of functions within it included.

    Questions are answered for every moment at once: True holds wherever the name is bound.
    """

    def __init__(self, function: FunctionNode, record: ModuleRecord) -> None:
        self.function = function
        self._record = record
        self._values: dict[str, list[ast.expr | None]] = {}
        self.names: set[str] = set()
        self.outer: set[str] = set()
        for node in ast.walk(function):
            self._read(node)

    def _read(self, node: ast.AST) -> None:
        if isinstance(node, ast.Name):
            self.names.add(node.id)
            if not isinstance(node.ctx, ast.Load):
                self._values.setdefault(node.id, [])
        elif isinstance(node, ast.arg):
            self._parameter(node)
        elif isinstance(node, (ast.Global, ast.Nonlocal)):
            self.outer.update(node.names)
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                self._bind(target, node.value)
        elif isinstance(node, (ast.AnnAssign, ast.NamedExpr)):
            if node.value is not None:
                self._bind(node.target, node.value)
        elif isinstance(node, ast.AugAssign):
            left = ast.Name(node.target.id, ast.Load()) if isinstance(node.target, ast.Name) else node.target
            self._bind(node.target, ast.BinOp(left, node.op, node.value))
        elif isinstance(node, (ast.For, ast.AsyncFor, ast.comprehension)):
            self._loop(node.target, node.iter)
        elif isinstance(node, (ast.With, ast.AsyncWith)):
            for item in node.items:
                if item.optional_vars is not None:
                    self._bind(item.optional_vars, None)
        elif isinstance(node, ast.Delete):
            for target in node.targets:
                self._bind(target, None)
        elif node is not self.function:
            self._other(node)

    def _other(self, node: ast.AST) -> None:
        """Imports, definitions, exception handlers, patterns."""
        names = [getattr(node, "name", None), getattr(node, "rest", None)]
        if isinstance(node, ast.alias):
            names = [node.asname or node.name.partition(".")[0]]
        for name in names:
            if isinstance(name, str):
                self.names.add(name)
                self._values.setdefault(name, []).append(None)

    def _parameter(self, node: ast.arg) -> None:
        self.names.add(node.arg)
        annotation = node.annotation
        text = annotation.value if isinstance(annotation, ast.Constant) else getattr(annotation, "id", None)
        if text == "int":
            self._values.setdefault(node.arg, []).append(ast.Constant(0))
        else:
            self._values.setdefault(node.arg, []).append(None)

    def _bind(self, target: ast.expr, value: ast.expr | None) -> None:
        if isinstance(target, ast.Name):
            self._values.setdefault(target.id, []).append(value)
        elif isinstance(target, (ast.Tuple, ast.List)):
            values: list[ast.expr | None] = [None] * len(target.elts)
            if isinstance(value, (ast.Tuple, ast.List)) and len(value.elts) == len(values):
                values = [None if isinstance(item, ast.Starred) else item for item in value.elts]
            for part, item in zip(target.elts, values, strict=True):
                self._bind(part, None if isinstance(part, ast.Starred) else item)
        elif isinstance(target, ast.Starred):
            self._bind(target.value, None)

    def _loop(self, target: ast.expr, iterable: ast.expr) -> None:
        called = iterable.func.id if isinstance(iterable, ast.Call) and isinstance(iterable.func, ast.Name) else ""
        if called == "range" and isinstance(target, ast.Name):
            self._bind(target, ast.Constant(0))
        elif called == "enumerate" and isinstance(target, ast.Tuple) and len(target.elts) == 2:
            self._bind(target.elts[0], ast.Constant(0))
            self._bind(target.elts[1], None)
        else:
            self._bind(target, None)

    def values(self, name: str) -> list[ast.expr | None]:
        """What is assigned to a name; None for what is no plain assignment (parameters, loops, imports, ...)."""
        return self._values.get(name, [])

    def is_local(self, name: str) -> bool:
        return name in self._values and name not in self.outer

    # ------------------------------------------------------------------ what a value is

    def surely_int(self, node: ast.expr) -> bool:
        """Whether an expression is a Python ``int`` (annotations are believed), whenever it does not raise."""
        return self._number(node, frozenset(), True)

    def surely_number(self, node: ast.expr) -> bool:
        """Whether an expression is a Python number, bool included."""
        return self._number(node, frozenset(), False)

    def _number(self, node: ast.expr, pending: frozenset[str], integer: bool) -> bool:
        if isinstance(node, ast.Constant):
            return type(node.value) is int or (not integer and isinstance(node.value, (int, float, complex)))
        if isinstance(node, ast.UnaryOp):
            return not isinstance(node.op, ast.Not) and self._number(node.operand, pending, integer)
        if isinstance(node, ast.BinOp):
            if integer and isinstance(node.op, (ast.Div, ast.Pow, ast.MatMult)):
                return False
            return self._number(node.left, pending, integer) and self._number(node.right, pending, integer)
        if isinstance(node, ast.IfExp):
            return self._number(node.body, pending, integer) and self._number(node.orelse, pending, integer)
        if isinstance(node, ast.Name):
            if node.id in pending:  # it depends on itself: what it started from decides
                return True
            values = self.values(node.id) if self.is_local(node.id) else []
            inner = pending | {node.id}
            return bool(values) and all(value is not None and self._number(value, inner, integer) for value in values)
        if isinstance(node, ast.Subscript):
            shape = node.value
            return isinstance(shape, ast.Attribute) and shape.attr == "shape" and not isinstance(node.slice, ast.Slice)
        if isinstance(node, ast.Attribute):
            return node.attr == "ndim"
        return isinstance(node, ast.Call) and self._number_call(node, pending, integer)

    def _number_call(self, node: ast.Call, pending: frozenset[str], integer: bool) -> bool:
        function = node.func
        if isinstance(function, ast.Name):
            if self.is_shadowed(function.id):
                return False
            if (function.id in ("min", "max") and len(node.args) > 1) or function.id == "abs":
                return not node.keywords and all(self._number(each, pending, integer) for each in node.args)
            return function.id in (_INT_BUILTINS if integer else _NUMBER_BUILTINS)
        if not isinstance(function, ast.Attribute):
            return False
        if function.attr == "size":
            return len(node.args) + len(node.keywords) == 1
        return function.attr in _INT_METHODS or (not integer and function.attr == "item")

    def is_shadowed(self, builtin: str) -> bool:
        """Whether a builtin's name means something else in this function, or may."""
        record = self._record
        return (
            builtin in self._values
            or builtin in record.functions
            or builtin in record.classes
            or builtin in record.imports
            or builtin in record.bound
        )

    # ------------------------------------------------------------------ memory

    def makes_memory(self, node: ast.expr | None) -> bool:
        """Whether an expression that gives a tensor gives one whose memory nothing else knows."""
        if isinstance(node, ast.BinOp):
            return True
        if not isinstance(node, ast.Call) or any(keyword.arg in ("out", "inplace", None) for keyword in node.keywords):
            return False
        if any(isinstance(argument, ast.Constant) and argument.value is True for argument in node.args):
            return False  # `F.relu(x, True)` works in place
        dotted = self.imported(node.func)
        result = None
        if dotted is not None:
            result = function_result(dotted)
        elif isinstance(node.func, ast.Attribute):
            result = method_result("Tensor", node.func.attr)
        return result is not None and result.returns == "tensor" and result.alias == "fresh"

    def imported(self, node: ast.expr) -> str | None:
        """The canonical dotted name of what an import of the module stands for, None for anything else."""
        dotted = dotted_name(node)
        head = "" if dotted is None else dotted.partition(".")[0]
        if dotted is None or head not in self._record.imports or head in self._values:
            return None
        return resolve(dotted, self._record)


def bindings_of(context: Context, function: FunctionNode) -> Bindings:
    """The bindings of a function of the file, read once."""
    memo = layout_of(context).memo
    key = ("bindings", function)
    if key not in memo:
        memo[key] = Bindings(function, context.flow.record)
    found: Bindings = memo[key]
    return found
