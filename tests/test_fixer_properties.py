"""What holds for every file and every fix: the result parses, means what was asked, and differs nowhere else."""

from __future__ import annotations

import ast
import random
import re
import warnings
from collections import Counter
from collections.abc import Callable, Iterator

import libcst as cst
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from synclint.finding import Applicability, Edit, Fix
from synclint.fix.apply import apply
from synclint.fix.converge import converge
from synclint.lint.imports import import_edit
from synclint.lint.statement import Statement, WholeStatement
from synclint.source import Source

SITES = (ast.Attribute, ast.BinOp, ast.BoolOp, ast.Call, ast.Compare, ast.IfExp, ast.Name, ast.Subscript, ast.UnaryOp)

pytestmark = pytest.mark.filterwarnings("ignore")


class Writer:
    """Writes random modules, with all that makes cutting and splicing hard."""

    def __init__(self, rng: random.Random, size: int = 1) -> None:
        self.rng = rng
        self.size = size
        self.unit = rng.choice(["    ", "  ", "\t"])

    def one(self, *options: Callable[[], str] | str) -> str:
        chosen = self.rng.choice(options)
        return chosen if isinstance(chosen, str) else chosen()

    def name(self) -> str:
        return self.rng.choice(["x", "y", "mask", "größe", "async_tensor_h2d", "长"])

    def expression(self, depth: int | None = None) -> str:
        depth = self.size if depth is None else min(depth, self.size)
        if depth == 0:
            return self.one(self.name, self.name, "1", "2.5", "None", "'é#'", '"""a\n b"""', "b'x' b'y'", "...")

        def e() -> str:
            return self.expression(depth - 1)

        def atom() -> str:
            return self.one(self.name, f"({e()})", f"{self.name()}.item()", f"{self.name()}[{e()}]")

        options: tuple[Callable[[], str], ...] = (
            atom,
            lambda: f"{atom()}.to({e()}, dtype={e()})",
            lambda: f"{atom()}.f(*{atom()}, k={e()}, **{atom()})",
            lambda: f"{atom()}(  # arguments\n {e()},\n   {e()})",
            lambda: f"{atom()}[{e()}:{e()}, ...]",
            lambda: f"{atom()} {self.one('+', '**', '@', '-', '<<')} {atom()}",
            lambda: f"{self.one('-', '~', 'not ')}{atom()}",
            lambda: f"{atom()} {self.one('and', 'or')} {atom()} {self.one('and', 'or')} {atom()}",
            lambda: f"{atom()} < {atom()} {self.one('is not', '==', 'in')} {atom()}",
            lambda: f"({e()}) if {atom()} else ({e()})",
            lambda: f"({e()} if {atom()} else {e()})",
            lambda: f"(lambda a, *b, c={atom()}: {e()})",
            lambda: f"(w := {e()})",
            lambda: f"(  # why\n{e()}\n  # not\n)",
            lambda: f"({e()}, {e()})",
            lambda: f"[{e()}, *{atom()}]",
            lambda: f"{{{e()}: {e()}, **{atom()}}}",
            lambda: f"[{atom()} for i in {atom()} if {atom()}]",
            lambda: f"{self.name()}({atom()} for i in {atom()})",
            lambda: f"f'é{{{self.name()}.item()!r:>{{{self.name()}}}}} {{{self.name()}}}' 'z'",
        )
        return self.rng.choice(options)()

    def simple(self) -> str:
        e = self.expression
        return self.one(
            lambda: f"{self.name()} = {e()}",
            lambda: f"{self.name()}, *r = {e()}, {e(1)}",
            lambda: f"{self.name()}.a[{e(1)}] += {e()}",
            lambda: f"v: {e(1)} = {e()}",
            lambda: f"assert {e()}, {e(1)}",
            lambda: f"del {self.name()}.a",
            lambda: f"{self.name()} = 1 + \\\n      ({e(1)})",
            e,
            "pass",
        )

    def block(self, indent: str, depth: int) -> str:
        return "".join(self.statement(indent, depth) for _ in range(self.rng.randint(1, 2)))

    def comment(self) -> str:
        return self.one("", "", "", "  # é: why", "#")

    def statement(self, indent: str, depth: int) -> str:
        """Whole lines."""
        simple = self.simple()
        if depth == 0 or self.rng.random() < 0.5:
            if self.rng.random() < 0.25:
                simple += f"; {self.simple()}" + self.one("", ";")
            above = self.one("", "", "\n", f"{indent}# above\n", "# at the margin\n")
            return f"{above}{indent}{simple}{self.comment()}\n"
        inner, e = indent + self.unit, self.expression

        def head(text: str) -> str:
            body = self.one(
                lambda: f" {self.simple()}\n", lambda: self.lines(inner, depth), lambda: self.lines(inner, depth)
            )
            return f"{indent}{text}:{body}"

        return self.one(
            lambda: head(f"if {e()}"),
            lambda: head(f"if {e(1)}") + head(f"elif {e()}") + head(f"elif({self.name()}).any()") + head("else"),
            lambda: head(f"for i in {e()}") + head("else"),
            lambda: head(f"while {e()}"),
            lambda: head(f"with {e()} as c, {e(1)}"),
            lambda: head("try") + head(f"except {e(1)} as error") + head("else") + head("finally"),
            lambda: (
                f"{indent}match {e(1)}:\n{inner}case [1, *_] if {e(1)}:\n{self.block(inner + self.unit, depth - 1)}"
            ),
            lambda: f"{indent}@{self.name()}.d({e(1)})\n{indent}@  {self.name()}\n" + head(f"def f(a, b={e(1)})"),
            lambda: (
                f"{indent}async def f(a: {e(1)} = 1):\n{inner}async with a as b:\n{inner}{self.unit}await b.item()\n"
            ),
            lambda: f"{indent}@{self.name()}\n" + head(f"class A({self.name()}, k={e(1)})"),
        )

    def lines(self, indent: str, depth: int) -> str:
        return f"{self.comment()}\n{self.block(indent, depth - 1)}"

    def module(self) -> str:
        head = self.one("", "", "# -*- coding: utf-8 -*-\n", "#!/bin/é\n\n", '"""Doc."""\n', "'Doc'; x = 1\n")
        head += self.one("", "", "from __future__ import annotations\n") if "x = 1" not in head else ""
        for _ in range(self.rng.randint(0, 3)):
            head += self.one(
                "import torch\n",
                "import os; import sys\n",
                "\n",
                "from m.sub import a, z\n",
                "from m.sub import (\n    b,\n    q\n)  # names\n",
                "from m.sub import (\n    b,\n    q,\n)\n",
                "from .n import k\n",
                "try:\n    import m\nexcept ImportError: m = None\n",
            )
        text = head + "".join(self.statement("", min(self.size, 2)) for _ in range(self.rng.randint(0, self.size + 1)))
        text = self.one(text, text, text.rstrip("\n"))
        return text.replace("\n", self.one("\n", "\n", "\r\n", "\r"))


