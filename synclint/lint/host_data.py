"""Tensors made from host data: what a constructor is given, and what that data is, as far as the text says.

For the rules about such tensors, beside what inference knows of their operands.
"""

from __future__ import annotations

import ast
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from synclint.flow.values import Kind, Value
from synclint.index.names import dotted_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from synclint.lint.context import Context
    from synclint.lint.h2d import DataKind

LEGACY_DTYPES = {
    "Tensor": "",
    "FloatTensor": "float32",
    "DoubleTensor": "float64",
    "HalfTensor": "float16",
    "BFloat16Tensor": "bfloat16",
    "LongTensor": "int64",
    "IntTensor": "int32",
    "ShortTensor": "int16",
    "CharTensor": "int8",
    "ByteTensor": "uint8",
    "BoolTensor": "bool",
}
"""What the elements of ``torch.LongTensor`` and its kin are; empty for the default dtype."""

_POSITIONAL = {
    "torch.tensor": ("data",),
    "torch.as_tensor": ("data",),
    "torch.asarray": ("data",),
    "torch.from_numpy": ("data",),
    "new_tensor": ("data",),
}
_RENAMED = {"obj": "data", "ndarray": "data"}

_LIST_CALLS = frozenset({"list", "sorted"})
_ARRAY_CALLS = frozenset(
    """array asarray ascontiguousarray arange zeros ones empty full concatenate stack cumsum repeat fromiter
    frombuffer linspace eye where vstack hstack tile zeros_like ones_like full_like""".split()
)
_ANNOTATED: dict[str, DataKind] = {
    "list": "list",
    "List": "list",
    "tuple": "tuple",
    "Tuple": "tuple",
    "ndarray": "ndarray",
    "NDArray": "ndarray",
    "Tensor": "tensor",
}
_NESTED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)


@dataclass(frozen=True, slots=True)
class Constructor:
    """A call that makes a tensor from host data.

    ``function`` is its canonical name (``torch.tensor``, ``torch.cuda.LongTensor``), or ``new_tensor``. ``given``
    maps parameters (``data`` among them, whatever the function calls it) to expressions, in the order of the text.
    """

    call: ast.Call
    function: str
    given: dict[str, ast.expr] = field(default_factory=dict)

    @property
    def data(self) -> ast.expr:
        return self.given["data"]

    @property
    def legacy_dtype(self) -> str | None:
        """The name of the dtype that the constructor itself says, empty for the default one, None if it says none."""
        return LEGACY_DTYPES.get(self.function.rpartition(".")[2])


def read(context: Context, node: ast.expr) -> Constructor | None:
    """The constructor that an expression calls; None if it calls none, or its arguments cannot be told.

    ``torch.LongTensor(n)``, where ``n`` surely is a size, is none.
    """
    if not isinstance(node, ast.Call) or not isinstance(node.func, (ast.Name, ast.Attribute)):
        return None
    written = dotted_name(node.func)
    function = context.flow.external(written) if written is not None else ""
    if isinstance(node.func, ast.Attribute) and node.func.attr == "new_tensor":
        function = "new_tensor"
    if any(isinstance(argument, ast.Starred) for argument in node.args):
        return None
    if any(keyword.arg is None for keyword in node.keywords):
        return None
    owner, _, name = function.rpartition(".")
    if name in LEGACY_DTYPES and owner in ("torch", "torch.cuda"):
        if len(node.args) != 1 or node.keywords or _is_size(node.args[0]):
            return None
        return Constructor(node, function, {"data": node.args[0]})
    names = _POSITIONAL.get(function)
    if names is None or len(node.args) > len(names):
        return None
    given = dict(zip(names, node.args, strict=False))
    given |= {_RENAMED.get(keyword.arg or "", keyword.arg or ""): keyword.value for keyword in node.keywords}
    return Constructor(node, function, given) if "data" in given else None


def _is_size(node: ast.expr) -> bool:
    """Whether an expression surely is a number or a ``torch.Size``."""
    if isinstance(node, ast.Constant):
        return True
    if isinstance(node, ast.Call):
        name = node.func.attr if isinstance(node.func, ast.Attribute) else dotted_name(node.func) or ""
        return name.rpartition(".")[2] in ("Size", "size", "len", "int")
    return isinstance(node, ast.Attribute) and node.attr == "shape"


