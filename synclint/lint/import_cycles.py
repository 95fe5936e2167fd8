"""Whether importing one module of a project in another could close a circle of imports."""

from __future__ import annotations

import ast
import os
from functools import lru_cache
from typing import TYPE_CHECKING

from synclint.index.names import dotted_name

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_MOST_FILES = 2000


def imports_back(module: str, import_root: Path, file: Path) -> str:
    """The module through which importing ``module`` runs ``file``, or an empty string if it does not.

    ``import_root`` is the folder that ``module`` is found in. Only imports that run when a module is imported
    count, and only files below ``import_root`` are followed, 2,000 at most; beyond that the answer is ``module``.
    """
    runs = _runs(module, os.path.realpath(import_root))
    return module if runs is None else runs.get(os.path.realpath(file), "")


@lru_cache(maxsize=64)
def _runs(module: str, root: str) -> dict[str, str] | None:
    """The files that importing ``module`` runs, each with the module that imports it."""
    found: dict[str, str] = {}
    pending = [(module, module)]
    while pending:
        name, importer = pending.pop()
        for executed, path in _files(name, root):
            if path in found:
                continue
            found[path] = importer
            if len(found) > _MOST_FILES:
                return None
            package = executed if path.endswith("__init__.py") else executed.rpartition(".")[0]
            pending += [(imported, executed) for imported in _imported(path, package)]
    return found


def _files(module: str, root: str) -> list[tuple[str, str]]:
    """The module and the packages above it that are files below ``root``: (dotted name, path)."""
    found: list[tuple[str, str]] = []
    folder = root
    parts = module.split(".")
    for count, part in enumerate(parts, 1):
        dotted = ".".join(parts[:count])
        package = os.path.join(folder, part, "__init__.py")
        if os.path.isfile(package):
            found.append((dotted, os.path.realpath(package)))
        elif os.path.isfile(path := os.path.join(folder, f"{part}.py")):
            found.append((dotted, os.path.realpath(path)))
            break
        folder = os.path.join(folder, part)
    return found


def _imported(path: str, package: str) -> list[str]:
    """The modules, and names that may be modules, that a file imports when it is imported."""
    try:
        with open(path, "rb") as file:
            tree = ast.parse(file.read())
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    found: list[str] = []
    for statement in _executed(tree.body):
        if isinstance(statement, ast.Import):
            found += [alias.name for alias in statement.names]
        elif isinstance(statement, ast.ImportFrom):
            base = statement.module or ""
            if statement.level:
                above = package.split(".")[: len(package.split(".")) - statement.level + 1]
                base = ".".join([*above, *([base] if base else [])])
            found += [base, *(f"{base}.{alias.name}" for alias in statement.names)]
    return [name for name in found if name]


def _executed(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements that run on import: all but function bodies and what is under TYPE_CHECKING."""
    pending: list[ast.AST] = [*body]
    while pending:
        node = pending.pop()
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            yield node
        elif isinstance(node, ast.If) and (dotted_name(node.test) or "").endswith("TYPE_CHECKING"):
            pending += node.orelse
        elif isinstance(node, (ast.stmt, ast.ExceptHandler)) and not isinstance(
            node, (ast.FunctionDef, ast.AsyncFunctionDef)
        ):
            pending += [
                child for child in ast.iter_child_nodes(node) if isinstance(child, (ast.stmt, ast.ExceptHandler))
            ]
