"""Watches named statements while a program runs: just before each is executed, and when it has ended.

The hook is ``sys.monitoring`` from Python 3.12 on, and ``sys.settrace`` below. Of all code, only that which holds a
named line is watched line by line.
"""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Any, Protocol

from synclint.runtime.frames import real_path
from synclint.runtime.statements import Statement, is_part

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from types import CodeType, FrameType

_NOTHING: Mapping[int, Statement] = {}


class HookError(RuntimeError):
    """Statements cannot be watched here; the message says why."""


class Listener(Protocol):
    """Told of named statements, on the thread that executes them. Must not raise: the program would."""

    def enters(self, statement: Statement, *, resumed: bool) -> bool:
        """Just before it is executed, or resumed after it was suspended in the middle; whether to be told when it ends,
        and meanwhile of no other on this thread."""
        ...

    def leaves(self) -> bool:
        """When it has ended, or was suspended, after ``enters`` said True; whether it was the last time for it."""
        ...


class Hook(Protocol):
    """Watches between ``start``, which raises HookError, and ``stop``, which undoes all of it."""

    def start(self) -> None: ...

    def stop(self) -> None: ...


def hook(statements: Iterable[Statement], listener: Listener) -> Hook:
    """The hook of this version of Python. The statements' paths are real paths."""
    if sys.version_info >= (3, 12):
        return _Monitoring(statements, listener)
    else:  # noqa: RET505 - type checkers look at the branch of their version alone
        return _Tracing(statements, listener)


class _Local(threading.local):
    frame: FrameType | None = None
    statement: Statement | None = None
    told = False
    """Whether the listener is being told: what it does itself is not watched."""


class _Hook:
    def __init__(self, statements: Iterable[Statement], listener: Listener) -> None:
        self._listener = listener
        self._lines: dict[str, dict[int, Statement]] = {}
        """By real path, and by line."""
        for statement in statements:
            lines = self._lines.setdefault(statement.path, {})
            lines.update(dict.fromkeys(range(statement.first, statement.last + 1), statement))
        self._files: dict[str, dict[CodeType, Mapping[int, Statement]] | None] = {}
        """By the name that code objects carry: what their codes hold; None for files without named lines."""
        self._local = _Local()

    def _held(self, code: CodeType) -> Mapping[int, Statement]:
        """The named lines that a code object holds."""
        name = code.co_filename
        if name not in self._files:
            self._files[name] = {} if real_path(name) in self._lines else None
        codes = self._files[name]
        if codes is None:
            return _NOTHING
        held = codes.get(code)
        if held is None:
            lines = self._lines[real_path(name)]
            held = {line: lines[line] for _, _, line in code.co_lines() if line in lines}
            codes[code] = held
        return held

    def _at_line(self, frame: FrameType, line: int, held: Mapping[int, Statement]) -> None:
        local = self._local
        statement = held.get(line)
        if local.frame is frame:
            if statement is local.statement:
                return  # loops come back to a statement by way of their header
            self._leave()
        if statement is not None:
            self._enter(frame, statement)

    def _enter(self, frame: FrameType, statement: Statement, *, resumed: bool = False) -> None:
        local = self._local
        if local.frame is None:
            local.told = True
            try:
                if self._listener.enters(statement, resumed=resumed):
                    local.frame, local.statement = frame, statement
            finally:
                local.told = False

    def _leave(self) -> None:
        local = self._local
        statement, local.frame, local.statement = local.statement, None, None
        local.told = True
        try:
            if self._listener.leaves() and statement is not None:
                self._forget(statement)
        finally:
            local.told = False

    def _forget(self, statement: Statement) -> None:
        lines = self._lines[statement.path]
        for line in range(statement.first, statement.last + 1):
            lines.pop(line, None)
        for name, codes in self._files.items():
            if codes is not None and real_path(name) == statement.path:
                codes.clear()


