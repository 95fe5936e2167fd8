"""Statements cut out of files: their slices, their LibCST nodes, and edits of them."""

from __future__ import annotations

import ast
import random
import sys
import sysconfig
from pathlib import Path

import libcst as cst
import pytest

from synclint.finding import Edit
from synclint.lint.statement import DEPTH_LIMIT, Statement, WholeStatement
from synclint.source import Source, SourceError


def source_of(text: str) -> Source:
    return Source("module.py", text.encode())


def statements(source: Source) -> list[ast.stmt]:
    return [node for node in ast.walk(source.tree) if isinstance(node, ast.stmt)]


def last(source: Source, kind: type[ast.stmt]) -> ast.stmt:
    """The last statement of a kind, where the file order counts."""
    return max((node for node in statements(source) if isinstance(node, kind)), key=source.span)


def expression(statement: ast.stmt, text: str) -> ast.expr:
    """The first expression of a statement that reads like this."""
    found = [node for node in ast.walk(statement) if isinstance(node, ast.expr) and ast.unparse(node) == text]
    return found[0]


def changed(source: Source, edit: Edit | None) -> str:
    assert edit is not None
    return (source.data[: edit.start] + edit.text.encode() + source.data[edit.end :]).decode()


@pytest.mark.parametrize(
    ("text", "kind", "slice_", "suffix"),
    [
        ("y = x\n", ast.Assign, "y = x", ""),
        ("a = 1; b = 2  # c\n", ast.Assign, "b = 2", ""),
        ("if a: b; c = 1\n", ast.Assign, "c = 1", ""),
        ("if a:  # c\n    # d\n    b\n", ast.If, "if a:  # c\n    # d\n    ", "pass"),
        ("if a:\n# d\n    b\n", ast.If, "if a:\n# d\n    ", "pass"),
        ("if a: b = 1\n", ast.If, "if a: ", "pass"),
        ("if a:\n    b\nelif c:\n    d\n", ast.If, "if c:\n    ", "pass"),
        ("while (a and\n       b):\n    c\n", ast.While, "while (a and\n       b):\n    ", "pass"),
        ("try:\n    a\nexcept E:\n    b\n", ast.Try, "try:\n    ", "pass\nfinally: pass"),
        ("try: a\nfinally: b\n", ast.Try, "try: ", "pass\nfinally: pass"),
        ("match x.item():\n    case 1: pass\n", ast.Match, "match x.item():", "\n case _: pass"),
        ("match (x,  # y:\n    ) :\n    case 1: pass\n", ast.Match, "match (x,  # y:\n    ) :", "\n case _: pass"),
        ("@(  # @\n  a)\n@b\nclass A(B): pass\n", ast.ClassDef, "@(  # @\n  a)\n@b\nclass A(B): ", "pass"),
        ("def f(a: b = c) -> d:\n    'e'\n", ast.FunctionDef, "def f(a: b = c) -> d:\n    ", "pass"),
        ("async def f():\n    async with a as b:\n        c\n", ast.AsyncWith, "async with a as b:\n        ", "pass"),
        ("async def f():\n    async for a in b:\n        c\n", ast.AsyncFor, "async for a in b:\n        ", "pass"),
        ("async def f():\n    @g\n    def h(): pass\n", ast.AsyncFunctionDef, "async def f():\n    ", "pass"),
        (
            "async def f():\n    return [await a async for a in b]\n",
            ast.Return,
            "return [await a async for a in b]",
            "",
        ),
        ("for a in b:\n\tc\n", ast.For, "for a in b:\n\t", "pass"),
        ("if a:\r\n  b = (1,\r\n   2)\r\n", ast.Assign, "b = (1,\r\n   2)", ""),
        ("if a:\r\n  # é\r\n  b\r\n", ast.If, "if a:\r\n  # é\r\n  ", "pass"),
        ("é = 'ü'; ß = é\n", ast.Assign, "ß = é", ""),
        ("x = 1 + \\\n    2\n", ast.Assign, "x = 1 + \\\n    2", ""),
        ("\x0cx = f(\n\x0c 1)\n", ast.Assign, "x = f(\n\x0c 1)", ""),
        ("if 1:\n    x = '''a\nb'''\n", ast.Assign, "x = '''a\nb'''", ""),
    ],
)
def test_a_statement_is_its_bytes_and_parses_alone(text: str, kind: type[ast.stmt], slice_: str, suffix: str) -> None:
    source = source_of(text)
    statement = Statement(source, last(source, kind))
    start, end = statement.span
    assert source.data[start:end].decode() == slice_
    parsed = statement.parse()
    assert parsed is not None
    assert statement.code(parsed).rstrip("\r\n") == slice_ + suffix


