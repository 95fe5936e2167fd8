"""From the table of facts to events: which calls make the host wait.

Nothing here knows an operator. The facts that name one say what to ask of its arguments; the answers pick the facts.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor

from synclint.facts import Fact, all_facts, applies
from synclint.finding import Direction
from synclint.runtime.release import torch_release
from synclint.runtime.simulated import pinned
from synclint.runtime.simulated.streams import current_stream

if TYPE_CHECKING:
    from synclint.runtime.simulated.state import Simulation

_OWN = os.path.dirname(os.path.abspath(__file__)) + os.sep
_WARNING = "called a synchronizing CUDA operation"  # torch's words: tests of others look for them

#: The operand of a fact that an argument of an aten operator is. All arguments of one operand are alternatives.
_OPERANDS = {
    "self": "self",
    "input": "self",
    "elements": "self",
    "src": "source",
    "mask": "mask",
    "condition": "mask",
    "index": "index",
    "indices": "index",
    "value": "value",
    "values": "value",
    "other": "value",
    "repeats": "repeats",
    "input_lengths": "lengths",
    "target_lengths": "lengths",
    "sorter": "sorter",
    "output_size": "output-size",
}
_FLAGS = {
    "non-blocking": "non_blocking",
    "accumulate": "accumulate",
    "assume-unique": "assume_unique",
    "unsafe": "unsafe",
}


@dataclass(slots=True)
class Question:
    """What the facts about one operator ask. ``places`` are the positions and names of the arguments of each operand.

    ``verdicts`` remembers, by the answers, the fact that says the host waits, or None.
    """

    facts: tuple[Fact, ...]
    predicates: tuple[str, ...]
    places: Mapping[str, tuple[tuple[int, str], ...]]
    positions: Mapping[str, int]
    verdicts: dict[tuple[bool | None, ...], Fact | None] = field(default_factory=dict)

    def argument(self, name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """The argument of that name, or None."""
        at = self.positions.get(name)
        return args[at] if at is not None and at < len(args) else kwargs.get(name)

    def verdict(self, answers: tuple[bool | None, ...]) -> Fact | None:
        if answers not in self.verdicts:
            known = dict(zip(self.predicates, answers, strict=True))
            holding = [fact for fact in self.facts if applies(fact, known.__getitem__, torch_release())]
            quiet = any(fact.event == "none" for fact in holding)
            waiting = [fact for fact in holding if fact.event in ("sync", "pageable") and not quiet]
            waiting.sort(key=lambda fact: fact.event != "sync")
            self.verdicts[answers] = waiting[0] if waiting else None
        return self.verdicts[answers]


def questions_of(name: str, arguments: Sequence[str]) -> Question | None:
    """What to ask of a call of the operator ``name`` (with its overload); None where no fact says that it waits."""
    facts = _facts_about().get(name, ()) + _facts_about().get(name.partition(".")[0] + ".*", ())
    if not any(fact.event in ("sync", "pageable") for fact in facts):
        return None
    predicates = {condition.predicate: None for fact in facts for condition in fact.when}
    places: dict[str, tuple[tuple[int, str], ...]] = {}
    for at, argument in enumerate(arguments):
        operand = _OPERANDS.get(argument)
        if operand is not None:
            places[operand] = (*places.get(operand, ()), (at, argument))
    if arguments:
        places.setdefault("self", ((0, arguments[0]),))
    return Question(facts, tuple(predicates), places, {argument: at for at, argument in enumerate(arguments)})


@cache
def _facts_about() -> dict[str, tuple[Fact, ...]]:
    """The facts of this release by operation; one without an overload counts for every overload, as ``name.*``."""
    found: dict[str, tuple[Fact, ...]] = {}
    for fact in all_facts():
        if applies(fact, lambda predicate: None, torch_release()) is False:
            continue
        for operation in fact.operations:
            keys = [operation] if "." in operation or "::" not in operation else [f"{operation}.*"]
            for key in keys:
                found[key] = (*found.get(key, ()), fact)
    return found


def tell(simulation: Simulation, name: str, question: Question, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    """Records one event if this call makes the host wait, or could. Raises SyncError inside ``no_sync()``."""
    found = None
    for call in _calls(simulation, question, args, kwargs):
        fact = question.verdict(tuple([call.answer(predicate) for predicate in question.predicates]))
        if fact is not None and (found is None or found.event != "sync"):
            found = fact
    if found is not None:
        _record(simulation, name, found)
        if found.event == "sync" and simulation.races is not None:
            simulation.races.host_waits_for(current_stream().cuda_stream)


def wait(simulation: Simulation, operation: str, stream: int | None = None) -> None:
    """Records an explicit wait (``torch.cuda.synchronize``). ``stream``: the one that is waited for."""
    for fact in _facts_about()[operation]:
        _record(simulation, operation, fact, stream)
        if fact.direction == "device" and simulation.races is not None:
            simulation.races.host_waits_for_all()


def _record(simulation: Simulation, operation: str, fact: Fact, stream: int | None = None) -> None:
    handle = current_stream().cuda_stream if stream is None else stream
    if fact.event == "sync" and fact.debug_mode and simulation.debug_mode:
        if simulation.debug_mode == 2:
            raise RuntimeError(_WARNING)
        warnings.warn(_WARNING, stacklevel=_outside())
    simulation.recorder.record(
        operation,
        fact.cause,
        Direction(fact.direction),
        kind=cast(Any, fact.event),
        detail=fact.id,
        stream=handle,
        capture=simulation.tape is not None,
    )


def _outside() -> int:
    """The ``stacklevel`` of the frame that called torch, for the caller of this function."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_OWN):
        level, frame = level + 1, frame.f_back
    return level


