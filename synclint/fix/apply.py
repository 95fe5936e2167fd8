"""Applying fixes to sources: each fix wholly or not at all, and only where the result is still Python."""

from __future__ import annotations

import ast
import warnings
from dataclasses import dataclass, field
from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

from synclint.source import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from synclint.finding import Edit, Fix
    from synclint.source import Source


class Skipped(NamedTuple):
    """A fix that was not applied this time, and why, in words."""

    fix: Fix
    reason: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What becomes of some files: new text (UTF-8 bytes, as ``Source.data``) by path, only where it changes."""

    data: dict[str, bytes]
    applied: tuple[Fix, ...]
    skipped: tuple[Skipped, ...]


@dataclass(frozen=True, slots=True)
class Applied:
    """What becomes of one file: its text (unchanged if no fix was applied) and what happened to each fix."""

    data: bytes
    applied: tuple[Fix, ...]
    skipped: tuple[Skipped, ...]


def apply(source: Source, fixes: Iterable[Fix]) -> Applied:
    """Apply to one file the fixes that get along. Fixes that also edit other files are skipped (see :func:`plan`)."""
    result = plan({source.path: source}, fixes)
    return Applied(result.data.get(source.path, source.data), result.applied, result.skipped)


def plan(sources: Mapping[str, Source], fixes: Iterable[Fix]) -> Plan:
    """Apply the fixes that get along, each in all its files or in none; equal fixes count once.

    Of two fixes that conflict, the later one is skipped: when their edits overlap, insert different text at the
    same place (whole lines do get along: imports first, then in the order of their text), or bind the same name in
    one function. Equal edits, such as an import that several fixes need, are made once. Fixes that keep a file from
    compiling or from being encoded are skipped.
    """
    compatible = _Accepted(sources)
    skipped: list[Skipped] = []
    for fix in dict.fromkeys(fixes):
        reason = compatible.offer(fix)
        if reason:
            skipped.append(Skipped(fix, reason))
    accepted, broken = _add(_Accepted(sources), compatible.fixes)
    data = {path: _edited(sources[path], edits) for path, edits in accepted.edits.items()}
    return Plan(data, tuple(accepted.fixes), (*skipped, *broken))


def _add(accepted: _Accepted, fixes: Sequence[Fix]) -> tuple[_Accepted, list[Skipped]]:
    """Add fixes that get along, save those that break a file, which are found by halving."""
    trial = accepted.copy()
    for fix in fixes:
        trial.offer(fix)
    paths = dict.fromkeys(path for fix in fixes for path in _paths(fix))
    faults = (_fault(trial.sources[path], trial.edits[path]) for path in paths if path in trial.edits)
    fault = next(filter(None, faults), "")
    if not fault:
        return trial, []
    if len(fixes) == 1:
        return accepted, [Skipped(fixes[0], fault)]
    middle = len(fixes) // 2
    accepted, first = _add(accepted, fixes[:middle])
    accepted, second = _add(accepted, fixes[middle:])
    return accepted, first + second


@dataclass(slots=True)
class _Accepted:
    """The fixes taken so far and, by path, their edits that change something."""

    sources: Mapping[str, Source]
    fixes: list[Fix] = field(default_factory=list)
    edits: dict[str, set[Edit]] = field(default_factory=dict)
    bound: set[tuple[str, int, str]] = field(default_factory=set)
    functions: dict[str, list[tuple[int, int]]] = field(default_factory=dict)

    def copy(self) -> _Accepted:
        edits = {path: {*edits} for path, edits in self.edits.items()}
        return _Accepted(self.sources, [*self.fixes], edits, {*self.bound}, self.functions)

    def offer(self, fix: Fix) -> str:
        """Take a fix, or say why not."""
        for path in _paths(fix):
            if path not in self.sources:
                return f"it also changes {path}, which is not being fixed"
        if not all(0 <= edit.start <= edit.end <= len(self.sources[edit.path].data) for edit in fix.edits):
            return "it does not fit the file"
        edits = {edit for edit in fix.edits if _changes(self.sources[edit.path], edit)}
        if not edits:
            return "it changes nothing"
        for one, other in combinations(edits, 2):
            if one.path == other.path and (_overlap(one, other) or _unordered(one, other)):
                return "its own edits overlap"
        new = {edit for edit in edits if edit not in self.edits.get(edit.path, ())}
        for edit in new:
            if any(_overlap(edit, other) for other in self.edits.get(edit.path, ())):
                return "another fix changes the same place"
        bound = {(edit.path, self._function(edit), name) for edit in new for name in _bound(edit)}
        if not bound.isdisjoint(self.bound):
            return "another fix binds the same name in this function"
        self.fixes.append(fix)
        self.bound |= bound
        for edit in new:
            self.edits.setdefault(edit.path, set()).add(edit)
        return ""

    def _function(self, edit: Edit) -> int:
        """Where the innermost function around an edit starts, 0 for the module."""
        if edit.path not in self.functions:
            source = self.sources[edit.path]
            nodes = [node for node in ast.walk(source.tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
            self.functions[edit.path] = [source.span(node) for node in nodes]
        return max((start for start, end in self.functions[edit.path] if start <= edit.start < end), default=0)


def _paths(fix: Fix) -> list[str]:
    return list(dict.fromkeys(edit.path for edit in fix.edits))


def _changes(source: Source, edit: Edit) -> bool:
    return source.data[edit.start : edit.end] != edit.text.encode()


def _overlap(one: Edit, other: Edit) -> bool:
    """Whether two different edits of a file touch the same bytes, or insert at the same place what has no order."""
    if one.start == one.end == other.start == other.end:
        return not (_is_lines(one.text) and _is_lines(other.text))
    return one.start < other.end and other.start < one.end


def _unordered(one: Edit, other: Edit) -> bool:
    """Whether two edits of one fix insert at the same place lines that may depend on each other's order."""
    return one.start == one.end == other.start == other.end and not (_is_import(one.text) or _is_import(other.text))


