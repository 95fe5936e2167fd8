"""Imports that a fix needs: reused where they are there, else added where the file's own style puts them."""

from __future__ import annotations

import ast
import os
import re
import sys
from bisect import bisect_right
from enum import IntEnum
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from synclint.finding import Edit
    from synclint.source import Source

LINE_LENGTH = 88
"""An import line is extended up to this many characters; beyond, each name gets a line, in parentheses."""


def import_edit(source: Source, module: str, name: str) -> tuple[str, Edit | None]:
    """How to spell ``module.name`` in this file, and the edit that imports it (None where it is imported already).

    An import at the top level that always runs is reused, whatever it calls the name; one in a function, under
    ``if`` or in ``try`` is not. Where ``name`` means something else anywhere in the file, the new import is
    ``name as name_`` (then ``name_2``, ``name_3``). The edit depends on the file, ``module`` and ``name`` alone, so
    that fixes that need the same import carry the same edit. Code at the top level above the imports cannot use it.
    """
    dotted = f"{module}.{name}"
    spellings = list(_spellings(source, module, name))
    taken: set[str] = set()
    if spellings or name.encode() in source.data:
        meanings = _meanings(source, (dotted, module))
        for local, origin, spelling in spellings:
            if meanings[local] == {origin}:
                return spelling, None
        taken = {local for local, origins in meanings.items() if origins != {dotted}}
    local = free_name(name, taken)
    spec = name if local == name else f"{name} as {local}"
    return local, _joined(source, module, spec) or _new_line(source, module, spec)


def free_name(name: str, taken: Iterable[str]) -> str:
    """``name`` if it is not taken, else the first free one of ``name_``, ``name_2``, ``name_3``..."""
    taken = frozenset(taken)
    candidate, count = name, 1
    while candidate in taken:
        candidate = f"{name}_" if count == 1 else f"{name}_{count}"
        count += 1
    return candidate


# ---------------------------------------------------------------------- what names mean


def _bindings(tree: ast.AST) -> Iterator[tuple[str, str | None]]:
    """Every binding of a tree: the name, and for an import the dotted name that it stands for."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            if not isinstance(node.ctx, ast.Load):
                yield node.id, None
        elif isinstance(node, ast.expr):
            continue
        elif isinstance(node, ast.Import):
            for alias in node.names:
                yield (alias.asname, alias.name) if alias.asname else (alias.name.partition(".")[0],) * 2
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield alias.asname or alias.name, _origin(node, alias)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name, None
        elif isinstance(node, ast.arg):
            yield node.arg, None
        elif isinstance(node, ast.MatchMapping):
            if node.rest:
                yield node.rest, None
        elif isinstance(name := getattr(node, "name", None), str) and not isinstance(node, ast.alias):
            yield name, None  # patterns, exception handlers, type parameters


def _origin(node: ast.ImportFrom, alias: ast.alias) -> str:
    module = f"{'.' * node.level}{node.module or ''}"
    return f"{module}{alias.name}" if module.endswith(".") else f"{module}.{alias.name}"


def _resolved(source: Source, origin: str, known: Iterable[str]) -> str:
    """An origin with its leading dots resolved by the file's path: one of ``known`` if it ends like that."""
    dots = len(origin) - len(origin.lstrip("."))
    if not dots:
        return origin
    package = os.path.abspath(source.path).split(os.sep)[:-dots]
    absolute = ".".join([*package, origin[dots:]])
    return next((dotted for dotted in known if f".{absolute}".endswith(f".{dotted}")), absolute)


def _meanings(source: Source, known: Iterable[str]) -> dict[str, set[str | None]]:
    """What each name stands for, anywhere in the file: the origins of its imports, None for any other meaning."""
    meanings: dict[str, set[str | None]] = {}
    for local, origin in _bindings(source.tree):
        meanings.setdefault(local, set()).add(None if origin is None else _resolved(source, origin, known))
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Name):  # read but never bound: from a star import, or a builtin
            meanings.setdefault(node.id, {None})
    return meanings


