"""The behavioural oracle: with a long sleep under way on the stream, does a function return before it ends?

It believes no report of torch, and sees what the driver and libraries do. It can be wrong one way: what is done for
the first time (loading a kernel, allocating memory) makes the host stand, too. So a function runs warm, and an answer
during which memory was allocated does not count.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple, Protocol

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

WARM_UPS = 2
_TRIES = 3
_SECONDS = 0.05
_MARGIN = 0.5
"""The share of the sleep that must be left over (or have passed) for an answer to count."""


class OracleError(RuntimeError):
    """The oracle cannot answer here; the message says why."""


class Verdict(NamedTuple):
    """``waits`` is None where the run proves nothing, and ``reason`` says why. ``host`` is how long each run took, and
    ``sleep`` how long the device was busy, both in seconds; runs that do not count are among them."""

    waits: bool | None
    host: tuple[float, ...]
    sleep: float
    reason: str = ""


class Device(Protocol):
    """What the oracle needs of a device. ``sleep`` queues a sleep of so many cycles on the current stream, and returns
    a function that says whether it is over. ``allocations`` counts what was ever allocated from the driver."""

    def clock(self) -> float: ...

    def sleep(self, cycles: int) -> Callable[[], bool]: ...

    def synchronize(self) -> None: ...

    def allocations(self) -> tuple[int, ...]: ...


class CudaDevice:
    """The current CUDA device and stream."""

    def clock(self) -> float:
        return time.perf_counter()

    def sleep(self, cycles: int) -> Callable[[], bool]:
        torch.cuda._sleep(cycles)  # type: ignore[no-untyped-call]
        event = torch.cuda.Event()  # type: ignore[no-untyped-call]
        event.record()
        return event.query

    def synchronize(self) -> None:
        torch._C._cuda_synchronize()  # not the public name: a tracer may watch that

    def allocations(self) -> tuple[int, ...]:
        device, host = torch.cuda.memory_stats(), torch.cuda.host_memory_stats()
        names = ("segment.all.allocated", "num_alloc_retries", "num_device_alloc", "num_device_free")
        return (*(device.get(name, 0) for name in names), host.get("num_host_alloc", 0))


class SleepOracle:
    """Proves of single functions whether they wait for the device. Measures the length of a cycle when it is made.

    ``seconds`` is how long the device sleeps; a function that merely takes half as long cannot be judged.
    Raises OracleError where the device does not sleep as it should.
    """

    def __init__(self, device: Device | None = None, seconds: float = _SECONDS) -> None:
        self._device = device or CudaDevice()
        self.seconds = seconds
        self.cycles_per_second = self._calibrate()

    def proves(self, function: Callable[[], object]) -> Verdict:
        """Whether ``function`` waits, on the current stream. It is run several times, and its exceptions pass."""
        for _ in range(WARM_UPS):
            function()
        hosts: list[float] = []
        verdict = Verdict(None, (), self.seconds, "not run")
        for _ in range(_TRIES):
            verdict = self._once(function, hosts)
            if verdict.waits is not None:
                break
        return verdict

    def check(self, waiting: Callable[[], object], returning: Callable[[], object]) -> tuple[Verdict, Verdict]:
        """The verdicts on two functions of which the answer is known. Raises OracleError where either is not given."""
        found = self.proves(waiting), self.proves(returning)
        for verdict, expected, name in zip(found, (True, False), ("waits", "returns at once"), strict=True):
            if verdict.waits is not expected:
                said = verdict.reason or ("it waits" if verdict.waits else "it does not wait")
                raise OracleError(f"the sleep oracle fails its control, a function that {name}: {said}")
        return found

    def _once(self, function: Callable[[], object], hosts: list[float]) -> Verdict:
        device = self._device
        device.synchronize()
        before = device.allocations()
        over = device.sleep(int(self.cycles_per_second * self.seconds))
        began = device.clock()
        function()
        host = device.clock() - began
        done = over()
        device.synchronize()
        hosts.append(host)
        allocated = device.allocations() != before
        waits, reason = self._judge(host, done, allocated)
        return Verdict(waits, tuple(hosts), self.seconds, reason)

    def _judge(self, host: float, done: bool, allocated: bool) -> tuple[bool | None, str]:
        if not done and host < self.seconds * _MARGIN:
            return False, ""  # also if it allocated: it came back all the same
        if allocated:
            return None, "memory was allocated from the driver meanwhile"
        if done and host > self.seconds * _MARGIN:
            return True, ""
        state = "is over" if done else "still runs"
        return None, f"the host took {host:.4f} s and the sleep of {self.seconds:.4f} s {state}"

    def _calibrate(self) -> float:
        device = self._device
        device.sleep(1000)
        device.synchronize()
        cycles = 1_000_000
        while True:
            began = device.clock()
            device.sleep(cycles)
            device.synchronize()
            took = device.clock() - began
            if took > self.seconds / 2:
                return cycles / took
            if cycles > 10**12:
                raise OracleError(f"a sleep of {cycles} cycles took only {took:.6f} s")
            cycles *= 4
