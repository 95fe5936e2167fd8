"""Which rules speak of an event, by the facts about its operation."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from synclint.facts import all_facts, facts_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    from synclint.runtime.event import Event

_SHOWN = 3


def codes(event: Event) -> tuple[str, ...]:
    """The codes of the rules that report such a wait, sorted; none where no rule does yet."""
    if not event.operation.startswith("aten::") and event.cause == "library-internal":  # nothing but its name is known
        spelled = [fact for fact in facts_for(event.operation) if fact.event == event.kind]
        return tuple(sorted({code for fact in spelled for code in fact.rules}))
    names = {event.operation}
    if event.operation.startswith("aten::"):
        names.add(event.operation.partition(".")[0])  # a fact that leaves the overload open
    keys = [(name, event.kind, event.cause, event.direction.value) for name in names]
    return tuple(sorted({code for key in keys for code in _codes().get(key, ())}))


def named(event: Event) -> str:
    """The codes as a suffix of a sentence, such as ``" [SYN201 or SYN202]"``; empty where there are none."""
    found = codes(event)
    return f" [{alternatives(found)}]" if found else ""


def alternatives(codes: Sequence[str]) -> str:
    """Codes of which one is meant, in words; of many, the first."""
    shown = [*codes] if len(codes) <= _SHOWN + 1 else [*codes[:_SHOWN], "others"]
    return " or ".join(shown)


@cache
def _codes() -> dict[tuple[str, str, str, str], frozenset[str]]:
    found: dict[tuple[str, str, str, str], frozenset[str]] = {}
    for fact in all_facts():
        for operation in fact.operations:
            # Where torch itself only says that it waits for the stream, the way of a copy is not known.
            for direction in {fact.direction, "stream"} if fact.cause == "blocking-copy" else {fact.direction}:
                key = (operation, fact.event, fact.cause, direction)
                found[key] = found.get(key, frozenset()) | frozenset(fact.rules)
    return found
