"""Reads what the functions of a file call, by text: walking every tree for it would cost as much as interpreting it."""

from __future__ import annotations

import ast
import builtins
import re
from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import lru_cache

from synclint.finding import Heat
from synclint.flow import regions
from synclint.flow.conventions import TENSOR_METHODS, is_frozen
from synclint.flow.guards import Method, branches
from synclint.flow.holds import add, classes_of, held_by
from synclint.flow.local_imports import local_imports
from synclint.flow.loops import Loops
from synclint.flow.nested import Nested
from synclint.flow.outline import LOCALS, OUTSIDE, Calls, Outline
from synclint.flow.regions import Region
from synclint.flow.site import FunctionNode
from synclint.index.build import FUNCTION, flat
from synclint.index.records import ClassRecord, ModuleRecord
from synclint.source import Source

# Searched for in the reversed text, where each begins with a plain character: that is thirty times as fast.
_CALLED = re.compile(rb"\((\w[\w.]*(?:\)\(repus)?)(?![\w.]| fed| ssalc)")  # no definition
_OWN = re.compile(rb"self\.([\w.]*\w\(?)")
_OWN_CLASS = re.compile(rb"cls\.([\w.]*\w\(?)")
_ALIAS = re.compile(rb" = self\.(\w+)\n")
_BEFORE_PASSED = frozenset((b"(", b"[", b" ", b"="))
_AFTER_PASSED = frozenset((b",", b")", b"]", b"}"))

_BUILTINS = frozenset(dir(builtins)) | {
    "if", "elif", "while", "return", "and", "or", "not", "in", "is", "yield", "assert", "for", "else", "with", "await",
    "lambda", "del", "raise", "except", "import", "print", "case", "match", "as", "from",
}  # fmt: skip
_EVERYWHERE = TENSOR_METHODS | frozenset(
    """
    append extend insert pop remove clear copy count index sort reverse get items keys values setdefault popitem add
    discard union difference intersection join split rsplit strip lstrip rstrip replace startswith endswith format
    encode decode lower upper title size shape to item tolist numpy cpu cuda sum mean max min all any std var abs sqrt
    pow mul div sub matmul reshape repeat fill_ copy_ chunk type bool int info warning debug error warning_once
    info_once exception critical isoformat read write close open readline readlines exists mkdir match search findall
    fullmatch group groups sub astype squeeze dtype parameters named_parameters modules named_modules buffers
    named_buffers children eval train requires_grad_ state_dict apply_async result put acquire release wait set
    is_set notify numel dim stride log
    """.split()
)


def outline(source: Source, record: ModuleRecord) -> Outline:
    """The outline of a file, whose record is known."""
    return _Reader(source, record).read()


