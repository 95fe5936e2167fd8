"""Who knows of whose work: a vector clock for each stream, and one for the host.

A stream's clock holds, for each stream, how many of its steps are known to have run before the stream's next step.
"""

from __future__ import annotations

from typing import NamedTuple

Clock = dict[int, int]


class Step(NamedTuple):
    """The ``number``-th piece of work on a stream."""

    stream: int
    number: int


class Clocks:
    """The clocks of one run. Streams are named by their handles."""

    def __init__(self) -> None:
        self.host: Clock = {}
        self._streams: dict[int, Clock] = {}

    def launch(self, stream: int) -> Step:
        """A step on a stream. It comes after all that the host has waited for."""
        clock = self._of(stream)
        _join(clock, self.host)
        clock[stream] = clock.get(stream, 0) + 1
        return Step(stream, clock[stream])

    def now(self, stream: int) -> Clock:
        """What has run once all work that is on the stream now has."""
        return dict(self._of(stream))

    def order(self, clock: Clock, stream: int) -> None:
        """The stream goes on only when the work of that clock has run."""
        _join(self._of(stream), clock)

    def order_after_all(self, stream: int) -> None:
        for clock in list(self._streams.values()):
            _join(self._of(stream), clock)

    def host_waits(self, clock: Clock) -> None:
        _join(self.host, clock)

    def host_waits_for_all(self) -> None:
        for clock in self._streams.values():
            _join(self.host, clock)

    def before(self, step: Step, stream: int) -> bool:
        """Whether the step is known to have run before what the stream does next."""
        return max(self._of(stream).get(step.stream, 0), self.host.get(step.stream, 0)) >= step.number

    def host_knows(self, step: Step) -> bool:
        return self.host.get(step.stream, 0) >= step.number

    def _of(self, stream: int) -> Clock:
        return self._streams.setdefault(stream, {})


def _join(clock: Clock, other: Clock) -> None:
    for stream, number in other.items():
        if number > clock.get(stream, 0):
            clock[stream] = number
