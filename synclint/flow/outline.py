"""What the functions of a file call, by text: the compact form of a file that the heat of a project is computed from.

It holds no line numbers, so that it changes only when calls, imports or classes do.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from synclint.finding import Heat
from synclint.flow import regions
from synclint.flow.conventions import TENSOR_METHODS
from synclint.flow.regions import Region
from synclint.flow.site import FunctionNode
from synclint.index.build import FUNCTION, flat
from synclint.index.names import dotted_name
from synclint.index.records import ClassRecord, FunctionRecord, ModuleRecord
from synclint.source import Source

# Searched for in the reversed text, where each begins with a plain character: that is thirty times as fast.
_CALLED = re.compile(rb"\((\w[\w.]*)(\)\(repus)?")
_OWN = re.compile(rb"self\.([\w.]*\w)(\(?)")
_OWN_CLASS = re.compile(rb"cls\.([\w.]*\w)(\(?)")
_PASSED = re.compile(rb"[(,=]\s?([A-Za-z_]\w*)(?=[,)])")

_OUTSIDE = frozenset(
    "torch np numpy math os sys re time json logging logger F nn warnings itertools functools random jnp tl triton".split()
)
_BUILTINS = frozenset(dir(__builtins__) if not isinstance(__builtins__, dict) else __builtins__) | {
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


class Calls(NamedTuple):
    """The names that a function calls, as written: where it always may, behind guards, and in loops over data.

    ``self.a()`` is called, ``self.a`` mentioned, ``&a`` passed to another function; ``super().a`` is the base's, ``.a`` a
    method of what is not known.
    """

    plain: tuple[str, ...] = ()
    guarded: tuple[str, ...] = ()
    looped: tuple[str, ...] = ()


_NO_CALLS = Calls()


@dataclass(slots=True)
class Outline:
    """``record`` without lines and parameters; ``calls`` by qualname, those of the module itself under the empty one;
    ``holds``: by class and attribute the names, as written, of the classes that ``self.attribute`` may hold."""

    record: ModuleRecord
    calls: dict[str, Calls] = field(default_factory=dict)
    holds: dict[str, dict[str, tuple[str, ...]]] = field(default_factory=dict)


def outline(source: Source, record: ModuleRecord) -> Outline:
    """The outline of a file, whose record is known."""
    return _Reader(source, record).read()


# ---------------------------------------------------------------------- reading


class _Reader:
    def __init__(self, source: Source, record: ModuleRecord) -> None:
        self._source = source
        self._record = record
        self._data = source.data
        self._reversed = source.data[::-1]
        self._passable = record.functions.keys() | {
            name for name, dotted in record.imports.items() if dotted.partition(".")[0] not in _OUTSIDE
        }

    def read(self) -> Outline:
        found = Outline(self._record)
        loose: list[ast.stmt] = []
        for statement in flat(self._source.tree.body):
            if isinstance(statement, FUNCTION):
                self._add(found, statement.name, statement, None)
            elif isinstance(statement, ast.ClassDef):
                self._class(statement, found, loose)
            elif isinstance(statement, (ast.Expr, ast.Assign, ast.AnnAssign)):
                loose.append(statement)
        spans = [self._source.span(statement) for statement in loose]
        found.calls[""] = Calls(self._names(spans, {}))
        return found

    def _class(self, node: ast.ClassDef, found: Outline, loose: list[ast.stmt]) -> None:
        owner = self._record.classes.get(node.name)
        holds: dict[str, list[str]] = {}
        for statement in flat(node.body):
            if isinstance(statement, FUNCTION):
                qualname = f"{node.name}.{statement.name}"
                self._add(found, qualname, statement, owner)
                if owner is not None:
                    _held_by(statement, holds)
            elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
                _add(holds, statement.target.id, _classes_of(statement.annotation))
            elif isinstance(statement, (ast.Assign, ast.Expr)):
                loose.append(statement)
        if holds:
            found.holds[node.name] = {name: tuple(classes) for name, classes in holds.items()}

    def _add(self, found: Outline, qualname: str, node: FunctionNode, owner: ClassRecord | None) -> None:
        calls = self._function(node, owner)
        if qualname in found.calls:  # a setter, an overload, or another branch of a condition
            known = found.calls[qualname]
            calls = Calls(*(tuple(sorted({*one, *two})) for one, two in zip(known, calls, strict=True)))
        found.calls[qualname] = calls

    def _function(self, node: FunctionNode, owner: ClassRecord | None) -> Calls:
        method = None if owner is None else regions.Method(owner, f"{owner.qualname}.{node.name}")
        parameters = _parameters(node)
        whole = self._source.span(node)
        parts = list(_parts(node.body, method))
        if not parts:
            return Calls(self._names([whole], parameters))
        cold: list[tuple[int, int]] = []
        hot: list[tuple[int, int]] = []
        for region, first, last in parts:
            span = self._source.span(first)[0], self._source.span(last)[1]
            (hot if region.heat is Heat.HOT else cold).append(span)
        guarded = self._names(cold, parameters)
        looped = self._names([part for span in hot for part in _without(span, cold)], parameters)
        plain = self._names(_without(whole, sorted(cold)), parameters)
        return Calls(plain, tuple(name for name in guarded if name not in plain), looped)

    def _names(self, spans: Iterable[tuple[int, int]], parameters: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
        names: set[str] = set()
        length = len(self._data)
        called: set[tuple[bytes, bytes]] = set()
        own: set[tuple[bytes, bytes]] = set()
        passed: set[bytes] = set()
        for start, end in spans:
            called.update(_CALLED.findall(self._reversed, length - end, length - start))
            own.update(_OWN.findall(self._data, start, end))
            own.update(_OWN_CLASS.findall(self._data, start, end))
            if self._passable:
                passed.update(_PASSED.findall(self._data, start, end))
        for text, of_super in called:
            name = text[::-1].decode("latin-1")
            if of_super:
                names.add(f"super().{name.lstrip('.')}")
            else:
                names.update(_calling(name, parameters))
        for text, parenthesis in own:
            names.update(_mentioning(text.decode("latin-1"), bool(parenthesis)))
        names.update(f"&{name}" for name in map(bytes.decode, passed) if name in self._passable)
        return tuple(sorted(names))


def _calling(name: str, parameters: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """What calling a dotted name is kept as: nothing where it cannot be of a project."""
    head, dot, rest = name.partition(".")
    last = name.rpartition(".")[2]
    if not dot:
        if name not in _BUILTINS and not name[0].isdigit():
            yield name
        return
    if head in _OUTSIDE or head in ("self", "cls"):
        return
    if last in _EVERYWHERE or last.startswith("__"):
        return
    if not head:
        yield f".{last}"
    elif head in parameters:
        for known in parameters[head]:
            yield f"{known}.{rest}"
        if not parameters[head]:
            yield f".{last}"
    else:
        yield name


def _mentioning(name: str, called: bool) -> Iterator[str]:
    """What ``self.name`` is kept as."""
    parts = name.split(".")
    if parts[-1] in _EVERYWHERE and len(parts) > 1:
        parts.pop()
        called = False
    if len(parts) <= 3 and "" not in parts:
        yield f"self.{'.'.join(parts)}{'()' if called else ''}"


def _parts(
    body: Sequence[ast.stmt], method: regions.Method | None, outer: Region | None = None
) -> Iterator[tuple[Region, ast.AST, ast.AST]]:
    """The regions of a body, each with the statements where it begins and ends; none within a cold one."""
    for at, statement in enumerate(body):
        kind = statement.__class__
        if kind is ast.If:
            assert isinstance(statement, ast.If)
            found = regions.branches(statement, method)
            yield from _part(statement.body, found.body, method, outer)
            yield from _part(statement.orelse, found.other, method, outer)
            if found.after is not None and at + 1 < len(body):
                yield found.after, body[at + 1], body[-1]
                return
        elif kind is ast.For or kind is ast.AsyncFor:
            assert isinstance(statement, (ast.For, ast.AsyncFor))
            yield from _part(statement.body, regions.loop(statement), method, outer)
            yield from _parts(statement.orelse, method, outer)
        elif kind is ast.While:
            assert isinstance(statement, ast.While)
            yield from _parts(statement.body, method, outer)
        elif kind is ast.With or kind is ast.AsyncWith:
            assert isinstance(statement, (ast.With, ast.AsyncWith))
            yield from _parts(statement.body, method, outer)
        elif isinstance(statement, ast.Try):
            yield from _parts(statement.body, method, outer)
            for one in statement.handlers:
                yield from _part(one.body, regions.handler(one), method, outer)
            yield from _parts(statement.orelse, method, outer)
            yield from _parts(statement.finalbody, method, outer)
        elif kind is ast.Raise:
            assert isinstance(statement, ast.Raise)
            yield regions.error(statement), statement, statement


def _part(
    body: Sequence[ast.stmt], region: Region | None, method: regions.Method | None, outer: Region | None
) -> Iterator[tuple[Region, ast.AST, ast.AST]]:
    if region is not None and body:
        yield region, body[0], body[-1]
        if region.heat is not Heat.HOT:
            return
    yield from _parts(body, method, region or outer)


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


# ---------------------------------------------------------------------- what attributes hold


def _held_by(node: FunctionNode, holds: dict[str, list[str]]) -> None:
    """Adds the classes of what a method assigns to attributes of ``self``."""
    parameters: Mapping[str, Sequence[str]] | None = None
    for statement in flat(node.body):
        if isinstance(statement, ast.AnnAssign):
            targets: list[ast.expr] = [statement.target]
            classes = _classes_of(statement.annotation)
        elif isinstance(statement, ast.Assign):
            targets = statement.targets
            classes = []
        else:
            continue
        names = [t.attr for t in targets if isinstance(t, ast.Attribute) and getattr(t.value, "id", "") == "self"]
        if not names:
            continue
        if statement.value is not None and not classes:
            if parameters is None:
                parameters = _parameters(node)
            classes = _made(statement.value, parameters)
        for name in names:
            _add(holds, name, classes)


def _made(value: ast.expr, parameters: Mapping[str, Sequence[str]]) -> list[str]:
    """The names of the classes that an expression may make an instance of."""
    if isinstance(value, ast.Call):
        name = dotted_name(value.func)
        return [name] if name is not None and _names_class(name) else []
    if isinstance(value, ast.IfExp):
        return _made(value.body, parameters) + _made(value.orelse, parameters)
    if isinstance(value, ast.BoolOp):
        return [name for one in value.values for name in _made(one, parameters)]
    if isinstance(value, ast.Name):
        return list(parameters.get(value.id, ()))
    return []


def _names_class(dotted: str) -> bool:
    name = dotted.rpartition(".")[2].lstrip("_")
    return name[:1].isupper() and dotted.partition(".")[0] not in _OUTSIDE


def _parameters(node: FunctionNode) -> dict[str, list[str]]:
    """The parameters of a function, each with the names of classes in its annotation."""
    arguments = node.args
    return {
        argument.arg: _classes_of(argument.annotation)
        for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)
    }


def _classes_of(annotation: ast.expr | None) -> list[str]:
    """The names in an annotation that may be classes of a project, containers left out."""
    if annotation is None:
        return []
    if isinstance(annotation, ast.Constant):
        text = annotation.value
        if not isinstance(text, str):
            return []
        parts = [part.strip() for part in text.split("|")]
        return [part for part in parts if part.replace(".", "").isidentifier() and _names_class(part)]
    if isinstance(annotation, ast.BinOp):
        return _classes_of(annotation.left) + _classes_of(annotation.right)
    if isinstance(annotation, ast.Subscript):
        name = dotted_name(annotation.value) or ""
        return _classes_of(annotation.slice) if name.rpartition(".")[2] == "Optional" else []
    name = dotted_name(annotation) or ""
    return [name] if name and _names_class(name) else []


def _add(holds: dict[str, list[str]], name: str, classes: Iterable[str]) -> None:
    for one in classes:
        if one not in holds.setdefault(name, []):
            holds[name].append(one)


# ---------------------------------------------------------------------- as bytes


def dump(found: Outline) -> bytes:
    record = found.record
    data = [
        record.name,
        record.imports,
        record.stars,
        {name: _function_data(known, found.calls.get(name, _NO_CALLS)) for name, known in record.functions.items()},
        {name: _class_data(known, found) for name, known in record.classes.items()},
        found.calls.get("", _NO_CALLS).plain,
    ]
    return json.dumps(data, separators=(",", ":")).encode()


def _class_data(known: ClassRecord, found: Outline) -> list[Any]:
    methods = {
        name: _function_data(method, found.calls.get(method.qualname, _NO_CALLS))
        for name, method in known.methods.items()
    }
    return [known.bases, known.decorators, methods, found.holds.get(known.qualname, {})]


def _function_data(known: FunctionRecord, calls: Calls) -> list[Any]:
    data: list[Any] = [calls.plain, calls.guarded, calls.looped, known.decorators]
    while data and not data[-1]:
        data.pop()
    return data


def load(path: str, data: bytes) -> Outline:
    """What :func:`dump` was given, as far as heat depends on it."""
    name, imports, stars, functions, classes, loose = json.loads(data)
    record = ModuleRecord(path, name, imports, stars)
    found = Outline(record, {"": Calls(tuple(loose))})
    for function, parts in functions.items():
        record.functions[function] = _function_of(function, parts, found)
    for known, (bases, decorators, methods, holds) in classes.items():
        owner = record.classes[known] = ClassRecord(known, 0, tuple(bases), tuple(decorators))
        for method, parts in methods.items():
            owner.methods[method] = _function_of(f"{known}.{method}", parts, found)
        if holds:
            found.holds[known] = holds
    return found


def _function_of(qualname: str, parts: list[Any], found: Outline) -> FunctionRecord:
    if parts:
        found.calls[qualname] = Calls(*parts[:3])
    return FunctionRecord(qualname, 0, (), tuple(parts[3]) if len(parts) > 3 else ())
