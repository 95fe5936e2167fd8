"""Every fact's snippet does on the simulated device what the fact says."""

from __future__ import annotations

import pytest
import torch

from synclint.facts import Fact, all_facts, applies
from synclint.runtime import Tracer
from synclint.runtime.codes import codes
from synclint.runtime.release import torch_release

HERE = [fact for fact in all_facts() if applies(fact, lambda predicate: None, torch_release()) is not False]

# One read for each tensor in the list; two for each of the lengths, and one more.
SEVERAL = {"tensor-from-device-scalars", "ctc-lengths"}


@pytest.mark.parametrize("fact", HERE, ids=lambda fact: fact.id)
def test_snippets_do_what_facts_say(fact: Fact) -> None:
    code = compile(fact.snippet, "<string>", "exec")
    with Tracer("simulated", roots=(), races=fact.event == "race") as trace:
        exec(code, {"torch": torch})
    expected = {fact.event} if fact.event in ("sync", "pageable", "race") else set()
    assert {event.kind for event in trace.events} == expected
    assert len(trace.events) == len(expected) or fact.id in SEVERAL
    if trace.events and fact.event != "race":
        event = trace.events[0]
        assert (event.direction.value, event.cause) == (fact.direction, fact.cause)
        assert set(fact.rules) <= set(codes(event))


def test_most_facts_are_of_this_release() -> None:
    assert len(HERE) >= 70
