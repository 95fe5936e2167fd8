from __future__ import annotations

import ast
import codecs
import contextlib
import encodings.aliases
import re
import tokenize
import warnings
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from synclint.source import NESTING_LIMIT, Comment, Source, SourceError, shown_path

BOM = codecs.BOM_UTF8


def source(text: str | bytes) -> Source:
    return Source.decode(text if isinstance(text, bytes) else text.encode(), "m.py")


def error_of(raw: bytes) -> SourceError:
    with pytest.raises(SourceError) as caught:
        _ = Source.decode(raw, "m.py").tree
    return caught.value


# ---------------------------------------------------------------------- encodings


@pytest.mark.parametrize(
    ("raw", "encoding", "text"),
    [
        (b"", "utf-8", ""),
        ("é = 1".encode(), "utf-8", "é = 1"),
        (BOM + b"x = 1\r\n", "utf-8", "x = 1\r\n"),
        (BOM + b"# coding: utf8\n", "utf-8", "# coding: utf8\n"),
        (b"# -*- coding: utf-8-unix -*-\n", "utf-8", "# -*- coding: utf-8-unix -*-\n"),
        (b"# coding: utf-8-sig\nx\n", "utf-8", "# coding: utf-8-sig\nx\n"),
        (b"#!/usr/bin/python\n# vim: set fileencoding=latin-1 :\n'\xe9'", "iso8859-1", None),
        (b"# coding: latin-1 \xe9\n", "iso8859-1", "# coding: latin-1 é\n"),
        (b"\r# coding: cp1252\r'\x80'\r", "cp1252", "\r# coding: cp1252\r'€'\r"),
        (b"x = 1\n# coding: cp1252\n", "utf-8", "x = 1\n# coding: cp1252\n"),
        (b"\n\n# coding: cp1252\n", "utf-8", "\n\n# coding: cp1252\n"),
        ("# coding: shift_jis\n'日本'\n".encode("shift_jis"), "shift_jis", "# coding: shift_jis\n'日本'\n"),
        ("# coding: euc-jp\n'日本'\n".encode("euc-jp"), "euc_jp", "# coding: euc-jp\n'日本'\n"),
        ("# coding: gb18030\n'中𠮷'\n".encode("gb18030"), "gb18030", "# coding: gb18030\n'中𠮷'\n"),
        ("# coding: iso-2022-jp\n'日本'\n".encode("iso-2022-jp"), "iso2022_jp", "# coding: iso-2022-jp\n'日本'\n"),
    ],
)
def test_decodes_by_the_declared_encoding_and_writes_the_same_bytes(
    raw: bytes, encoding: str, text: str | None
) -> None:
    read = source(raw)
    assert read.encoding == encoding
    if text is not None:
        assert read.data == text.encode()
    assert read.encode(read.data) == raw
    assert ast.dump(read.tree) == ast.dump(ast.parse(read.data.decode()))


def test_changed_text_is_written_in_the_files_encoding() -> None:
    assert source(BOM + b"x\n").encode("é\n".encode()) == BOM + "é\n".encode()
    latin = source(b"# coding: latin-1\n")
    assert latin.encode("# coding: latin-1\r\né".encode()) == b"# coding: latin-1\r\n\xe9"
    with pytest.raises(SourceError, match=r"m.py:2:4: cannot be written as iso8859-1, which has no '\\u20ac'"):
        latin.encode("# coding: latin-1\r\né =€".encode())


def test_an_encoding_that_is_not_reversible_is_read_but_not_changed() -> None:
    raw = b"# coding: cp932\nx = '\xfa\x54'\n"  # a second spelling of U+FFE2
    assert raw.decode("cp932").encode("cp932") != raw
    read = source(raw)
    assert read.encode(read.data) == raw
    with pytest.raises(SourceError, match="cp932 does not write back what it reads"):
        read.encode(b"y = 1\n")


