"""From what a back end sees to events: where it happened, which block it happened in, whom to tell."""

from __future__ import annotations

import sys
import threading
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from synclint.runtime.event import Event
from synclint.runtime.frames import NOWHERE, Site, locate, roots_of
from synclint.runtime.scope import Scope, SyncError, current_scope

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from synclint.facts.schema import Cause
    from synclint.finding import Direction
    from synclint.runtime.event import Kind


class Recorder:
    """What the back ends call. ``sink`` gets each event, on the thread that waited.

    ``roots`` are the project's folders. All methods may be called from any thread.
    """

    def __init__(self, sink: Callable[[Event], None], roots: tuple[str, ...] = ()) -> None:
        self._sink = sink
        self._roots = roots_of(roots)
        self._backward: list[_Backward] = []
        self._busy = threading.local()

    def record(
        self,
        operation: str,
        cause: Cause,
        direction: Direction,
        *,
        kind: Kind = "sync",
        detail: str = "",
        stream: int = 0,
        capture: bool = False,
        may_raise: bool = True,
        site: Site | None = None,
    ) -> Event | None:
        """Note one event of the code that runs now, or of ``site`` (what was wrong may be found out later). Returns it.

        Raises SyncError inside ``no_sync()`` if ``may_raise``; a back end that is called where exceptions are lost
        says no, and the block raises when it ends. What torch's compiler and graph capture wait for is no event (None).
        """
        if getattr(self._busy, "on", False):
            return None
        self._busy.on = True
        try:
            here, scope, backward = self._where()
            site = here if site is None else site
            if site.machinery:
                return None
            allowed = scope.reason if scope is not None and scope.reason is not None else ""
            event = Event(
                operation, cause, direction, kind, detail, site.user, site.project,
                threading.get_native_id(), stream, backward, capture, allowed,
            )  # fmt: skip
            self._sink(event)
        finally:
            self._busy.on = False
        if scope is not None and scope.forbids(event):
            scope.violations.append(event)  # even if it raises here: the code may catch all exceptions
            if may_raise:
                _raise_noted(scope)
        return event

    def raise_noted(self) -> None:
        """Raises SyncError for what the code that runs now has waited for inside ``no_sync()``, if it was not yet
        raised. For a back end that learns of a wait where it cannot raise, and is called again just after it."""
        scope = current_scope()
        if scope is not None:
            _raise_noted(scope)

    def add_stall(self, event: Event, seconds: float) -> None:
        """How long the host stood in an event that was recorded before."""
        self._sink(replace(event, count=0, stall=seconds))

    def tell(self, event: Event) -> None:
        """Note an event that was seen afterwards, when the code that it belongs to no longer ran."""
        self._sink(event)

    def _where(self) -> tuple[Site, Scope | None, bool]:
        site, scope, thread = locate(self._roots), current_scope(), threading.get_ident()
        running = self._backward
        if any(one.thread == thread for one in running):
            return site, scope, True
        if running and (site.user is None or _in_backward()):  # a thread of the autograd engine
            only = running[-1] if len(running) == 1 else _Backward(NOWHERE, scope, thread)
            return (site if site.user is not None else only.site), only.scope, True
        return site, scope, False

    @contextmanager
    def running_backward(self) -> Iterator[None]:
        """Around a run of the autograd engine: its threads have no Python frames, so the line that called it counts."""
        entry = _Backward(locate(self._roots), current_scope(), threading.get_ident())
        self._backward.append(entry)
        try:
            yield
        finally:
            self._backward.remove(entry)


def _in_backward() -> bool:
    """Whether this thread runs somebody's backward function: then it has Python frames, but not the caller's."""
    torch = sys.modules.get("torch")
    return torch is not None and torch._C._current_graph_task_id() != -1


def _raise_noted(scope: Scope) -> None:
    if len(scope.violations) > scope.raised:
        noted, scope.raised = scope.violations[scope.raised :], len(scope.violations)
        raise SyncError(noted)


class _Backward(NamedTuple):
    """A run of the autograd engine: who called it, in which block, on which thread."""

    site: Site
    scope: Scope | None
    thread: int
