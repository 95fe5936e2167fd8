"""Calls of functions that wait for what they are passed: which are findings, with which chain, and which are not."""

from __future__ import annotations

import ast
from pathlib import Path
from textwrap import dedent

import pytest
from projects import chain, lint, marked, places, split, write

from synclint.finding import Confidence
from synclint.flow.always import always_runs
from synclint.flow.module import ModuleFlow
from synclint.flow.summary import Summary
from synclint.index.build import FUNCTION
from synclint.source import Source


def summary(code: str) -> Summary:
    return ModuleFlow(Source.decode(("import torch\n" + dedent(code)).encode(), "a.py")).summarise()


def waits(code: str) -> set[str]:
    """The parameters that the functions of a file wait for, as ``function(parameter)``."""
    return {f"{name}({parameter})" for name, known in summary(code).waits.items() for parameter in known}


# ---------------------------------------------------------------------- what a file says by itself

ALWAYS = {
    "plainly": ("x.item()", True),
    "in a condition": ("if x.sum():\n    pass", True),
    "in a loop": ("for i in range(3):\n    x[i].item()", True),
    "in a with block": ("with torch.no_grad():\n    x.item()", True),
    "at the end of a try": ("try:\n    pass\nfinally:\n    x.item()", True),
    "behind another condition": ("if flag:\n    x.item()", False),
    "in the other branch": ("if flag:\n    pass\nelse:\n    x.item()", False),
    "after an early return": ("if flag:\n    return None\nx.item()", False),
    "after an early return in a loop": ("for i in flag:\n    return i\nx.item()", False),
    "after a loop that may be left": ("for i in flag:\n    if i:\n        break\nx.item()", True),
    "after what ends this round of a loop": ("for i in flag:\n    if i:\n        continue\n    x[i].item()", False),
    "after a match that may return": ("match flag:\n    case 1:\n        return 2\nx.item()", False),
    "after a handler that returns": ("try:\n    pass\nexcept ValueError:\n    return 2\nx.item()", False),
    "after a return of another function": ("def inner():\n    return 2\nx.item()", True),
    "after an error": ("if flag:\n    raise ValueError\nx.item()", True),
    "in a handler": ("try:\n    pass\nexcept ValueError:\n    x.item()", False),
    "in a message": ("if flag:\n    raise ValueError(x.item())", False),
    "in a nested function": ("def inner():\n    return x.item()", False),
    "in a lambda": ("return lambda: x.item()", False),
    "in an expression with a condition": ("return x.item() if flag else x", False),
    "as the condition of an expression": ("return 1 if x.sum() else 0", True),
    "where `and` comes to it": ("return flag and x.item()", False),
    "as the first of `and`": ("return x.sum().item() and flag", True),
    "in a comprehension": ("return [x[i].item() for i in range(3)]", True),
    "in a comprehension with a condition": ("return [x[i].item() for i in range(3) if flag]", False),
    "where it is given": ("if x is not None:\n    x.item()", True),
    "where it is not given": ("if x is None:\n    return None\nx.item()", True),
    "where it is a tensor": ("if flag:\n    pass\nif isinstance(x, torch.Tensor):\n    x = x.item()", True),
    "where it is one of several": ("if torch.is_tensor(x) and x.sum() > 0:\n    pass", True),
    "where it is no number": ("if isinstance(x, (int, float)):\n    return x\nreturn x.item()", True),
    "where it is a number": ("if not isinstance(x, float):\n    return x\nreturn x.item()", False),
    "where it is an array": ("if isinstance(x, np.ndarray):\n    return x\nreturn x.item()", True),
    "where it is on the device": ("if x.is_cuda and not x.device.type == 'cpu':\n    x.item()", True),
    "where it is in host memory": ("if x.device.type == 'cpu':\n    x.item()", False),
    "if it is a tensor, an expression": ("return x.item() if torch.is_tensor(x) else x", True),
}


@pytest.mark.parametrize("case", ALWAYS)
def test_what_runs_in_every_call(case: str) -> None:
    body, expected = ALWAYS[case]
    tree = ast.parse("def f(x, flag):\n" + "\n".join(f"    {line}" for line in body.splitlines()))
    (function,) = tree.body
    assert isinstance(function, FUNCTION)
    statement, node = _found(function)
    assert always_runs(function, statement, node, "x") is expected


def _found(function: ast.AST) -> tuple[ast.stmt, ast.expr]:
    """The first ``x.item()``, or else ``x.sum()``, with the statement that evaluates it."""
    calls = [
        (parent, node)
        for parent in ast.walk(function)
        if isinstance(parent, ast.stmt) and parent is not function
        for node in ast.walk(parent)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ("item", "sum")
    ]
    return max(calls, key=lambda found: (found[0].lineno, found[1].func.attr == "item"))  # type: ignore[attr-defined]


def test_parameters_that_functions_wait_for() -> None:
    code = """
        def reads(a, b, c, d, e, f):
            a.item()
            int(b)
            c[0].tolist()
            for each in range(d):
                pass
            e.shape[0], f.shape[0], f.clone(), f.to("cuda")

        def is_asked(x: torch.Tensor, y: torch.Tensor):
            if y.any():
                return 1 if x else 2

        def is_told(count: int, sizes: list, on_cpu):
            int(count), sizes[0], on_cpu.shape[0]

        def copies(x, y):
            x = x.cpu()
            return x.item(), y.float().mean().cpu()

        class Meter:
            def update(self, value):
                self.total += value.item()

        def asks(x: torch.Tensor):
            if (x > 0).all():
                return 1

        def allowed(x):
            with gpu_sync_allowed():
                x.item()

        def generates(x):
            yield x.item()

        def meant(x):
            # synclint: ignore[SYN201] once
            x.item()
            return x.sum().item()  # noqa: SYN201

        if torch.cuda.is_available():
            def either(x):
                return x.item()
        else:
            def either(x):
                return x
        """
    others = {"copies(x)", "copies(y)", "Meter.update(value)", "is_asked(y)", "asks(x)"}
    assert waits(code) == {f"reads({name})" for name in "abcd"} | others


