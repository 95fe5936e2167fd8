"""One statement, cut out of its file: seen with ``ast``, judged and rewritten with LibCST.

Only the bytes of the statement go through LibCST; the rest of the file is never parsed by it and never touched.
"""

from __future__ import annotations

import ast
import re
import sys
import warnings
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import libcst as cst

    from synclint.finding import Edit
    from synclint.source import Source

DEPTH_LIMIT = 200
"""Levels of expressions that a statement may have to be parsed with LibCST, whose parser recurses without a guard."""

_BLOCKS = frozenset({"body", "orelse", "finalbody", "handlers", "cases"})

# Several LibCST nodes can share one span (an argument and its value); the ast node's type says which is meant.
_COUNTERPARTS: dict[str, tuple[str, ...]] = {
    "Attribute": ("Attribute",),
    "Await": ("Await",),
    "BinOp": ("BinaryOperation",),
    "BoolOp": ("BooleanOperation",),
    "Call": ("Call",),
    "Compare": ("Comparison",),
    "Constant": ("Integer", "Float", "Imaginary", "SimpleString", "ConcatenatedString", "Name", "Ellipsis"),
    "Dict": ("Dict",),
    "DictComp": ("DictComp",),
    "GeneratorExp": ("GeneratorExp",),
    "IfExp": ("IfExp",),
    "JoinedStr": ("FormattedString", "ConcatenatedString"),
    "Lambda": ("Lambda",),
    "List": ("List",),
    "ListComp": ("ListComp",),
    "Name": ("Name",),
    "NamedExpr": ("NamedExpr",),
    "Set": ("Set",),
    "SetComp": ("SetComp",),
    "Subscript": ("Subscript",),
    "Tuple": ("Tuple",),
    "UnaryOp": ("UnaryOperation",),
    "Yield": ("Yield",),
    "YieldFrom": ("Yield",),
}


