"""From the stacks of profilers to frames: whose line it is, and which one."""

from __future__ import annotations

import os
import re
import sys
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from synclint.discover import DiscoverError, discover
from synclint.runtime.event import Frame
from synclint.source import Source, SourceError
from synclint.waits.functions import function_at, lines_calling
from synclint.waits.match import Files

if TYPE_CHECKING:
    from collections.abc import Sequence

_BUILT_IN = re.compile(r"<built-in (?:method|function) (\w+)")
_INSTALLED = re.compile(r"[/\\](?:site|dist)-packages[/\\]")
_STANDARD = re.compile(r"[/\\]lib[/\\]python3\.\d+[/\\]")


class Called(NamedTuple):
    """One entry of a stack. ``line`` is the line that runs, or, with ``definition``, that of the function's first line.

    ``path`` is empty for what is not Python.
    """

    path: str
    line: int
    function: str
    definition: bool = False


class Place(NamedTuple):
    user: Frame | None = None
    project: Frame | None = None
    in_function: bool = False
    """Whether the line of the frame that is shown is that of its function's definition."""


class Places:
    """Turns stacks into frames; ``roots`` are the project's folders."""

    def __init__(self, roots: tuple[str, ...]) -> None:
        try:
            found = [path for root in roots for path in discover([root], root=root)]
        except DiscoverError:  # a folder that is not here: the profile is from elsewhere
            found = []
        self._files = Files([os.path.abspath(path) for path in found])

    def of(self, stack: Sequence[Called]) -> Place:
        """The frames of a stack, the outermost entry first."""
        user: Frame | None = None
        exact = False
        for at in range(len(stack) - 1, -1, -1):
            entry = stack[at]
            if not entry.path or _is_library(entry.path):
                continue
            below = self._files.find(entry.path)
            if user is not None and below is None:
                continue
            frame, found = _frame(entry, below, stack[at + 1].function if at + 1 < len(stack) else "")
            if user is None:
                user, exact = frame, found
            if below is not None:
                return Place(user, frame, not found)
        return Place(user, None, user is not None and not exact)


def built_in(name: str) -> str:
    """The name of a function that is not Python's, out of how the interpreter shows it; else ``name`` itself."""
    matched = _BUILT_IN.match(name)
    return matched[1] if matched else name


def _frame(entry: Called, below: str | None, called: str) -> tuple[Frame, bool]:
    """The frame of an entry that calls ``called``, and whether its line is the one that runs."""
    path = below or entry.path
    line = _line(path, entry, called) if entry.definition else entry.line
    return Frame(path, line or entry.line, entry.function), line is not None


def _line(path: str, entry: Called, called: str) -> int | None:
    if not called or not os.path.isabs(path):
        return None
    source = _source(path)
    try:
        node = None if source is None else function_at(source, entry.line, entry.function)
    except SourceError:
        return None
    lines = [] if node is None else lines_calling(node, called)
    return lines[0] if len(lines) == 1 else None


@lru_cache(maxsize=256)
def _source(path: str) -> Source | None:
    try:
        return Source.read(path)
    except SourceError:
        return None


@lru_cache(maxsize=4096)
def _is_library(path: str) -> bool:
    """Whether a file is torch's or the standard library's. Profilers leave out the folder that it was imported from."""
    installed = _INSTALLED.split(path)
    if len(installed) == 1 and _STANDARD.search(path):
        return True
    inside = installed[-1]
    if path.startswith("<"):
        return True
    top = re.split(r"[/\\]", inside)[0].removesuffix(".py")
    return top == "torch" or (not os.path.isabs(inside) and len(installed) == 1 and top in sys.stdlib_module_names)
