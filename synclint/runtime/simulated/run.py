"""What happens at each operator: its waits are told, it is computed, and a capture or the race mode takes note."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from synclint.runtime.simulated import state, waits

if TYPE_CHECKING:
    from synclint.runtime.simulated.operator import Operator


def kernel(operator: Operator) -> Callable[..., Any]:
    """The function for the dispatcher."""

    def on_cuda(*args: Any, **kwargs: Any) -> Any:
        simulation = state.running()
        simulation.operators += 1
        if operator.questions is not None:
            waits.tell(simulation, operator.name, operator.questions, args, kwargs)
        races = simulation.races
        if races is not None:
            races.before(operator, args, kwargs)
        result = operator.kernel(operator, args, kwargs)
        if races is not None:
            races.after(operator, args, kwargs, result)
        if simulation.tape is not None:
            simulation.tape.append(operator, args, kwargs, result)
        return result

    return on_cuda


def refusing(what: str) -> Callable[..., Any]:
    """A kernel for what cannot be computed here."""

    def on_cuda(*args: Any, **kwargs: Any) -> Any:
        raise state.running().refuse(what)

    return on_cuda
