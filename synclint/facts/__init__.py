"""What PyTorch does, as data: where the host waits (facts) and what calls return (results).

Tables are read on first use, and parsed entry by entry (see ``table.py``). Names are canonical:
``torch.nn.functional.relu``, ``numpy.array``.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from synclint.facts.schema import (
    VOCABULARY,
    Condition,
    Evidence,
    Fact,
    FactsError,
    Result,
    read_facts,
    read_results,
)
from synclint.facts.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable

    from synclint.facts.schema import Entry

__all__ = [
    "VOCABULARY",
    "Condition",
    "Evidence",
    "Fact",
    "FactsError",
    "Result",
    "all_facts",
    "applies",
    "attribute",
    "fact",
    "facts_for",
    "function",
    "method",
]

_FACTS = (
    "scalar_reads", "transfers", "host_data", "masks", "sizes", "indexing", "explicit_waits", "libraries",
    "calls",
)  # fmt: skip

#: Which file says what the members of an owner return.
_RESULTS: dict[str, str] = {
    "torch": "results_torch",
    "Tensor": "results_tensor",
    "torch.nn": "results_nn",
    "torch.nn.functional": "results_nn",
    "torch.nn.init": "results_nn",
    "torch.nn.parallel": "results_nn",
    "torch.nn.parameter": "results_nn",
    "torch.nn.utils": "results_nn",
    "torch.nn.utils.rnn": "results_nn",
    "torch.linalg": "results_math",
    "torch.fft": "results_math",
    "torch.special": "results_math",
    "torch.signal.windows": "results_math",
    "torch.sparse": "results_math",
    "torch._dynamo": "results_runtime",
    "torch.accelerator": "results_runtime",
    "torch.amp": "results_runtime",
    "torch.autograd": "results_runtime",
    "torch.autograd.profiler": "results_runtime",
    "torch.backends.cuda": "results_runtime",
    "torch.backends.cudnn": "results_runtime",
    "torch.backends.mps": "results_runtime",
    "torch.compiler": "results_runtime",
    "torch.cpu": "results_runtime",
    "torch.cuda": "results_runtime",
    "torch.cuda.nvtx": "results_runtime",
    "torch.distributed": "results_runtime",
    "torch.distributed._functional_collectives": "results_runtime",
    "torch.distributed.nn.functional": "results_runtime",
    "torch.distributions": "results_runtime",
    "torch.func": "results_runtime",
    "torch.jit": "results_runtime",
    "torch.mps": "results_runtime",
    "torch.nn.attention": "results_runtime",
    "torch.onnx": "results_runtime",
    "torch.optim": "results_runtime",
    "torch.optim.lr_scheduler": "results_runtime",
    "torch.profiler": "results_runtime",
    "torch.random": "results_runtime",
    "torch.utils.checkpoint": "results_runtime",
    "torch.utils.data": "results_runtime",
    "torch.utils.dlpack": "results_runtime",
    "torch.xpu": "results_runtime",
    "numpy": "results_numpy",
    "ndarray": "results_numpy",
    "numpy.linalg": "results_numpy",
    "numpy.fft": "results_numpy",
    "numpy.random": "results_numpy",
    "einops": "results_libraries",
    "triton": "results_libraries",
    "xgrammar": "results_libraries",
    "llguidance.torch": "results_libraries",
    "safetensors.torch": "results_libraries",
}

#: Other names of an owner.
_SAME_OWNER: dict[str, str] = {
    "torch.functional": "torch",
    "torch.cuda.amp": "torch.amp",
    "torch.cuda.random": "torch.cuda",
    "torch.cuda.memory": "torch.cuda",
    "torch.distributed.distributed_c10d": "torch.distributed",
    "torch.distributed.nn": "torch.distributed.nn.functional",
    "torch.nn.modules": "torch.nn",
}


def all_facts() -> tuple[Fact, ...]:
    """Every fact, in the order of the tables. Raises FactsError when a table is malformed."""
    return tuple(_facts_by_id().values())


def fact(id: str) -> Fact:
    """The fact of that id. Raises KeyError."""
    return _facts_by_id()[id]


@cache
def facts_for(spelling: str) -> tuple[Fact, ...]:
    """The facts about one Python form (``Tensor.item``, ``int(Tensor)``, ``torch.tensor``), none for most names."""
    mentioned = [fact for table in _fact_tables() for fact in table.about(spelling)]
    return tuple(fact for fact in mentioned if spelling in fact.spellings)


@cache
def may_be_reported(spelling: str) -> bool:
    """Whether some fact about a Python form says that something happens, or is of a rule's interest if nothing does."""
    return any(map(_is_of_interest, facts_for(spelling)))


@cache
def is_of_interest(id: str) -> bool:
    """Whether a fact says that something happens, or is of the interest of a rule that comes with synclint."""
    return _is_of_interest(fact(id))


def _is_of_interest(fact: Fact) -> bool:
    return fact.event != "none" or bool(fact.rules)


def applies(fact: Fact, answers: Callable[[str], bool | None], torch: tuple[int, int] | None) -> bool | None:
    """Whether a fact holds: True, False, or None when that is not known.

    ``answers`` says of a predicate of the vocabulary whether it is true, or None. ``torch`` is the release
    (major, minor) in use; None when unknown, which leaves facts that are bound to releases open.
    """
    verdict: bool | None = True
    if fact.since is not None or fact.until is not None:
        if torch is None:
            verdict = None
        elif (fact.since is not None and torch < fact.since) or (fact.until is not None and torch >= fact.until):
            return False
    for condition in fact.when:
        answer = answers(condition.predicate)
        if answer is None:
            verdict = None
        elif answer is not condition.expected:
            return False
    return verdict


def function(dotted: str) -> Result | None:
    """What a call of a function (or class) returns, by its canonical dotted name; None when no table knows it."""
    owner, _, name = dotted.rpartition(".")
    return _lookup(_SAME_OWNER.get(owner, owner), "function", name)


def method(type_name: str, name: str) -> Result | None:
    """What a method of ``Tensor`` or ``ndarray`` returns; None when the table does not know it."""
    return _lookup(type_name, "method", name)


def attribute(type_name: str, name: str) -> Result | None:
    """What an attribute of ``Tensor``, ``ndarray`` or a module such as ``torch`` is; None when no table knows it."""
    return _lookup(_SAME_OWNER.get(type_name, type_name), "attribute", name)


def _lookup(owner: str, kind: str, name: str) -> Result | None:
    return _result(owner, kind, name) if owner in _RESULTS else None


@cache
def _result(owner: str, kind: str, name: str) -> Result | None:
    for entry in _results(_RESULTS[owner]).about(name):
        if (entry.owner, entry.kind) == (owner, kind) and name in entry.names:
            return entry.result
    return None


@cache
def _results(file: str) -> Table[Entry]:
    return Table(file, read_results)


@cache
def _fact_tables() -> tuple[Table[Fact], ...]:
    return tuple(Table(file, read_facts) for file in _FACTS)


@cache
def _facts_by_id() -> dict[str, Fact]:
    return {fact.id: fact for table in _fact_tables() for fact in table}
