"""Which ranges of a thread contain a moment."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence


class Range(NamedTuple):
    """A named stretch of time on one thread; those of a thread nest."""

    began: float
    ended: float
    name: str


def enclosing(ranges: Sequence[Range], moments: Iterable[float]) -> Iterator[tuple[Range, ...]]:
    """For each of the moments, in ascending order, the ranges around it, the outermost first."""
    waiting = sorted(ranges, key=lambda one: (one.began, -one.ended))
    stack: list[Range] = []
    at = 0
    for moment in moments:
        while at < len(waiting) and waiting[at].began <= moment:
            while stack and stack[-1].ended < waiting[at].began:
                stack.pop()
            stack.append(waiting[at])
            at += 1
        while stack and stack[-1].ended < moment:
            stack.pop()
        yield tuple(one for one in stack if one.ended >= moment)
