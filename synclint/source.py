"""Source files: their bytes, encoding, newlines, tree and comments, and the arithmetic of positions.

All text is handled as UTF-8 bytes without a byte order mark, in which ``ast`` counts columns. Lines end at
``\\r\\n``, ``\\n`` or ``\\r`` and nowhere else (``str.splitlines`` would also split at form feeds and the like).
"""

from __future__ import annotations

import ast
import codecs
import os
import re
import sys
import warnings
from bisect import bisect_right
from functools import cached_property
from hashlib import blake2b
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

from synclint.finding import Edit

if TYPE_CHECKING:
    from pathlib import Path

NESTING_LIMIT = 200
"""Levels of nodes, statements included, that a tree may have. Hand-written code stays below 40; recursive walks
at up to four Python frames a level stay below Python's default recursion limit."""


class SourceError(Exception):
    """A file that cannot be read, decoded, parsed or written back.

    ``message`` is a short sentence without the place; ``line`` is 1-based (1 if unknown), ``column`` 1-based in code
    points.
    """

    def __init__(self, path: str, line: int, column: int, message: str) -> None:
        super().__init__(path, line, column, message)
        self.path = path
        self.line = line
        self.column = column
        self.message = message

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column}: {self.message}"


class Comment(NamedTuple):
    """A comment: its 1-based line, the 0-based UTF-8 column of its ``#``, its text from ``#`` to the end of the
    line without trailing blanks, and whether nothing but blanks stands before it."""

    line: int
    column_utf8: int
    text: str
    alone: bool


