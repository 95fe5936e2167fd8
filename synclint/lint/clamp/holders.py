"""Who holds a tensor: what a variable was assigned, and what has got hold of it since."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from synclint.lint.clamp.guard import ClampGuard, assigned_name, is_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from synclint.lint.scalars.bindings import Bindings

_METADATA = frozenset({"dtype", "shape", "device", "ndim", "requires_grad", "is_cuda", "layout"})
_CHECKS = frozenset({"isinf", "isnan", "isfinite", "isposinf", "isneginf"})
_NEW_VALUES = _CHECKS | {"any", "all", "sum", "mean", "max", "min", "size", "dim", "numel", "is_floating_point"}
_VIEWS = frozenset({"detach", "expand", "flatten", "permute", "reshape", "squeeze", "transpose", "unsqueeze", "view"})
_KEEPING_METHODS = frozenset({"append", "appendleft", "add", "insert", "extend", "put", "setdefault", "update"})

_Origin = Literal["new", "shared", "parameter", "unknown"]
_Around = list[tuple[ast.AST, list[ast.stmt], int]]


@dataclass(slots=True)
class Holders:
    """Where the tensor of a guarded variable comes from, and who else may hold it when the guard runs.

    ``origin``: made by an expression of the function, known by another name there, passed in by the caller, or not
    known. ``made_by`` is the expression that it was assigned. ``tests`` are the conditions that have held since.
    ``sharing`` and ``passing`` are texts of the code that gave it another name, or passed it on.
    """

    origin: _Origin = "unknown"
    made_by: ast.expr | None = None
    tests: list[ast.expr] = field(default_factory=list)
    sharing: list[str] = field(default_factory=list)
    passing: list[str] = field(default_factory=list)


def holders(guard: ClampGuard) -> Holders:
    """Goes back from the guard to the assignment that has surely run before it."""
    found = Holders()
    search = _Search(guard.name, guard.bindings, found)
    for owner, block, index in reversed(_blocks_around(guard.function, guard.statement)):
        if search.is_assigned_in(block[:index]):
            return found
        if owner is guard.function:
            if any(isinstance(part, ast.arg) and part.arg == guard.name for part in ast.walk(guard.function.args)):
                found.origin = "parameter"
            return found
        if not search.leave(owner, block):
            return found
    return found


def writes_after(guard: ClampGuard) -> str:
    """The first code that writes into the tensor which the guarded variable holds after the guard; empty for none."""
    around = _blocks_around(guard.function, guard.statement)
    repeats = any(isinstance(owner, (ast.For, ast.AsyncFor, ast.While)) for owner, _, _ in around)
    first = 0 if repeats else guard.statement.lineno + 1
    for node in ast.walk(guard.function):
        if getattr(node, "lineno", 0) < first:
            continue
        target: ast.expr
        if isinstance(node, ast.AugAssign):
            target = node.target
        elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store):
            target = node.value
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and _is_in_place(node.func.attr):
            target = node.func.value
        else:
            continue
        while isinstance(target, ast.Subscript):
            target = target.value
        if is_name(target, guard.name):
            return ast.unparse(node)
    return ""


def _is_in_place(method: str) -> bool:
    return method.endswith("_") and not method.endswith("__")


def _blocks_around(function: ast.AST, statement: ast.stmt) -> _Around:
    """(owner, block, index) from a function's body down to the block that a statement stands in."""
    pending: list[tuple[ast.AST, _Around]] = [(function, [])]
    while pending:
        owner, around = pending.pop()
        for _, block in ast.iter_fields(owner):
            if not isinstance(block, list):
                continue
            for index, part in enumerate(block):
                if part is statement:
                    return [*around, (owner, block, index)]
                if isinstance(part, (ast.stmt, ast.ExceptHandler, ast.match_case)):
                    pending.append((part, [*around, (owner, block, index)]))
    return []


