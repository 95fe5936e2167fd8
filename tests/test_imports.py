"""Imports go where the file's own style puts them, and those that are there are used."""

from __future__ import annotations

import ast

import pytest

from synclint.lint.imports import free_name, import_edit
from synclint.source import Source


def imported(text: str, module: str = "m.sub", name: str = "n", path: str = "pkg/module.py") -> tuple[str, str]:
    """How the name is spelled, and the file with the import."""
    source = Source(path, text.encode())
    spelling, edit = import_edit(source, module, name)
    assert import_edit(source, module, name) == (spelling, edit)
    if edit is None:
        return spelling, text
    after = (source.data[: edit.start] + edit.text.encode() + source.data[edit.end :]).decode()
    ast.parse(after)
    if len(text) < 80:
        assert edit.start == edit.end, "an import is a pure insertion"
    again = Source(path, after.encode())
    assert import_edit(again, module, name) == (spelling, None), "the import it adds is one that it finds"
    return spelling, after


@pytest.mark.parametrize(
    ("text", "spelling"),
    [
        ("from m.sub import n\n", "n"),
        ("from m.sub import a, n as k\n", "k"),
        ("import m.sub\n", "m.sub.n"),
        ("import m.sub.deep\n", "m.sub.n"),
        ("import m.sub as s\n", "s.n"),
        ("from m import sub\n", "sub.n"),
        ("from m import sub as s\n", "s.n"),
        ("import m.sub\nfrom m.sub import n\n", "n"),
        ("def f():\n    return n()\nfrom m.sub import n\n", "n"),
        ("from ..m.sub import n\n", "n"),
        ("from m.sub import n\ndef f():\n    from m.sub import n\n", "n"),
    ],
)
def test_an_import_at_the_top_level_is_used(text: str, spelling: str) -> None:
    assert imported(text) == (spelling, text)


@pytest.mark.parametrize(
    "text",
    [
        "import m\n",
        "import m.submarine\n",
        "from x import n as k\n",
        "from .sub import k\n",
        "def f():\n    from m.sub import n\n",
        "if TYPE_CHECKING:\n    from m.sub import n\n",
        "from m.sub import n as k\nk = 1\n",
        "import m.sub\ndef f(m): pass\n",
        "import m.sub as s\nfrom x import s\n",
        "from m.sub import *\n",
    ],
)
def test_an_import_that_may_not_hold_is_not_used(text: str) -> None:
    spelling, after = imported(text)
    assert spelling == "n"
    assert after != text


@pytest.mark.parametrize(
    "text",
    [
        "n = 1\n",
        "from x import n\n",
        "import n.x\n",
        "def n(): pass\n",
        "class A:\n    def f(self, n): pass\n",
        "[n for n in x]\n",
        "lambda n: n\n",
        "try:\n    from m.sub import n\nexcept ImportError:\n    n = None\n",
        "try: pass\nexcept E as n: pass\n",
        "match x:\n    case [1, *n]: pass\n",
        "match x:\n    case {1: 2, **n}: pass\n",
        "match x:\n    case 1 as n: pass\n",
        "from x import *\nn()\n",
        "for n in x: pass\n",
    ],
)
def test_a_name_with_another_meaning_is_left_alone(text: str) -> None:
    spelling, after = imported(text)
    assert spelling == "n_"
    assert "import n as n_" in after
    assert imported(f"{text}n_ = 1\n")[0] == "n_2"


def test_free_names() -> None:
    assert free_name("a", ()) == "a"
    assert free_name("a", {"a"}) == "a_"
    assert free_name("a", ["a", "a_", "a_2"]) == "a_3"


