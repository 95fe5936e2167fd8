"""Fixes whose lines the behavioural oracle judges, too: it believes no report of torch."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from synclint.runtime.proof import Proof
from synclint.runtime.statements import statements_of
from synclint.verify.verdict import Judged, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from synclint.runtime.event import Event
    from synclint.runtime.statements import Statement
    from synclint.verify.lines import EditedLines

Place = tuple[str, int]
"""A path relative to the project, and a line."""

KNOWN = "another wait in this line is known"


class Prove(Protocol):
    """Runs the user's command in a fresh copy in which some files have another text, and judges lines meanwhile."""

    def __call__(self, texts: Mapping[str, bytes], lines: Sequence[Place]) -> Sequence[Proof]: ...


def proved(
    judged: Sequence[Judged],
    maps: Mapping[str, EditedLines],
    texts: Mapping[str, bytes],
    after: Sequence[Event],
    prove: Prove,
) -> list[Judged]:
    """The fixes with proofs of the lines that stand where a wait was removed; those that are proved to wait still do.

    ``texts`` are the fixed files by path, ``after`` the events of the run with the fixes. ``prove`` is called once, or
    not at all where there is nothing to prove.
    """
    images = [list(_images(one, maps, texts)) if one.verdict is Verdict.REMOVED else [] for one in judged]
    waiting = {(event.project.path, event.project.line) for event in after if event.kind == "sync" and event.project}
    asked: list[Place] = []
    known: list[Place] = []
    for path, first, last in dict.fromkeys(image for some in images for image in some):
        waits = any((path, line) in waiting for line in range(first, last + 1))
        (known if waits else asked).append((path, first))
    found = {(proof.path, proof.line): proof for proof in (prove(texts, asked) if asked else ())}
    found.update(((path, line), Proof(path, line, None, reason=KNOWN)) for path, line in known)
    return [
        _with(one, tuple(found[path, first] for path, first, _ in some if (path, first) in found))
        for one, some in zip(judged, images, strict=True)
    ]


def _images(one: Judged, maps: Mapping[str, EditedLines], texts: Mapping[str, bytes]) -> Iterator[Statement]:
    """The statements of the fixed files that stand in the place of a fix's lines, but for imports."""
    for path, lines in one.unit.lines.items():
        image, text = maps[path].image(lines), texts[path].splitlines()
        for statement in statements_of(texts[path], path):
            is_import = text[statement.first - 1].split()[:1] in ([b"import"], [b"from"])
            if not is_import and not image.isdisjoint(range(statement.first, statement.last + 1)):
                yield statement


def _with(one: Judged, proofs: tuple[Proof, ...]) -> Judged:
    if any(proof.waits for proof in proofs):
        return replace(one, verdict=Verdict.WAITS, proofs=proofs, note="no wait was reported, but it was proved")
    return replace(one, proofs=proofs)
