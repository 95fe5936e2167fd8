"""Calls of the CUDA runtime, as profilers record them, and which of them make the host wait."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from synclint.facts import all_facts
from synclint.finding import Direction
from synclint.runtime.event import Event

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from synclint.facts.schema import Cause

_WAITS = {
    "StreamSynchronize": Direction.STREAM,
    "EventSynchronize": Direction.STREAM,
    "DeviceSynchronize": Direction.DEVICE,
    "CtxSynchronize": Direction.DEVICE,
}
_COPIES = frozenset(("Memcpy", "MemcpyDtoH", "MemcpyHtoD", "MemcpyWithStream"))
_ASYNCHRONOUS = frozenset(("MemcpyAsync", "MemcpyDtoHAsync", "MemcpyHtoDAsync"))
_ALLOCATES = frozenset(("Malloc", "HostAlloc", "MallocHost", "HostMalloc", "MemAlloc", "MemHostAlloc"))
_FREES = frozenset(("Free", "FreeHost", "HostFree", "MemFree", "MemFreeHost", "MemUnmap"))
_NAME = re.compile(r"(?:cuda|hip|cu)([A-Z]\w*?)(?:_v\d+)?(?:_pt[sd][sz])?(?:_v\d+)?")

#: Operators that read from the device how large their result is. The table of facts does not know them all yet.
_SIZES = frozenset(
    ("aten::nonzero", "aten::masked_select", "aten::_unique2", "aten::unique_dim", "aten::unique_consecutive")
)


class Copy(NamedTuple):
    """What a copy moved. ``pageable``: the host's side is not pinned; None where the profile does not say."""

    direction: Direction
    pageable: bool | None


@dataclass(slots=True)
class Call:
    """A call of the runtime (or driver). Times are in seconds, ``thread`` is the process and the native thread.

    ``operators`` are the operators (or nodes of autograd) around it, the outermost first. ``copy`` is None for other
    calls than copies, and for copies that stay on the device.
    """

    name: str
    thread: tuple[int, int]
    began: float
    took: float
    copy: Copy | None = None
    operators: tuple[str, ...] = ()
    backward: bool = False

    @property
    def short(self) -> str:
        """The name without the prefix of the library and the version: ``StreamSynchronize``."""
        return _short(self.name)


@cache
def _short(name: str) -> str:
    matched = _NAME.fullmatch(name)
    return matched[1] if matched else ""


def matters(name: str) -> bool:
    """Whether calls of this name may be waits, or belong to one."""
    known = _WAITS.keys() | _COPIES | _ASYNCHRONOUS | _ALLOCATES | _FREES
    return _short(name) in known


def waits(calls: Iterable[Call]) -> Iterator[tuple[Call, Event]]:
    """The calls that make the host wait, each with its event (without frames), in order.

    A wait for a stream just after a copy, under the same operator, is the wait for that copy.
    """
    before: dict[tuple[int, int], Call] = {}
    for call in sorted(calls, key=lambda one: one.began):
        last = before.pop(call.thread, None)
        belongs = (
            last is not None
            and call.short == "StreamSynchronize"
            and last.operators == call.operators
            and last.copy is not None
        )
        if last is not None and not belongs:
            yield from _alone(last)
        if call.short in _ASYNCHRONOUS:
            before[call.thread] = call
        elif belongs and last is not None and last.copy is not None:
            yield call, _event(call, last.copy.direction, last.took + call.took)
        else:
            yield from _alone(call)
    for call in before.values():
        yield from _alone(call)


def _alone(call: Call) -> Iterator[tuple[Call, Event]]:
    if call.short in _ASYNCHRONOUS:
        if call.copy is not None and call.copy.pageable:
            operation, detail = _operation(call)
            yield call, _made(call, operation, "pageable-copy", call.copy.direction, call.took, detail, pageable=True)
    elif call.short in _COPIES:
        if call.copy is not None:
            yield call, _event(call, call.copy.direction, call.took)
    elif call.short in _WAITS:
        yield call, _event(call, _WAITS[call.short], call.took)
    elif call.short in _FREES or call.short in _ALLOCATES:
        direction = Direction.DEVICE if call.short in _FREES else Direction.NONE
        yield call, _made(call, call.name, "allocator", direction, call.took, "")


def _event(call: Call, direction: Direction, took: float) -> Event:
    operation, detail = _operation(call)
    copies = direction in (Direction.D2H, Direction.H2D)
    cause: Cause
    if not call.operators:
        cause = "blocking-copy" if copies else "explicit-wait"
    elif (operation, direction.value) in _causes():
        cause = _causes()[operation, direction.value]
    elif operation in _SIZES:
        cause = "data-dependent-size"
    else:
        cause = "blocking-copy" if copies else "library-internal"
    return _made(call, operation, cause, direction, took, detail)


def _made(
    call: Call, operation: str, cause: Cause, direction: Direction, took: float, detail: str, *, pageable: bool = False
) -> Event:
    kind = "pageable" if pageable else "sync"
    return Event(operation, cause, direction, kind, detail, thread=call.thread[1], stall=took)  # type: ignore[arg-type]


def _operation(call: Call) -> tuple[str, str]:
    """The operator that waits, and the one that the code called, if it is another."""
    if not call.operators:
        return call.name, ""
    inner = call.operators[-1]
    if call.operators[-2:] == ("aten::_to_copy", "aten::copy_"):  # as the tables, and the other back ends, name it
        inner = "aten::_to_copy"
    outer = call.operators[0]
    same = outer in (inner, "aten::to", "aten::item") and inner in (
        outer,
        "aten::_to_copy",
        "aten::_local_scalar_dense",
    )
    return inner, "" if same else f"called by {outer}"


@cache
def _causes() -> dict[tuple[str, str], Cause]:
    known = [fact for fact in all_facts() if fact.event == "sync"]
    return {(name, fact.direction): fact.cause for fact in known for name in fact.operations}