def build(rng: random.Random, size: int) -> tuple[Source, random.Random]:
    """A random module, and the generator to go on with."""
    source = Source("pkg/module.py", Writer(rng, size).module().encode())
    parsed(source.data)
    return source, rng


# Hypothesis shrinks the size; a generator of its own for every choice would be many times slower.
sources = st.builds(build, st.randoms(use_true_random=True), st.integers(0, 3))
many = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def parsed(data: bytes) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(data.decode())


def dump(tree: ast.AST) -> str:
    return re.sub(r"\b(Store|Del)\(\)", "Load()", ast.dump(tree))


def spliced(source: Source, *edits: Edit) -> bytes:
    data = source.data
    for edit in sorted(edits, key=lambda edit: edit.start, reverse=True):
        data = data[: edit.start] + edit.text.encode() + data[edit.end :]
    return data


def cut(source: Source, rng: random.Random) -> tuple[ast.stmt, Statement]:
    trees = [node for node in ast.walk(source.tree) if isinstance(node, ast.stmt)]
    tree = rng.choice(trees)
    return tree, rng.choice([Statement, Statement, WholeStatement])(source, tree)


def site(statement: Statement, tree: ast.stmt, rng: random.Random) -> ast.expr | None:
    """An expression that is read, not bound."""
    nodes = [node for node in statement._nodes(tree) if isinstance(node, SITES)]
    nodes = [node for node in nodes if isinstance(getattr(node, "ctx", None), ast.Load | None)]
    return rng.choice(nodes) if nodes else None