class _Reader:
    def __init__(self, source: Source, record: ModuleRecord) -> None:
        self._source = source
        self._record = record
        self._loops = Loops(source)
        self._nested = Nested(source)
        self._data = source.data
        self._reversed = source.data[::-1]
        self._passed = sorted(_passed(source.data, record.functions))

    def read(self) -> Outline:
        found = Outline(self._record)
        loose: list[ast.stmt] = []
        for statement in flat([one for one in self._source.tree.body if not _runs_as_script(one)]):
            if isinstance(statement, FUNCTION):
                self._add(found, statement.name, statement, None, ())
            elif isinstance(statement, ast.ClassDef):
                self._class(statement, statement.name, found, loose)
            elif isinstance(statement, (ast.Expr, ast.Assign, ast.AnnAssign)):
                loose.append(statement)
        spans = [self._source.span(statement) for statement in loose]
        found.calls[""] = Calls(self._names(spans, None, ()))
        found.local_imports = dict(local_imports(self._data, self._record))
        return found

    def _class(self, node: ast.ClassDef, name: str, found: Outline, loose: list[ast.stmt]) -> None:
        owner = self._record.classes.get(name)
        writers: set[str] = set()
        data: set[str] = set()
        if owner is not None:
            writers = {writer for writers in owner.attributes.values() for writer in writers}
            data = {f"self.{one}" for one in owner.attributes if one not in owner.methods}
        holds: dict[str, list[str]] = {}
        for statement in flat(node.body):
            if isinstance(statement, FUNCTION):
                qualname = f"{name}.{statement.name}"
                self._add(found, qualname, statement, owner, data)
                if qualname in writers:
                    held_by(statement, holds)
            elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
                add(holds, statement.target.id, classes_of(statement.annotation))
            elif isinstance(statement, (ast.Assign, ast.Expr)):
                loose.append(statement)
            elif isinstance(statement, ast.ClassDef):
                self._class(statement, f"{name}.{statement.name}", found, loose)
        if holds:
            found.holds[name] = {held: tuple(classes) for held, classes in holds.items()}

    def _add(
        self, found: Outline, qualname: str, node: FunctionNode, owner: ClassRecord | None, data: Collection[str]
    ) -> None:
        calls, inner = self._function(node, owner, data)
        if inner is not None:
            found.calls[f"{qualname}.{LOCALS}"] = inner
        if qualname in found.calls:  # a setter, an overload, or another branch of a condition
            known = found.calls[qualname]
            calls = Calls(*(tuple(sorted({*one, *two})) for one, two in zip(known, calls, strict=True)))
        found.calls[qualname] = calls

    def _function(
        self, node: FunctionNode, owner: ClassRecord | None, data: Collection[str]
    ) -> tuple[Calls, Calls | None]:
        """The calls of a function, and those of the definitions in it where these may outlive it."""
        method = None if owner is None else Method(owner, f"{owner.qualname}.{node.name}")
        whole = self._source.span(node)
        cold: list[tuple[int, int]] = []
        hot: list[tuple[int, int]] = []
        defined: list[ast.stmt] = []
        for region, first, last in _parts(node.body, method, self._loops):
            if region is None:
                defined.append(first)
            else:
                span = self._source.span(first)[0], self._source.span(last)[1]
                (hot if region.heat is Heat.HOT else cold).append(span)
        inner: list[tuple[int, int]] = []
        for one in self._nested.outliving(node, defined):
            rare = isinstance(one, FUNCTION) and is_frozen(one.name)
            (cold if rare else inner).append(self._source.span(one))
        if not cold and not hot and not inner:
            return Calls(self._names([whole], node, data)), None
        apart = sorted((*cold, *inner))
        guarded = self._names([part for span in cold for part in _without(span, inner)], node, data) if cold else ()
        looped = self._names([part for span in hot for part in _without(span, apart)], node, data) if hot else ()
        plain = self._names(_without(whole, apart), node, data)
        calls = Calls(plain, tuple(name for name in guarded if name not in plain), looped)
        return calls, Calls(self._names(inner, node, data)) if inner else None

    def _names(
        self, spans: Iterable[tuple[int, int]], function: FunctionNode | None, data: Collection[str]
    ) -> tuple[str, ...]:
        """The names that are called in some spans of a function; ``data`` are mentions that call nothing."""
        spans = list(spans)
        length = len(self._data)
        called: set[bytes] = set()
        own: set[bytes] = set()
        names: set[str] = set()
        first = _first_parameter(function)
        for start, end in spans:
            called.update(_CALLED.findall(self._reversed, length - end, length - start))
            if first == "self":
                own.update(_OWN.findall(self._data, start, end))
            elif first == "cls":
                own.update(_OWN_CLASS.findall(self._data, start, end))
            if self._passed:
                begin, stop = bisect_left(self._passed, (start, "")), bisect_left(self._passed, (end, ""))
                names.update(f"&{name}" for _, name in self._passed[begin:stop])
        for text in called:
            name, head = _calling(text)
            if head and function is not None and (parameter := _parameter(function, head)) is not None:
                names.update(_through(parameter, name))
            else:
                names.add(name)
        names.update(map(_mentioning, own))
        if first == "self":
            self._call_aliases(spans, names)
        names.difference_update(data)
        names.discard("")
        return tuple(sorted(names))

    def _call_aliases(self, spans: Iterable[tuple[int, int]], names: set[str]) -> None:
        """``start = self.begin``, and then ``start()``: that is a call, and nothing kept for later."""
        for begin, end in spans:
            for found in _ALIAS.finditer(self._data, begin, end):
                mention = f"self.{found[1].decode()}"
                line = self._data[self._data.rfind(b"\n", begin, found.start()) + 1 : found.start()]
                name = line.partition(b":")[0].strip().decode()
                if name in names and self._data.count(mention.encode(), begin, end) == 1:
                    names.discard(mention)
                    names.add(f"{mention}()")


def _passed(data: bytes, functions: Iterable[str]) -> Iterator[tuple[int, str]]:
    """Where functions of the file are passed on, or put into a container, instead of being called."""
    for name in functions:
        text = name.encode()
        place = data.find(text)
        while place >= 0:
            end = place + len(text)
            if data[place - 1 : place] in _BEFORE_PASSED and data[end : end + 1] in _AFTER_PASSED:
                yield place, name
            place = data.find(text, end)