STYLES = {
    "empty file": ("", "from m.sub import n\n"),
    "only blank lines": ("\n\n", "from m.sub import n\n\n\n"),
    "code first": ("x = 1\n", "from m.sub import n\n\nx = 1\n"),
    "function first": ("def f(): pass\n", "from m.sub import n\n\n\ndef f(): pass\n"),
    "decorator first": ("@a\nclass B: pass\n", "from m.sub import n\n\n\n@a\nclass B: pass\n"),
    "comment of the code": ("# about x\nx = 1\n", "from m.sub import n\n\n# about x\nx = 1\n"),
    "shebang and cookie": (
        "#!/usr/bin/env python\n# -*- coding: utf-8 -*-\nx = 1\n",
        "#!/usr/bin/env python\n# -*- coding: utf-8 -*-\n\nfrom m.sub import n\n\nx = 1\n",
    ),
    "licence": ("# SPDX-License: MIT\n# A\nx = 1\n", "# SPDX-License: MIT\n# A\n\nfrom m.sub import n\n\nx = 1\n"),
    "head and blank line": ("# a\n# b\n\nx = 1\n", "# a\n# b\n\nfrom m.sub import n\n\nx = 1\n"),
    "only comments": ("# a\n", "# a\n\nfrom m.sub import n\n"),
    "only comments, no final newline": ("# a", "# a\n\nfrom m.sub import n"),
    "docstring": ('"""a\n\nb"""\n\nx = 1\n', '"""a\n\nb"""\n\nfrom m.sub import n\n\nx = 1\n'),
    "docstring and code": ('"""a"""\nx = 1\n', '"""a"""\n\nfrom m.sub import n\n\nx = 1\n'),
    "docstring shares its line": ('"""a"""; x = 1\n', '"""a"""; x = 1\n\nfrom m.sub import n\n'),
    "docstring alone": ('"""a"""', '"""a"""\n\nfrom m.sub import n'),
    "future": (
        '"""a"""\nfrom __future__ import annotations\n\nx = 1\n',
        '"""a"""\nfrom __future__ import annotations\n\nfrom m.sub import n\n\nx = 1\n',
    ),
    "future alone": ("from __future__ import a\n", "from __future__ import a\n\nfrom m.sub import n\n"),
    "future shares its line": (
        "from __future__ import annotations; x = 1; \\\n  y = 2\nz = 3\n",
        "from __future__ import annotations; x = 1; \\\n  y = 2\n\nfrom m.sub import n\n\nz = 3\n",
    ),
    "conditional imports only": (
        '"""a"""\ntry:\n    import m\nexcept E: pass\n',
        '"""a"""\n\nfrom m.sub import n\n\ntry:\n    import m\nexcept E: pass\n',
    ),
    "own section": (
        "import os\n\nimport torch\n\nfrom .a import b\n",
        "import os\n\nimport torch\nfrom m.sub import n\n\nfrom .a import b\n",
    ),
    "sorted section": (
        "import os\n\nimport a\nimport torch\nfrom b import c\nfrom z import c\n",
        "import os\n\nimport a\nimport torch\nfrom b import c\nfrom m.sub import n\nfrom z import c\n",
    ),
    "sorted by module alone": (
        "import a\nfrom b import c\nimport torch\nfrom z import c\n",
        "import a\nfrom b import c\nfrom m.sub import n\nimport torch\nfrom z import c\n",
    ),
    "unsorted section": (
        "import z\nfrom b import c\nimport a\n\nx\n",
        "import z\nfrom b import c\nimport a\nfrom m.sub import n\n\nx\n",
    ),
    "same package": (
        "import torch\n\nfrom a import b\n\nfrom m.a import b\nfrom m.z import c\n",
        "import torch\n\nfrom a import b\n\nfrom m.a import b\nfrom m.sub import n\nfrom m.z import c\n",
    ),
    "same package in another block": (
        "import torch\nx = 1\nfrom m.z import c\ny = 2\n",
        "import torch\nx = 1\nfrom m.sub import n\nfrom m.z import c\ny = 2\n",
    ),
    "same package, unsorted": (
        "import z\nfrom m.b import c\nimport a\n",
        "import z\nfrom m.b import c\nfrom m.sub import n\nimport a\n",
    ),
    "standard library alone": ("import os\n\nx = 1\n", "import os\n\nfrom m.sub import n\n\nx = 1\n"),
    "standard library and relative": (
        "import os\n\nfrom . import a\n",
        "import os\n\nfrom m.sub import n\n\nfrom . import a\n",
    ),
    "relative alone": ("from . import a\nx = 1\n", "from m.sub import n\n\nfrom . import a\nx = 1\n"),
    "no sections": (
        "import torch\nimport os\nfrom . import a\n",
        "import torch\nfrom m.sub import n\nimport os\nfrom . import a\n",
    ),
    "settings before torch": (
        "import os\nimport numpy\nos.environ['A'] = '1'\nimport torch\n",
        "import os\nimport numpy\nos.environ['A'] = '1'\nimport torch\nfrom m.sub import n\n",
    ),
    "comment above the next import": (
        "import torch\nfrom a import b\n# about z\nfrom z import c\n",
        "import torch\nfrom a import b\nfrom m.sub import n\n# about z\nfrom z import c\n",
    ),
    "comment above the first import": (
        "# third party\nfrom z import c\n",
        "# third party\nfrom m.sub import n\nfrom z import c\n",
    ),
    "several on a line": ("import torch; import a\nx = 1\n", "import torch; import a\nfrom m.sub import n\nx = 1\n"),
    "continued line": (
        "import torch, \\\n    zlib\nx = 1\n",
        "import torch, \\\n    zlib\nfrom m.sub import n\nx = 1\n",
    ),
    "late imports do not count": (
        "import torch\ndef f(): pass\nfrom m.a import b\n",
        "import torch\nfrom m.sub import n\ndef f(): pass\nfrom m.a import b\n",
    ),
    "no final newline": ("import torch\nfrom a import b", "import torch\nfrom a import b\nfrom m.sub import n"),
    "windows": ("import torch\r\n\r\nx = 1\r\n", "import torch\r\nfrom m.sub import n\r\n\r\nx = 1\r\n"),
}