class Source:
    """One file, read once.

    ``path`` is the path for reports; ``data`` the text as UTF-8 bytes, without a byte order mark, newlines as in the
    file; ``encoding`` the file's own encoding (a codec name), ``bom`` whether it starts with a UTF-8 byte order
    mark.
    """

    def __init__(self, path: str, data: bytes, encoding: str = "utf-8", *, bom: bool = False) -> None:
        self.path = path
        self.data = data
        self.encoding = encoding
        self.bom = bom
        self.parsed_before = False  # then nothing in it is nested too deeply
        self._original: bytes | None = None  # only where decoding cannot be undone

    @cached_property
    def digest(self) -> bytes:
        """What tells this text from any other."""
        return blake2b(self.data, digest_size=16).digest()

    # ------------------------------------------------------------------ reading and writing

    @classmethod
    def read(cls, path: Path | str, *, shown: str | None = None) -> Source:
        """Read a file. ``shown`` is the path for reports, by default :func:`shown_path`.

        Raises :class:`SourceError` when it cannot be read or decoded.
        """
        name = shown_path(path) if shown is None else shown
        try:
            with open(path, "rb") as file:
                raw = file.read()
        except OSError as error:
            raise SourceError(name, 1, 1, f"cannot be read: {_lower_first(error.strerror or str(error))}") from error
        except ValueError as error:  # a null byte in the name
            raise SourceError(name, 1, 1, f"cannot be read: {error}") from error
        return cls.decode(raw, name)

    @classmethod
    def decode(cls, raw: bytes, path: str) -> Source:
        """The source that these bytes of a file spell, by PEP 263.

        Raises :class:`SourceError` when the encoding is unknown or contradicts the byte order mark, or the bytes
        are not text in it.
        """
        bom = raw.startswith(codecs.BOM_UTF8)
        body = raw[len(codecs.BOM_UTF8) :] if bom else raw
        encoding, line = _declared_encoding(raw, path)
        if encoding == "utf-8":
            if not body.isascii():
                try:
                    body.decode()
                except UnicodeDecodeError as error:
                    raise _undecodable(path, body, error, encoding) from error
            return cls(path, body, bom=bom)
        try:
            text = body.decode(encoding)
            source = cls(path, text.encode(), encoding)
            if text.encode(encoding) != body:
                source._original = body
            return source
        except LookupError as error:
            raise SourceError(path, line, 1, f"cannot be decoded: {encoding} is not a text encoding") from error
        except UnicodeDecodeError as error:
            raise _undecodable(path, body, error, encoding) from error
        except (ValueError, OverflowError) as error:  # codecs that are no ordinary encodings: idna, punycode, undefined
            raise SourceError(path, line, 1, f"cannot be decoded as {encoding}: {error}") from error

    def encode(self, data: bytes) -> bytes:
        """New text (UTF-8 bytes, as ``data``) as bytes for the disk: in the file's encoding, with its byte order mark.

        Raises :class:`SourceError` when the encoding lacks a character of the text.
        """
        if self.encoding == "utf-8":
            return codecs.BOM_UTF8 + data if self.bom else data
        if self._original is not None:
            if data == self.data:
                return self._original
            message = f"cannot be changed: its encoding {self.encoding} does not write back what it reads"
            raise SourceError(self.path, 1, 1, message)
        text = data.decode()
        try:
            return text.encode(self.encoding)
        except UnicodeEncodeError as error:
            before = _NEWLINE.split(text[: error.start])
            message = f"cannot be written as {self.encoding}, which has no {text[error.start]!a}"
            raise SourceError(self.path, len(before), len(before[-1]) + 1, message) from error

    # ------------------------------------------------------------------ the tree

    @cached_property
    def tree(self) -> ast.Module:
        """The parsed file. Raises :class:`SourceError` when it cannot be parsed or is nested too deeply."""
        data = self.data
        null = data.find(b"\0")
        if null >= 0:
            raise SourceError(self.path, *self.position(null), "cannot be parsed: null byte in the source")
        if sys.version_info < (3, 11) and (line := _native_overflow(data)):
            raise SourceError(self.path, line, 1, _TOO_DEEP)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                tree = ast.parse(data.decode())
        except SyntaxError as error:
            raise self._syntax_error(error) from error
        except (MemoryError, RecursionError) as error:
            raise SourceError(self.path, 1, 1, _TOO_DEEP) from error
        except ValueError as error:
            raise SourceError(self.path, 1, 1, f"cannot be parsed: {error}") from error
        deep = None if self.parsed_before else _too_deep(tree, self)
        if deep is not None:
            raise SourceError(self.path, *self.position(self.offset(deep.lineno, deep.col_offset)), _TOO_DEEP)
        return tree

    def check_syntax(self) -> None:
        """Raise :class:`SourceError` when the file cannot be parsed, at half the price of the tree.

        The symbol table is built from the parser's own tree, which is never turned into Python objects, so that
        nesting matters to nobody. What it refuses beyond syntax, such as a ``nonlocal`` too many, is no error here.
        """
        if "tree" in self.__dict__ or (sys.version_info < (3, 11) and _native_overflow(self.data)):
            self.tree  # noqa: B018 - raises where it must
            return
        from symtable import symtable

        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                symtable(self.data.decode(), self.path, "exec")
        except (SyntaxError, ValueError, MemoryError, RecursionError):
            self.tree  # noqa: B018 - raises where it must

    def drop_tree(self) -> None:
        """Forget the tree; it is parsed again when asked for."""
        self.__dict__.pop("tree", None)

    def _syntax_error(self, error: SyntaxError) -> SourceError:
        line = min(max(error.lineno or 1, 1), len(self.lines))
        column = min(max(error.offset or 1, 1), len(self.line_text(line)) + 1)
        return SourceError(self.path, line, column, f"cannot be parsed: {_lower_first(error.msg)}")

    # ------------------------------------------------------------------ lines and positions

    @cached_property
    def lines(self) -> tuple[int, ...]:
        """The byte offset at which each line starts. A final newline is followed by one more, empty line."""
        data = self.data
        starts = tuple(accumulate(map(len, data.splitlines(keepends=True)), initial=0))
        return starts if not data or data.endswith((b"\n", b"\r")) else starts[:-1]

    @cached_property
    def newline(self) -> str:
        """The newline that most lines of the file end with; ``"\\n"`` where there is none."""
        windows = self.data.count(b"\r\n")
        unix = self.data.count(b"\n") - windows
        classic = self.data.count(b"\r") - windows
        return max((unix, "\n"), (windows, "\r\n"), (classic, "\r"), key=lambda counted: counted[0])[1]

    def offset(self, line: int, column_utf8: int) -> int:
        """The byte offset of a 1-based line and a 0-based column in UTF-8 bytes, as ``ast`` gives them."""
        return self.lines[line - 1] + column_utf8

    def span(
        self, node: ast.expr | ast.stmt | ast.excepthandler | ast.arg | ast.keyword | ast.alias
    ) -> tuple[int, int]:
        """The bytes ``[start, end)`` of a node; those of a decorated statement start after its decorators."""
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        lines = self.lines
        return lines[node.lineno - 1] + node.col_offset, lines[node.end_lineno - 1] + node.end_col_offset

    def position(self, offset: int) -> tuple[int, int]:
        """The 1-based line and 1-based column (in code points) of a byte offset."""
        line = bisect_right(self.lines, offset)
        before = self.data[self.lines[line - 1] : offset]
        return line, 1 + (len(before) if before.isascii() else len(before.decode(errors="ignore")))

    def line_text(self, line: int) -> str:
        """The text of a 1-based line, without its newline."""
        end = self.lines[line] if line < len(self.lines) else len(self.data)
        return self.data[self.lines[line - 1] : end].rstrip(b"\r\n").decode()

    def edit(self, start: int, end: int, text: str) -> Edit:
        """The edit that replaces the bytes ``[start, end)`` by ``text``."""
        return Edit(self.path, start, end, text, self.position(start), self.position(end))

    # ------------------------------------------------------------------ comments

    @cached_property
    def comments(self) -> tuple[Comment, ...]:
        """All comments in order. Where the file cannot be tokenized, those before that place."""
        import tokenize

        found: list[Comment] = []
        # Newlines are unified, since the tokenizer below Python 3.12 does not know the lone carriage return.
        lines = [line.rstrip(b"\r\n").decode() + "\n" for line in self.data.splitlines(keepends=True)]
        remaining = iter(lines)
        try:
            for kind, text, (line, column), _, _ in tokenize.generate_tokens(lambda: next(remaining, "")):
                if kind == tokenize.COMMENT:
                    before = lines[line - 1][:column]
                    found.append(Comment(line, len(before.encode()), text.rstrip(), not before.strip()))
        except (tokenize.TokenError, SyntaxError):
            pass
        return tuple(found)