class Statement:
    """A simple statement, or the header of a compound one (with its decorators, without its body).

    ``span`` is its bytes ``[start, end)`` in ``source.data``. The header of an ``elif`` starts at its ``if``; that
    of a ``match`` ends after its colon, every other one where its body starts.
    """

    _whole: ClassVar[bool] = False

    def __init__(self, source: Source, statement: ast.stmt) -> None:
        self._source = source
        self._statement = statement
        self._is_header = not self._whole and _first_block(statement) is not None
        self._first = _first_byte(source, statement)
        self._is_elif = isinstance(statement, ast.If) and source.data.startswith(b"elif", self._first)
        self.span: tuple[int, int] = (self._first + 2 * self._is_elif, self._end())

    def _end(self) -> int:
        block = _first_block(self._statement)
        if not self._is_header or block is None:
            return self._source.span(self._statement)[1]
        if isinstance(self._statement, ast.Match):
            return _after_colon(self._source.data, self._source.span(self._statement.subject)[1])
        return _first_byte(self._source, block[0])

    # ------------------------------------------------------------------ parsing

    @cached_property
    def _prefix(self) -> str:
        """What goes before the slice where it has lines of its own that are indented (after decorators, in blocks)."""
        indent = self.indent
        if not indent or not (self._whole or getattr(self._statement, "decorator_list", None)):
            return ""
        return f"if 1:{self._source.newline}{indent}"

    @cached_property
    def _suffix(self) -> str:
        """What goes after a header to make it a statement."""
        if not self._is_header:
            return ""
        if isinstance(self._statement, ast.Match):
            return f"{self._source.newline} case _: pass"
        if type(self._statement).__name__ in {"Try", "TryStar"}:
            return f"pass{self._source.newline}finally: pass"
        return "pass"

    @cached_property
    def _text(self) -> str:
        start, end = self.span
        return f"{self._prefix}{self._source.data[start:end].decode()}{self._suffix}"

    @cached_property
    def _parsed(self) -> tuple[cst.Module, cst.SimpleStatementLine | cst.BaseCompoundStatement] | None:
        import libcst as cst

        if _too_deep(self._statement, self._is_header):
            return None
        try:
            module = cst.parse_module(self._text)
            if self._whole or self._prefix:
                module = _with_literal_indents(module)
            if module.code != self._text:
                return None
        except Exception:  # LibCST refuses or trips over some valid code, with errors of many types
            return None
        body = module.body
        if self._prefix and len(body) == 1 and isinstance(body[0], cst.If):
            inner = body[0].body.body
            body = [part for part in inner if isinstance(part, cst.SimpleStatementLine | cst.BaseCompoundStatement)]
        if len(body) != 1 or (isinstance(body[0], cst.SimpleStatementLine) and len(body[0].body) != 1):
            return None
        return module, body[0]

    def parse(self) -> cst.SimpleStatementLine | cst.BaseCompoundStatement | None:
        """The LibCST statement, or None when LibCST does not give these bytes back, or they are nested too deeply.

        A header's body is ``pass``, and nothing else of its blocks is there.
        """
        return None if self._parsed is None else self._parsed[1]

    @cached_property
    def _spans(self) -> dict[cst.CSTNode, tuple[int, int]]:
        """The bytes of each node in the file, without the parentheses around it."""
        from libcst.metadata import ByteSpanPositionProvider, MetadataWrapper

        if self._parsed is None:
            return {}
        try:
            spans = MetadataWrapper(self._parsed[0], unsafe_skip_copy=True).resolve(ByteSpanPositionProvider)
        except RecursionError:
            return {}
        shift = self.span[0] - len(self._prefix.encode())
        return {node: (shift + span.start, shift + span.start + span.length) for node, span in spans.items()}

    @cached_property
    def _expressions(self) -> dict[tuple[int, int], list[cst.BaseExpression]]:
        """The expressions by their bytes as ast counts them: a tuple's and a generator's include its parentheses."""
        import libcst as cst

        found: dict[tuple[int, int], list[cst.BaseExpression]] = {}
        spans = self._spans
        for node, span in spans.items():
            if isinstance(node, cst.Tuple | cst.GeneratorExp) and node.lpar:
                span = (spans[node.lpar[-1]][0], spans[node.rpar[0]][1])
            if isinstance(node, cst.BaseExpression):
                found.setdefault(span, []).append(node)
        return found

    def _nodes(self, statement: ast.stmt) -> Iterator[ast.AST]:
        """The statement (this one, or a copy) and all nodes in its bytes, in an order that structure alone decides."""
        level: list[ast.AST] = [statement]
        while level:
            yield from level
            level = [child for node in level for child in _children(node, self._is_header and node is statement)]

    @cached_property
    def _misplaced(self) -> frozenset[int]:
        """Nodes inside f-strings, by id, where ast's positions cannot be trusted (before Python 3.12)."""
        if sys.version_info >= (3, 12):
            return frozenset()
        return self._interpolated

    @cached_property
    def _interpolated(self) -> frozenset[int]:
        """All nodes inside f-strings (and template strings), by id."""
        strings = [node for node in self._nodes(self._statement) if type(node).__name__ in {"JoinedStr", "TemplateStr"}]
        return frozenset(id(node) for string in strings for node in ast.walk(string) if node is not string)

    def node(self, expression: ast.expr) -> cst.BaseExpression | None:
        """The LibCST node of an expression of this statement, or None where it has none that can be trusted.

        None also for slices (and a tuple of them as an index) and starred expressions, and inside f-strings before
        Python 3.12. The node has the
        parentheses around the expression as its ``lpar`` and ``rpar``.
        """
        if id(expression) in self._misplaced:
            return None
        names = _COUNTERPARTS.get(type(expression).__name__, ())
        span = self._source.span(expression)
        for node in self._expressions.get(span, ()):
            if type(node).__name__ in names:
                return node
        if isinstance(expression, ast.GeneratorExp):
            # The only argument of a call: ast takes the call's parentheses for its own.
            bare = [
                (inside, node)
                for inside, nodes in self._expressions.items()
                for node in nodes
                if type(node).__name__ in names and span[0] < inside[0] and inside[1] < span[1]
            ]
            return min(bare, key=lambda found: found[0][0] - found[0][1])[1] if bare else None
        return None

    def code(self, node: cst.CSTNode) -> str:
        """The text of a node, of this statement or a new one, with the parentheses around it."""
        import libcst as cst

        module = cst.Module([]) if self._parsed is None else self._parsed[0]
        return module.code_for_node(node)

    # ------------------------------------------------------------------ edits

    @property
    def indent(self) -> str:
        """The blanks that a line of code at this place starts with."""
        before = self._source.data[self._line_start() : self._first]
        blanks = before[: len(before) - len(before.lstrip(b" \t\f"))]
        return blanks.rpartition(b"\f")[2].decode()

    def edit(self, start: int, end: int, text: str) -> Edit:
        """The smallest edit that makes the bytes ``[start, end)`` of the file read ``text``.

        Lines of ``text`` that end in ``"\\n"`` end in the file's newline instead. No character and no ``\\r\\n`` is
        split.
        """
        old = self._source.data[start:end]
        new = self._native(text).encode()
        before, after = _common(old, new)
        return self._source.edit(start + before, end - after, new[before : len(new) - after].decode())

    def replace(self, expression: ast.expr, new: cst.BaseExpression | str) -> Edit | None:
        """The edit that puts ``new`` in the place of an expression of this statement, in parentheses where needed.

        None when the result would not mean just that: the statement cannot be parsed alone, the place cannot be
        trusted (inside f-strings), or ``new`` is no expression. A node that keeps the parentheses of the one it
        replaces replaces them as well.
        """
        if self._parsed is None or id(expression) in self._misplaced:
            return None
        start, end = self._source.span(expression)
        if isinstance(new, str):
            text = new
        else:
            text = self.code(new)
            old = self.node(expression)
            if old is not None and old.lpar and new.lpar:
                start, end = self._spans[old.lpar[0]][0], self._spans[old.rpar[-1]][1]
        if id(expression) in self._interpolated and re.search(r"[\"'\\#\r\n]", text):
            return None  # valid from Python 3.12 on alone
        meant = self._meaning(expression, text)
        if meant is None:
            return None
        low, high = (len(self._prefix.encode()) + place - self.span[0] for place in (start, end))
        whole = self._text.encode()
        for candidate in (text, f"({text})"):
            spelled = whole[:low] + self._native(candidate).encode() + whole[high:]
            if _dump(_parse(spelled.decode())) == meant:
                return self.edit(start, end, candidate)
        return None

    def _meaning(self, expression: ast.expr, text: str) -> str | None:
        """The dumped tree of the statement with ``expression`` replaced by what ``text`` means on its own."""
        module = _parse(self._text)
        new = _parse(f"({text}\n)") if text.strip() else None
        if module is None or new is None or len(new.body) != 1 or not isinstance(new.body[0], ast.Expr):
            return None
        copy = module.body[0]
        if self._prefix and isinstance(copy, ast.If):
            copy = copy.body[0]
        for node, twin in zip(self._nodes(self._statement), list(self._nodes(copy)), strict=True):
            if node is expression:
                _put(new.body[0].value, twin, self._nodes(copy))
                return _dump(module)
        return None

    @property
    def can_insert_before(self) -> bool:
        """Whether a line can be put before this statement and run right before it.

        Not before an ``elif``, nor where the statement shares its line: after or before a ``;``, or in the body of a
        one-line compound. (Before a ``while`` it can; it then runs once.)
        """
        data, start = self._source.data, self._line_start()
        if self._is_elif or data[start : self._first].strip(b" \t\f"):
            return False
        if data[:start].rstrip(b"\r\n").endswith(b"\\"):
            return False
        return self._is_header or not data[self.span[1] :].lstrip(b" \t\f").startswith((b";", b"\\"))

    def insert_before(self, code: str) -> Edit | None:
        """The edit that puts lines of code before this statement, or None where that cannot be done.

        ``code`` is one or more lines without indentation of their own and without multi-line strings.
        """
        if not self.can_insert_before:
            return None
        lines = [f"{self.indent}{line}" if line.strip() else "" for line in code.strip("\n").split("\n")]
        start = self._line_start()
        return self._source.edit(start, start, self._native("".join(f"{line}\n" for line in lines)))

    def delete(self) -> Edit | None:
        """The edit that removes the statement's lines, comments on them included.

        None for a header, and where the statement shares a line. The body it stands in must keep another statement.
        """
        if self._is_header or not self.can_insert_before:
            return None
        lines = self._source.lines
        line = self._source.position(self.span[1])[0]
        next_line = lines[line] if line < len(lines) else len(self._source.data)
        return self._source.edit(self._line_start(), next_line, "")

    def loses_comment(self, start: int, end: int) -> bool:
        """Whether a comment lies in the bytes ``[start, end)`` of the file."""
        if b"#" not in self._source.data[start:end]:
            return False
        places = (self._source.offset(comment.line, comment.column_utf8) for comment in self._source.comments)
        return any(start <= place < end for place in places)

    def _line_start(self) -> int:
        return self._source.lines[self._source.position(self._first)[0] - 1]

    def _native(self, text: str) -> str:
        newline = self._source.newline
        return text if newline == "\n" else re.sub(r"(?<!\r)\n", newline, text)