def test_a_decorated_method_starts_at_its_first_decorator() -> None:
    source = source_of("class A:\n    @b(\n        c)\n    @d\n    def e(self) -> f:\n        return 1\n")
    method = next(node for node in statements(source) if isinstance(node, ast.FunctionDef))
    statement = Statement(source, method)
    start, end = statement.span
    assert source.data[start:end] == b"@b(\n        c)\n    @d\n    def e(self) -> f:\n        "
    node = statement.node(method.decorator_list[0])
    assert isinstance(node, cst.Call)
    assert statement.code(node) == "b(\n        c)"


SITES = (ast.Attribute, ast.BinOp, ast.BoolOp, ast.Call, ast.Compare, ast.IfExp, ast.Name, ast.Subscript, ast.UnaryOp)
SAMPLE = """\
x = ((a, b), f(c for c in d), (y for y in z), ((1, 2)), (q), {1}, {2: 3}, {g for g in h}, {i: j for i in k})
y = -a + b.c[d.e()] if not (f and g < h <= 1.5) else lambda: (await_ := 3, "é", b"x" b"y", ..., None, 2j)
"""


@pytest.mark.parametrize("form", [Statement, WholeStatement])
def test_every_expression_has_the_node_of_its_own_kind(form: type[Statement]) -> None:
    source = source_of(
        f"if 1:\n    async def f():\n        {SAMPLE.splitlines()[0]}\n        {SAMPLE.splitlines()[1]}\n"
    )
    kinds = set()
    for tree in statements(source):
        statement = form(source, tree)
        for node in statement._nodes(tree):
            if isinstance(node, ast.expr):
                found = statement.node(node)
                assert found is not None, ast.dump(node)
                start, end = source.span(node)
                text = source.data[start:end].decode()
                spellings = {statement.code(found), statement.code(found.with_changes(lpar=[], rpar=[]))}
                assert text in spellings | {f"({spelling})" for spelling in spellings}
                kinds.add(type(found).__name__)
    assert kinds >= {
        "Tuple",
        "GeneratorExp",
        "Call",
        "Comparison",
        "BooleanOperation",
        "UnaryOperation",
        "IfExp",
        "NamedExpr",
    }


def test_nodes_inside_f_strings_are_given_only_where_positions_are_right() -> None:
    source = source_of("x = f'é{a.item()}' f'{b}'\n")
    statement = Statement(source, source.tree.body[0])
    string = expression(source.tree.body[0], "a.item()")
    if sys.version_info >= (3, 12):
        node = statement.node(string)
        assert isinstance(node, cst.Call)
        assert changed(source, statement.replace(string, "a.n")) == "x = f'é{a.n}' f'{b}'\n"
        assert statement.replace(string, "a['n']") is None
    else:
        assert statement.node(string) is None
        assert statement.replace(string, "a.n") is None
    assert isinstance(source.tree.body[0], ast.Assign)
    assert isinstance(statement.node(source.tree.body[0].value), cst.ConcatenatedString)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("x = " + " and ".join(["a"] * 30_000), id="and"),
        pytest.param("x = [" + "a " + "for a in b " * 30_000 + "]", id="comprehension"),
        pytest.param("x = " + " ".join(["'a'"] * 30_000), id="strings"),
        pytest.param("x = " + "a" + ".b" * (DEPTH_LIMIT - 5), id="attributes"),
    ],
)
def test_deep_nesting_is_refused_and_never_crashes(text: str) -> None:
    source = source_of(text + "\n")
    try:
        body = source.tree.body
    except SourceError:
        return
    statement = Statement(source, body[0])
    if statement.parse() is None:
        assert statement.node(expression(body[0], "x")) is None
        assert statement.replace(expression(body[0], "x"), "y") is None
    else:
        assert len(text) < 1000