@dataclass(frozen=True, slots=True)
class _Search:
    name: str
    bindings: Bindings
    found: Holders

    def is_assigned_in(self, statements: list[ast.stmt]) -> bool:
        """Goes through statements from the last to the first; whether one of them may assign the variable."""
        for statement in reversed(statements):
            if assigned_name(statement) == self.name:
                assert isinstance(statement, ast.Assign)
                self.found.origin, self.found.made_by = self._origin(statement.value), statement.value
                return True
            identity_stays = isinstance(statement, ast.AugAssign) and is_name(statement.target, self.name)
            if not identity_stays and _binds(statement, self.name):
                return True
            self._note_uses(statement)
        return False

    def leave(self, owner: ast.AST, block: list[ast.stmt]) -> bool:
        """Steps out of a block; whether what stands before its owner has surely run last, and without assigning."""
        if isinstance(owner, ast.If):
            if block is owner.body:
                self.found.tests.append(owner.test)
            self._note_uses(owner.test)
            return not _binds(owner.test, self.name)
        if isinstance(owner, (ast.With, ast.AsyncWith)):
            for item in owner.items:
                self._note_uses(item)
            return not any(_binds(item, self.name) for item in owner.items)
        return isinstance(owner, ast.Try) and block is owner.body

    def _origin(self, value: ast.expr) -> _Origin:
        if self.bindings.makes_memory(value):
            keywords = value.keywords if isinstance(value, ast.Call) else []
            return "unknown" if any(keyword.arg == "requires_grad" for keyword in keywords) else "new"
        while isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute) and value.func.attr in _VIEWS:
            value = value.func.value
        return "shared" if isinstance(value, (ast.Name, ast.Attribute)) else "unknown"

    def _note_uses(self, tree: ast.AST) -> None:
        parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
        for node in (tree, *parents):
            if isinstance(node, ast.Name) and node.id == self.name and isinstance(node.ctx, ast.Load):
                kind, text = _use(node, parents)
                if kind == "shared":
                    self.found.sharing.append(text)
                elif kind == "passed":
                    self.found.passing.append(text)


def _binds(tree: ast.AST, name: str) -> bool:
    return any(
        (isinstance(node, ast.Name) and node.id == name and not isinstance(node.ctx, ast.Load))
        or getattr(node, "name", None) == name
        or getattr(node, "rest", None) == name
        for node in ast.walk(tree)
    )


def _use(node: ast.AST, parents: Mapping[ast.AST, ast.AST]) -> tuple[Literal["", "shared", "passed"], str]:
    """Who gets hold of a tensor, or of a view of it, where it is read; nobody where it is only computed with."""
    while True:
        parent = parents.get(node)
        if isinstance(parent, ast.Attribute):
            call = parents.get(parent)
            if parent.attr in _METADATA:
                return "", ""
            if not (isinstance(call, ast.Call) and call.func is parent):
                node = parent
            elif parent.attr in _NEW_VALUES:
                return "", ""
            elif parent.attr in _VIEWS:
                node = call
            else:
                return "passed", ast.unparse(call)
        elif isinstance(parent, ast.Subscript):
            if parent.slice is node or not isinstance(parent.ctx, ast.Load):
                return "", ""
            node = parent
        elif isinstance(parent, ast.IfExp) and parent.test is not node:
            node = parent
        elif isinstance(parent, (ast.Call, ast.keyword)):
            call = parents.get(parent) if isinstance(parent, ast.keyword) else parent
            return _passed(call) if isinstance(call, ast.Call) else ("passed", ast.unparse(parent))
        elif isinstance(
            parent, (ast.Assign, ast.AnnAssign, ast.NamedExpr, ast.Tuple, ast.List, ast.Set, ast.Dict, ast.Starred)
        ):
            return "shared", ast.unparse(parent)
        elif isinstance(parent, (ast.Yield, ast.YieldFrom, ast.Await, ast.BoolOp, ast.Lambda)):
            return "passed", ast.unparse(parent)
        else:
            return "", ""  # operators make new tensors; nothing else keeps one


def _passed(call: ast.Call) -> tuple[Literal["", "shared", "passed"], str]:
    called = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    if called in _CHECKS:
        return "", ""
    return ("shared" if called in _KEEPING_METHODS else "passed"), ast.unparse(call)