# ---------------------------------------------------------------------- what the data is


def kind_of(context: Context, node: ast.expr, value: Value | None = None) -> DataKind | None:
    """What an expression surely is, by its ``value`` where inference is certain, else by its text; None if unknown."""
    if value is not None and value.certainty >= 3:
        if value.kind is Kind.SEQUENCE:
            return "tuple" if isinstance(node, ast.Tuple) else "list"
        known: dict[Kind, DataKind] = {Kind.HOST: "scalar", Kind.NDARRAY: "ndarray", Kind.TENSOR: "tensor"}
        return known.get(value.kind)
    return _kind_by_text(context, node, 3)


def _kind_by_text(context: Context, node: ast.expr, depth: int) -> DataKind | None:
    if isinstance(node, (ast.List, ast.ListComp)):
        return "list"
    if isinstance(node, ast.Tuple):
        return "tuple"
    if number(context, node) is not None:
        return "scalar"
    if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Add, ast.Mult)):
        sides = {_kind_by_text(context, side, depth) for side in (node.left, node.right)}
        if sides == {"list"} or (isinstance(node.op, ast.Mult) and sides == {"list", "scalar"}):
            return "list"
    if isinstance(node, ast.Call):
        return _kind_of_call(context, node)
    if isinstance(node, ast.Name) and depth:
        return _kind_of_local(context, node.id, depth)
    return None


def _kind_of_call(context: Context, call: ast.Call) -> DataKind | None:
    builtin = _called(context, call)
    if builtin in _LIST_CALLS or builtin == "tuple":
        return "tuple" if builtin == "tuple" else "list"
    owner, _, last = context.flow.external(dotted_name(call.func) or "").rpartition(".")
    return "ndarray" if owner == "numpy" and last in _ARRAY_CALLS else None


def _kind_of_local(context: Context, name: str, depth: int) -> DataKind | None:
    """What a local variable or parameter surely is: all that is ever assigned to it agrees."""
    function = context.site.scope.node
    if not isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return None
    kinds = set(_assigned_kinds(context, function, name, depth - 1))
    return kinds.pop() if len(kinds) == 1 else None


def _assigned_kinds(
    context: Context, function: ast.FunctionDef | ast.AsyncFunctionDef, name: str, depth: int
) -> Iterator[DataKind | None]:
    for parameter in _parameters(function.args):
        if parameter.arg == name:
            yield _kind_by_annotation(parameter.annotation)
    for node in _own_nodes(function):
        if isinstance(node, ast.Assign):
            if any(_binds(target, name) for target in node.targets):
                alone = all(isinstance(target, ast.Name) for target in node.targets)
                yield _kind_by_text(context, node.value, depth) if alone else None
        elif isinstance(node, ast.AnnAssign):
            if _binds(node.target, name):
                known = None if node.value is None else _kind_by_text(context, node.value, depth)
                yield known or _kind_by_annotation(node.annotation)
        elif isinstance(node, ast.AugAssign):
            if _binds(node.target, name):
                yield "list" if isinstance(node.op, ast.Add) else None  # what is no list disagrees elsewhere
        elif _binds_otherwise(node, name):
            yield None


def _binds_otherwise(node: ast.AST, name: str) -> bool:
    """Whether a node binds a name to something that its text does not tell."""
    target = getattr(node, "target", None) or getattr(node, "optional_vars", None)
    if isinstance(target, ast.expr):
        return _binds(target, name)
    if isinstance(node, (ast.Global, ast.Nonlocal)):
        return name in node.names
    if isinstance(node, _NESTED):
        inside = getattr(node, "args", None)
        return (
            getattr(node, "name", None) == name
            or (inside is not None and any(parameter.arg == name for parameter in _parameters(inside)))
            or any(isinstance(part, ast.Nonlocal) and name in part.names for part in ast.walk(node))
        )
    return name in (getattr(node, "name", None), getattr(node, "rest", None), getattr(node, "asname", None))