def test_what_libcst_cannot_give_back_is_not_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    source = source_of("x = a.item()\n")
    monkeypatch.setattr(cst, "parse_module", lambda text: cst.Module([]))
    statement = Statement(source, source.tree.body[0])
    assert statement.parse() is None
    assert statement.replace(expression(source.tree.body[0], "a.item()"), "b") is None


@pytest.mark.parametrize(
    ("text", "old", "new", "expected"),
    [
        ("y = x.item()", "x.item()", "x.tolist()", "y = x.tolist()"),
        ("y = -x", "x", "a + b", "y = -(a + b)"),
        ("y = x + 1", "x", "a if b else c", "y = (a if b else c) + 1"),
        ("y = x + 1", "x", "a * b", "y = a * b + 1"),
        ("y = 1 - x", "x", "a - b", "y = 1 - (a - b)"),
        ("y = x < 1", "x", "a < b", "y = (a < b) < 1"),
        ("y = not x", "x", "a and b", "y = not (a and b)"),
        ("y = a or x", "x", "b or c", "y = a or (b or c)"),
        ("y = x ** 2", "x", "-a", "y = (-a) ** 2"),
        ("y = x.real", "x", "5", "y = (5).real"),
        ("y = x()", "x", "lambda: 1", "y = (lambda: 1)()"),
        ("y = f(x)", "x", "a, b", "y = f((a, b))"),
        ("y = f(x)", "x", "a for a in b", "y = f(a for a in b)"),
        ("y = f(x, 1)", "x", "a for a in b", "y = f((a for a in b), 1)"),
        ("y = f(k=x)", "x", "a := 1", "y = f(k=(a := 1))"),
        ("f(a.item() for a in b)", "(a.item() for a in b)", "b.tolist()", "f(b.tolist())"),
        ("f(a.item() for a in b)", "(a.item() for a in b)", "[1]", "f([1])"),
        ("y = (x)", "x", "a if b else c", "y = (a if b else c)"),
        ("y = x", "x", "a +\n b", "y = (a +\n b)"),
        ("y = x", "x", "f(a,\n  b)", "y = f(a,\n  b)"),
        ("if(x).any(): pass", "x.any()", "flag", "if(flag): pass"),
        ("y = (x).any()if z else 1", "x.any()", "flag", "y = (flag)if z else 1"),
        ("y = (a, b)", "(a, b)", "c", "y = c"),
        ("y = x[i.item()]", "i.item()", "i, j", "y = x[i, j]"),
        ("for a in x: pass", "x", "b, c", "for a in b, c: pass"),
        ("with x as y: pass", "x", "a, b", "with (a, b) as y: pass"),
        ("@x\ndef f(): pass", "x", "a.b(c)", "@a.b(c)\ndef f(): pass"),
        ("match x:\n    case 1: pass", "x", "a, b", "match a, b:\n    case 1: pass"),
        ("x.n = 1", "x", "a or b", "(a or b).n = 1"),
        ("y = 'é' + x", "x", "'è'", "y = 'é' + 'è'"),
        ("y = x", "x", "a +", None),
        ("y = x", "x", "", None),
        ("y = x", "x", "a  # b", "y = a  # b"),
        ("y = x + 1", "x", "a  # b", None),
        ("y = x", "x", "a; b", None),
        ("y = x", "x", "a) + (b", "y = (a) + (b)"),
    ],
)
def test_a_replacement_means_what_it_says(text: str, old: str, new: str, expected: str | None) -> None:
    source = source_of(f"{text}\n")
    tree = source.tree.body[0]
    edit = Statement(source, tree).replace(expression(tree, old), new)
    if expected is None:
        assert edit is None
    else:
        assert changed(source, edit) == f"{expected}\n"