# ---------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("raw", "line", "column", "message"),
    [
        (b"x = 1\ny = 'a\n", 2, 5, "cannot be parsed: unterminated string literal (detected at line 2)"),
        ("'é'; é é\n".encode(), 1, 8, "cannot be parsed: invalid syntax"),
        (b"x = (\n", 1, 5, "cannot be parsed: '(' was never closed"),
        (b"if x:\npass", 2, 1, "cannot be parsed: expected an indented block after 'if' statement on line 1"),
        (b"x = 1\ny\0\n", 2, 2, "cannot be parsed: null byte in the source"),
        (b"\0", 1, 1, "cannot be parsed: null byte in the source"),
        (b"x = 1\r\n'\xc3\xa9' + '\xe9'\r\n", 2, 8, "cannot be decoded as utf-8: invalid continuation byte"),
        (BOM + b"\r'\xff'", 2, 2, "cannot be decoded as utf-8: invalid start byte"),
        (b"# coding: ascii\n'\xe9'\n", 2, 2, "cannot be decoded as ascii: ordinal not in range(128)"),
        (b"#!\n# coding: nonsense\n", 2, 1, "cannot be decoded: unknown encoding nonsense"),
        (b"# coding: rot13\n", 1, 1, "cannot be decoded: rot-13 is not a text encoding"),
        (
            BOM + b"\n# coding: latin-1\n",
            2,
            1,
            "cannot be decoded: starts with a UTF-8 byte order mark, but declares the encoding iso-8859-1",
        ),
        (BOM + BOM + b"x", 1, 1, "cannot be parsed: invalid non-printable character U+FEFF"),
    ],
)
def test_errors_say_what_and_where(raw: bytes, line: int, column: int, message: str) -> None:
    error = error_of(raw)
    assert error.path == "m.py"
    assert error.message.startswith(message[:40])
    assert (error.line, error.column) == (line, column), str(error)


def test_reading_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> object:
        raise PermissionError(13, "Permission denied")

    for path, message in ((tmp_path / "none.py", "no such file"), (tmp_path, "is a directory"), ("a\0.py", "embedded")):
        with pytest.raises(SourceError, match=f":1:1: cannot be read: {message}"):
            Source.read(path)
    monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(SourceError, match=r"shown\.py:1:1: cannot be read: permission denied"):
        Source.read(tmp_path / "x.py", shown="shown.py")


def test_paths_are_shown_relative_to_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg" / "x.py").write_text("x = 1")
    monkeypatch.chdir(tmp_path / "pkg")
    assert Source.read(tmp_path / "pkg" / "x.py").path == "x.py"
    assert shown_path("./x.py") == "x.py"
    assert shown_path("../other.py") == (tmp_path / "other.py").as_posix()


def test_warnings_of_the_parser_are_silent() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert source(r"x = '\d' if 1is 1 else 2").tree


def test_the_tree_is_cached_until_dropped() -> None:
    read = source("x = 1")
    first = read.tree
    assert read.tree is first
    read.drop_tree()
    read.drop_tree()
    assert read.tree is not first


@pytest.mark.parametrize("text", ["x = (", "def f(:\n  pass", "x = 1\0", "\tx\n x"])
def test_the_check_of_syntax_says_what_the_tree_says(text: str) -> None:
    with pytest.raises(SourceError) as raised:
        source(text).check_syntax()
    assert raised.value.args == error_of(text.encode()).args


@pytest.mark.parametrize(
    "text", ["x = 1", "", "nonlocal x", "def f(a, a): pass", "return", "x = 1\n\ndef f():\n  x\n  global x", "'\\d'"]
)
def test_the_check_of_syntax_accepts_what_has_a_tree(text: str) -> None:
    assert source(text).tree
    source(text).check_syntax()


# ---------------------------------------------------------------------- nesting