class WholeStatement(Statement):
    """A compound statement with all its blocks, for rules that rewrite across them."""

    _whole = True


def _first_byte(source: Source, statement: ast.stmt) -> int:
    """Where a statement starts, at the ``@`` of its first decorator if it has any."""
    decorators: list[ast.expr] = getattr(statement, "decorator_list", [])
    if not decorators:
        return source.span(statement)[0]
    line = decorators[0].lineno
    while not (text := source.line_text(line)).lstrip(" \t\f").startswith("@"):
        line -= 1
    return source.offset(line, text.index("@"))


def _after_colon(data: bytes, offset: int) -> int:
    """Just after the next colon that is not in a comment."""
    found = re.compile(rb"(?:[^:#]|#[^\r\n]*)*:").match(data, offset)
    assert found is not None
    return found.end()


def _first_block(statement: ast.stmt) -> list[ast.stmt] | None:
    """The first block of a compound statement (an empty one for ``match``), None for a simple statement."""
    return [] if isinstance(statement, ast.Match) else getattr(statement, "body", None)


def _children(node: ast.AST, is_header: bool) -> Iterator[ast.AST]:
    """The nodes directly below one; those in the blocks of a header are left out."""
    for name, value in ast.iter_fields(node):
        if is_header and name in _BLOCKS:
            continue
        for child in value if isinstance(value, list) else (value,):
            if isinstance(child, ast.AST):
                yield child


