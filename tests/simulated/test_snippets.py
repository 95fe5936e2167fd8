"""Programs on the simulated device: they compute what they would compute, and wait where they are marked."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import snippets

from synclint.runtime.trace import Trace

PROGRAMS = [one for one in vars(snippets).values() if inspect.isfunction(one) and one.__module__ == snippets.__name__]
KINDS = {"waits": "sync", "pageable": "pageable"}


def marked(program: Callable[[], None]) -> set[tuple[int, str]]:
    lines, first = inspect.getsourcelines(program)
    found = ((first + at, re.search(r"# (waits|pageable)$", line)) for at, line in enumerate(lines))
    return {(line, KINDS[mark[1]]) for line, mark in found if mark}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_programs_wait_where_they_are_marked(program: Callable[[], None], trace: Trace) -> None:
    program()
    assert all(event.user is not None and Path(event.user.path).name == "snippets.py" for event in trace.events)
    assert {(event.user.line, event.kind) for event in trace.events if event.user} == marked(program)


def test_there_are_programs() -> None:
    assert len(PROGRAMS) == 69
    assert sum(len(marked(program)) for program in PROGRAMS) == 91
