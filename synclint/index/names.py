"""Dotted names: how an import binds them, and under which one name a thing is known."""

from __future__ import annotations

import ast

# The same object under several public paths; the facts tables know the one on the right.
_CANONICAL = {
    "torch.nn.parameter.Parameter": "torch.nn.Parameter",
    "torch.nn.modules.module.Module": "torch.nn.Module",
    "torch.nn.modules.Module": "torch.nn.Module",
    "torch.types.Device": "torch.device",
    "torch.functional": "torch",
    "torch._C.device": "torch.device",
    "numpy.core.multiarray": "numpy",
}


def canonical(dotted: str) -> str:
    return _CANONICAL.get(dotted, dotted)


def dotted_name(node: ast.expr) -> str | None:
    """``a.b.c`` as written, or None for anything but names and attributes."""
    attributes = ""
    while isinstance(node, ast.Attribute):
        attributes = f".{node.attr}{attributes}"
        node = node.value
    return node.id + attributes if isinstance(node, ast.Name) else None


def imported_names(statement: ast.Import | ast.ImportFrom, package: str = "") -> list[tuple[str, str]]:
    """(local name, canonical dotted name) pairs, star imports left out.

    ``package`` is what a relative import starts from; one that leads out of it keeps its leading dots.
    """
    if isinstance(statement, ast.Import):
        return [
            (alias.asname, canonical(alias.name)) if alias.asname else (alias.name.partition(".")[0],) * 2
            for alias in statement.names
        ]
    base = imported_module(statement, package)
    separator = "" if base.endswith(".") or not base else "."
    return [
        (alias.asname or alias.name, canonical(f"{base}{separator}{alias.name}"))
        for alias in statement.names
        if alias.name != "*"
    ]


def imported_module(statement: ast.ImportFrom, package: str) -> str:
    """The dotted name of the module that names are imported from."""
    module = statement.module or ""
    if not statement.level:
        return module
    parts = package.split(".") if package else []
    if statement.level > len(parts):
        return "." * statement.level + module
    parts = parts[: len(parts) - statement.level + 1]
    return ".".join([*parts, module] if module else parts)
