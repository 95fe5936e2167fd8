"""What was being called when a wait began, read off the instruction that runs: torch's callbacks do not say.

Known is that it waited, so of the facts about that name only those that wait can hold. Needs Python 3.11, which knows
the columns of instructions; before, and where the code is not Python, waits stay without a name.
"""

from __future__ import annotations

import dis
import sys
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from synclint import facts
from synclint.finding import Direction
from synclint.runtime.release import torch_release

if TYPE_CHECKING:
    from types import CodeType, FrameType

    from synclint.facts.schema import Cause

_TRUTH = ("POP_JUMP", "JUMP_IF", "TO_BOOL", "UNARY_NOT")
_READS, _WRITES = ("BINARY_SUBSCR", "BINARY_SLICE"), ("STORE_SUBSCR", "STORE_SLICE")
_FORMATS = ("FORMAT_VALUE", "FORMAT_SIMPLE", "FORMAT_WITH_SPEC")


class Call(NamedTuple):
    """What waits. ``operation`` is an aten operation, or a Python name where no fact tells which."""

    operation: str
    cause: Cause
    direction: Direction


def call_of(frame: FrameType | None) -> Call | None:
    """What ``frame`` is calling, given that it makes the host wait for a stream; None where that cannot be read."""
    if frame is None or sys.version_info < (3, 11):
        return None
    spellings = _spellings(frame.f_code, frame.f_lasti)
    return _call(spellings) if spellings else None


@lru_cache(maxsize=4096)
def _call(spellings: tuple[str, ...]) -> Call:
    release = torch_release()
    for spelling in spellings:
        waiting = [
            fact
            for fact in facts.facts_for(spelling)
            if fact.event == "sync" and facts.applies(fact, lambda predicate: None, release) is not False
        ]
        if not waiting:
            continue
        if len({fact.cause for fact in waiting}) > 1:  # x[i] may read, copy or count: not to be seen from here
            return Call(spelling, "library-internal", Direction.STREAM)
        leaf = [name for name in waiting[0].operations if not name.endswith("out")][-1]
        directions = {fact.direction for fact in waiting}
        return Call(leaf, waiting[0].cause, Direction(directions.pop()) if len(directions) == 1 else Direction.STREAM)
    return Call(spellings[0], "library-internal", Direction.STREAM)


@lru_cache(maxsize=4096)
def _spellings(code: CodeType, offset: int) -> tuple[str, ...]:
    """The names under which the facts know what the instruction at ``offset`` does, the likeliest first."""
    instructions = list(dis.get_instructions(code))
    at = sum(one.offset <= offset for one in instructions) - 1  # ``offset`` may be in the cache that follows one
    name = instructions[at].opname
    if name.startswith(_TRUTH):
        return ("truth(Tensor)",)
    if name in _WRITES:
        return ("setitem(Tensor)",)
    if name in _READS or (name == "BINARY_OP" and instructions[at].argrepr == "[]"):  # the latter since Python 3.14
        return ("getitem(Tensor)",)
    if name in _FORMATS:
        return ("format(Tensor)",)
    if name.startswith(("CALL", "PRECALL")):
        return _called(instructions, at)
    return ()


def _called(instructions: list[dis.Instruction], at: int) -> tuple[str, ...]:
    """The name that the call loads: of the loads that begin where the call begins, the one that ends last."""
    call = instructions[at].positions
    found: dis.Instruction | None = None
    reach = (-1, -1)
    for one in instructions[:at]:
        where = one.positions
        if where is None or call is None or not one.opname.startswith("LOAD_") or not isinstance(one.argval, str):
            continue
        end = (where.end_lineno or 0, where.end_col_offset or 0)
        begins = (where.lineno, where.col_offset) == (call.lineno, call.col_offset)
        if begins and reach <= end < (call.end_lineno or 0, call.end_col_offset or 0):
            found, reach = one, end
    if found is None:
        return ()
    name = found.argval
    if found.opname in ("LOAD_ATTR", "LOAD_METHOD"):
        return (f"Tensor.{name}", f"torch.{name}", f"torch.cuda.{name}")
    return (f"{name}(Tensor)", f"torch.{name}")