def test_a_changed_node_replaces_its_own_parentheses_too() -> None:
    source = source_of("if 1:\n    y = ((  # why\n        x.to(d)\n    ))\n")
    tree = last(source, ast.Assign)
    statement = Statement(source, tree)
    call = expression(tree, "x.to(d)")
    node = statement.node(call)
    assert isinstance(node, cst.Call)
    keyword = cst.parse_expression("f(non_blocking=True)")
    assert isinstance(keyword, cst.Call)
    flag = keyword.args[0]
    edit = statement.replace(call, node.with_changes(args=[*node.args, flag]))
    assert changed(source, edit) == "if 1:\n    y = ((  # why\n        x.to(d, non_blocking=True)\n    ))\n"
    assert edit is not None
    assert (edit.start, edit.end, edit.text) == (
        source.data.index(b")\n"),
        source.data.index(b")\n"),
        ", non_blocking=True",
    )
    edit = statement.replace(call, cst.Name("z"))
    assert changed(source, edit) == "if 1:\n    y = ((  # why\n        z\n    ))\n"


def test_a_changed_node_of_a_case_keeps_its_indents() -> None:
    source = source_of("if a:\n    match b:\n      case 1 if g(c,\n             d):\n        pass\n")
    tree = last(source, ast.Match)
    statement = WholeStatement(source, tree)
    call = expression(tree, "g(c, d)")
    node = statement.node(call)
    assert node is not None
    assert statement.code(node) == "g(c,\n             d)"


def test_a_changed_node_of_a_block_keeps_its_indents() -> None:
    text = (
        "class A:\n    def f(self):\n        if x:\n            y = g(\n                a,  # b\n\n                c)\n"
    )
    source = source_of(text)
    tree = source.tree.body[0]
    statement = WholeStatement(source, tree)
    call = expression(tree, "g(a, c)")
    node = statement.node(call)
    assert isinstance(node, cst.Call)
    edit = statement.replace(call, node.with_changes(func=cst.Name("h")))
    assert edit is not None
    assert (edit.end - edit.start, edit.text) == (1, "h")


def test_a_whole_compound_comes_with_its_blocks() -> None:
    text = "def f():\n    if a:\n        b\n    elif c:\n        d = 1\n    else:\n        e\n"
    source = source_of(text)
    tree = source.tree.body[0]
    assert isinstance(tree, ast.FunctionDef)
    outer = tree.body[0]
    assert isinstance(outer, ast.If)
    whole = WholeStatement(source, outer)
    parsed = whole.parse()
    assert isinstance(parsed, cst.If)
    assert isinstance(parsed.orelse, cst.If)
    inner = WholeStatement(source, outer.orelse[0])
    parsed = inner.parse()
    assert isinstance(parsed, cst.If)
    assert isinstance(parsed.orelse, cst.Else)
    start, end = inner.span
    assert source.data[start:end].decode() == text[text.index("elif") + 2 : -1]
    assert isinstance(inner.node(expression(outer, "d")), cst.Name)
    assert not inner.can_insert_before
    assert changed(source, whole.delete()) == "def f():\n"
    assert whole.replace(expression(outer, "d"), "d.e") is not None
    assert changed(source, inner.replace(expression(outer, "d"), "d.e")) == text.replace("d =", "d.e =")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("abc", "abXc", ("", "X")),
        ("abc", "ac", ("b", "")),
        ("aaa", "aaaa", ("", "a")),
        ("aé", "aè", ("é", "è")),
        ("ĀxĀ", "ĀyĀ", ("x", "y")),
        ("é", "ĩ", ("é", "ĩ")),  # the last byte is the same
        ("a\r\nb", "a\r\nc", ("b", "c")),
        ("a\rb", "a\r\nb", ("\r", "\r\n")),
        ("a\nb", "a\r\nb", ("\n", "\r\n")),
        ("same", "same", ("", "")),
        ("", "x", ("", "x")),
    ],
)
def test_edits_are_the_smallest_that_split_nothing(old: str, new: str, expected: tuple[str, str]) -> None:
    source = source_of(f"'''{old}'''\n")
    statement = Statement(source, source.tree.body[0])
    edit = statement.edit(3, 3 + len(old.encode()), new)
    assert (source.data[edit.start : edit.end].decode(), edit.text) == expected
    assert changed(source, edit) == f"'''{new}'''\n"


