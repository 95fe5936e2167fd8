"""Waits in lines that no fix is about: a fix may only have moved one there."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from synclint.runtime.event import Event
    from synclint.verify.lines import EditedLines
    from synclint.verify.verdict import Unit


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A line that waits more or less often than before; ``line`` as it is numbered after the fixes."""

    path: str
    line: int
    operation: str
    before: int
    after: int


def elsewhere(
    before: Sequence[Sequence[Event]], after: Sequence[Event], fixes: Iterable[Unit], maps: Mapping[str, EditedLines]
) -> list[Elsewhere]:
    """The lines outside of all fixes whose waits changed, those with the most new waits first.

    ``before`` are the events of each run without fixes: how often a line waits may vary, and what stays between the
    least and the most of these runs is no change.
    """
    own: set[tuple[str, int]] = set()
    images: set[tuple[str, int]] = set()
    for unit in fixes:
        for path, lines in unit.lines.items():
            own.update((path, line) for line in lines)
            images.update((path, line) for line in maps[path].image(lines))

    def moved(path: str, line: int) -> int:
        return max(maps[path].image([line])) if path in maps else line  # below what was inserted before it

    was = [
        {
            (path, moved(path, line), name): count
            for (path, line, name), count in _counts(event for event in events if _place(event) not in own).items()
        }
        for events in before
    ]
    now = _counts(event for event in after if _place(event) not in images)
    changed = []
    for key in dict.fromkeys([*(key for counts in was for key in counts), *now]):
        counts = [one.get(key, 0) for one in was]
        nearest = min(max(now[key], min(counts)), max(counts))
        if now[key] != nearest:
            changed.append(Elsewhere(*key, nearest, now[key]))
    return sorted(changed, key=lambda one: (one.before - one.after, one.path, one.line, one.operation))


def _counts(events: Iterable[Event]) -> Counter[tuple[str, int, str]]:
    counts: Counter[tuple[str, int, str]] = Counter()
    for event in events:
        place = _place(event)
        if event.kind == "sync" and place is not None:
            path, line = place
            counts[path, line, event.operation] += event.count
    return counts


def _place(event: Event) -> tuple[str, int] | None:
    return None if event.project is None else (event.project.path, event.project.line)
