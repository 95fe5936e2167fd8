"""Two evidence files beside each other, and one beside the table of facts."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from synclint.facts import Fact
    from synclint.runtime.evidence.records import Evidence, Row
    from synclint.runtime.evidence.snippets import Snippet


class Disagreement(NamedTuple):
    """``row`` is the id of a row, or ``samples:`` and an operator; ``said`` what the two sides say."""

    row: str
    said: str


def compare(one: Evidence, other: Evidence) -> list[Disagreement]:
    """Where the verdicts of two runs differ, by rows and samples that both have."""
    found = []
    others = {row.id: row for row in other.rows}
    for row in one.rows:
        twin = others.get(row.id)
        if twin is None or row.sha256 != twin.sha256:
            continue
        mine, theirs = _verdict(row), _verdict(twin)
        if mine != theirs and "?" not in (mine, theirs):
            found.append(Disagreement(row.id, f"{mine} / {theirs}"))
        if row.value is not None and twin.value is not None and row.value != twin.value:
            found.append(Disagreement(row.id, f"computes {row.value} / {twin.value}"))
    return [*found, *_samples(one, other)]


def hold_facts(facts: Iterable[Fact], snippets: Iterable[Snippet], evidence: Evidence) -> list[Disagreement]:
    """Where the table of facts says something else than the rows: of the same text, for releases that it speaks of."""
    kinds = {f"fact:{fact.id}": fact.event for fact in facts}
    known = {snippet.id: snippet for snippet in snippets}
    found = []
    for row in evidence.rows:
        snippet = known.get(row.id)
        event = kinds.get(row.id)
        if snippet is None or event is None or not snippet.holds(evidence.torch):
            continue
        if snippet.sha256 != row.sha256:
            found.append(Disagreement(row.id, "the snippet has changed since it was run"))
        elif row.error:
            found.append(Disagreement(row.id, f"{event} / raises {row.error}"))
        elif not _agrees(event, row):
            found.append(Disagreement(row.id, f"{event} / {_verdict(row)}"))
    return found


def hold_simulated(evidence: Evidence) -> list[Disagreement]:
    """Where, in one file of a GPU, the simulated device of the same torch says something else."""
    found = []
    for row in evidence.rows:
        seen = row.seen.get("simulated")
        if seen is None or None in (seen.waits, row.waits) or row.pageable:
            continue
        if seen.waits is not row.waits:
            found.append(Disagreement(row.id, f"{_word(row.waits)} / simulated: {_word(seen.waits)}"))
    return [*found, *_samples(evidence, evidence)]


def measured(evidence: Iterable[Evidence]) -> set[str]:
    """The ids of the facts that a GPU has confirmed or refuted: rows with a verdict, in files of GPUs."""
    return {
        row.id.removeprefix("fact:")
        for one in evidence
        if one.backend == "cuda"
        for row in one.rows
        if row.origin == "fact" and not row.error and row.waits is not None
    }


def _agrees(event: str, row: Row) -> bool:
    if event == "sync":
        return row.waits is True
    if event == "pageable":  # the driver may wait, or not
        return row.pageable
    if event in ("none", "host-cost"):
        return row.waits is False and not row.pageable
    return True  # a race is no wait; race mode is tested elsewhere


def _verdict(row: Row) -> str:
    if row.error:
        return "?"
    if row.pageable and not row.waits:
        return "pageable"
    return _word(row.waits)


def _word(waits: bool | None) -> str:
    return "?" if waits is None else "waits" if waits else "does not wait"


def _samples(one: Evidence, other: Evidence) -> Iterator[Disagreement]:
    for key, columns in one.samples.items():
        theirs = other.samples.get(key, {})
        for direction in ("", "-backward"):
            mine = _column(columns, one.backend, direction)
            # Within one file, its own simulated half; between two, each by its own back end.
            twin = theirs.get(f"simulated{direction}") if one is other else _column(theirs, other.backend, direction)
            pairs = list(zip(mine or "", twin or "", strict=False))
            wrong = [f"{at}: {a}/{b}" for at, (a, b) in enumerate(pairs) if {a, b} == {"S", "."}]
            if wrong:
                said = f"{len(wrong)} of {len(pairs)} samples{' in backward' if direction else ''}, {wrong[0]}"
                yield Disagreement(f"samples:{key}{direction}", said)


def _column(columns: dict[str, str], backend: str, direction: str) -> str | None:
    return columns.get(f"{'trace' if backend == 'cuda' else 'simulated'}{direction}")