def shown_path(path: Path | str) -> str:
    """A path as reports show it: with forward slashes, relative to the working directory where it is below it."""
    absolute = os.path.abspath(path)
    here = os.path.join(os.getcwd(), "")
    shown = absolute.removeprefix(here)
    return shown.replace(os.sep, "/")


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]


# ---------------------------------------------------------------------- encodings

_NEWLINE = re.compile(r"\r\n|\n|\r")
_FIRST_LINES = re.compile(rb"([^\r\n]*)(?:\r\n|\n|\r)?([^\r\n]*)")
_COOKIE = re.compile(rb"[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)", re.ASCII)
_BLANK_OR_COMMENT = re.compile(rb"[ \t\f]*(?:#.*)?")


def _declared_encoding(raw: bytes, path: str) -> tuple[str, int]:
    """The codec that PEP 263 names for these bytes, and the line that declares it (1 if none does).

    Unlike ``tokenize.detect_encoding`` this accepts, as Python itself does, a declaration next to characters that are
    not UTF-8.
    """
    bom = raw.startswith(codecs.BOM_UTF8)
    lines = _FIRST_LINES.match(raw, len(codecs.BOM_UTF8) if bom else 0)
    assert lines is not None
    line, cookie = 1, _COOKIE.match(lines[1])
    if cookie is None and _BLANK_OR_COMMENT.fullmatch(lines[1]):
        line, cookie = 2, _COOKIE.match(lines[2])
    if cookie is None:
        return "utf-8", 1
    declared = cookie[1].decode()
    normal = declared.lower().replace("_", "-")
    if normal == "utf-8" or normal.startswith("utf-8-"):  # "utf-8-unix" and its like
        return "utf-8", line
    if (normal + "-").startswith(("latin-1-", "iso-8859-1-", "iso-latin-1-")):
        declared = "iso-8859-1"
    try:
        encoding = codecs.lookup(declared).name
    except LookupError as error:
        raise SourceError(path, line, 1, f"cannot be decoded: unknown encoding {declared}") from error
    if bom and encoding != "utf-8":
        message = f"cannot be decoded: starts with a UTF-8 byte order mark, but declares the encoding {declared}"
        raise SourceError(path, line, 1, message)
    return ("utf-8" if encoding == "utf-8-sig" else encoding), line


def _undecodable(path: str, body: bytes, error: UnicodeDecodeError, encoding: str) -> SourceError:
    try:
        before = _NEWLINE.split(body[: error.start].decode(encoding))
    except UnicodeError:  # a codec that does not say where it failed
        before = [""]
    return SourceError(path, len(before), len(before[-1]) + 1, f"cannot be decoded as {encoding}: {error.reason}")


# ---------------------------------------------------------------------- nesting

_TOO_DEEP = f"cannot be parsed: nested too deeply (more than {NESTING_LIMIT} levels)"

# One of these bytes adds at most three levels to an expression, one of the keywords at most two.
_NESTING_BYTES = b"+-*/%@&|^~.([{"

