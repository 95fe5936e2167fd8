"""Copies between host and device that the host may not count on yet.

Simulated copies run at once. So that a lost wait shows, the destination of an asynchronous copy to the host holds wrong
values until the host waits; the source of one to the device is compared with what it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from torch import Tensor

from synclint.runtime.frames import Site
from synclint.runtime.simulated.clocks import Clocks, Step
from synclint.runtime.simulated.memory import checksum, overlap, poison


@dataclass(frozen=True, slots=True, eq=False)
class ToHost:
    """A copy on its way to the host: the destination, the values to come, and the wrong ones in their place."""

    operation: str
    site: Site
    step: Step
    target: Tensor
    values: Tensor
    wrong: Tensor

    def hide(self) -> None:
        self.target.copy_(self.wrong)

    def show(self) -> None:
        self.target.copy_(self.values)


@dataclass(slots=True, eq=False)
class ToDevice:
    """A copy on its way to the device, and what its source held when it was issued."""

    operation: str
    site: Site
    step: Step
    source: Tensor
    checksum: int

    def rewritten(self) -> bool:
        return checksum(self.source) != self.checksum


class InFlight:
    """The copies of one run. ``lost`` is told of those whose source was found rewritten."""

    def __init__(self, clocks: Clocks, lost: Callable[[ToDevice], None]) -> None:
        self._clocks = clocks
        self._lost = lost
        self._to_host: list[ToHost] = []
        self._to_device: list[ToDevice] = []

    def __bool__(self) -> bool:
        return bool(self._to_host or self._to_device)

    def to_host(self, operation: str, site: Site, step: Step, target: Tensor) -> None:
        target = target.detach()
        values = target.clone()
        copy = ToHost(operation, site, step, target, values, poison(values))
        copy.hide()
        self._to_host.append(copy)

    def to_device(self, operation: str, site: Site, step: Step, source: Tensor) -> None:
        source = source.detach()
        self._to_device.append(ToDevice(operation, site, step, source, checksum(source)))

    def arriving(self, tensor: Tensor) -> list[ToHost]:
        """The copies that are about to write to memory of this tensor."""
        return [copy for copy in self._to_host if overlap(copy.target, tensor)]

    def leaving(self, tensor: Tensor) -> list[ToDevice]:
        """The copies that are reading memory of this tensor."""
        return [copy for copy in self._to_device if overlap(copy.source, tensor)]

    def forget(self, copy: ToDevice) -> None:
        """It was reported: once is enough."""
        self._to_device.remove(copy)

    @contextmanager
    def arrived(self, copies: list[ToHost]) -> Iterator[None]:
        """For work on the device that is ordered after these copies: it finds the values in their place."""
        for copy in copies:
            copy.show()
        try:
            yield
        finally:
            for copy in copies:
                copy.hide()

    def settle(self, everything: bool = False) -> None:
        """The host has waited: what it knows to have run is over."""
        read = [copy for copy in self._to_device if everything or self._clocks.host_knows(copy.step)]
        self._to_device = [copy for copy in self._to_device if copy not in read]
        lost = [copy for copy in read if copy.rewritten()]
        over = [copy for copy in self._to_host if everything or self._clocks.host_knows(copy.step)]
        self._to_host = [copy for copy in self._to_host if copy not in over]
        for arrived in over:
            intact = [copy for copy in self.leaving(arrived.target) if not copy.rewritten()]
            arrived.show()
            for copy in intact:  # it reads what has just arrived
                copy.checksum = checksum(copy.source)
        for copy in lost:
            self._lost(copy)