def with_node_replaced(tree: ast.Module, old: ast.AST, new: ast.expr) -> str:
    """The dump of the file's tree with one node replaced."""

    class Replace(ast.NodeTransformer):
        def visit(self, node: ast.AST) -> ast.AST:
            return new if node is old else super().generic_visit(node)

    copy = Replace().visit(tree)
    assert isinstance(copy, ast.Module)
    return dump(copy)


def comments(source: Source) -> Counter[str]:
    return Counter(comment.text for comment in source.comments)


def newlines(data: bytes) -> set[bytes]:
    return set(re.findall(rb"\r\n|\r|\n", data))


@settings(many, max_examples=40)
@given(sources)
def test_every_statement_round_trips(drawn: tuple[Source, random.Random]) -> None:
    source, _ = drawn
    for tree in ast.walk(source.tree):
        if isinstance(tree, ast.stmt):
            for form in (Statement, WholeStatement):
                statement = form(source, tree)
                assert statement.parse() is not None
                for node in statement._nodes(tree):
                    if isinstance(node, SITES) and id(node) not in statement._interpolated:
                        found = statement.node(node)
                        assert found is not None
                        start, end = source.span(node)
                        bare = found.with_changes(lpar=[], rpar=[])
                        assert statement.code(bare) == source.data[start:end].decode()


@many
@given(sources)
def test_a_replacement_means_what_it_says_and_changes_nothing_else(drawn: tuple[Source, random.Random]) -> None:
    source, rng = drawn
    if not source.tree.body:
        return
    tree, statement = cut(source, rng)
    old = site(statement, tree, rng)
    if old is None:
        return
    text = Writer(rng, 2).expression(2)
    new: cst.BaseExpression | str = text
    node = statement.node(old)
    if node is not None and rng.random() < 0.3:
        # As rules do it: the node itself, in a call.
        new = cst.Call(cst.Name("wrap"), [cst.Arg(node)]) if rng.random() < 0.5 else node.with_changes(lpar=[], rpar=[])
        text = statement.code(new)
    edit = statement.replace(old, new)
    if edit is None:
        assert id(old) in statement._interpolated
        return
    result = Source(source.path, spliced(source, edit))
    meant = ast.parse(f"({text}\n)", mode="eval").body
    lost = statement.loses_comment(edit.start, edit.end)
    before = comments(source)
    replaced = source.data[edit.start : edit.end].decode()
    if not lost:
        assert before <= comments(result)
    assert is_smallest(replaced, edit.text)
    assert keeps_newlines(source, result.data)
    assert dump(parsed(result.data)) == with_node_replaced(source.tree, old, meant)


@many
@given(sources)
def test_inserted_and_deleted_statements_are_just_that(drawn: tuple[Source, random.Random]) -> None:
    source, rng = drawn
    if not source.tree.body:
        return
    tree, statement = cut(source, rng)
    body = next(block for block in blocks(source.tree) if tree in block)
    index = body.index(tree)
    inserted = statement.insert_before("new = [1,\n2]\nif new: pass")
    assert (inserted is not None) == statement.can_insert_before
    deleted = statement.delete()
    lost = deleted is not None and statement.loses_comment(deleted.start, deleted.end)
    before = comments(source)
    if inserted is not None:
        result = Source(source.path, spliced(source, inserted))
        assert keeps_newlines(source, result.data)
        assert before == comments(result)
        body[index:index] = ast.parse("new = [1, 2]\nif new: pass").body
        assert dump(parsed(result.data)) == dump(source.tree)
        del body[index : index + 2]
    if deleted is not None and len(body) > 1:
        result = Source(source.path, spliced(source, deleted))
        assert keeps_newlines(source, result.data)
        assert lost or before == comments(result)
        del body[index]
        assert dump(parsed(result.data)) == dump(source.tree)