@pytest.mark.parametrize(("text", "expected"), STYLES.values(), ids=STYLES)
def test_a_new_line_goes_where_the_file_would_have_it(text: str, expected: str) -> None:
    assert imported(text) == ("n", expected)


JOINS = {
    "one line": ("from m.sub import a, z\n", "from m.sub import a, n, z\n"),
    "one line, at the end": ("from m.sub import a\n", "from m.sub import a, n\n"),
    "one line, aliases": ("from m.sub import a as b, z as c\n", "from m.sub import a as b, n, z as c\n"),
    "one line, by kind": ("from m.sub import A, B, z\n", "from m.sub import A, B, n, z\n"),
    "one line, unsorted": ("from m.sub import z, a, q\n", "from m.sub import z, a, q, n\n"),
    "one line, parentheses": ("from m.sub import (a, z,)\n", "from m.sub import (a, n, z,)\n"),
    "relative": ("from ..m.sub import a\n", "from ..m.sub import a, n\n"),
    "one a line": ("from m.sub import (\n    a,\n    z,\n)\n", "from m.sub import (\n    a,\n    n,\n    z,\n)\n"),
    "one a line, at the end": ("from m.sub import (\n    a,\n)\n", "from m.sub import (\n    a,\n    n,\n)\n"),
    "one a line, no comma": ("from m.sub import (\n\ta,\n\tb\n)\n", "from m.sub import (\n\ta,\n\tb,\n\tn\n)\n"),
    "one a line, windows": ("from m.sub import (\r\n  a,\r\n)\r\n", "from m.sub import (\r\n  a,\r\n  n,\r\n)\r\n"),
    "comment": ("from m.sub import a  # why\n", "from m.sub import a  # why\nfrom m.sub import n\n"),
    "comment inside": (
        "from m.sub import (\n    a,  # why\n    z,\n)\n",
        "from m.sub import (\n    a,  # why\n    z,\n)\nfrom m.sub import n\n",
    ),
    "several a line": (
        "from m.sub import (a,\n    b, c)\n",
        "from m.sub import (a,\n    b, c)\nfrom m.sub import n\n",
    ),
    "long line": (
        f"from m.sub import {'a' * 70}, z as y\n",
        f"from m.sub import (\n    {'a' * 70},\n    n,\n    z as y,\n)\n",
    ),
    "long line in parentheses": (
        f"from m.sub import ({'a' * 70})\n",
        f"from m.sub import ({'a' * 70})\nfrom m.sub import n\n",
    ),
    "star": ("from m.sub import *\n", "from m.sub import *\nfrom m.sub import n\n"),
    "shared line": ("from m.sub import a; x = 1\n", "from m.sub import a; x = 1\nfrom m.sub import n\n"),
    "conditional": (
        "import torch\nif a:\n    from m.sub import b\n",
        "import torch\nfrom m.sub import n\nif a:\n    from m.sub import b\n",
    ),
}


@pytest.mark.parametrize(("text", "expected"), JOINS.values(), ids=JOINS)
def test_an_import_from_the_same_module_is_joined_where_its_form_allows(text: str, expected: str) -> None:
    assert imported(text) == ("n", expected)


def test_an_alias_joins_too() -> None:
    assert imported("from m.sub import a, z\nn = 1\n") == ("n_", "from m.sub import a, n as n_, z\nn = 1\n")


def test_the_own_package_is_a_section_of_its_own() -> None:
    text = "import os\n\nimport torch\n\nfrom . import a\n"
    expected = "import os\n\nimport torch\n\nfrom pkg.sub import n\n\nfrom . import a\n"
    assert imported(text, module="pkg.sub") == ("n", expected)


def test_the_standard_library_is_known() -> None:
    text = "import abc\nimport os\n\nimport torch\n"
    expected = text.replace("import os\n", "import os\nfrom functools import cache\n")
    assert imported(text, module="functools", name="cache") == ("cache", expected)
