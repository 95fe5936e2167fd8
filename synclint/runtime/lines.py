"""Which lines of the project are executed: each is told once.

From Python 3.12 on, ``sys.monitoring`` calls once for each line and then switches itself off there. Below, there is
only ``sys.settrace``, which calls for every line of the project's functions, every time.
"""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Any, Protocol

from synclint.runtime.frames import below, real_path, roots_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType, FrameType

CHEAP = sys.version_info >= (3, 12)
"""Whether recording lines costs next to nothing here."""


class LineRecorder(Protocol):
    """Tells of lines between ``start`` and ``stop``, which returns whether it saw them all."""

    def start(self) -> None: ...

    def stop(self) -> bool: ...


def line_recorder(roots: tuple[str, ...], tell: Callable[[str, int], None]) -> LineRecorder:
    """Calls ``tell(path, line)``, with the file's real path, for each executed line of files below ``roots``."""
    if sys.version_info >= (3, 12):
        return _Monitoring(roots, tell)
    else:  # noqa: RET505 - type checkers look at the branch of their version alone
        return _Tracing(roots, tell)


class _Lines:
    def __init__(self, roots: tuple[str, ...], tell: Callable[[str, int], None]) -> None:
        self._roots = roots_of(roots)
        self._tell = tell
        self._projects: dict[str, str] = {}
        """Real paths by the name that code objects carry; empty for files that are not the project's."""

    def _project(self, code: CodeType) -> str:
        name = code.co_filename
        found = self._projects.get(name)
        if found is None:
            real = real_path(name)
            found = self._projects[name] = real if below(self._roots, real) else ""
        return found


if sys.version_info >= (3, 12):
    _FREE = (4, 3)
    """Tool ids that PEP 669 leaves to anyone."""

    class _Monitoring(_Lines):
        _tool: int | None = None

        def start(self) -> None:
            monitoring = sys.monitoring
            self._tool = next((tool for tool in _FREE if monitoring.get_tool(tool) is None), None)
            if self._tool is not None:
                monitoring.use_tool_id(self._tool, "synclint")
                monitoring.register_callback(self._tool, monitoring.events.LINE, self._line)
                monitoring.set_events(self._tool, monitoring.events.LINE)

        def stop(self) -> bool:
            if self._tool is None:
                return False
            sys.monitoring.set_events(self._tool, 0)
            sys.monitoring.register_callback(self._tool, sys.monitoring.events.LINE, None)
            sys.monitoring.free_tool_id(self._tool)
            return True

        def _line(self, code: CodeType, line: int) -> Any:
            path = self._project(code)
            if path:
                self._tell(path, line)
            return sys.monitoring.DISABLE

else:

    class _Tracing(_Lines):
        def __init__(self, roots: tuple[str, ...], tell: Callable[[str, int], None]) -> None:
            super().__init__(roots, tell)
            self._seen: set[tuple[str, int]] = set()
            self._on = False
            self._sees_all = True

        def start(self) -> None:
            if sys.gettrace() is not None:  # a debugger, or a measurement of coverage
                self._sees_all = False
                return
            self._on = True
            sys.settrace(self._call)
            threading.settrace(self._call)
            frame: FrameType | None = sys._getframe(1)
            while frame is not None:  # those that run already: the module that imports torch, for one
                if frame.f_trace is None and self._project(frame.f_code):
                    frame.f_trace = self._line
                frame = frame.f_back

        def stop(self) -> bool:
            if self._on:
                self._on = False
                if sys.gettrace() == self._call:
                    sys.settrace(None)
                else:
                    self._sees_all = False
                if threading.gettrace() == self._call:
                    threading.settrace(None)
            return self._sees_all

        def _call(self, frame: FrameType, event: str, argument: object) -> Any:
            return self._line if self._on and self._project(frame.f_code) else None

        def _line(self, frame: FrameType, event: str, argument: object) -> Any:
            if event == "line" and self._on:
                place = (self._project(frame.f_code), frame.f_lineno)
                if place not in self._seen:
                    self._seen.add(place)
                    self._tell(*place)
            return self._line
