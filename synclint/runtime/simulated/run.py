"""What happens at each operator: its waits are told, it is computed, and a capture or the race mode takes note."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from synclint.runtime.simulated import state, waits

if TYPE_CHECKING:
    from synclint.runtime.simulated.operator import Operator
    from synclint.runtime.simulated.state import Simulation


def kernel(operator: Operator) -> Callable[..., Any]:
    """The function for the dispatcher."""

    def on_cuda(*args: Any, **kwargs: Any) -> Any:
        simulation = state.running()
        simulation.operators += 1
        if operator.questions is not None:
            waits.tell(simulation, operator.name, operator.questions, args, kwargs)
        if simulation.tape is not None:
            result = operator.kernel(operator, args, kwargs)
            simulation.tape.append(operator, args, kwargs, result)
            return result
        return compute(simulation, operator, args, kwargs)

    return on_cuda


def compute(simulation: Simulation, operator: Operator, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """The result, with the race mode looking on where it is on."""
    races = simulation.races
    if races is None:
        return operator.kernel(operator, args, kwargs)
    with races.around(operator, args, kwargs):
        result = operator.kernel(operator, args, kwargs)
    races.after(operator, args, kwargs, result)
    return result


def refusing(what: str) -> Callable[..., Any]:
    """A kernel for what cannot be computed here."""

    def on_cuda(*args: Any, **kwargs: Any) -> Any:
        raise state.running().refuse(what)

    return on_cuda
