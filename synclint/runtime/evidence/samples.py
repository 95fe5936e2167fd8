"""Stage 3: the samples that torch's own tests run each operator on, forward and backward."""

from __future__ import annotations

import warnings
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Protocol

import torch

from synclint.runtime.cuda.callbacks import Callbacks
from synclint.runtime.cuda.debug_mode import MESSAGE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from synclint.runtime.event import Event

_DTYPES = (torch.float32, torch.int64, torch.bool)
_MOST = 40
"""Samples of one operator and dtype: some have hundreds, which differ in shape alone."""


class Counter(Protocol):
    """Counts the waits of this process since it was made."""

    name: str

    def count(self) -> int: ...


class TraceCounter:
    """Counts torch's callbacks."""

    name = "trace"

    def __init__(self, entered: ExitStack) -> None:
        self._number = 0
        callbacks = Callbacks(self._seen, self._seen, self._seen)
        callbacks.start()
        entered.callback(callbacks.stop)

    def _seen(self, *handle: int) -> None:
        self._number += 1

    def count(self) -> int:
        return self._number


class DebugModeCounter:
    """Counts torch's warnings."""

    name = "debug-mode"

    def __init__(self, entered: ExitStack) -> None:
        self._caught = entered.enter_context(warnings.catch_warnings(record=True))
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        entered.callback(torch.cuda.set_sync_debug_mode, "default")

    def count(self) -> int:
        assert self._caught is not None
        return sum(MESSAGE in str(warning.message) for warning in self._caught)


class SimulatedCounter:
    """Counts the events that make the host wait, on the simulated device; ``events`` grows."""

    name = "simulated"

    def __init__(self, events: list[Event]) -> None:
        self._events = events
        self._read = self._number = 0

    def count(self) -> int:
        self._number += sum(event.kind == "sync" for event in self._events[self._read :])
        self._read = len(self._events)
        return self._number


def operators() -> list[tuple[str, Any, torch.dtype]]:
    """What there is to run: the key, the operator's entry in torch's database, and the dtype."""
    from torch.testing._internal.common_methods_invocations import op_db

    found = []
    for operator in op_db:
        name = f"{operator.name}.{operator.variant_test_name}".rstrip(".")
        supported = operator.supported_dtypes("cuda")  # type: ignore[no-untyped-call]
        found += [(f"{name}#{str(dtype)[6:]}", operator, dtype) for dtype in _DTYPES if dtype in supported]
    return found


def run(operator: Any, dtype: torch.dtype, counters: Callable[[ExitStack], list[Counter]]) -> dict[str, str]:
    """What each counter saw of the samples of one operator: a text for each, forward and backward.

    ``counters`` makes them; they are stopped after each operator, so that what they hold does not grow.
    """
    torch.manual_seed(0)
    gradients = dtype.is_floating_point and operator.supports_autograd
    marks: dict[str, str] = {}
    with ExitStack() as entered:
        counting = counters(entered)
        for sample in _samples(operator, dtype, gradients):
            for name, mark in _one(operator, sample, gradients, counting).items():
                marks[name] = marks.get(name, "") + mark
    return {name: text for name, text in marks.items() if text.strip("-")}


def _samples(operator: Any, dtype: torch.dtype, gradients: bool) -> Iterator[Any]:
    made = iter(operator.sample_inputs("cuda", dtype, requires_grad=gradients))
    for _ in range(_MOST):
        try:
            yield next(made)
        except StopIteration:
            return


def _one(operator: Any, sample: Any, gradients: bool, counters: list[Counter]) -> dict[str, str]:
    result, marks = _marked(lambda: operator(sample.input, *sample.args, **sample.kwargs), counters)
    backward = {counter.name: "-" for counter in counters}
    loss = _loss(result) if gradients else None
    inputs = [one for one in _tensors((sample.input, sample.args, sample.kwargs)) if one.requires_grad]
    if loss is not None and inputs:
        _, backward = _marked(lambda: torch.autograd.grad(loss, inputs, allow_unused=True), counters)
    return marks | {f"{name}-backward": mark for name, mark in backward.items()}


def _marked(function: Callable[[], Any], counters: list[Counter]) -> tuple[Any, dict[str, str]]:
    before = [counter.count() for counter in counters]
    try:
        result = function()
    except Exception:  # what a build or a device cannot do is a mark like others
        return None, {counter.name: "E" for counter in counters}
    waited = [counter.count() > number for counter, number in zip(counters, before, strict=True)]
    return result, {counter.name: "S" if waits else "." for counter, waits in zip(counters, waited, strict=True)}


def _loss(result: Any) -> torch.Tensor | None:
    for one in _tensors(result):
        if one.requires_grad and not one.is_complex() and one.layout is torch.strided:
            return one.sum()
    return None


def _tensors(tree: Any) -> list[torch.Tensor]:
    from torch.utils._pytree import tree_flatten

    return [one for one in tree_flatten(tree)[0] if isinstance(one, torch.Tensor)]
