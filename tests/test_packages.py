"""Which file a dotted name means."""

from __future__ import annotations

import ast

import pytest

from synclint.index.build import build
from synclint.index.packages import Packages, module_name

FILES = (
    "setup.py",
    "src/pkg/__init__.py",
    "src/pkg/model.py",
    "src/pkg/nn/__init__.py",
    "src/pkg/nn/layers.py",
    "scripts/train.py",
    "scripts/utils.py",
    "loose/deep/tool.py",
    "tests/utils.py",
)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("setup.py", "setup"),
        ("src/pkg/__init__.py", "pkg"),
        ("src/pkg/model.py", "pkg.model"),
        ("src/pkg/nn/__init__.py", "pkg.nn"),
        ("src/pkg/nn/layers.py", "pkg.nn.layers"),
        ("scripts/train.py", "train"),
        ("loose/deep/tool.py", "tool"),
        ("__init__.py", "__init__"),
    ],
)
def test_the_name_of_a_module_starts_at_its_outermost_package(path: str, name: str) -> None:
    assert module_name(path, FILES) == name


@pytest.mark.parametrize(
    ("name", "near", "path"),
    [
        ("pkg", "setup.py", "src/pkg/__init__.py"),
        ("pkg.nn.layers", "setup.py", "src/pkg/nn/layers.py"),
        ("src.pkg.model", "setup.py", "src/pkg/model.py"),
        ("deep.tool", "setup.py", "loose/deep/tool.py"),
        ("loose.deep.tool", "setup.py", "loose/deep/tool.py"),
        ("utils", "scripts/train.py", "scripts/utils.py"),
        ("utils", "tests/test_model.py", "tests/utils.py"),
        ("pkg.missing", "setup.py", None),
        ("torch", "setup.py", None),
        (".utils", "scripts/train.py", "scripts/utils.py"),
        ("..scripts.utils", "tests/test_model.py", "scripts/utils.py"),
        ("..src.pkg", "tests/test_model.py", "src/pkg/__init__.py"),
        ("....utils", "tests/test_model.py", None),
        (".utils", "setup.py", None),
    ],
)
def test_a_module_is_found_by_any_name_it_can_be_imported_by(name: str, near: str, path: str | None) -> None:
    assert Packages(FILES).find(name, near) == path


def test_the_order_of_the_files_does_not_matter() -> None:
    one, other = Packages(FILES), Packages(reversed(FILES))
    for near in FILES:
        assert one.find("utils", near) == other.find("utils", near)


@pytest.mark.parametrize(
    ("path", "statement", "imported"),
    [
        ("src/pkg/model.py", "from .nn import layers", {"layers": "pkg.nn.layers"}),
        ("src/pkg/model.py", "from . import nn as n", {"n": "pkg.nn"}),
        ("src/pkg/nn/layers.py", "from ..model import Model", {"Model": "pkg.model.Model"}),
        ("src/pkg/nn/__init__.py", "from .layers import Linear", {"Linear": "pkg.nn.layers.Linear"}),
        ("src/pkg/nn/__init__.py", "from .. import model", {"model": "pkg.model"}),
        ("src/pkg/model.py", "from ... import x", {"x": "...x"}),
        ("src/pkg/model.py", "import pkg.nn.layers", {"pkg": "pkg"}),
        ("src/pkg/model.py", "import pkg.nn.layers as l", {"l": "pkg.nn.layers"}),
    ],
)
def test_imports_are_absolute_in_the_record(path: str, statement: str, imported: dict[str, str]) -> None:
    record = build(path, ast.parse(statement), module_name(path, FILES))
    assert record.imports == imported