@lru_cache(maxsize=65536)
def _calling(text: bytes) -> tuple[str, str]:
    """What calling a dotted name, written backwards, is kept as, and where it starts, if that may be a parameter; two
    empty strings where it cannot be of a project."""
    name = text[::-1].decode("latin-1")
    if name.startswith("super()"):
        return name, ""
    head, dot, _ = name.partition(".")
    if not dot:
        return ("", "") if name in _BUILTINS or name[0].isdigit() else (name, "")
    last = name.rpartition(".")[2]
    if head in OUTSIDE or head in ("self", "cls") or last in _EVERYWHERE or last.startswith("__"):
        return "", ""
    return (name, head) if head else (f".{last}", "")


@lru_cache(maxsize=65536)
def _mentioning(text: bytes) -> str:
    """What ``self.name``, or ``self.name(``, is kept as, if it is."""
    name = text.decode("latin-1")
    called = name.endswith("(")
    parts = name.rstrip("(").split(".")
    if len(parts) == 1:
        return f"self.{parts[0]}{'()' if called else ''}"
    if not called or parts[-1] in _EVERYWHERE:  # data, most likely; the first part may be a property
        return f"self.{parts[0]}"
    return "" if len(parts) > 3 or "" in parts else f"self.{'.'.join(parts)}()"


def _through(parameter: ast.arg, name: str) -> list[str]:
    """What calling a method of a parameter is kept as: by the classes in its annotation, if there are any."""
    _, _, rest = name.partition(".")
    return [f"{known}.{rest}" for known in classes_of(parameter.annotation)] or [f".{name.rpartition('.')[2]}"]


def _runs_as_script(statement: ast.stmt) -> bool:
    """Whether a statement is ``if __name__ == "__main__"``: not what happens on import."""
    if not isinstance(statement, ast.If) or not isinstance(statement.test, ast.Compare):
        return False
    return getattr(statement.test.left, "id", "") == "__name__"


def _first_parameter(function: FunctionNode | None) -> str:
    if function is None:
        return ""
    arguments = function.args.posonlyargs or function.args.args
    return arguments[0].arg if arguments else ""


def _parameter(function: FunctionNode, name: str) -> ast.arg | None:
    arguments = function.args
    for kind in (arguments.args, arguments.kwonlyargs, arguments.posonlyargs):
        for argument in kind:
            if argument.arg == name:
                return argument
    return None


def _parts(
    body: Sequence[ast.stmt], method: Method | None, loops: Loops
) -> Iterator[tuple[Region | None, ast.stmt, ast.stmt]]:
    """The regions of a body, each with the statements where it begins and ends, none within a cold one; and, without a
    region, the definitions outside of those."""
    for at, statement in enumerate(body):
        if statement.__class__ not in _WITH_PARTS:
            continue
        if isinstance(statement, ast.If):
            found = branches(statement, method)
            yield from _part(statement.body, found.body, method, loops)
            yield from _part(statement.orelse, found.other, method, loops)
            if found.after is not None and at + 1 < len(body):
                yield found.after, body[at + 1], body[-1]
                return
        elif isinstance(statement, (ast.For, ast.AsyncFor, ast.While)):
            yield from _part(statement.body, loops.region(statement), method, loops)
            yield from _parts(statement.orelse, method, loops)
        elif isinstance(statement, (ast.With, ast.AsyncWith)):
            yield from _parts(statement.body, method, loops)
        elif isinstance(statement, ast.Match):
            for case in statement.cases:
                yield from _parts(case.body, method, loops)
        elif isinstance(statement, (*FUNCTION, ast.ClassDef)):
            yield None, statement, statement
        elif isinstance(statement, ast.Try):
            yield from _parts(statement.body, method, loops)
            for one in statement.handlers:
                yield from _part(one.body, regions.handler(one), method, loops)
            yield from _parts(statement.orelse, method, loops)
            yield from _parts(statement.finalbody, method, loops)


_WITH_PARTS = frozenset(
    (ast.If, ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith, ast.Try, ast.Match, ast.ClassDef, *FUNCTION)
)


def _part(
    body: Sequence[ast.stmt], region: Region | None, method: Method | None, loops: Loops
) -> Iterator[tuple[Region | None, ast.stmt, ast.stmt]]:
    if region is not None and region.heat is not Heat.WARM and body:
        yield region, body[0], body[-1]
        if region.heat is Heat.COLD:
            return
    yield from _parts(body, method, loops)


def _without(span: tuple[int, int], holes: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """What is left of a span; ``holes`` are sorted."""
    start, end = span
    left = []
    for first, last in holes:
        if last <= start or first >= end:
            continue
        left.append((start, first))
        start = last
    left.append((start, end))
    return left