if sys.version_info >= (3, 12):
    _FREE = (3, 4)
    """Tool ids that PEP 669 leaves to anyone."""

    class _Monitoring(_Hook):
        _tool = -1

        def start(self) -> None:
            monitoring, events = sys.monitoring, sys.monitoring.events
            free = [tool for tool in _FREE if monitoring.get_tool(tool) is None]
            if not free:
                raise HookError("other tools hold all ids of sys.monitoring that are free for anyone")
            self._tool = free[0]
            monitoring.use_tool_id(self._tool, "synclint")
            for event, callback in self._callbacks():
                monitoring.register_callback(self._tool, event, callback)
            for frame in sys._current_frames().values():  # code that runs already
                above: FrameType | None = frame
                while above is not None:
                    self._watch(above.f_code)
                    above = above.f_back
            monitoring.set_events(self._tool, events.PY_START | events.PY_RESUME | events.PY_UNWIND)

        def stop(self) -> None:
            if self._tool < 0:
                return
            tool, self._tool = self._tool, -1
            sys.monitoring.set_events(tool, 0)
            for codes in self._files.values():
                for code in codes or ():
                    sys.monitoring.set_local_events(tool, code, 0)
            for event, _ in self._callbacks():
                sys.monitoring.register_callback(tool, event, None)
            sys.monitoring.free_tool_id(tool)

        def _callbacks(self) -> list[tuple[int, Any]]:
            events = sys.monitoring.events
            return [
                (events.PY_START, self._start),
                (events.PY_RESUME, self._resume),
                (events.PY_UNWIND, self._unwind),
                (events.LINE, self._line),
                (events.PY_RETURN, self._exit),
                (events.PY_YIELD, self._exit),
            ]

        def _watch(self, code: CodeType) -> bool:
            if not self._held(code):
                return False
            events = sys.monitoring.events
            sys.monitoring.set_local_events(self._tool, code, events.LINE | events.PY_RETURN | events.PY_YIELD)
            return True

        def _start(self, code: CodeType, offset: int) -> Any:
            if not self._watch(code):
                return sys.monitoring.DISABLE
            statement = self._held(code).get(code.co_firstlineno)
            if statement is not None and is_part(code, statement) and not self._local.told:
                self._enter(sys._getframe(1), statement)  # Python 3.13 has no event for its line
            return None

        def _resume(self, code: CodeType, offset: int) -> Any:
            if not self._watch(code):
                return sys.monitoring.DISABLE
            frame = sys._getframe(1)
            statement = self._held(code).get(frame.f_lineno)
            if statement is not None and not self._local.told:
                self._enter(frame, statement, resumed=not is_part(code, statement))  # each step of an expression
            return None

        def _line(self, code: CodeType, line: int) -> Any:
            if self._local.told:
                return None
            frame, held = sys._getframe(1), self._held(code)
            if not held and self._local.frame is not frame:
                return sys.monitoring.DISABLE
            self._at_line(frame, line, held)
            return None

        def _exit(self, code: CodeType, offset: int, value: object) -> Any:
            if self._local.frame is sys._getframe(1):
                self._leave()
            return None if self._held(code) else sys.monitoring.DISABLE

        def _unwind(self, code: CodeType, offset: int, error: BaseException) -> None:
            if self._local.frame is sys._getframe(1):
                self._leave()

else:
    _SUSPENDING = 0x20 | 0x80 | 0x200
    """The flags of code that can be suspended: generators, coroutines, asynchronous generators."""

    class _Tracing(_Hook):
        _on = False

        def start(self) -> None:
            if sys.gettrace() is not None:
                raise HookError(
                    "another tracer (a debugger, coverage, or the record of executed lines) holds sys.settrace"
                )
            self._on = True
            threading.settrace(self._call)
            frame: FrameType | None = sys._getframe(1)
            while frame is not None:  # those that run already
                if frame.f_trace is None and self._held(frame.f_code):
                    frame.f_trace = self._step
                frame = frame.f_back
            sys.settrace(self._call)

        def stop(self) -> None:
            if not self._on:
                return
            self._on = False
            if sys.gettrace() == self._call:
                sys.settrace(None)
            if threading.gettrace() == self._call:
                threading.settrace(None)
            frame: FrameType | None = sys._getframe(1)
            while frame is not None:
                if frame.f_trace == self._step:
                    frame.f_trace = None
                frame = frame.f_back

        def _call(self, frame: FrameType, event: str, argument: object) -> Any:
            if not self._on:
                return None
            held = self._held(frame.f_code)
            if not held:
                return None
            code, line = frame.f_code, frame.f_lineno
            if code.co_flags & _SUSPENDING and line != code.co_firstlineno and line in held:  # resumed
                self._enter(frame, held[line], resumed=not is_part(code, held[line]))
            return self._step

        def _step(self, frame: FrameType, event: str, argument: object) -> Any:
            if not self._on:
                return None
            held = self._held(frame.f_code)
            if event == "line":
                self._at_line(frame, frame.f_lineno, held)
            elif event == "return" and self._local.frame is frame:
                self._leave()
            return self._step if held or self._local.frame is frame else None