@pytest.mark.parametrize(
    ("text", "kind", "expected"),
    [
        ("x\n", ast.Expr, "new\nx\n"),
        ("if a:\n\tx\n", ast.Expr, "if a:\n\tnew\n\tx\n"),
        ("if a:\r\n  x  # c\r\n", ast.Expr, "if a:\r\n  new\r\n  x  # c\r\n"),
        ("\x0cx\n", ast.Expr, "new\n\x0cx\n"),
        ("if a:\n    while b: c\n", ast.While, "if a:\n    new\n    while b: c\n"),
        (
            "class A:\n    @a\n    @b\n    def f(): pass\n",
            ast.FunctionDef,
            "class A:\n    new\n    @a\n    @b\n    def f(): pass\n",
        ),
        ("if a: x\n", ast.Expr, None),
        ("del x; y\n", ast.Delete, None),
        ("x; del y\n", ast.Delete, None),
        ("del x \\\n; y\n", ast.Delete, None),
        ("x; \\\n  del y\n", ast.Delete, None),
        ("if a:\n    b\nelif c:\n    d\n", ast.If, None),
        ("try:\n    a\nfinally: x\n", ast.Expr, None),
    ],
)
def test_a_line_can_be_inserted_where_it_runs_right_before(
    text: str, kind: type[ast.stmt], expected: str | None
) -> None:
    source = source_of(text)
    statement = Statement(source, last(source, kind))
    assert statement.can_insert_before == (expected is not None)
    edit = statement.insert_before("new")
    assert (None if edit is None else changed(source, edit)) == expected


def test_several_lines_are_indented_and_end_in_the_newline_of_the_file() -> None:
    source = source_of("if a:\r\n    x\r\n")
    edit = Statement(source, last(source, ast.Expr)).insert_before("if b:\n    c\n\nd\n")
    assert changed(source, edit) == "if a:\r\n    if b:\r\n        c\r\n\r\n    d\r\n    x\r\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\ndel (x,\n  y)  # c\nb\n", "a\nb\n"),
        ("if a:\r\n  b\r\n  del x\r\nb", "if a:\r\n  b\r\nb"),
        ("a\ndel x", "a\n"),
        ("a; del x\n", None),
        ("del x; a\n", None),
        ("del x;\n", None),
        ("if a: del x\n", None),
    ],
)
def test_deletion_takes_whole_lines(text: str, expected: str | None) -> None:
    source = source_of(text)
    edit = Statement(source, last(source, ast.Delete)).delete()
    assert (None if edit is None else changed(source, edit)) == expected


def test_a_header_cannot_be_deleted() -> None:
    source = source_of("while a:\n    b\n")
    assert Statement(source, source.tree.body[0]).delete() is None


def test_comments_in_a_span_are_seen_and_strings_are_none() -> None:
    source = source_of("x = f('# no',  # yes\n      1)\n")
    statement = Statement(source, source.tree.body[0])
    comment = source.data.index(b"# yes")
    assert not statement.loses_comment(0, comment)
    assert statement.loses_comment(0, comment + 1)
    assert statement.loses_comment(comment, comment + 1)
    assert not statement.loses_comment(comment + 1, len(source.data))


def test_real_code_round_trips() -> None:
    """A sample of the standard library: every slice is given back, and its expressions have nodes."""
    rng = random.Random(2024)
    folder = Path(sysconfig.get_path("stdlib"))
    paths = sorted(path for path in folder.rglob("*.py") if not {"site-packages", "lib2to3", "bad"} & {*path.parts})
    slices = refused = expressions = missing = 0
    for path in rng.sample(paths, min(80, len(paths))):
        try:
            source = Source.read(path)
            trees = statements(source)
        except SourceError:
            continue
        for tree in rng.sample(trees, min(20, len(trees))):
            form = rng.choice([Statement, Statement, Statement, WholeStatement])
            if (tree.end_lineno or 0) - tree.lineno > 60:
                form = Statement
            statement = form(source, tree)
            slices += 1
            if statement.parse() is None:
                refused += 1
                continue
            for node in statement._nodes(tree):
                if isinstance(node, SITES) and id(node) not in statement._interpolated:
                    expressions += 1
                    missing += statement.node(node) is None
    assert slices > 1000
    assert expressions > 5000
    assert refused <= slices / 1000
    assert missing == 0