def _put(new: ast.expr, old: ast.AST, parents: Iterable[ast.AST]) -> None:
    """Put a node in the place of another below one of ``parents``."""
    for parent in parents:
        for name, value in ast.iter_fields(parent):
            if value is old:
                setattr(parent, name, new)
                return
            if isinstance(value, list) and any(child is old for child in value):
                setattr(parent, name, [new if child is old else child for child in value])
                return


def _too_deep(statement: ast.stmt, is_header: bool) -> bool:
    stack: list[tuple[ast.AST, int]] = [(statement, 1)]
    while stack:
        node, depth = stack.pop()
        # What ast keeps in one flat list LibCST nests.
        if isinstance(node, ast.BoolOp):
            depth += len(node.values)
        elif isinstance(node, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
            depth += len(node.generators)
        if depth > DEPTH_LIMIT:
            return True
        stack += [(child, depth + 1) for child in _children(node, is_header and node is statement)]
    return False


def _with_literal_indents(module: cst.Module) -> cst.Module:
    """The module with the indents of continuation lines spelled out, so that an expression's code is its text.

    LibCST lets blocks lend them, and the code of a node out of its block lacks them.
    """
    import libcst as cst

    class SpellOut(cst.CSTTransformer):
        def __init__(self) -> None:
            super().__init__()
            self.indents: list[str] = []
            self.cases: list[str] = []

        def visit_Match(self, node: cst.Match) -> None:
            self.cases.append(module.default_indent if node.indent is None else node.indent)

        def leave_Match(self, original_node: cst.Match, updated_node: cst.Match) -> cst.Match:
            self.cases.pop()
            return updated_node

        def visit_MatchCase(self, node: cst.MatchCase) -> None:
            self.indents.append(self.cases[-1])

        def leave_MatchCase(self, original_node: cst.MatchCase, updated_node: cst.MatchCase) -> cst.MatchCase:
            self.indents.pop()
            return updated_node

        def visit_IndentedBlock(self, node: cst.IndentedBlock) -> None:
            self.indents.append(module.default_indent if node.indent is None else node.indent)

        def leave_IndentedBlock(
            self, original_node: cst.IndentedBlock, updated_node: cst.IndentedBlock
        ) -> cst.BaseSuite:
            self.indents.pop()
            return updated_node

        def leave_ParenthesizedWhitespace(
            self, original_node: cst.ParenthesizedWhitespace, updated_node: cst.ParenthesizedWhitespace
        ) -> cst.BaseParenthesizableWhitespace:
            indent = "".join(self.indents)

            def spelled(blanks: cst.SimpleWhitespace, is_lent: bool) -> cst.SimpleWhitespace:
                return cst.SimpleWhitespace(indent + blanks.value) if is_lent else blanks

            lines = [
                line.with_changes(indent=False, whitespace=spelled(line.whitespace, line.indent))
                for line in updated_node.empty_lines
            ]
            last = spelled(updated_node.last_line, updated_node.indent)
            return updated_node.with_changes(indent=False, empty_lines=lines, last_line=last)

    return module.visit(SpellOut())


def _parse(text: str) -> ast.Module | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _dump(module: ast.Module | None) -> str | None:
    """What a module means: its tree as text, where being read, bound or deleted makes no difference."""
    try:
        return None if module is None else re.sub(r"\b(?:Store|Del)\(\)", "Load()", ast.dump(module))
    except RecursionError:
        return None


def _common(old: bytes, new: bytes) -> tuple[int, int]:
    """How many bytes two texts share at the start and, apart from these, at the end."""
    shortest = min(len(old), len(new))
    before = 0
    while before < shortest and old[before] == new[before]:
        before += 1
    while before and not (_can_cut(old, before) and _can_cut(new, before)):
        before -= 1
    after = 0
    while after < shortest - before and old[-1 - after] == new[-1 - after]:
        after += 1
    while after and not (_can_cut(old, len(old) - after) and _can_cut(new, len(new) - after)):
        after -= 1
    return before, after


def _can_cut(text: bytes, place: int) -> bool:
    """Whether a cut here splits no code point and no ``\\r\\n``."""
    continues = place < len(text) and text[place] & 0xC0 == 0x80
    return not continues and text[max(place - 1, 0) : place + 1] != b"\r\n"
