"""Which lines of a fixed text stand where which lines of the original stood."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from synclint.finding import Edit


class EditedLines:
    """Lines (1-based) of a text of UTF-8 bytes after edits that do not overlap."""

    def __init__(self, before: bytes, edits: Iterable[Edit]) -> None:
        self._edits = sorted({(edit.start, edit.end, edit.text.encode()) for edit in edits})
        self._starts = _line_starts(before)
        self._end = len(before)
        pieces, place = [], 0
        for start, end, text in self._edits:
            pieces += [before[place:start], text]
            place = end
        self._new_starts = _line_starts(b"".join([*pieces, before[place:]]))

    def image(self, lines: Iterable[int]) -> set[int]:
        """The lines that stand where ``lines`` stood; what was inserted before a line belongs to it."""
        found: set[int] = set()
        for line in lines:
            end = self._starts[line] if line < len(self._starts) else self._end
            first, last = self._moved(self._starts[line - 1], last=False), self._moved(end, last=True)
            found.update(range(self._new_line(first), self._new_line(max(first, last - 1)) + 1))
        return found

    def _moved(self, place: int, *, last: bool) -> int:
        """Where a place is in the new text: before what is inserted there; at an end of an edit that holds it."""
        shift = 0
        for start, end, text in self._edits:
            if start >= place:
                break
            if end > place:
                return start + shift + (len(text) if last else 0)
            shift += len(text) - (end - start)
        return place + shift

    def _new_line(self, place: int) -> int:
        return bisect_right(self._new_starts, place)


def _line_starts(text: bytes) -> list[int]:
    starts = [0]
    for line in text.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    return starts