def _spellings(source: Source, module: str, name: str) -> Iterator[tuple[str, str, str]]:
    """Ways to spell ``module.name`` by the imports at the top level, the shortest kind first: the local name, what
    it must stand for, the spelling."""
    dotted = f"{module}.{name}"
    through_module: list[tuple[str, str, str]] = []
    for node in source.tree.body:
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                local = alias.asname or alias.name
                origin = _resolved(source, _origin(node, alias), (dotted, module))
                if origin == dotted:
                    yield local, dotted, local
                elif origin == module:
                    through_module.append((local, module, f"{local}.{name}"))
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.asname:
                    if alias.name == module:
                        through_module.append((alias.asname, module, f"{alias.asname}.{name}"))
                elif f"{alias.name}.".startswith(f"{module}."):
                    top = module.partition(".")[0]
                    through_module.append((top, top, f"{module}.{name}"))
    yield from through_module


# ---------------------------------------------------------------------- joining an import


def _joined(source: Source, module: str, spec: str) -> Edit | None:
    """The edit that adds the name to an import from the same module, if one is written in a form that allows it."""
    for run in _runs(source):
        for node in run:
            if isinstance(node, ast.ImportFrom) and node.names[0].name != "*":
                dotted = f"{'.' * node.level}{node.module or ''}"
                if _resolved(source, dotted, (module,)) == module:
                    edit = _joined_on_one_line(source, node, spec) or _joined_one_per_line(source, node, spec)
                    if edit is not None:
                        return edit
    return None


def _joined_on_one_line(source: Source, node: ast.ImportFrom, spec: str) -> Edit | None:
    line, names = source.line_text(node.lineno), node.names
    if node.end_lineno != node.lineno or "#" in line or ";" in line:
        return None
    index = _sorted_index([alias.name for alias in names], spec.split()[0])
    if len(line) + len(spec) + 2 <= LINE_LENGTH:
        if index < len(names):
            start = source.span(names[index])[0]
            return source.edit(start, start, f"{spec}, ")
        end = source.span(names[-1])[1]
        return source.edit(end, end, f", {spec}")
    if "(" in line:
        return None
    specs = [f"{alias.name} as {alias.asname}" if alias.asname else alias.name for alias in names]
    lines = "".join(f"    {name},{source.newline}" for name in [*specs[:index], spec, *specs[index:]])
    return source.edit(source.span(names[0])[0], source.span(names[-1])[1], f"({source.newline}{lines})")


def _joined_one_per_line(source: Source, node: ast.ImportFrom, spec: str) -> Edit | None:
    names = node.names
    lines = [source.line_text(alias.lineno) for alias in names]
    for index, (alias, line) in enumerate(zip(names, lines, strict=True)):
        text = f"{alias.name} as {alias.asname}" if alias.asname else alias.name
        if alias.lineno != node.lineno + 1 + index or line.strip().rstrip(",") != text:
            return None
    if node.end_lineno != names[-1].lineno + 1 or "#" in source.line_text(node.lineno):
        return None
    indent = lines[0][: len(lines[0]) - len(lines[0].lstrip())]
    index = _sorted_index([alias.name for alias in names], spec.split()[0])
    if index == len(names) and not lines[-1].rstrip().endswith(","):
        end = source.span(names[-1])[1]
        return source.edit(end, end, f",{source.newline}{indent}{spec}")
    start = source.lines[node.lineno + index]
    return source.edit(start, start, f"{indent}{spec},{source.newline}")


def _sorted_index(names: Sequence[str], new: str) -> int:
    """Where a name belongs among names that are sorted in a common way; at the end if they are not."""
    for key in (_by_kind, _by_letters, _by_code_points):
        keys = [key(name) for name in names]
        if keys == sorted(keys):
            return bisect_right(keys, key(new))
    return len(names)


def _by_kind(name: str) -> tuple[int, str]:
    """isort's order of names: constants, classes, the rest."""
    kind = 0 if name.isupper() and len(name) > 1 else 1 if name[:1].isupper() else 2
    return kind, name.lower()


