"""A cached property whose tensor is only ever read as Python scalars becomes a list."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from synclint.finding import Confidence
from synclint.flow.values import Dtype, Kind, Place, Value
from synclint.index.names import dotted_name
from synclint.lint.scalars.bindings import bindings_of
from synclint.lint.scalars.layout import FUNCTION, layout_of
from synclint.lint.scalars.reads import ScalarRead, as_read, dtype_doubts
from synclint.lint.scalars.values import values_in

if TYPE_CHECKING:
    from synclint.finding import Edit, Fix
    from synclint.flow.site import FunctionNode
    from synclint.lint.context import Context

_TENSOR = re.compile(r"\b(?:\w+\.)*\w*Tensor\b(?!\s*\[)")
_PYTHON_TYPE = {Dtype.INT: "int", Dtype.FLOAT: "float", Dtype.BOOL: "bool"}
# Ways to see the attributes of an object, or to change them, without naming them.
_REFLECTION = frozenset(
    """pickle cloudpickle __getstate__ __setstate__ __reduce__ __reduce_ex__ __dict__ __getattr__ __getattribute__ vars
    getattr setattr delattr""".split()
)


@dataclass(slots=True)
class _Property:
    """A cached property, and all that its file does with it.

    ``reads`` come with the index of the element; ``bounds`` are elements used as bounds of slices and ranges;
    ``returns`` the tensors that it returns, as written, with their values.
    """

    name: str
    qualname: str
    node: ast.FunctionDef
    owner: ast.ClassDef
    returns: list[tuple[ast.expr, Value]] = field(default_factory=list)
    reads: list[tuple[ScalarRead, ast.expr]] = field(default_factory=list)
    bounds: list[ast.expr] = field(default_factory=list)

    @property
    def dtype(self) -> Dtype | None:
        found = {value.dtype for _, value in self.returns}
        return found.pop() if len(found) == 1 else None


def cached_fix(context: Context) -> Fix | None:
    """The fix that makes a list of the cached property that a site reads an element of, None where there is none.

    It is the same for every read of the property.
    """
    name = _cached_property(context)
    if name is None:
        return None
    memo = layout_of(context).memo
    if ("cached_property", name) not in memo:
        memo["cached_property", name] = _Rewriter(context).fix(name)
    nodes, fix = memo["cached_property", name]
    found: Fix | None = fix if context.site.node in nodes else None
    return found


def _cached_property(context: Context) -> str | None:
    """The name of the cached property that a site may read, directly or through a local."""
    operand = context.site.arguments.get("self")
    if not isinstance(operand, ast.Subscript):
        return None
    base, function = operand.value, context.site.scope.node
    sources: list[ast.expr | None] = [base]
    if isinstance(base, ast.Name) and isinstance(function, FUNCTION):
        sources = bindings_of(context, function).values(base.id)
    names = {source.attr for source in sources if isinstance(source, ast.Attribute)}
    for record in context.flow.record.classes.values():
        for name in names & record.methods.keys():
            if any(decorator.endswith("cached_property") for decorator in record.methods[name].decorators):
                return name
    return None


class _Rewriter:
    """Finds everything that a file does with a cached property, and gives up where it may need the tensor."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.flow = context.flow
        self.parents: dict[ast.AST, ast.AST] = {}
        for node in ast.walk(self.flow.tree):
            for child in ast.iter_child_nodes(node):
                self.parents[child] = node
        self.found: _Property
        self.doubts: list[str] = []

    def fix(self, name: str) -> tuple[frozenset[ast.expr], Fix | None]:
        """The reads of the property, and the fix that they share."""
        found = self._definition(name)
        if found is None:
            return frozenset(), None
        self.found = found
        if not all(self._understands(node) for node in self.parents if self._is_use(node)) or not found.reads:
            return frozenset(), None
        reads = frozenset(read.node for read, _ in found.reads)
        return reads, self.context.fix(
            f"make a list of `{name}`, which is only read as Python numbers",
            [*self._edits_of_definition(), *map(self._edit_of_read, (read for read, _ in found.reads))],
            unsafe=[*self._doubts(), *self._barriers(reads)],
            removes_wait=False,  # of this one site; those of all reads are among the doubts
        )

    # ------------------------------------------------------------------ finding

    def _definition(self, name: str) -> _Property | None:
        """The property itself, None when a class of the file has anything else of that name."""
        found: list[ast.AST] = []
        for node, parent in self.parents.items():
            if isinstance(parent, ast.ClassDef) and getattr(node, "name", None) == name:
                found.append(node)
            elif isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Store):
                if isinstance(self.parents[self._statement(node)], ast.ClassDef):
                    found.append(node)
            elif isinstance(node, ast.Attribute) and node.attr == name and isinstance(node.ctx, ast.Store):
                found.append(node)
        definition = found[0] if len(found) == 1 else None
        if not isinstance(definition, ast.FunctionDef) or len(definition.decorator_list) != 1:
            return None
        owner = self.parents[definition]
        assert isinstance(owner, ast.ClassDef)
        qualname = f"{owner.name}.{name}"
        if self.flow.function_nodes.get(qualname) is not definition:
            return None
        result = _Property(name, qualname, definition, owner)
        values = values_in(self.flow, self.flow.scope_of(qualname))
        for returned in self._returned(definition):
            value = values.get(returned, Value())
            if value.kind is not Kind.TENSOR or value.rank not in (1, None):
                return None
            result.returns.append((returned, value))
        return result if result.returns else None

    def _returned(self, function: ast.FunctionDef) -> Iterator[ast.expr]:
        """What a function returns, save a literal None."""
        for node in ast.walk(function):
            if isinstance(node, ast.Return) and node.value is not None and self._function(node) is function:
                pending = [node.value]
                while pending:
                    value = pending.pop()
                    if isinstance(value, ast.IfExp):
                        pending += [value.orelse, value.body]
                    elif not (isinstance(value, ast.Constant) and value.value is None):
                        yield value

    def _is_use(self, node: ast.AST) -> bool:
        return isinstance(node, ast.Attribute) and node.attr == self.found.name

    def _understands(self, node: ast.AST) -> bool:
        """Whether a use of the property (or of a local that holds its value) would do the same with a list."""
        parent = self.parents[node]
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Del):
            self.doubts.append(f"line {node.lineno} deletes it")
            return True
        if isinstance(parent, ast.Compare):
            others = [other for other in (parent.left, *parent.comparators) if other is not node]
            return all(isinstance(other, ast.Constant) and other.value is None for other in others) and all(
                isinstance(operator, (ast.Is, ast.IsNot)) for operator in parent.ops
            )
        if isinstance(parent, ast.Subscript):
            return parent.value is node and isinstance(parent.ctx, ast.Load) and self._understands_element(parent)
        if isinstance(parent, ast.Call):
            return isinstance(parent.func, ast.Name) and parent.func.id == "len" and node in parent.args
        if isinstance(parent, ast.Assign):
            alone = parent.value is node and len(parent.targets) == 1
            return alone and self._understands_local(parent.targets[0], node)
        if isinstance(parent, ast.NamedExpr):
            return parent.value is node and self._understands_local(parent.target, node) and self._understands(parent)
        return False

    def _understands_local(self, target: ast.expr, value: ast.AST) -> bool:
        """Whether a local is bound just here, and all its uses are understood."""
        function = self._function(target)
        if not isinstance(target, ast.Name) or function is None:
            return False
        bindings = bindings_of(self.context, function)
        if not bindings.is_local(target.id) or bindings.values(target.id) != [value]:
            return False
        return all(
            self._understands(node)
            for node in ast.walk(function)
            if isinstance(node, ast.Name) and node.id == target.id and isinstance(node.ctx, ast.Load)
        )

    def _understands_element(self, element: ast.Subscript) -> bool:
        index, parent = element.slice, self.parents[element]
        if isinstance(index, (ast.Slice, ast.Tuple, ast.Starred)):
            return False
        call = self.parents[parent] if isinstance(parent, ast.Attribute) else parent
        read = as_read(call) if isinstance(call, ast.expr) else None
        if read is not None and read.operand is element:
            self.found.reads.append((read, index))
            return True
        node: ast.AST = element
        while isinstance(parent, ast.IfExp) and node is not parent.test:
            node, parent = parent, self.parents[parent]
        in_range = isinstance(parent, ast.Call) and isinstance(parent.func, ast.Name) and parent.func.id == "range"
        if in_range or isinstance(parent, ast.Slice):
            self.found.bounds.append(index)
            return True
        return False

    def _statement(self, node: ast.AST) -> ast.stmt:
        while not isinstance(node, ast.stmt):
            node = self.parents[node]
        return node

    def _function(self, node: ast.AST) -> FunctionNode | None:
        """The innermost function around a node."""
        above: ast.AST | None = self.parents.get(node)
        while above is not None and not isinstance(above, FUNCTION):
            above = self.parents.get(above)
        return above

    # ------------------------------------------------------------------ doubts

    def _doubts(self) -> list[str]:
        """Why the values, the errors, or what others see may differ."""
        found, name = self.found, self.found.name
        values = [value for _, value in found.returns]
        bindings = bindings_of(self.context, found.node)
        doubts = []
        if not name.startswith("_"):
            doubts.append(f"`{name}` is public: a reader in another file would get a list")
        if self.flow.record.classes[found.owner.name].methods[name].decorators != ("functools.cached_property",):
            doubts.append("its decorator is not known to be that of functools")
        if any(value.certainty is not Confidence.CERTAIN for value in values):
            doubts.append("that it returns a tensor is likely, not certain")
        if any(value.optional for value in values):
            doubts.append("what it returns may be None")
        if any(value.rank is None for value in values):
            doubts.append(f"`{name}` may have more than one dimension")
        if not all(bindings.makes_memory(node) for node, _ in found.returns):
            doubts.append("what it returns may share memory that is written to later")
        doubts += dtype_doubts(name, [read for read, _ in found.reads], found.dtype, self.context.source.data)
        if found.bounds and found.dtype is not Dtype.INT:
            doubts.append(f"`{name}` is not known to be of an int dtype, as bounds must be")
        return [*doubts, *self._doubts_of_uses(), *self.doubts]

    def _doubts_of_uses(self) -> Iterator[str]:
        indices = [*(index for _, index in self.found.reads), *self.found.bounds]
        for index in indices:
            function = self._function(index)
            if function is None or not bindings_of(self.context, function).surely_int(index):
                yield f"the index `{ast.unparse(index)}` is not known to be an int"
                break
        for node in self.parents:
            if isinstance(node, ast.Attribute) and self._is_use(node) and not self._is_of_owner(node):
                yield f"line {node.lineno}: `{ast.unparse(node.value)}` may be of another class"
                break
        for node in self.parents:
            reflection = isinstance(node, ast.Constant) and node.value == self.found.name
            names = (getattr(node, key, None) for key in ("id", "attr", "name"))
            if reflection or any(isinstance(name, str) and name in _REFLECTION for name in names):
                yield f"line {getattr(node, 'lineno', 0)} may reach it without naming it"
                break

    def _is_of_owner(self, use: ast.Attribute) -> bool:
        """Whether a use is ``self.name`` in a method of the property's class, or of one derived from it."""
        method: ast.AST = use
        while not (isinstance(method, FUNCTION) and isinstance(self.parents[method], ast.ClassDef)):
            if method not in self.parents:
                return False
            method = self.parents[method]
        owner = self.parents[method]
        positional = [*method.args.posonlyargs, *method.args.args]
        decorators = {getattr(decorator, "id", "") for decorator in method.decorator_list}
        return (
            isinstance(owner, ast.ClassDef)
            and any(
                at == self.flow.symbol(self.found.owner.name)
                for at, _ in self.flow.ancestry(self.flow.symbol(owner.name))
            )
            and bool(positional)
            and not decorators & {"staticmethod", "classmethod"}
            and isinstance(use.value, ast.Name)
            and use.value.id == positional[0].arg
        )

    def _barriers(self, reads: frozenset[ast.expr]) -> list[str]:
        """Orderings that the waits of the reads may hold up: the list waits once, where it is made."""
        if all(value.place is Place.CPU for _, value in self.found.returns):
            return []
        scopes = [site.scope for site in self.context.sites if site.node in reads]
        scopes.append(self.flow.scope_of(self.found.qualname))
        return list(dict.fromkeys(reason for scope in scopes for reason in self.context.file.barriers(scope)))

    # ------------------------------------------------------------------ edits

    def _edits_of_definition(self) -> Iterator[Edit | None]:
        found = self.found
        for returned, _ in found.returns:
            text = self.context.text(returned)
            primary = isinstance(returned, (ast.Call, ast.Name, ast.Attribute, ast.Subscript))
            statement = self.context.statement_of(self._statement(returned))
            yield statement.replace(returned, f"{text}.tolist()" if primary else f"({text}).tolist()")
        annotation = found.node.returns
        if annotation is not None:
            text = self.context.text(annotation)
            new, count = _TENSOR.subn(f"list[{self._element_type()}]", text)
            header = self.context.statement_of(found.node)
            yield header.replace(annotation, new) if count == 1 and _is_plain(annotation) else None

    def _element_type(self) -> str:
        known = _PYTHON_TYPE.get(self.found.dtype) if self.found.dtype is not None else None
        spelled = {read.conversion for read, _ in self.found.reads}
        return known or ("int" if spelled == {"int"} else "float")

    def _edit_of_read(self, read: ScalarRead) -> Edit | None:
        statement = self.context.statement_of(self._statement(read.node))
        return statement.replace(read.node, read.converted(self.context.text(read.operand), self.found.dtype))


def _is_plain(annotation: ast.expr) -> bool:
    """Whether an annotation is a union of plain types, so that one of them can be replaced."""
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        try:
            annotation = ast.parse(annotation.value, mode="eval").body
        except SyntaxError:
            return False
    subscripted = [node.value for node in ast.walk(annotation) if isinstance(node, ast.Subscript)]
    return all((dotted_name(node) or "").rpartition(".")[2] in ("Optional", "Union") for node in subscripted)