def test_parameters_that_are_handed_on() -> None:
    code = """
        def end(x, y):
            return y.item()

        def one(z):
            return end(0, z)

        def two(flag, z):
            return one(z=z)

        def other(z):
            return end(z, 0)

        def perhaps(flag, z):
            return end(0, z) if flag else None

        def itself(z, depth):
            return itself(z, depth - 1)

        class Meter:
            def update(self, value):
                self.add(1, amount=value)

            def add(self, n, amount):
                self.total += amount.item()
        """
    assert waits(code) == {"end(y)", "one(z)", "two(z)", "Meter.update(value)", "Meter.add(amount)"}


# ---------------------------------------------------------------------- calls

READS = """
--- pkg/__init__.py
--- pkg/reads.py
import torch
from functools import partial
def read(values):
    return values.tolist()
def read_all(*values, last):
    return values, last.item()
def read_more(first, values):
    return first, read(values)
class Reader:
    def __init__(self, start):
        self.start = start.item()
    def read(self, values):
        return values.tolist()
    @staticmethod
    def read_static(values):
        return values.tolist()
    @classmethod
    def read_class(cls, values):
        return values.tolist()
    def twice(self, values):
        return self.read(values), self.read(values)
def known(values):
    return values.tolist()  # waits
def again(values, times):
    if times:
        return again(values, times - 1)
    return None
def save_values(values):
    return values.tolist()
"""
HOST = """
--- pkg/host.py
import torch
from .reads import *
from .reads import Reader
reader = Reader(torch.ones(1))
for function in ():
    pass
def on_host(x: int):
    data = torch.ones(x)
    read(data), read_all(data, last=data), read_more(data, data), again(data, 1)
    reader.read(data), Reader.read_static(data), Reader.read_class(data), reader.twice(data)
"""
CASES = {
    "functions": """
        from .reads import again, known, read, read_all, read_more
        def use():
            data = torch.ones(1, device="cuda")
            read(data)  # waits
            read(values=data)  # waits
            read_all(data, last=0)
            read_all(last=data)  # waits
            read_more(data, 0)
            read_more(0, data)  # waits
            read(*data)
            read(**data)
            known(data)
            again(data, 2)
            read(torch.ones(1))
            read([data])
            return read(data.sum() + 1), 0  # waits
        """,
    "methods": """
        from .reads import Reader
        def use(reader: Reader):
            data = torch.ones(1, device="cuda")
            reader.read(data)  # waits
            Reader.read(reader, data)  # waits
            Reader.read_static(data)  # waits
            reader.read_static(data)  # waits
            Reader.read_class(data)  # waits
            reader.read_class(data)  # waits
            reader.twice(data)  # waits
            Reader.read(data, [])
        class Better(Reader):
            def read(self, values):
                return super().read(values)
            def use(self):
                data = torch.ones(1, device="cuda")
                super().read(data)  # waits
                self.read_class(values=data)  # waits
        """,
    "nothing here could wait": """
        from .reads import read
        read(torch.ones(1, device="cuda"))  # waits
        """,
    "a wait that is meant": """
        from .reads import read
        def use():
            data = torch.ones(1, device="cuda")
            with gpu_sync_allowed():
                read(data)
            raise ValueError(read(data))
        """,
}


@pytest.mark.parametrize("case", CASES)
def test_calls_that_wait(case: str, tmp_path: Path) -> None:
    files = split(READS + HOST + "--- pkg/use.py\nimport torch\n" + dedent(CASES[case]))
    if case != "functions":
        files["pkg/reads.py"] = files["pkg/reads.py"].replace("  # waits", "")
    write(tmp_path, files)
    assert places(lint(tmp_path)) == marked(files)


def test_the_chain_goes_through_what_is_called(tmp_path: Path) -> None:
    use = """
        --- pkg/use.py
        import torch
        from .reads import read, read_more
        def use():
            data = torch.ones(1, device="cuda")
            read_more(0, data)
            read(data)
        """
    write(tmp_path, split(READS + HOST + dedent(use)))
    more, plain = lint(tmp_path)["pkg/use.py"]
    assert (more.code, more.line, more.column, more.confidence) == ("SYN207", 5, 5, Confidence.LIKELY)
    assert chain(more, tmp_path) == [
        ("pkg/use.py", 4, "`torch.ones(...)` makes a tensor on CUDA"),
        ("pkg/use.py", 5, "passed as `values` to `read_more`"),
        ("pkg/reads.py", 8, "`read_more` passes `values` on to `read`"),
        ("pkg/reads.py", 4, "`read` waits for `values`: `values.tolist()`"),
    ]
    assert chain(plain, tmp_path)[1:] == [
        ("pkg/use.py", 6, "passed as `values` to `read`"),
        ("pkg/reads.py", 4, "`read` waits for `values`: `values.tolist()`"),
    ]
    assert plain.message == (
        "`read` is given `data`, and the host waits for it there: `read` waits for `values`: `values.tolist()`"
    )
    assert (plain.fix, plain.alternatives) == (None, ())