def _by_letters(name: str) -> tuple[int, str]:
    return 0, name.lower()


def _by_code_points(name: str) -> tuple[int, str]:
    return 0, name


# ---------------------------------------------------------------------- a line of its own


class _Section(IntEnum):
    """isort's sections."""

    STANDARD = 1
    THIRD_PARTY = 2
    FIRST_PARTY = 3
    RELATIVE = 4


ImportNode = ast.Import | ast.ImportFrom


def _new_line(source: Source, module: str, spec: str) -> Edit:
    """The edit that imports the name on a line of its own.

    Next to imports of the same top-level package; else in its section of the block of imports that imports torch
    (what a fix imports will import torch as well, and code above may have to run before that), else of the
    first block; else at the top of the file.
    """
    line = f"from {module} import {spec}{source.newline}"
    runs = _runs(source)
    if not runs:
        return _at_the_top(source, line)
    home = next((run for run in runs if any("torch" in _tops(node) for node in run)), runs[0])
    top = module.partition(".")[0]
    section = _section(source, top, 0)
    for run in (home, *runs):
        for group in _groups(source, run):
            if any(top in _tops(node) for node in group):
                return _in_group(source, group, module, line, lambda node: top in _tops(node))
    groups = _groups(source, home)
    for group in groups:
        if any(_sections(source, node) == section for node in group):
            return _in_group(source, group, module, line, lambda node: _sections(source, node) == section)
    separate = len(groups) > 1 or len({_sections(source, node) for node in home}) == 1
    blank = source.newline if separate else ""
    earlier = [group for group in groups if max(_sections(source, node) for node in group) < section]
    if earlier:
        return _insert_after(source, earlier[-1][-1], blank, line, "")
    return _insert_before(source, home[0], line + blank) or _insert_after(source, home[-1], blank, line, "")


def _runs(source: Source) -> list[list[ImportNode]]:
    """The blocks of imports at the top level, above the first function or class: imports with no other code between."""
    runs: list[list[ImportNode]] = [[]]
    for node in source.tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            break
        if not isinstance(node, ast.Import | ast.ImportFrom):
            runs.append([])
        elif not _is_future(node):
            runs[-1].append(node)
    return [run for run in runs if run]


def _groups(source: Source, run: list[ImportNode]) -> list[list[ImportNode]]:
    """A block of imports cut at blank lines."""
    groups = [[run[0]]]
    for previous, node in pairwise(run):
        between = range((previous.end_lineno or 0) + 1, node.lineno)
        if any(not source.line_text(line).strip() for line in between):
            groups.append([])
        groups[-1].append(node)
    return groups


def _in_group(
    source: Source, group: list[ImportNode], module: str, line: str, is_akin: Callable[[ImportNode], bool]
) -> Edit:
    """In its place if the group is sorted, else after the last import that is akin."""
    for key in (_plain_first, _by_module):
        keys = [key(_is_from(node), _dotted(node)) for node in group]
        if keys == sorted(keys):
            index = bisect_right(keys, key(True, module))
            break
    else:
        same = [node for node in group if _dotted(node) == module] or [node for node in group if is_akin(node)]
        index = group.index(same[-1]) + 1
    if index == 0 and (edit := _insert_before(source, group[0], line)) is not None:
        return edit
    return _insert_after(source, group[max(index - 1, 0)], "", line, "")


def _plain_first(is_from: bool, dotted: str) -> tuple[bool, str, str]:
    return dotted.startswith("."), "from" if is_from else "", dotted.lower()


def _by_module(is_from: bool, dotted: str) -> tuple[bool, str, str]:
    return dotted.startswith("."), dotted.lower(), "from" if is_from else ""


def _is_from(node: ImportNode) -> bool:
    return isinstance(node, ast.ImportFrom)


def _is_future(node: ast.stmt) -> bool:
    return isinstance(node, ast.ImportFrom) and node.module == "__future__" and not node.level


def _dotted(node: ImportNode) -> str:
    return f"{'.' * node.level}{node.module or ''}" if isinstance(node, ast.ImportFrom) else node.names[0].name