# Where compound statements keep their bodies: as lists of statements, as parts that have a body.
_BODIES: dict[type[ast.AST], tuple[tuple[str, ...], str]] = {
    ast.FunctionDef: (("body",), ""),
    ast.AsyncFunctionDef: (("body",), ""),
    ast.ClassDef: (("body",), ""),
    ast.With: (("body",), ""),
    ast.AsyncWith: (("body",), ""),
    ast.For: (("body", "orelse"), ""),
    ast.AsyncFor: (("body", "orelse"), ""),
    ast.While: (("body", "orelse"), ""),
    ast.If: (("body", "orelse"), ""),
    ast.Try: (("body", "orelse", "finalbody"), "handlers"),
    ast.Match: ((), "cases"),
}
if sys.version_info >= (3, 11):
    _BODIES[ast.TryStar] = _BODIES[ast.Try]


def _too_deep(tree: ast.Module, source: Source) -> ast.stmt | None:
    """The first statement found that reaches below NESTING_LIMIT levels.

    Visits all statements, but the expressions of those alone whose text has enough that can nest.
    """
    data = source.data
    if len(data) < NESTING_LIMIT:
        return None
    starts = (*source.lines, len(data))
    pending: list[tuple[list[ast.stmt], int]] = [(tree.body, 1)]
    while pending:
        body, depth = pending.pop()
        inside = depth + 1
        enough = NESTING_LIMIT - 3 * depth
        for statement in body:
            first = statement.lineno
            last = statement.end_lineno or first
            bodies = _BODIES.get(statement.__class__)
            if bodies is not None:
                pending += [(block, inside) for field in bodies[0] if (block := getattr(statement, field))]
                if bodies[1]:
                    pending += [(part.body, inside) for part in getattr(statement, bodies[1])]
                else:
                    last = statement.body[0].lineno  # type: ignore[attr-defined]
                    if decorators := getattr(statement, "decorator_list", None):
                        first = decorators[0].lineno
            start, end = starts[first - 1], starts[last]
            if end - start >= enough and _nests_deeply(statement, data[start:end], depth):
                return statement
    return None


def _nests_deeply(statement: ast.stmt, text: bytes, depth: int) -> bool:
    """Whether the expressions of a statement, which stands at ``depth``, reach below NESTING_LIMIT levels."""
    bound = depth + 3 * (len(text) - len(text.translate(None, _NESTING_BYTES)))
    if bound < NESTING_LIMIT:
        keywords = text.count(b"not") + text.count(b"if") + text.count(b"lambda")
        if bound + 2 * keywords < NESTING_LIMIT:
            return False
    level: list[ast.AST] = [statement]
    while level:
        if depth > NESTING_LIMIT:
            return True
        depth += 1
        below: list[ast.AST] = []
        for node in level:
            for child in node.__dict__.values():
                if isinstance(child, ast.AST):
                    below.append(child)
                elif isinstance(child, list):
                    below += [item for item in child if isinstance(item, ast.AST) and not isinstance(item, ast.stmt)]
        level = below
    return False


_NATIVE_LIMIT = 10_000
_NATIVE_NESTING_BYTES = b"+-*/%@&|^.(["
_LEXEME = re.compile(
    rb"""\"{3}(?:\\.|[^\\])*?\"{3}|'{3}(?:\\.|[^\\])*?'{3}|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|\#[^\n]*"""
    rb"""|[-+*/%@&|^.()\[\]{},;\n]""",
    re.DOTALL,
)


def _native_overflow(data: bytes) -> int:
    """The line near which an expression chains more operators than the parser of Python 3.10 survives, or 0.

    That parser builds a left-leaning chain of any length, then overflows the C stack while converting it.
    """
    if len(data) - len(data.translate(None, _NATIVE_NESTING_BYTES)) < _NATIVE_LIMIT:
        return 0
    text = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    chained = [0]  # for each open bracket
    for match in _LEXEME.finditer(text):
        lexeme = match[0]
        if lexeme in b",;\n":
            if lexeme != b"\n" or len(chained) == 1:
                chained[-1] = 0
        elif lexeme in b")]}":
            if len(chained) > 1:
                del chained[-1]
        elif len(lexeme) == 1:
            chained[-1] += 1
            if chained[-1] >= _NATIVE_LIMIT:
                return text.count(b"\n", 0, match.start()) + 1
            if lexeme in b"([{":
                chained.append(0)
    return 0