N = NESTING_LIMIT
DEEP = {
    "chained operators": ("x = " + "a + " * (N - 10) + "a", "x = " + "a + " * 3 * N + "a"),
    "operators on many lines": ("(a" + "\n+ a" * (N - 10) + ")", "(a" + "\n  + a" * 3 * N + ")"),
    "attributes": ("a" + ".a" * (N - 10), "a" + ".a" * 3 * N),
    "calls": ("a" + "()" * (N - 10), "a" + "()" * 3 * N),
    "signs": ("-" * (N - 10) + "a", "-" * 3 * N + "a"),
    "not": ("not " * (N - 10) + "a", "not " * 3 * N + "a"),
    "lambda": ("lambda:" * (N - 10) + "a", "lambda:" * 2 * N + "a"),
    "conditional expressions": ("a if b else " * (N - 10) + "c", "a if b else " * 2 * N + "c"),
    "elif": ("if a: b\n" + "elif a: b\n" * (N - 10), "if a: b\n" + "elif a: b\n" * 2 * N),
    "parentheses": ("(" * 90 + "a" + ")" * 90, "(" * 5000 + "a" + ")" * 5000),
    "brackets": ("[" * 90 + "]" * 90, "[" * 5000 + "]" * 5000),
    "in a header": ("if " + "-" * (N - 20) + "a: pass", "if " + "-" * 2 * N + "a: pass"),
    "in a decorator": ("@a" + ".a" * (N - 20) + "\ndef f(): pass", "@a" + ".a" * 2 * N + "\ndef f(): pass"),
    "in a handler": (
        "try: pass\nexcept a" + ".a" * (N - 20) + ": pass",
        "try: pass\nexcept a" + ".a" * 2 * N + ": pass",
    ),
    "in a case": (
        "match a:\n case b if " + "-" * (N - 20) + "c: pass",
        "match a:\n case b if " + "-" * 2 * N + "c: pass",
    ),
    "in a case's body": ("match a:\n case b:\n  " + "-" * (N - 20) + "c", "match a:\n case b:\n  " + "-" * 2 * N + "c"),
    "in a method": (
        "class A:\n def f(self):\n  return " + "-" * (N - 20) + "a",
        "class A:\n def f(self):\n  return " + "-" * 2 * N + "a",
    ),
    "a huge chain": ("x = 1", "x = " + "a + " * 400_000 + "a"),
    "a huge chain of attributes": ("x = 1", "\n" * 9 + "x = (a" + ".a\\\n" * 400_000 + ")"),
    "huge prefixes": ("x = 1", "not " * 400_000 + "a"),
}


@pytest.mark.parametrize("shape", DEEP)
def test_deep_nesting_is_an_error_and_not_a_crash(shape: str) -> None:
    accepted, refused = DEEP[shape]
    assert depth(source(accepted).tree) <= NESTING_LIMIT
    error = error_of(refused.encode())
    assert re.search("nested too deeply|too many nested", error.message), error


@pytest.mark.parametrize("shape", DEEP)
def test_deep_nesting_does_not_crash_the_check_of_syntax(shape: str) -> None:
    accepted, refused = DEEP[shape]
    source(accepted).check_syntax()
    with contextlib.suppress(SourceError):  # unless Python itself parses it, which is enough where no tree is needed
        source(refused).check_syntax()


def test_a_deep_statement_is_named() -> None:
    error = error_of(b"def f():\n    x = 1\n    y = " + b"-" * 300 + b"a\n")
    assert (error.line, error.column) == (3, 5)


@pytest.mark.parametrize(
    "text",
    [
        "x = [\n" + "    f(a.b[0], -1, c=(1, 2)),\n" * 50_000 + "]\n",
        "x = 1\n" * 50_000,
        "x = (\n" + "    'a' 'b'\n" * 20_000 + ")\n",
        "x = a" + " < a" * 5_000,
        "x = '" + "(" * 20_000 + "'  # " + "." * 20_000,
        "x = '''" + "a.b\n" * 20_000 + "'''\n",
    ],
    ids=["table", "statements", "implicit concatenation", "comparison", "string", "docstring"],
)
def test_long_but_flat_files_are_fine(text: str) -> None:
    assert source(text).tree.body


def depth(tree: ast.AST) -> int:
    deepest, pending = 0, [(tree, 0)]
    while pending:
        node, level = pending.pop()
        deepest = max(deepest, level)
        pending += [(child, level + 1) for child in ast.iter_child_nodes(node)]
    return deepest


# ---------------------------------------------------------------------- positions

NEWLINES = ["\n", "\r\n", "\r"]
TEXT = st.lists(
    st.one_of(
        st.sampled_from([*NEWLINES, "\x0c", "\x85", "\u2028", "é", "\U0001d431", "a"]),
        st.characters(exclude_categories=["Cs"]),
    )
).map("".join)


@given(TEXT)
@example("\r\n\r\r\n\n")
def test_lines_split_as_the_parser_splits_them(text: str) -> None:
    read = source(text)
    expected = re.split(r"\r\n|\n|\r", text)
    assert [read.line_text(line) for line in range(1, len(read.lines) + 1)] == expected


@given(TEXT.filter(lambda text: "coding" not in text))
def test_decoding_and_encoding_is_the_identity(text: str) -> None:
    for raw in (text.encode(), BOM + text.encode()):
        read = source(raw)
        assert read.encode(read.data) == raw


ENCODINGS = sorted(
    {*encodings.aliases.aliases.values(), "utf_8_sig", "idna", "punycode", "undefined", "unicode_escape"}
)