def _tops(node: ImportNode) -> set[str]:
    """The top-level packages that a statement imports; a relative import has none."""
    if isinstance(node, ast.ImportFrom):
        return set() if node.level else {(node.module or "").partition(".")[0]}
    return {alias.name.partition(".")[0] for alias in node.names}


def _sections(source: Source, node: ImportNode) -> _Section:
    level = node.level if isinstance(node, ast.ImportFrom) else 0
    return _section(source, _dotted(node).partition(".")[0], level)


def _section(source: Source, top: str, level: int) -> _Section:
    if level:
        return _Section.RELATIVE
    if top in sys.stdlib_module_names:
        return _Section.STANDARD
    folders = os.path.abspath(source.path).split(os.sep)[:-1]
    return _Section.FIRST_PARTY if top in folders else _Section.THIRD_PARTY


def _insert_before(source: Source, node: ast.stmt, text: str) -> Edit | None:
    """Before a statement's line, or None if that is not a place between statements."""
    start = source.lines[node.lineno - 1]
    body = source.tree.body
    index = body.index(node)
    if source.span(node)[0] != start or (index and _line_after(source, body[index - 1])[0] > start):
        return None
    return source.edit(start, start, text)


def _insert_after(source: Source, node: ast.stmt, before: str, line: str, after: str) -> Edit:
    """After a statement's line and whatever shares it; ``before`` and ``after`` are blank lines."""
    start, is_unfinished = _line_after(source, node)
    text = f"{source.newline}{before}{line.rstrip()}" if is_unfinished else f"{before}{line}{after}"
    return source.edit(start, start, text)


def _line_after(source: Source, node: ast.stmt) -> tuple[int, bool]:
    """Where the line after a top-level statement starts, and whether the file ends without a newline instead."""
    body = source.tree.body
    index = body.index(node)
    while True:
        end = source.span(body[index])[1]
        line = source.position(end)[0]
        next_line = source.lines[line] if line < len(source.lines) else len(source.data)
        rest = source.data[end:next_line].strip(b" \t\f\r\n")
        if not rest.startswith((b";", b"\\")) or index + 1 == len(body):
            return next_line, not source.data[:next_line].endswith((b"\n", b"\r"))
        if source.position(source.span(body[index + 1])[0])[0] > line and not rest.endswith(b"\\"):
            return next_line, False
        index += 1


def _at_the_top(source: Source, line: str) -> Edit:
    """In a file without imports: after docstring and ``__future__``, else after the comments that head the file."""
    body, newline = source.tree.body, source.newline
    heads = [] if ast.get_docstring(source.tree, clean=False) is None else body[:1]
    heads += [node for node in body if _is_future(node)]
    if heads:
        return _insert_after(source, heads[-1], newline, line, _blank_lines(source, _line_after(source, heads[-1])[0]))
    number = _header_lines(source)
    start = source.lines[number] if number < len(source.lines) else len(source.data)
    text = f"{newline if number else ''}{line}{_blank_lines(source, start)}"
    if start and not source.data[:start].endswith((b"\n", b"\r")):
        text = f"{newline}{text.rstrip()}"
    return source.edit(start, start, text)


def _blank_lines(source: Source, start: int) -> str:
    """What has to stand between an import before this line and the code on it."""
    line = source.position(start)[0]
    text = source.line_text(line)
    if start == len(source.data) or not text.strip():
        return ""
    return source.newline * (2 if text.startswith(("def ", "async def ", "class ", "@")) else 1)


def _header_lines(source: Source) -> int:
    """How many comment lines head the file rather than the code below them."""
    comments: list[str] = []
    for line in range(1, len(source.lines) + 1):
        text = source.line_text(line)
        if not text.startswith("#"):
            if text.strip() and not re.search("copyright|licen[cs]e|spdx", "".join(comments), re.IGNORECASE):
                break
            return len(comments)
        comments.append(text)
    else:
        return len(comments)
    return sum(bool(re.match(r"#!|#.*?coding[:=]", text)) for text in comments[:2])
