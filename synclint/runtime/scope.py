"""Blocks that allow or forbid waits, each for the thread and the asyncio task that entered it.

``contextvars`` are both: a new thread begins without blocks, a task with those around its creation.
"""

from __future__ import annotations

from contextlib import ContextDecorator, ExitStack
from contextvars import ContextVar, Token
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from typing_extensions import Self

    from synclint.runtime.event import Event
    from synclint.runtime.tracer import BackendName


class SyncError(RuntimeError):
    """The host waited where it must not. ``events`` are the waits, the first one first; ``where`` ends the sentence."""

    def __init__(self, events: Sequence[Event], where: str = "inside no_sync()") -> None:
        from synclint.runtime.codes import named

        self.events = tuple(events)
        shown = "\n".join(f"  {event}{named(event)}" for event in self.events)
        super().__init__(f"the host waits for the device {where}:\n{shown}")


@dataclass(slots=True)
class Scope:
    """What holds for the code that runs now: waits are allowed for ``reason``, or else forbidden and noted.

    The first ``raised`` of the ``violations`` have been raised already."""

    reason: str | None
    pageable: bool = False
    violations: list[Event] = field(default_factory=list)
    raised: int = 0

    def forbids(self, event: Event) -> bool:
        return self.reason is None and (self.pageable or event.kind != "pageable")


_scope: ContextVar[Scope | None] = ContextVar("synclint_scope", default=None)


def current_scope() -> Scope | None:
    """The innermost block around the code that runs now."""
    return _scope.get()


class allow_sync(ContextDecorator):
    """Marks an intended wait: ``with allow_sync("the sampler needs the length"):``. Also a decorator of functions."""

    def __init__(self, reason: str) -> None:
        if not isinstance(reason, str) or not reason.strip():
            raise ValueError("allow_sync() needs a reason, such as allow_sync('once per batch, for the log')")
        self.reason = reason
        self._tokens: list[Token[Scope | None]] = []

    def _recreate_cm(self) -> Self:
        return type(self)(self.reason)

    def __enter__(self) -> Self:
        self._tokens.append(_scope.set(Scope(self.reason)))
        return self

    def __exit__(self, *error: object) -> None:
        _scope.reset(self._tokens.pop())


class no_sync(ContextDecorator):
    """Raises SyncError when the host waits inside: at the wait where the back end can, else when the block ends.

    Uses the tracer that runs; without one it starts one for the block, with ``backend`` ("auto" is the GPU if there is
    one, else the simulated device). ``pageable`` forbids copies that are asynchronous in name only, too. Also a
    decorator of functions.
    """

    def __init__(self, *, pageable: bool = False, backend: BackendName = "auto") -> None:
        self._pageable = pageable
        self._backend = backend
        self._entered: list[tuple[Scope, Token[Scope | None], ExitStack]] = []

    def _recreate_cm(self) -> Self:
        return type(self)(pageable=self._pageable, backend=self._backend)

    def __enter__(self) -> Self:
        from synclint.runtime.tracer import Tracer, running

        with ExitStack() as stack:
            tracer = running()
            if tracer is None:
                tracer = Tracer(self._backend, pageable=self._pageable)
                stack.enter_context(tracer)
            stack.enter_context(tracer.forbidding())
            scope = Scope(None, self._pageable)
            self._entered.append((scope, _scope.set(scope), stack.pop_all()))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        scope, token, stack = self._entered.pop()
        _scope.reset(token)
        stack.__exit__(kind, error, trace)
        if scope.violations and error is None:
            raise SyncError(scope.violations)
