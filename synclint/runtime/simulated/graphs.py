"""CUDA graphs: a capture keeps the operators on a tape, a replay computes them again into the same memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from synclint.runtime.simulated import state
from synclint.runtime.simulated.aliases import as_cpu
from synclint.runtime.simulated.compute import tensors_in
from synclint.runtime.simulated.run import compute
from synclint.runtime.simulated.streams import Stream, StreamContext
from synclint.runtime.simulated.views import view

if TYPE_CHECKING:
    from synclint.runtime.simulated.operator import Operator


class _Step(NamedTuple):
    operator: Operator
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    result: Any


class Tape:
    """The operators of a graph, in order, with their tensors."""

    def __init__(self) -> None:
        self._steps: list[_Step] = []

    def append(self, operator: Operator, args: tuple[Any, ...], kwargs: Mapping[str, Any], result: Any) -> None:
        if operator.kernel is not view:  # the tensors that it made stay
            self._steps.append(_Step(operator, args, kwargs, result))

    def play(self) -> None:
        simulation = state.running()
        for operator, args, kwargs, result in self._steps:
            again = compute(simulation, operator, args, kwargs)
            for old, new in zip(tensors_in(result), tensors_in(again), strict=True):
                if old is not new and old.is_cuda:
                    as_cpu(old).copy_(as_cpu(new))


class CUDAGraph:
    """``torch.cuda.CUDAGraph``."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._tape: Tape | None = None

    def capture_begin(self, *args: Any, **kwargs: Any) -> None:
        self._tape = Tape()
        state.running().tape = self._tape

    def capture_end(self) -> None:
        state.running().tape = None

    def instantiate(self) -> None:
        """Nothing to do: the tape can be played as it is."""

    def replay(self) -> None:
        if self._tape is None:
            raise RuntimeError("Called CUDAGraph::replay without a preceding successful capture.")
        self._tape.play()

    def reset(self) -> None:
        self._tape = None

    def pool(self) -> tuple[int, int]:
        return pool_handle()

    def enable_debug_mode(self) -> None:
        """Nothing to do: there is nothing to dump."""

    def debug_dump(self, path: str) -> None:
        raise state.running().refuse("CUDAGraph.debug_dump")


class graph:
    """``with torch.cuda.graph(g):``"""

    def __init__(
        self,
        cuda_graph: CUDAGraph,
        pool: object = None,
        stream: Stream | None = None,
        capture_error_mode: str = "global",
        **other: object,
    ) -> None:
        self._graph = cuda_graph
        self._stream = StreamContext(stream or Stream())

    def __enter__(self) -> None:
        self._stream.__enter__()
        self._graph.capture_begin()

    def __exit__(self, *error: Any) -> None:
        self._graph.capture_end()
        self._stream.__exit__(*error)


def pool_handle() -> tuple[int, int]:
    return 0, 1


def is_capturing() -> bool:
    simulation = state.current()
    return simulation is not None and simulation.tape is not None


def make_graphed_callables(callables: Any, *args: Any, **kwargs: Any) -> Any:
    """The callables themselves: they compute what the graphs would."""
    return callables
