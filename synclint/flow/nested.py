"""Functions and classes within a function: which of them may run after it has returned."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence

from synclint.flow.site import FunctionNode
from synclint.index.build import FUNCTION
from synclint.source import Source

Span = tuple[int, int]

_KEPT = re.compile(rb"\s*self\.(_\w+) = $")
_WORD = frozenset(bytes([one]) for one in b"_0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")


class Nested:
    """The definitions within the functions of a file, by its text."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._data = source.data

    def outliving(self, function: FunctionNode, defined: Sequence[ast.stmt]) -> list[ast.stmt]:
        """Those of the definitions in a function that may be called after it, and those that these call.

        A function that is called and nothing else, or that is only kept in an attribute that nobody else in the file
        asks for, is a part of the one around it.
        """
        if not defined:
            return []
        whole = self._source.span(function)
        text = self._docstring(function)
        spans = {one: self._source.span(one) for one in defined}
        leaving: list[ast.stmt] = []
        callers: dict[ast.stmt, list[int]] = {}
        for one in defined:
            if not isinstance(one, FUNCTION):
                leaving.append(one)
                continue
            apart = (spans[one], text)
            calls = callers[one] = []
            leaves = False
            for place in self._mentions(one.name.encode(), whole):
                if any(begin <= place < end for begin, end in apart):
                    continue
                if self._is_called(one.name, place):
                    calls.append(place)
                elif not self._is_kept(place, len(one.name), whole):
                    leaves = True
            if leaves:
                leaving.append(one)
        found = list(leaving)
        while leaving:
            begin, end = spans[leaving.pop()]
            for one, places in callers.items():
                if one not in found and any(begin <= place < end for place in places):
                    found.append(one)
                    leaving.append(one)
        return [one for one in defined if one in found]

    def _mentions(self, name: bytes, span: Span) -> Iterator[int]:
        """Where a name stands by itself, comments left out."""
        data = self._data
        place = data.find(name, *span)
        while place >= 0:
            end = place + len(name)
            before = data[place - 1 : place]
            if before != b"." and before not in _WORD and data[end : end + 1] not in _WORD:
                line = data.rfind(b"\n", 0, place) + 1
                if data.find(b"#", line, place) < 0:
                    yield place
            place = data.find(name, end, span[1])

    def _is_called(self, name: str, place: int) -> bool:
        end = place + len(name)
        return self._data[end : end + 1] == b"("

    def _is_kept(self, place: int, length: int, whole: Span) -> bool:
        """``self._name = function``, where nothing outside of the function around it asks for ``_name``."""
        line = self._data.rfind(b"\n", 0, place) + 1
        found = _KEPT.match(self._data[line:place])
        if found is None or self._data[place + length : place + length + 1] not in (b"\n", b"\r"):
            return False
        places = list(self._attributes(found[1]))
        return len(places) > 1 and all(whole[0] <= one < whole[1] for one in places)

    def _attributes(self, name: bytes) -> Iterator[int]:
        """Where an attribute of a name is mentioned in the file."""
        data = self._data
        place = data.find(b"." + name)
        while place >= 0:
            end = place + 1 + len(name)
            if data[end : end + 1] not in _WORD:
                yield place
            place = data.find(b"." + name, end)

    def _docstring(self, function: FunctionNode) -> Span:
        first = function.body[0]
        is_text = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
        return self._source.span(first) if is_text else (0, 0)
