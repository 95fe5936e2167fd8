"""Which classes the attributes of a class hold instances of, and parameters are: by what the text says."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping, Sequence

from synclint.flow.outline import OUTSIDE
from synclint.flow.site import FunctionNode
from synclint.index.build import flat
from synclint.index.names import dotted_name


def held_by(node: FunctionNode, holds: dict[str, list[str]]) -> None:
    """Adds the classes of what a method assigns to attributes of ``self``."""
    parameters: Mapping[str, Sequence[str]] | None = None
    for statement in flat(node.body):
        if isinstance(statement, ast.AnnAssign):
            targets: list[ast.expr] = [statement.target]
            classes = classes_of(statement.annotation)
        elif isinstance(statement, ast.Assign):
            targets = statement.targets
            classes = []
        else:
            continue
        names = [t.attr for t in targets if isinstance(t, ast.Attribute) and getattr(t.value, "id", "") == "self"]
        if not names:
            continue
        if statement.value is not None and not classes:
            if parameters is None:
                parameters = _parameters(node)
            classes = _made(statement.value, parameters)
        for name in names:
            add(holds, name, classes)


def _made(value: ast.expr, parameters: Mapping[str, Sequence[str]]) -> list[str]:
    """The names of the classes that an expression may make an instance of."""
    if isinstance(value, ast.Call):
        name = dotted_name(value.func)
        return [name] if name is not None and _names_class(name) else []
    if isinstance(value, ast.IfExp):
        return _made(value.body, parameters) + _made(value.orelse, parameters)
    if isinstance(value, ast.BoolOp):
        return [name for one in value.values for name in _made(one, parameters)]
    if isinstance(value, ast.Name):
        return list(parameters.get(value.id, ()))
    return []


def _names_class(dotted: str) -> bool:
    name = dotted.rpartition(".")[2].lstrip("_")
    return name[:1].isupper() and dotted.partition(".")[0] not in OUTSIDE


def _parameters(node: FunctionNode) -> dict[str, list[str]]:
    """The parameters of a function, each with the names of classes in its annotation."""
    arguments = node.args
    return {
        argument.arg: classes_of(argument.annotation)
        for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)
    }


def classes_of(annotation: ast.expr | None) -> list[str]:
    """The names in an annotation that may be classes of a project, containers left out."""
    if annotation is None:
        return []
    if isinstance(annotation, ast.Constant):
        text = annotation.value
        if not isinstance(text, str):
            return []
        parts = [part.strip() for part in text.split("|")]
        return [part for part in parts if part.replace(".", "").isidentifier() and _names_class(part)]
    if isinstance(annotation, ast.BinOp):
        return classes_of(annotation.left) + classes_of(annotation.right)
    if isinstance(annotation, ast.Subscript):
        name = dotted_name(annotation.value) or ""
        return classes_of(annotation.slice) if name.rpartition(".")[2] == "Optional" else []
    name = dotted_name(annotation) or ""
    return [name] if name and _names_class(name) else []


def add(holds: dict[str, list[str]], name: str, classes: Iterable[str]) -> None:
    for one in classes:
        if one not in holds.setdefault(name, []):
            holds[name].append(one)