@many
@given(sources, st.sampled_from(["m.sub", "torch", "os", "pkg.n", "other.z"]))
def test_an_import_is_added_and_nothing_else(drawn: tuple[Source, random.Random], module: str) -> None:
    source, _ = drawn
    spelling, edit = import_edit(source, module, "async_tensor_h2d")
    if edit is None:
        assert spelling == f"{module}.async_tensor_h2d"  # through an import of the module
        return
    assert edit.start == edit.end
    result = Source(source.path, spliced(source, edit))
    assert import_edit(result, module, "async_tensor_h2d") == (spelling, None)
    assert comments(source) == comments(result)
    assert keeps_newlines(source, result.data)
    tree = parsed(result.data)
    assert ast.get_docstring(tree, clean=False) == ast.get_docstring(source.tree, clean=False)
    future = [place for place, node in enumerate(tree.body) if getattr(node, "module", "") == "__future__"]
    assert future in ([], [ast.get_docstring(tree) is not None])
    taken_out = [
        (node, alias)
        for node in tree.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.name == "async_tensor_h2d"
    ]
    assert len(taken_out) == 1
    node, alias = taken_out[0]
    node.names.remove(alias)
    if not node.names:
        tree.body.remove(node)
    assert dump(tree) == dump(source.tree)


@many
@given(sources)
def test_fixes_together_leave_python_and_every_other_byte(drawn: tuple[Source, random.Random]) -> None:
    source, rng = drawn
    if not source.tree.body:
        return
    fixes: list[Fix] = []
    for _ in range(rng.randint(1, 6)):
        tree, statement = cut(source, rng)
        old = site(statement, tree, rng)
        wanted = [
            statement.replace(old, Writer(rng, 2).expression(1)) if old else None,
            statement.insert_before(f"{rng.choice(['v', 'w'])} = 1") if rng.random() < 0.4 else None,
            import_edit(source, "m.sub", rng.choice(["n", "p"]))[1] if rng.random() < 0.5 else None,
            broken(statement, rng) if rng.random() < 0.2 else None,
        ]
        fixes.append(Fix(Applicability.SAFE, "", tuple(edit for edit in wanted if edit)))
    result = apply(source, fixes)
    parsed(result.data)
    assert {*result.applied} | {skipped.fix for skipped in result.skipped} == {*fixes}
    assert {*result.applied}.isdisjoint(skipped.fix for skipped in result.skipped)
    assert all(skipped.reason for skipped in result.skipped)
    edits = sorted({edit for fix in result.applied for edit in fix.edits}, key=lambda edit: (edit.start, edit.end))
    assert outside(source.data, edits) == b"".join(kept(result.data, source.data, edits))
    assert len(result.data) - len(source.data) == sum(len(e.text.encode()) - (e.end - e.start) for e in edits)
    assert result == apply(source, fixes)
    again = converge(Source(source.path, result.data), lambda source: [], frozenset(Applicability))
    assert again.source.data == result.data
    assert (again.converged, again.rounds) == (True, 0)


def broken(statement: Statement, rng: random.Random) -> Edit:
    """What no rule should do: the result need not be Python."""
    start, end = sorted(rng.choice(statement.span) for _ in range(2))
    return statement.edit(start, end, rng.choice(["(", "x", ""]))


def blocks(tree: ast.AST) -> Iterator[list[ast.stmt]]:
    for node in ast.walk(tree):
        for name in ("body", "orelse", "finalbody"):
            block = getattr(node, name, None)
            if isinstance(block, list):
                yield block


def keeps_newlines(source: Source, data: bytes) -> bool:
    return newlines(data) <= (newlines(source.data) or {b"\n"})


def is_smallest(old: str, new: str) -> bool:
    if not old or not new:
        return True
    starts = old[0] == new[0] and not (old[0] == "\r" and "\n" in (old[1:2], new[1:2]))
    ends = old[-1] == new[-1] and not (old[-1] == "\n" and "\r" in (old[-2:-1], new[-2:-1]))
    return not starts and not ends


def outside(data: bytes, edits: list[Edit]) -> bytes:
    """The bytes that no edit covers."""
    covered = [range(edit.start, edit.end) for edit in edits]
    return bytes(byte for place, byte in enumerate(data) if not any(place in span for span in covered))


def kept(result: bytes, data: bytes, edits: list[Edit]) -> Iterator[bytes]:
    """The bytes of the result that no edit wrote: those of each place come in the order of the edits there."""
    place = end = 0
    for edit in edits:
        gap = edit.start - end
        yield result[place : place + gap]
        place += gap + len(edit.text.encode())
        end = edit.end
    yield result[place:]