@given(st.binary(), st.sampled_from(ENCODINGS))
@example(b"+AGE-", "utf_7")
def test_any_bytes_are_text_or_an_error(raw: bytes, encoding: str) -> None:
    raw = b"# coding: " + encoding.encode() + b"\n" + raw
    try:
        read = source(raw)
    except SourceError as error:
        place = (error.line, error.column)
    else:
        assert read.encode(read.data) == raw
        place = (1, 1)
        with contextlib.suppress(SourceError):
            assert read.tree
    assert place >= (1, 1)


@given(TEXT)
def test_positions_and_offsets_are_inverse(text: str) -> None:
    read = source(text)
    offset = 0
    for character in text:
        line, column = read.position(offset)
        assert read.offset(line, len(read.line_text(line)[: column - 1].encode())) in (offset, offset - 1)
        if character not in "\r\n":
            assert read.line_text(line)[column - 1] == character
        offset += len(character.encode())
    assert read.position(offset)[0] == len(read.lines)


@pytest.mark.parametrize("newline", NEWLINES)
@pytest.mark.parametrize("last", ["", "\n"])
def test_spans_agree_with_the_parser(newline: str, last: str) -> None:
    text = (
        "\x0c'''é\n\x85ü'''\n\x0cdef f(é, b='\u2028'):\n  @é\n  class ß: # é\n"
        "    x = (é +\n é); y = é\x0c+ é\nf(é)\\\n  .é" + last
    )
    read = source(text.replace("\n", newline))
    names = [node for node in ast.walk(read.tree) if isinstance(node, ast.Name)]
    assert len(names) == 9
    for node in names:
        start, end = read.span(node)
        assert read.data[start:end].decode() == node.id
    (definition,) = (node for node in ast.walk(read.tree) if isinstance(node, ast.ClassDef))
    start, _ = read.span(definition)
    assert read.data[start:].startswith("class ß".encode())
    assert read.newline == newline


@pytest.mark.parametrize(
    ("text", "newline"),
    [
        ("", "\n"),
        ("x", "\n"),
        ("\r\n\n\n", "\n"),
        ("a\r\nb\r\nc\nd\r", "\r\n"),
        ("a\rb\rc\r\n", "\r"),
        ("a\r\nb\n", "\n"),
    ],
)
def test_the_newline_is_the_dominant_one(text: str, newline: str) -> None:
    assert source(text).newline == newline


def test_an_edit_has_both_kinds_of_position() -> None:
    read = source("é = 1\r\nyé = ü + 1\r\n")
    start, end = read.data.index("ü".encode()), read.data.index(b" + 1")
    edit = read.edit(start, end, "z")
    assert (edit.path, edit.start, edit.end, edit.text) == ("m.py", start, end, "z")
    assert (edit.begin, edit.finish) == ((2, 6), (2, 7))


# ---------------------------------------------------------------------- comments


@pytest.mark.parametrize("newline", NEWLINES)
def test_comments_are_found_by_the_tokenizer(newline: str) -> None:
    text = "# first\nx = '# no'  # é one \n\x0c  # two\nf('''\n# no\n''', # three\n  # four\n)\n'é' # last"
    expected = (
        Comment(1, 0, "# first", True),
        Comment(2, 12, "# é one", False),
        Comment(3, 3, "# two", True),
        Comment(6, 5, "# three", False),
        Comment(7, 2, "# four", True),
        Comment(9, 5, "# last", False),
    )
    read = source(text.replace("\n", newline))
    assert read.comments == expected
    for comment in read.comments:
        start = read.offset(comment.line, comment.column_utf8)
        assert read.data[start:].startswith(comment.text.encode())


@pytest.mark.parametrize("broken", ["x = (  # one\n", "if x:  # one\n      y\n   z\n", "x = 'a\n# one?\n"])
def test_comments_of_a_file_that_cannot_be_tokenized(broken: str) -> None:
    assert all("one" in comment.text for comment in source(broken).comments)


def test_comments_of_real_code_are_those_of_tokenize() -> None:
    path = Path(tokenize.__file__)
    with path.open("rb") as file:
        tokens = [token for token in tokenize.tokenize(file.readline) if token.type == tokenize.COMMENT]
    comments = Source.read(path).comments
    assert [(comment.line, comment.text) for comment in comments] == [(t.start[0], t.string.rstrip()) for t in tokens]
    assert len(comments) > 20