def _parameters(arguments: ast.arguments) -> list[ast.arg]:
    rest = [each for each in (arguments.vararg, arguments.kwarg) if each is not None]
    return [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, *rest]


def _kind_by_annotation(annotation: ast.expr | None) -> DataKind | None:
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        try:
            annotation = ast.parse(annotation.value, mode="eval").body
        except SyntaxError:
            return None
    if isinstance(annotation, ast.Subscript):
        annotation = annotation.value
    name = dotted_name(annotation) if annotation is not None else None
    return _ANNOTATED.get(name.rpartition(".")[2]) if name is not None else None


def _own_nodes(function: ast.AST) -> Iterator[ast.AST]:
    pending = list(ast.iter_child_nodes(function))
    while pending:
        node = pending.pop()
        yield node
        if not isinstance(node, _NESTED):
            pending += ast.iter_child_nodes(node)


def _binds(target: ast.expr, name: str) -> bool:
    return any(isinstance(node, ast.Name) and node.id == name for node in ast.walk(target))


# ---------------------------------------------------------------------- numbers

NumberKind = Literal["bool", "int", "length", "float", "complex"]

_LARGEST_FLOAT32 = 3.4e38
_EXACT_CALLS: dict[str, NumberKind] = {"bool": "bool", "len": "length", "int": "int", "float": "float"}
_INTEGER_DTYPES = frozenset("uint8 int8 short int16 int int32 long int64 uint16 uint32".split())
_WIDE_FLOATS = frozenset({"float64", "double"})
_MATH_CONSTANTS = {
    f"{module}.{name}": value
    for module in ("math", "numpy", "torch")
    for name, value in {"inf": math.inf, "nan": math.nan, "pi": math.pi, "e": math.e}.items()
}


@dataclass(frozen=True, slots=True)
class Number:
    """An exact Python number (no NumPy scalar): its type, and the number itself where that is known."""

    kind: NumberKind
    value: bool | int | float | complex | None = None

    def filling_doubt(self, dtype: str | None) -> str:
        """Why ``torch.full`` might not give what ``torch.tensor`` gives; empty if it surely does.

        ``dtype`` is the name of the dtype, None if there is none, empty if it is not known.
        """
        if self.kind in ("bool", "length"):
            return ""
        if dtype in ("", "uint64") and (self.kind != "int" or self.value is None or not _at_least_zero(self.value)):
            return "`torch.full` makes a torch.uint64 of numbers that `torch.tensor` refuses"
        if self.kind == "int":
            if self.value is None:
                known = dtype is None or dtype in _INTEGER_DTYPES
                return "" if known else "`torch.full` raises for an int of more than 64 bits"
            return "" if abs(self.value) < 2**63 else "`torch.full` raises for an int of more than 64 bits"
        parts = () if self.value is None else (self.value.real, self.value.imag)
        small = bool(parts) and all(abs(part) <= _LARGEST_FLOAT32 or not math.isfinite(part) for part in parts)
        if small or (dtype in _WIDE_FLOATS and self.kind == "float"):
            return ""
        return "a number beyond the range of the dtype is infinity to `torch.tensor`, and an error to `torch.full`"


def _at_least_zero(value: bool | int | float | complex) -> bool:
    return not isinstance(value, complex) and value >= 0


def number(context: Context, node: ast.expr, value: Value | None = None, *, depth: int = 2) -> Number | None:
    """The exact Python number that an expression surely is, or None."""
    constant = _literal(context, node)
    if constant is None and value is not None and value.kind is Kind.HOST and value.certainty >= 3:
        constant = value.const
    if isinstance(constant, bool):
        return Number("bool", constant)
    if isinstance(constant, int):
        return Number("int", constant)
    if isinstance(constant, float):
        return Number("float", constant)
    if isinstance(constant, complex):
        return Number("complex", constant)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return Number("bool")
    if value is not None and value.kind is Kind.HOST and value.certainty >= 3 and _is_extent(node):
        return Number("length")
    if isinstance(node, ast.Name) and depth:
        return _number_of_local(context, node.id, depth - 1)
    kind = _EXACT_CALLS.get(_called(context, node))
    return Number(kind) if kind is not None else None


