"""The simulation that runs, if one does. The kernels stay registered for the life of the process and ask here."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from synclint.runtime.recorder import Recorder
    from synclint.runtime.simulated.graphs import Tape
    from synclint.runtime.simulated.races import Races


class NotSimulatedError(NotImplementedError):
    """The program needs what the simulated device lacks; the message names it."""


@dataclass
class Simulation:
    """One run between start and stop. ``debug_mode`` is that of ``torch.cuda.set_sync_debug_mode``: 0, 1 or 2.

    ``tape`` is where the operators go while a graph is captured. ``operators`` counts the kernels that ran,
    ``not_simulated`` those that could not, by name.
    """

    recorder: Recorder
    races: Races | None = None
    debug_mode: int = 0
    tape: Tape | None = None
    operators: int = 0
    not_simulated: Counter[str] = field(default_factory=Counter)

    def refuse(self, what: str) -> NotSimulatedError:
        """Counts what is not simulated, and gives the error to raise."""
        self.not_simulated[what] += 1
        return NotSimulatedError(f"{what} is not simulated on the simulated CUDA device")


_current: Simulation | None = None


def current() -> Simulation | None:
    return _current


def running() -> Simulation:
    """The simulation that runs. Raises RuntimeError where a tensor of an earlier one is still used."""
    if _current is None:
        raise RuntimeError("a tensor of the simulated CUDA device is used after the simulation has ended")
    return _current


def begin(simulation: Simulation) -> None:
    global _current
    _current = simulation


def end() -> None:
    global _current
    _current = None
