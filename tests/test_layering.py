"""Imports point one way. This reads the imports with ``ast``, those for type checkers and inside functions, too."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import synclint

ROOT = Path(synclint.__file__).parent

LAYERS = (
    ("finding",),
    ("source", "facts"),
    ("discover", "suppress"),
    ("config",),
    ("cache",),
    ("runtime",),
    ("index",),
    ("flow",),
    ("lint",),
    ("fix",),
    ("selection",),
    ("version",),
    ("answers", "project_heat", "reading"),
    ("linking",),
    ("project",),
    ("run",),
    ("verify", "waits", "pytest", "explain"),
    ("profiles",),
    ("report", "pages"),
    ("scaffold",),
    ("cli",),
    ("__main__",),
)
"""A module imports from the layers above its own in this list, and from its own package."""

SLOW = {"asyncio", "concurrent", "difflib", "importlib.metadata", "inspect", "multiprocessing", "tempfile", "unittest"}
"""What a module may import only where it is used, for the sake of start-up."""


class Import(NamedTuple):
    module: str
    line: int
    on_start: bool
    """Whether it runs when the module is imported."""


def modules() -> list[str]:
    return sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob("**/*.py"))


def imports(path: str) -> Iterator[Import]:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    pending: list[tuple[ast.AST, bool]] = [(tree, True)]
    while pending:
        node, on_start = pending.pop()
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, node.lineno, on_start) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import"
            assert node.module is not None
            names = {_imported(node.module, alias.name) for alias in node.names}
            yield from (Import(name, node.lineno, on_start) for name in sorted(names))
        else:
            later = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            later = later or (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
            pending += [(child, on_start and not later) for child in ast.iter_child_nodes(node)]


def _imported(module: str, name: str) -> str:
    """The module that ``from module import name`` loads."""
    inner = f"{module}.{name}"
    path = ROOT.parent / inner.replace(".", "/")
    return inner if module == "synclint" or path.is_dir() or path.with_suffix(".py").is_file() else module


def unit(path: str) -> str:
    return path.split("/")[0].removesuffix(".py")


def needs_torch(path: str) -> bool:
    """Modules that run beside torch alone: the helper, the back ends, whatever executes examples."""
    return path == "h2d.py" or (path.startswith(("runtime/", "verify/")) and path.count("/") > 1)


def test_every_module_has_a_layer() -> None:
    placed = {name for layer in LAYERS for name in layer} | {"__init__", "rules", "h2d"}
    assert {unit(path) for path in modules()} <= placed


@pytest.mark.parametrize("path", [path for path in modules() if unit(path) not in ("rules", "h2d", "__init__")])
def test_imports_point_down(path: str) -> None:
    own = unit(path)
    depth = next(at for at, layer in enumerate(LAYERS) if own in layer)
    above = {"facts", "finding"} if own == "runtime" else {name for layer in LAYERS[:depth] for name in layer}
    allowed = {own, "__version__"} | above
    wrong = [
        f"{path}:{found.line}: {found.module}"
        for found in imports(path)
        if found.module.startswith("synclint.") and found.module.split(".")[1] not in allowed
    ]
    assert not wrong


@pytest.mark.parametrize("path", ["h2d.py", "__init__.py"])
def test_the_helper_stands_alone(path: str) -> None:
    assert not [found for found in imports(path) if found.module.split(".")[0] == "synclint"]


@pytest.mark.parametrize("path", [path for path in modules() if not needs_torch(path)])
def test_torch_is_imported_where_it_is_needed_alone(path: str) -> None:
    wrong = [found for found in imports(path) if found.module.split(".")[0] in ("torch", "numpy")]
    if unit(path) in ("runtime", "verify"):
        wrong = [found for found in wrong if found.on_start]
    assert not wrong


@pytest.mark.parametrize("path", [path for path in modules() if not needs_torch(path)])
def test_nothing_slow_is_imported_on_start(path: str) -> None:
    wrong = [
        found
        for found in imports(path)
        if found.on_start
        and (found.module.split(".")[0] in {"libcst", "pathspec", "tomli", "tomllib", *SLOW} or found.module in SLOW)
    ]
    assert not wrong


def test_the_reader_of_imports_sees_them_all() -> None:
    found = {(one.module, one.on_start) for one in imports("cli/check.py")}
    assert ("synclint.run", True) in found
    assert ("synclint.cli.output", False) in found
    assert ("argparse", False) in found


@pytest.mark.parametrize("path", sorted((ROOT / "rules").glob("*.py")), ids=lambda path: path.stem)
def test_rules_see_nothing_but_the_lint_package(path: Path) -> None:
    """Its public face is ``synclint.lint``; the modules below it are for those who judge, like LibCST."""
    for one in imports(f"rules/{path.name}"):
        if one.module.partition(".")[0] in ("synclint", "libcst", "torch") and one.module != "synclint.lint":
            assert one.module.startswith(("synclint.lint.", "libcst")), one
            assert not one.on_start, one