@dataclass(slots=True)
class _Call:
    """One call, with one tensor chosen for an operand that has several."""

    simulation: Simulation
    question: Question
    args: Sequence[Any]
    kwargs: Mapping[str, Any]
    operand: str
    chosen: Any
    alone: bool

    def answer(self, predicate: str) -> bool | None:
        name, dot, asked = predicate.partition(".")
        if not dot:
            return self._flag(name)
        if name == "range":
            return bool(self._argument("min") != self._argument("max"))
        value = self._target() if name == "target" else self._value(name)
        if asked == "given":
            return value is not None
        if asked == "alone":
            return self.alone
        if value is None:
            return None
        ask: Callable[[_Call, Any], bool | None] = _PROPERTIES[asked]
        return ask(self, value)

    def _value(self, operand: str) -> Any:
        if operand == self.operand:
            return self.chosen
        places = self.question.places.get(operand)
        return None if places is None else self._at(*places[0])

    def _at(self, position: int, name: str) -> Any:
        return self.args[position] if position < len(self.args) else self.kwargs.get(name)

    def _argument(self, name: str) -> Any:
        return self.question.argument(name, self.args, self.kwargs)

    def _target(self) -> torch.device | None:
        device: torch.device | None = self._argument("device")
        return self._value("self").device if device is None else device

    def _flag(self, name: str) -> bool | None:
        if name == "capture":
            return self.simulation.tape is not None
        if name == "sorts":
            elements, among = self._value("self"), self._argument("test_elements")
            few = among.numel() < 10.0 * elements.numel() ** 0.145
            return bool(not few and not self._argument("assume_unique"))
        return bool(self._argument(_FLAGS[name])) if name in _FLAGS else None

    def dense(self, host: Tensor) -> bool:
        """Whether a copy takes the host tensor's memory as one block, without a temporary."""
        device = self._value("source") if host is self._value("self") else self._value("self")
        if device is None:  # the result of the copy is laid out like the host tensor
            dtype = self._argument("dtype")
            return host.is_contiguous() or (dtype in (None, host.dtype) and _fills_its_memory(host))
        if host.shape == device.shape and host.is_contiguous() and (device.is_cuda and host is self._value("source")):
            return True
        same = host.shape == device.shape and host.dtype == device.dtype and host.stride() == device.stride()
        return (same and _fills_its_memory(host)) or (host is self._value("self") and host.is_contiguous())


def _calls(
    simulation: Simulation, question: Question, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> Iterator[_Call]:
    for operand, places in question.places.items():
        values: list[Any] = [args[at] if at < len(args) else kwargs.get(name) for at, name in places]
        if len(values) > 1 or isinstance(values[0], (list, tuple)):
            flat = values if len(values) > 1 else [one for one in values[0] if one is not None]
            for value in flat:
                yield _Call(simulation, question, args, kwargs, operand, value, len(flat) == 1)
            return
    yield _Call(simulation, question, args, kwargs, "", None, True)


def _fills_its_memory(tensor: Tensor) -> bool:
    """Whether the elements lie in one block without gaps, in whatever order."""
    return torch.empty_like(tensor, device="meta").stride() == tensor.stride()


def _device(value: Any) -> str | None:
    """The type of device that a tensor is on, or that a device is."""
    device = value.device if isinstance(value, Tensor) else value
    return device.type if isinstance(device, torch.device) else None


def _tensor(ask: Callable[[_Call, Tensor], bool]) -> Callable[[_Call, Any], bool | None]:
    return lambda call, value: ask(call, value) if isinstance(value, Tensor) else None


_PROPERTIES: dict[str, Callable[[_Call, Any], bool | None]] = {
    "cuda": lambda call, value: _device(value) == "cuda",
    "cpu": lambda call, value: _device(value) == "cpu",
    "pinned": _tensor(lambda call, value: pinned.is_pinned(value)),
    "dense": _tensor(lambda call, value: call.dense(value)),
    "bool": _tensor(lambda call, value: value.dtype in (torch.bool, torch.uint8)),
    "rank0": _tensor(lambda call, value: value.dim() == 0),
    "single": _tensor(lambda call, value: value.numel() == 1),
    "empty": _tensor(lambda call, value: value.numel() == 0),
    "host": lambda call, value: not isinstance(value, Tensor),
    "scalar": lambda call, value: isinstance(value, (bool, int, float, complex)),
    "holds-cuda": lambda call, value: None,
}
