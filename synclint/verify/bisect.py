"""Finding the few fixes that make a command fail, with few runs of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

T = TypeVar("T")


def culprits(items: Sequence[T], fails: Callable[[Sequence[T]], bool]) -> list[tuple[T, ...]]:
    """The smallest groups of ``items`` (which fail together) without which nothing fails.

    ``fails`` says whether some items fail together. A group of one fails by itself; one of several fails only
    together. About ``2 * log2(len(items))`` calls for each group.
    """
    found: list[tuple[T, ...]] = []
    left = list(items)
    while left and (not found or fails(left)):
        group = _minimal(left, fails)
        found.append(group)
        left = [item for item in left if item not in group]
    return found


def _minimal(items: Sequence[T], fails: Callable[[Sequence[T]], bool]) -> tuple[T, ...]:
    """A smallest group that fails: none of its members can be left out. ``items`` fail together."""
    return tuple(_with((), items, fails))


def _with(fixed: tuple[T, ...], items: Sequence[T], fails: Callable[[Sequence[T]], bool]) -> list[T]:
    """Those of ``items`` that are needed for failing, given that ``fixed`` and all of them fail together."""
    if fixed and fails(fixed):
        return []
    if len(items) == 1:
        return list(items)
    middle = len(items) // 2
    first, second = items[:middle], items[middle:]
    needed_second = _with((*fixed, *first), second, fails)
    needed_first = _with((*fixed, *needed_second), first, fails)
    return needed_first + needed_second
