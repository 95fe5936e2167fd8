"""The behavioural oracle: with a long sleep under way on the stream, does a function return before it ends?

It believes no report of torch, and sees what the driver and libraries do. It can be wrong one way: what is done for
the first time (loading a kernel, allocating memory) makes the host stand, too, and so does any other work of the host.
So a function runs warm, its last warm-up, on an idle device, says how long it takes by itself, and an answer during
which memory was allocated, or the host stood for longer than the sleep explains, does not count.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple, Protocol

import torch

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
    a function that says whether it is over. ``allocations`` counts what was ever allocated from the driver.
    ``waits`` and ``returns`` are controls: one waits for the current stream, one gives it work and returns.
    ``obstacle`` says why the device must be left alone just now; it is empty where nothing speaks against it."""

    def clock(self) -> float: ...

    def sleep(self, cycles: int) -> Callable[[], bool]: ...

    def synchronize(self) -> None: ...

    def allocations(self) -> tuple[int, ...]: ...

    def waits(self) -> None: ...

    def returns(self) -> None: ...

    def obstacle(self) -> str: ...


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

    def waits(self) -> None:
        torch.cuda.current_stream().synchronize()

    def returns(self) -> None:
        torch.cuda._sleep(1)  # type: ignore[no-untyped-call]

    def obstacle(self) -> str:
        if torch.cuda._is_in_bad_fork():
            return "a process that was forked after CUDA was used cannot use it"
        if not torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
            return "CUDA was not in use"
        if torch.cuda.is_current_stream_capturing():
            return "a graph was being captured"
        return ""


class Begun(NamedTuple):
    """A run that is under way: when it began, whether its sleep is over (None: the device is idle), and what had been
    allocated."""

    at: float
    over: Callable[[], bool] | None
    allocated: tuple[int, ...]


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
        for _ in range(WARM_UPS - 1):
            function()
        begun = self.begin(asleep=False)
        function()
        own = self.passed(begun)
        hosts: tuple[float, ...] = ()
        verdict = Verdict(None, hosts, self.seconds, "not run")
        for _ in range(_TRIES):
            begun = self.begin()
            function()
            verdict = self.end(begun, own)
            hosts += verdict.host
            if verdict.waits is not None:
                break
        return verdict._replace(host=hosts)

    def check(self, waiting: Callable[[], object], returning: Callable[[], object]) -> tuple[Verdict, Verdict]:
        """The verdicts on two functions of which the answer is known. Raises OracleError where either is not given."""
        found = self.proves(waiting), self.proves(returning)
        for verdict, expected, name in zip(found, (True, False), ("waits", "returns at once"), strict=True):
            if verdict.waits is not expected:
                said = verdict.reason or ("it waits" if verdict.waits else "it does not wait")
                raise OracleError(f"the sleep oracle fails its control, a function that {name}: {said}")
        return found

    def begin(self, *, asleep: bool = True) -> Begun:
        """Just before a run: let the device finish what it has to do and, unless it shall be idle, put it to sleep."""
        device = self._device
        device.synchronize()
        allocated = device.allocations()
        over = device.sleep(int(self.cycles_per_second * self.seconds)) if asleep else None
        return Begun(device.clock(), over, allocated)

    def passed(self, begun: Begun) -> float:
        """How long a run has taken, in seconds."""
        return self._device.clock() - begun.at

    def end(self, begun: Begun, own: float) -> Verdict:
        """Just after a run: whether it waited. ``own`` is how long it takes while the device is idle, in seconds."""
        host = self.passed(begun)
        done = begun.over is None or begun.over()
        self._device.synchronize()
        waits, reason = self._judge(host, own, done, self._device.allocations() != begun.allocated)
        return Verdict(waits, (host,), self.seconds, reason)

    def _judge(self, host: float, own: float, done: bool, allocated: bool) -> tuple[bool | None, str]:
        margin = self.seconds * _MARGIN
        if not done and host < margin:
            return False, ""  # also if it allocated: it came back all the same
        if allocated:
            return None, "memory was allocated from the driver meanwhile"
        if own > margin:
            return None, f"the host takes {own:.4f} s by itself, too long to be told from a sleep of {self.seconds:g} s"
        if done and margin < host < self.seconds + own + margin:
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
