"""Builds the record of a file from its tree."""

from __future__ import annotations

import ast
from collections.abc import Sequence

from synclint.index.exports import exports
from synclint.index.names import canonical, dotted_name, imported_module, imported_names
from synclint.index.records import ClassRecord, FunctionRecord, ModuleRecord

FUNCTION = (ast.FunctionDef, ast.AsyncFunctionDef)


#: Methods that make an attribute of the name that they are given first.
_NAMING = frozenset(("register_buffer", "register_parameter", "add_module", "register_module", "add_state"))


def build(path: str, tree: ast.Module, name: str = "") -> ModuleRecord:
    """The record of one file, the module ``name``. Conditional definitions and imports count; the last one wins."""
    record = ModuleRecord(path, name)
    package = record.package
    statements = flat(tree.body)
    for statement in statements:
        if isinstance(statement, (ast.Import, ast.ImportFrom)):
            record.imports.update(imported_names(statement, package))
            if isinstance(statement, ast.ImportFrom) and statement.names[0].name == "*":
                record.stars.append(imported_module(statement, package))
        elif isinstance(statement, FUNCTION):
            record.functions[statement.name] = function_record(statement, "", record)
        elif isinstance(statement, ast.ClassDef):
            _add_class(statement, "", record)
        else:
            record.bound.update(_bound(statement))
    if "__all__" in record.bound:
        record.exports = exports(statements)
    return record


_NESTED: dict[type, tuple[str, ...]] = {
    ast.If: ("body", "orelse"),
    ast.For: ("body", "orelse"),
    ast.AsyncFor: ("body", "orelse"),
    ast.While: ("body", "orelse"),
    ast.With: ("body",),
    ast.AsyncWith: ("body",),
    ast.Try: ("body", "handlers", "orelse", "finalbody"),
    ast.ExceptHandler: ("body",),
    ast.Match: ("cases",),
    ast.match_case: ("body",),
}
if hasattr(ast, "TryStar"):  # Python 3.11
    _NESTED[ast.TryStar] = _NESTED[ast.Try]


def flat(body: Sequence[ast.stmt]) -> list[ast.stmt]:
    """The statements of a body, with those under ``if``, ``try``, ``with`` and loops, but not inside definitions."""
    found: list[ast.stmt] = []
    _collect(body, found)
    return found


def _collect(nodes: Sequence[ast.AST], found: list[ast.stmt]) -> None:
    for node in nodes:
        if isinstance(node, ast.stmt):  # handlers and cases are none
            found.append(node)
        for field in _NESTED.get(node.__class__, ()):
            _collect(getattr(node, field), found)


def resolve(dotted: str, record: ModuleRecord) -> str:
    """A dotted name as written in a file, in canonical form."""
    head, dot, rest = dotted.partition(".")
    return canonical(record.imports.get(head, head) + dot + rest)


def function_record(node: ast.FunctionDef | ast.AsyncFunctionDef, prefix: str, record: ModuleRecord) -> FunctionRecord:
    arguments = node.args
    names = [a.arg for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
    positional = len(arguments.posonlyargs) + len(arguments.args)
    return FunctionRecord(prefix + node.name, node.lineno, tuple(names), _decorators(node, record), positional)


def is_setter(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether a function adds to a property of its name instead of taking its place."""
    return _last_decorator(node) in ("setter", "deleter")


def is_overload(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether a function says nothing but what types another one of its name takes."""
    return _last_decorator(node) == "overload"


def _last_decorator(node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    """The last part of the name of the first decorator."""
    name = dotted_name(node.decorator_list[0]) if node.decorator_list else None
    return "" if name is None else name.rpartition(".")[2]


def _decorators(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef, record: ModuleRecord) -> tuple[str, ...]:
    found = []
    for decorator in node.decorator_list:
        name = dotted_name(decorator.func if isinstance(decorator, ast.Call) else decorator)
        if name:
            found.append(resolve(name, record))
    return tuple(found)


def _add_class(node: ast.ClassDef, prefix: str, module: ModuleRecord) -> None:
    """Adds the record of a class, and those of the classes in it."""
    record = module.classes[prefix + node.name] = _class_record(node, prefix, module)
    for statement in flat(node.body):
        if isinstance(statement, ast.ClassDef):
            _add_class(statement, record.qualname + ".", module)


def _class_record(node: ast.ClassDef, prefix: str, module: ModuleRecord) -> ClassRecord:
    bases = []
    for base in node.bases:
        name = dotted_name(base.value if isinstance(base, ast.Subscript) else base)
        if name:
            bases.append(resolve(name, module))
    record = ClassRecord(prefix + node.name, node.lineno, tuple(bases), _decorators(node, module))
    for statement in flat(node.body):
        if isinstance(statement, FUNCTION):
            method = function_record(statement, record.qualname + ".", module)
            if not is_setter(statement):
                record.methods[statement.name] = method
            for attribute in _self_attributes(statement):
                record.attributes.setdefault(attribute, []).append(method.qualname)
        else:
            for name in _bound(statement):
                record.attributes.setdefault(name, []).append("")
    record.fields = tuple(
        statement.target.id
        for statement in node.body
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name)
    )
    return record


def _self_attributes(method: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    """Attributes of the first parameter that the method assigns, or registers as buffers and parameters."""
    arguments = [*method.args.posonlyargs, *method.args.args]
    if not arguments:
        return []
    receiver = arguments[0].arg
    found: dict[str, None] = {}
    for statement in flat(method.body):
        targets: list[ast.expr] = []
        if isinstance(statement, ast.Assign):
            targets = list(statement.targets)
        elif isinstance(statement, (ast.AnnAssign, ast.AugAssign)):
            targets = [statement.target]
        elif isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
            call = statement.value
            if (
                isinstance(call.func, ast.Attribute)
                and call.func.attr in _NAMING
                and call.args
                and isinstance(call.args[0], ast.Constant)
                and isinstance(call.args[0].value, str)
            ):
                found[call.args[0].value] = None
        while targets:
            target = targets.pop()
            if isinstance(target, (ast.Tuple, ast.List)):
                targets.extend(target.elts)
            elif isinstance(target, ast.Starred):
                targets.append(target.value)
            elif isinstance(target, ast.Attribute) and getattr(target.value, "id", None) == receiver:
                found[target.attr] = None
    return list(found)


def _bound(statement: ast.stmt) -> list[str]:
    if isinstance(statement, ast.Assign):
        return [
            name.id
            for target in statement.targets
            for name in (target.elts if isinstance(target, (ast.Tuple, ast.List)) else [target])
            if isinstance(name, ast.Name)
        ]
    if isinstance(statement, (ast.AnnAssign, ast.AugAssign)) and isinstance(statement.target, ast.Name):
        return [statement.target.id]
    return []
