"""What names mean across files, and how classes inherit."""

from __future__ import annotations

import ast
from textwrap import dedent

import pytest
from projects import indexed

from synclint.index.build import build
from synclint.index.project import Variable
from synclint.index.records import Symbol

CODE = "class Thing:\n    def run(self): ...\ndef make(): ...\n_hidden = 1\nvalue = 2\n"


def test_names_are_followed_through_re_exports() -> None:
    project = indexed(
        {
            "pkg/__init__.py": "from .api import Thing as Renamed, make\nfrom . import code as inner",
            "pkg/api.py": "from .code import *",
            "pkg/code.py": CODE,
        }
    )
    assert project.find("pkg.Renamed", "main.py") == Symbol("pkg/code.py", "Thing")
    assert project.find("pkg.Renamed.run", "main.py") == Symbol("pkg/code.py", "Thing.run")
    assert project.find("pkg.make", "main.py") == Symbol("pkg/code.py", "make")
    assert project.find("pkg.inner.value", "main.py") == Variable("pkg/code.py", "value")
    assert project.find("pkg.api.value", "main.py") == Variable("pkg/code.py", "value")
    assert project.find("pkg.api.missing", "main.py") is None
    assert project.find("torch.zeros", "main.py") is None


@pytest.mark.parametrize(
    ("lists", "seen"),
    [
        ("", {"Thing", "make", "value"}),
        ("__all__ = ['make', '_hidden']", {"make", "_hidden"}),
        ("__all__ = ('make',)\n__all__ += ['value']", {"make", "value"}),
        ("__all__: list[str] = ['make'] + ['value']", {"make", "value"}),
        ("__all__ = []\n__all__.append('make')\n__all__.extend(['value'])", {"make", "value"}),
        ("__all__ = ['make']\nif True:\n    __all__ += ['value']", {"make", "value"}),
        ("__all__ = [name for name in dir()]", {"Thing", "make", "value"}),
        ("__all__ = ['make'] + other.__all__", {"Thing", "make", "value"}),
    ],
)
def test_a_star_import_binds_what_all_lists(lists: str, seen: set[str]) -> None:
    project = indexed({"pkg/__init__.py": "from .code import *", "pkg/code.py": f"{CODE}{lists}\n"})
    names = ("Thing", "make", "_hidden", "value")
    assert {name for name in names if project.find(f"pkg.{name}", "main.py") is not None} == seen


def test_of_two_star_imports_the_later_one_counts() -> None:
    project = indexed(
        {
            "pkg/__init__.py": "from .one import *\nfrom .two import *",
            "pkg/one.py": "def f(): ...",
            "pkg/two.py": "def f(): ...",
        }
    )
    assert project.find("pkg.f", "main.py") == Symbol("pkg/two.py", "f")


def test_imports_in_a_circle_come_to_an_end() -> None:
    project = indexed(
        {
            "a.py": "from b import f, g\nfrom c import *",
            "b.py": "from a import f\nfrom c import g",
            "c.py": "from a import *\ndef g(): ...",
        }
    )
    assert project.find("a.f", "main.py") is None
    assert project.find("a.g", "main.py") == Symbol("c.py", "g")
    assert project.find("b.g", "main.py") == Symbol("c.py", "g")
    assert project.find("a.nothing", "main.py") is None


@pytest.mark.parametrize(
    "imports",
    [
        "if TYPE_CHECKING:\n    from code_ import Thing",
        "try:\n    from code_ import Thing\nexcept ImportError:\n    Thing = None",
        "if sys.version_info >= (3, 11):\n    from code_ import Thing\nelse:\n    from gone import Thing2",
        "with suppress(ImportError):\n    from code_ import Thing",
    ],
)
def test_conditional_imports_count(imports: str) -> None:
    project = indexed({"user.py": imports, "code_.py": CODE})
    assert project.find("user.Thing", "main.py") == Symbol("code_.py", "Thing")


def test_the_implementation_of_overloads_counts() -> None:
    record = build(
        "a.py",
        ast.parse(
            dedent(
                """
                @overload
                def f(x: int) -> int: ...
                @overload
                def f(x: str) -> str: ...
                def f(x, y=None): ...
                """
            )
        ),
    )
    assert record.functions["f"].parameters == ("x", "y")
    assert record.functions["f"].decorators == ()


def ancestors(files: dict[str, str], path: str, name: str) -> list[str]:
    return [known.symbol.qualname for known in indexed(files).ancestry(Symbol(path, name))]


def test_classes_inherit_across_files() -> None:
    files = {
        "pkg/__init__.py": "from .base import Base",
        "pkg/base.py": "import torch.nn as nn\nclass Base(nn.Module):\n    def run(self): ...",
        "pkg/mid.py": "from pkg import Base\nclass Mid(Base): ...",
        "pkg/sub.py": "from . import mid\nclass Sub(mid.Mid): ...",
    }
    project = indexed(files)
    sub = Symbol("pkg/sub.py", "Sub")
    assert ancestors(files, "pkg/sub.py", "Sub") == ["Sub", "Mid", "Base"]
    assert project.outside(sub) == ("torch.nn.Module",)
    method = project.method(sub, "run")
    assert method is not None and method.symbol == Symbol("pkg/base.py", "Base.run")


@pytest.mark.parametrize(
    ("classes", "order"),
    [
        ("class A: ...\nclass B(A): ...\nclass C: ...\nclass D(B, C): ...", ["D", "B", "A", "C"]),
        ("class A: ...\nclass B(A): ...\nclass C(A): ...\nclass D(B, C): ...", ["D", "B", "C", "A"]),
        ("class A: ...\nclass B(A): ...\nclass D(A, B): ...", ["D", "A", "B"]),  # an error, which Python reports
        ("class A(D): ...\nclass D(A): ...", ["D", "A"]),
    ],
)
def test_bases_are_in_the_order_of_method_resolution(classes: str, order: list[str]) -> None:
    assert ancestors({"a.py": classes}, "a.py", "D") == order


def test_bases_that_derive_from_each_other_across_files_come_to_an_end() -> None:
    files = {"a.py": "from b import B\nclass A(B): ...", "b.py": "from a import A\nclass B(A): ..."}
    assert ancestors(files, "a.py", "A") == ["A", "B"]
    assert ancestors(files, "b.py", "B") == ["B", "A"]