def _is_lines(text: str) -> bool:
    return text.endswith(("\n", "\r")) or text.startswith(("\n", "\r"))


def _is_import(text: str) -> bool:
    return text.lstrip().startswith(("import ", "from "))


def _bound(edit: Edit) -> set[str]:
    """The names that inserted lines assign to."""
    from textwrap import dedent

    if not _is_lines(edit.text):
        return set()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(dedent(edit.text))
    except SyntaxError:
        return set()
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}


def _edited(source: Source, edits: Iterable[Edit]) -> bytes:
    pieces: list[bytes] = []
    place = 0
    for edit in sorted(edits, key=lambda edit: (edit.start, edit.end, not _is_import(edit.text), edit.text)):
        pieces += [source.data[place : edit.start], edit.text.encode()]
        place = edit.end
    return b"".join([*pieces, source.data[place:]])


def _fault(source: Source, edits: Iterable[Edit]) -> str:
    """What is wrong with the edited file, in words; empty if nothing is."""
    data = _edited(source, edits)
    try:
        source.encode(data)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _compile(data, source)
    except SourceError as error:
        return f"the result {error.message}"
    except SyntaxError as error:
        return f"the result would not be valid Python: {error.msg} (line {error.lineno})"
    except (ValueError, RecursionError, MemoryError) as error:
        return f"the result could not be compiled: {error}"
    return ""


def _compile(data: bytes, source: Source) -> None:
    text = data.decode()
    tree = ast.parse(text, source.path)
    try:
        compile(tree, source.path, "exec", dont_inherit=True)
    except SyntaxError:
        # More than parsing is asked only of files that compiled before (a cell of a notebook may await at its top).
        try:
            compile(source.data.decode(), source.path, "exec", dont_inherit=True)
        except SyntaxError:
            return
        raise
