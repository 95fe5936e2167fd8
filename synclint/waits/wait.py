"""From a trace to what users look at: lines that wait, the costliest first."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from synclint.runtime.event import Event, Frame


@dataclass(frozen=True, slots=True)
class Wait:
    """One way in which one line waits, over all threads and processes.

    ``event`` is one of the like events, with their count and stall time added up. ``details`` are those of all of them.
    ``inside`` is the line of a library that waits on behalf of the project's, if it is such a one.
    """

    event: Event
    details: tuple[str, ...] = ()

    @property
    def frame(self) -> Frame | None:
        return self.event.frame

    @property
    def inside(self) -> Frame | None:
        return self.event.user if self.event.project not in (None, self.event.user) else None

    def sort_key(self) -> tuple[float, int, str]:
        return (-(self.event.stall or 0.0), -self.event.count, str(self.event))


def waits_of(events: Iterable[Event]) -> list[Wait]:
    """Events that differ only in stream, detail, thread and process, joined and sorted."""
    from synclint.runtime.trace import aggregate

    details: dict[tuple[object, ...], dict[str, None]] = {}
    plain = []
    for event in events:
        key = replace(event, detail="", stream=0)
        details.setdefault(key.like, {}).update({event.detail: None} if event.detail else {})
        plain.append(key)
    joined = [Wait(event, tuple(details[event.like])) for event in aggregate(plain)]
    return sorted(joined, key=Wait.sort_key)
