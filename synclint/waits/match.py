"""Whether a finding speaks of an event, and which file a trace means."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from synclint.finding import Direction
from synclint.runtime.codes import codes

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from synclint.finding import Finding
    from synclint.runtime.event import Event

_ANY = (Direction.STREAM, Direction.DEVICE)
"""What events say whose back end sees that the host waits, but not for which copy."""


def explaining(event: Event, findings: Iterable[Finding], line: int) -> list[Finding]:
    """The findings of a file that speak of an event at ``line`` of it: about that line, or else that statement."""
    speaking = [one for one in findings if _speaks(one, event)]
    exact = [one for one in speaking if one.line <= line <= one.end_line]
    return exact or [one for one in speaking if one.header[0] <= line <= one.header[1]]


def _speaks(finding: Finding, event: Event) -> bool:
    known = codes(event)
    if known:
        return finding.code in known
    if event.kind != "sync" or finding.direction is Direction.NONE:
        return False
    return event.direction in _ANY or event.direction is finding.direction


class Files:
    """Finds the files (named as reports name them) that a trace speaks of, be it from another machine."""

    def __init__(self, shown: Sequence[str]) -> None:
        self._by_path = {os.path.realpath(path): path for path in shown}
        self._parts = {path: _parts(real) for real, path in self._by_path.items()}
        self._known: dict[str, str | None] = {}

    def find(self, path: str) -> str | None:
        """The file of the trace's ``path``; None where it is none of them, or could be several.

        An absolute path that does not exist here ends in the path of the file below the working directory; a relative
        one, as profilers write them, is the end of the file's path.
        """
        if path not in self._known:
            self._known[path] = self._find(path)
        return self._known[path]

    def _find(self, path: str) -> str | None:
        if os.path.isabs(path):
            found = self._by_path.get(os.path.realpath(path))
            if found is not None or os.path.exists(path):
                return found
            parts = _parts(path)
            ends = [shown for shown in self._parts if _ends_in(parts, _parts(shown))]
            longest = max((len(_parts(shown)) for shown in ends), default=0)
            ends = [shown for shown in ends if len(_parts(shown)) == longest]
        else:
            ends = [shown for shown, parts in self._parts.items() if _ends_in(parts, _parts(path))]
            ends = [shown for shown in ends if shown == path] or ends
        return ends[0] if len(ends) == 1 else None


def _parts(path: str) -> list[str]:
    return path.replace(os.sep, "/").split("/")


def _ends_in(whole: list[str], end: list[str]) -> bool:
    return whole[-len(end) :] == end