def _number_of_local(context: Context, name: str, depth: int) -> Number | None:
    """What a local variable surely is: all that is ever assigned to it are numbers of one type."""
    function = context.site.scope.node
    if not isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return None
    if any(parameter.arg == name for parameter in _parameters(function.args)):
        return None
    kinds: set[NumberKind | None] = set()
    for node in _own_nodes(function):
        if isinstance(node, ast.Assign) and any(_binds(target, name) for target in node.targets):
            alone = all(isinstance(target, ast.Name) for target in node.targets)
            found = number(context, node.value, depth=depth) if alone else None
            kinds.add(None if found is None else found.kind)
        elif isinstance(node, (ast.For, ast.AsyncFor, ast.comprehension)) and _binds(node.target, name):
            counts = isinstance(node.target, ast.Name) and _called(context, node.iter) == "range"
            kinds.add("int" if counts else None)
        elif isinstance(node, (ast.AnnAssign, ast.AugAssign)):
            kinds |= {None} if _binds(node.target, name) else set()
        elif _binds_otherwise(node, name):
            kinds.add(None)
    kind = kinds.pop() if len(kinds) == 1 else None
    return None if kind is None else Number(kind)


def _is_extent(node: ast.expr) -> bool:
    """Whether an expression asks a tensor or array how large it is: ``x.shape[0]``, ``x.size(0)``, ``x.ndim``."""
    if isinstance(node, ast.Subscript):
        return isinstance(node.value, ast.Attribute) and node.value.attr == "shape"
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Attribute) and node.func.attr in ("size", "dim", "numel")
    return isinstance(node, ast.Attribute) and node.attr == "ndim"


def _called(context: Context, node: ast.expr) -> str:
    """The builtin that an expression calls, by its name; empty if it calls none."""
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
        return ""
    name = node.func.id
    if name in context.flow.record.functions or name in context.flow.globals:
        return ""
    function = context.site.scope.node
    inside = ast.walk(function) if function is not None else ()
    rebound = any(
        (isinstance(part, ast.Name) and part.id == name and isinstance(part.ctx, ast.Store))
        or (isinstance(part, ast.arg) and part.arg == name)
        for part in inside
    )
    return "" if rebound else name


def _literal(context: Context, node: ast.expr) -> bool | int | float | complex | None:
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, (bool, int, float, complex)) else None
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
        inner = _literal(context, node.operand)
        if inner is None or isinstance(inner, bool):
            return None
        return -inner if isinstance(node.op, ast.USub) else inner
    if isinstance(node, ast.Call) and _called(context, node) == "float" and len(node.args) == 1:
        argument = node.args[0]
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
            try:
                return float(argument.value)
            except ValueError:
                return None
    name = dotted_name(node)
    return _MATH_CONSTANTS.get(context.flow.external(name)) if name is not None else None


@dataclass(frozen=True, slots=True)
class Filling:
    """Data that is one number, however often: ``[0, 0]`` is ``0`` in the shape ``(2,)``.

    ``number`` is None where it may be a NumPy scalar, too.
    """

    number: Number | None
    node: ast.expr
    shape: tuple[int, ...] = ()


def filling(context: Context, node: ast.expr, value: Value | None = None) -> Filling | None:
    """The number that data consists of, if it surely is a number, a list of one, or a flat list of equal literals."""
    single = number(context, node, value)
    if single is not None or _is_some_number(value):
        return Filling(single, node)
    if not isinstance(node, (ast.List, ast.Tuple)) or not node.elts:
        return None
    items = value.items if value is not None and value.items is not None else (None,) * len(node.elts)
    numbers = [number(context, *each) for each in zip(node.elts, items, strict=True)]
    first = numbers[0]
    if len(numbers) == 1:
        return Filling(first, node.elts[0], (1,)) if first is not None or _is_some_number(items[0]) else None
    if first is None or first.value is None or any(repr(other) != repr(first) for other in numbers):
        return None
    return Filling(first, node.elts[0], (len(numbers),))


def _is_some_number(value: Value | None) -> bool:
    return value is not None and value.kind is Kind.HOST and value.certainty >= 3
