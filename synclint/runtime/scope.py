"""Blocks that allow or forbid waits, each for the thread and the asyncio task that entered it.

``contextvars`` are both: a new thread begins without blocks, a task with those around its creation.
"""

from __future__ import annotations

import threading
from contextlib import ContextDecorator, ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import TracebackType

    from typing_extensions import Self

    from synclint.runtime.event import Event
    from synclint.runtime.tracer import BackendName, Tracer

F = TypeVar("F", bound="Callable[..., Any]")


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

    The first ``raised`` of the ``violations`` have been raised already. ``outer`` is the block around it; one that
    ``ended`` while another one was innermost (a generator was resumed there) holds no longer."""

    reason: str | None
    pageable: bool = False
    violations: list[Event] = field(default_factory=list)
    raised: int = 0
    outer: Scope | None = None
    ended: bool = False

    def forbids(self, event: Event) -> bool:
        return self.reason is None and (self.pageable or event.kind != "pageable")


_scope: ContextVar[Scope | None] = ContextVar("synclint_scope", default=None)


def current_scope() -> Scope | None:
    """The innermost block around the code that runs now."""
    scope = _scope.get()
    while scope is not None and scope.ended:
        scope = scope.outer
    return scope


def _enter(scope: Scope) -> Scope:
    scope.outer = current_scope()
    _scope.set(scope)
    return scope


def _leave(scope: Scope) -> None:
    if _scope.get() is scope:
        _scope.set(scope.outer)
    else:
        scope.ended = True


class _Block(ContextDecorator):
    """A block that is a decorator, too: of functions, and of coroutine functions, for as long as the coroutine runs."""

    def _recreate_cm(self) -> Self:
        raise NotImplementedError

    def __call__(self, function: F) -> F:
        import inspect

        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError(
                f"{type(self).__name__}() cannot decorate the generator {function.__qualname__}(): the block would "
                "hold for its caller as well; put the block into its body, around code without yield"
            )
        if not inspect.iscoroutinefunction(function):
            return super().__call__(function)

        @wraps(function)
        async def inside(*args: Any, **kwargs: Any) -> Any:
            with cast("Any", self._recreate_cm()):
                return await function(*args, **kwargs)

        return cast("F", inside)


class allow_sync(_Block):
    """Marks an intended wait: ``with allow_sync("the sampler needs the length"):``. Also a decorator of functions and
    coroutine functions."""

    def __init__(self, reason: str) -> None:
        if not isinstance(reason, str) or not reason.strip():
            raise ValueError("allow_sync() needs a reason, such as allow_sync('once per batch, for the log')")
        self.reason = reason
        self._entered: list[Scope] = []

    def _recreate_cm(self) -> Self:
        return type(self)(self.reason)

    def __enter__(self) -> Self:
        self._entered.append(_enter(Scope(self.reason)))
        return self

    def __exit__(self, *error: object) -> None:
        _leave(self._entered.pop())


class no_sync(_Block):
    """Raises SyncError when the host waits inside: at the wait where the back end can, else when the block ends.

    Uses the tracer that runs; without one it starts one for the block, with ``backend`` ("auto" is the GPU if there is
    one, else the simulated device). ``pageable`` forbids copies that are asynchronous in name only, too. Also a
    decorator of functions and coroutine functions.
    """

    def __init__(self, *, pageable: bool = False, backend: BackendName = "auto") -> None:
        self._pageable = pageable
        self._backend = backend
        self._entered: list[tuple[Scope, ExitStack]] = []

    def _recreate_cm(self) -> Self:
        return type(self)(pageable=self._pageable, backend=self._backend)

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            tracer = stack.enter_context(_tracer(self._backend, pageable=self._pageable))
            stack.enter_context(tracer.forbidding())
            self._entered.append((_enter(Scope(None, self._pageable)), stack.pop_all()))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        scope, stack = self._entered.pop()
        _leave(scope)
        stack.__exit__(kind, error, trace)
        if scope.violations and error is None:
            raise SyncError(scope.violations)


class _Shared:
    """The tracer that blocks started because none ran, and how many of them, on any thread, are still inside."""

    lock = threading.Lock()
    tracer: Tracer | None = None
    blocks = 0


@contextmanager
def _tracer(backend: BackendName, *, pageable: bool) -> Iterator[Tracer]:
    """The tracer that runs, or else one that is started now and runs until no block needs it any more."""
    from synclint.runtime.tracer import Tracer, running

    with _Shared.lock:
        tracer = running()
        if tracer is None:
            tracer = Tracer(backend, pageable=pageable, keep=False)
            tracer.__enter__()
            _Shared.tracer = tracer
        shared = tracer is _Shared.tracer
        _Shared.blocks += shared
    try:
        yield tracer
    finally:
        if shared:
            with _Shared.lock:
                _Shared.blocks -= 1
                if not _Shared.blocks:
                    _Shared.tracer = None
                    tracer.__exit__()
