"""Race mode: memory that is used before the copy or the stream that it depends on is known to be done with it.

Three kinds are told, as events of the kind ``race``. The host reads, or writes, the destination of an asynchronous
copy before it has waited for it. The host rewrites the pinned source of an asynchronous copy. Work on one stream uses
memory that another stream wrote, or writes what another reads, with nothing that orders the two.

Backward is ordered by the autograd engine, and is taken to come after all that was launched before it. Memory that is
freed too early is not seen.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from torch import Tensor

from synclint.finding import Direction
from synclint.runtime.frames import Site, locate
from synclint.runtime.simulated import pinned
from synclint.runtime.simulated.clocks import Clock, Clocks, Step
from synclint.runtime.simulated.compute import tensors_in
from synclint.runtime.simulated.inflight import InFlight, ToDevice, ToHost
from synclint.runtime.simulated.streams import current_stream
from synclint.runtime.simulated.views import view
from synclint.runtime.simulated.watch import Watch

if TYPE_CHECKING:
    from synclint.runtime.recorder import Recorder
    from synclint.runtime.simulated.operator import Operator

_COPIES = ("aten::_to_copy", "aten::copy_")


@dataclass(slots=True)
class _Uses:
    """The last write to a storage, and the reads since, one for each stream."""

    write: tuple[Step, Site] | None = None
    reads: dict[int, tuple[Step, Site]] = field(default_factory=dict)


class Races:
    """The race mode of one run."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._clocks = Clocks()
        self._copies = InFlight(self._clocks, self._rewritten)
        self._uses: weakref.WeakKeyDictionary[Any, _Uses] = weakref.WeakKeyDictionary()
        self._watch = Watch(self._host_uses)

    def start(self) -> None:
        self._watch.start()

    def stop(self) -> None:
        """Puts every value in its place; what was rewritten by now is told."""
        self._watch.stop()
        self._copies.settle(everything=True)

    # What streams, events and waits say

    def now(self, stream: int) -> Clock:
        return self._clocks.now(stream)

    def order(self, clock: Clock, stream: int) -> None:
        self._clocks.order(clock, stream)

    def host_waits(self, clock: Clock) -> None:
        self._clocks.host_waits(clock)
        self._copies.settle()

    def host_waits_for(self, stream: int) -> None:
        self.host_waits(self._clocks.now(stream))

    def host_waits_for_all(self) -> None:
        self._clocks.host_waits_for_all()
        self._copies.settle()

    def backward(self) -> None:
        self._clocks.order_after_all(current_stream().cuda_stream)

    # What operators do

    def around(
        self, operator: Operator, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> AbstractContextManager[None]:
        """To compute in: before it, the memory that the operator uses is looked at."""
        if operator.kernel is view:
            return nullcontext()
        site = locate(())
        stream = current_stream().cuda_stream
        step = self._clocks.launch(stream)
        ready: list[ToHost] = []
        for tensor, writes in _operands(operator, args, kwargs):
            self._use(operator.name, tensor, writes, step, site)
            if self._copies and not tensor.is_cuda:
                ready += [copy for copy in self._copies.arriving(tensor) if self._clocks.before(copy.step, stream)]
        return self._copies.arrived(ready) if ready else nullcontext()

    def after(self, operator: Operator, args: tuple[Any, ...], kwargs: Mapping[str, Any], result: Any) -> None:
        """Takes note of the results, and of copies that go on while the host does."""
        if operator.kernel is view:
            return
        stream = current_stream().cuda_stream
        step = Step(stream, self._clocks.now(stream).get(stream, 0))
        site = locate(())
        for tensor in tensors_in(result):
            if tensor.is_cuda and not tensor.is_sparse:
                uses = self._uses.setdefault(tensor.untyped_storage(), _Uses())
                if uses.write is None and not uses.reads:
                    uses.write = (step, site)
        if operator.name in _COPIES:
            self._copied(operator.name, args, kwargs, result, step, site)

    def _copied(
        self, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any], result: Any, step: Step, site: Site
    ) -> None:
        target, source = (result, args[0]) if name == "aten::_to_copy" else (args[0], args[1])
        if target.is_cuda == source.is_cuda or not source.numel():
            return
        asynchronous = kwargs.get("non_blocking", False) or (name == "aten::copy_" and len(args) > 2 and args[2])
        if not asynchronous:
            self.host_waits_for(step.stream)
        elif target.is_cuda and pinned.is_pinned(source):
            self._copies.to_device(name, site, step, source)
        elif source.is_cuda and pinned.is_pinned(target):
            self._copies.to_host(name, site, step, target)

    def _use(self, name: str, tensor: Tensor, writes: bool, step: Step, site: Site) -> None:
        if tensor.is_sparse or not tensor.numel():
            return
        storage = tensor.untyped_storage()
        uses = self._uses.get(storage)
        if uses is None:
            uses = self._uses[storage] = _Uses()
        earlier = [uses.write] if uses.write is not None else []
        if writes:
            earlier += uses.reads.values()
        for other, where in earlier:
            if not self._clocks.before(other, step.stream):
                verb = "written" if (other, where) == uses.write else "read"
                self._tell(
                    name,
                    Direction.STREAM,
                    f"{verb} on stream {other.stream} {_at(where)}, used on stream {step.stream} without an order",
                )
                break
        if writes:
            uses.write, uses.reads = (step, site), {}
        else:
            uses.reads[step.stream] = (step, site)

    # What the host does

    def _host_uses(self, name: str, tensor: Tensor, writes: bool) -> None:
        if not self._copies:
            return
        for arriving in self._copies.arriving(tensor):
            verb = "written" if writes else "read"
            self._tell(name, Direction.D2H, f"{verb} before the host has waited for the copy {_at(arriving.site)}")
        for leaving in self._copies.leaving(tensor) if writes else ():
            self._copies.forget(leaving)
            self._tell(
                leaving.operation,
                Direction.H2D,
                f"its source is rewritten {_at(locate(()))} before the host has waited for it",
                leaving.site,
            )

    def _rewritten(self, copy: ToDevice) -> None:
        self._tell(
            copy.operation,
            Direction.H2D,
            f"its source was rewritten before the host waited for it {_at(locate(()))}",
            copy.site,
        )

    def _tell(self, operation: str, direction: Direction, detail: str, site: Site | None = None) -> None:
        self._recorder.record(
            operation,
            "unordered-access",
            direction,
            kind="race",
            detail=detail,
            stream=current_stream().cuda_stream,
            site=site,
        )


def _operands(operator: Operator, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Iterator[tuple[Tensor, bool]]:
    """The tensors of a call, and whether the operator writes to them."""
    for at, value in enumerate(args):
        for tensor in tensors_in(value):
            yield tensor, at in operator.writes
    for name, value in kwargs.items():
        for tensor in tensors_in(value):
            yield tensor, name in operator.writes


def _at(site: Site) -> str:
    return f"at {site.user.path}:{site.user.line}" if site.user is not None else "somewhere"
