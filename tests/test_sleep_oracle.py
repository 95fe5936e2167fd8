"""The behavioural oracle on a device of which the clock is turned by hand."""

from __future__ import annotations

from collections.abc import Callable

import pytest

pytest.importorskip("torch")

from synclint.runtime.cuda.sleep import OracleError, SleepOracle

RATE = 1.5e9
QUICK = 1e-5


class Device:
    """Sleeps ``RATE`` cycles a second; time passes only when somebody says so."""

    def __init__(self, rate: float = RATE) -> None:
        self.now = self.busy_until = 0.0
        self.rate = rate
        self.allocated = 0

    def clock(self) -> float:
        return self.now

    def sleep(self, cycles: int) -> Callable[[], bool]:
        end = self.busy_until = max(self.now, self.busy_until) + cycles / self.rate
        return lambda: self.now >= end

    def synchronize(self) -> None:
        self.now = max(self.now, self.busy_until)

    def allocations(self) -> tuple[int, ...]:
        return (self.allocated,)

    def passes(self, seconds: float) -> None:
        self.now += seconds

    def waits(self) -> None:
        self.passes(QUICK)
        self.synchronize()

    def returns(self) -> None:
        self.passes(QUICK)

    def obstacle(self) -> str:
        return ""


@pytest.fixture
def device() -> Device:
    return Device()


def test_the_length_of_a_cycle_is_measured(device: Device) -> None:
    assert SleepOracle(device).cycles_per_second == pytest.approx(RATE)
    assert SleepOracle(Device(rate=2e6)).cycles_per_second == pytest.approx(2e6)


def test_a_device_that_does_not_sleep_is_refused() -> None:
    with pytest.raises(OracleError, match="took only"):
        SleepOracle(Device(rate=float("inf")))


def test_who_waits_is_told_from_who_does_not(device: Device) -> None:
    oracle = SleepOracle(device)
    verdict = oracle.proves(device.waits)
    assert verdict.waits is True
    assert verdict.host == (pytest.approx(oracle.seconds),)
    verdict = oracle.proves(device.returns)
    assert verdict.waits is False
    assert verdict.host == (pytest.approx(QUICK),)


def test_a_function_runs_warm(device: Device) -> None:
    calls = []

    def first_is_slow() -> None:
        calls.append(None)
        device.passes(1.0 if len(calls) <= 2 else QUICK)

    assert SleepOracle(device).proves(first_is_slow).waits is False
    assert len(calls) == 3


def test_what_allocates_meanwhile_proves_nothing_but_is_tried_again(device: Device) -> None:
    runs = []

    def allocates(times: int) -> Callable[[], None]:
        def function() -> None:
            runs.append(None)
            device.allocated += len(runs) <= times
            device.waits()

        return function

    assert SleepOracle(device).proves(allocates(3)).waits is True
    runs.clear()
    verdict = SleepOracle(device).proves(allocates(100))
    assert verdict.waits is None
    assert "memory was allocated" in verdict.reason
    assert len(verdict.host) == 3


def test_who_allocates_and_returns_all_the_same_does_not_wait(device: Device) -> None:
    def function() -> None:
        device.allocated += 1
        device.returns()

    assert SleepOracle(device).proves(function).waits is False


def test_a_slow_host_is_not_taken_for_a_wait(device: Device) -> None:
    oracle = SleepOracle(device)
    runs = []

    def slows_down() -> None:
        runs.append(None)
        device.passes(oracle.seconds * (0.7 if len(runs) > 2 else 0.1))

    verdict = oracle.proves(slows_down)
    assert verdict.waits is None
    assert "still runs" in verdict.reason


def test_what_takes_long_by_itself_is_not_taken_for_a_wait(device: Device) -> None:
    verdict = SleepOracle(device).proves(lambda: device.passes(1.0))
    assert verdict.waits is None
    assert "by itself" in verdict.reason


def test_a_run_that_is_slow_for_another_reason_does_not_count(device: Device) -> None:
    oracle = SleepOracle(device)
    runs = []

    def compiles_once() -> None:
        runs.append(None)
        device.passes(2.0 if len(runs) == 3 else QUICK)

    verdict = oracle.proves(compiles_once)
    assert verdict.waits is False
    assert verdict.host == (pytest.approx(2.0), pytest.approx(QUICK))


def test_both_controls_must_answer(device: Device) -> None:
    oracle = SleepOracle(device)
    positive, negative = oracle.check(device.waits, device.returns)
    assert (positive.waits, negative.waits) == (True, False)
    with pytest.raises(OracleError, match="a function that waits: it does not wait"):
        oracle.check(device.returns, device.returns)
    with pytest.raises(OracleError, match="a function that returns at once: it waits"):
        oracle.check(device.waits, device.waits)


def test_what_a_function_raises_passes(device: Device) -> None:
    def fails() -> None:
        raise KeyError

    with pytest.raises(KeyError):
        SleepOracle(device).proves(fails)
