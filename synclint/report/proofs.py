"""What the behavioural oracle proved of named lines, as text and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from synclint.report.concise import duration
from synclint.report.terminal import visible
from synclint.source import shown_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from synclint.report.terminal import Style
    from synclint.runtime.proof import Proof


def render(proofs: Sequence[Proof], *, style: Style) -> Iterator[str]:
    """A line for each proof, below a header; nothing where there are none."""
    if proofs:
        yield f"\n{style.bold('Judged')} while the device slept:\n"
    for proof in proofs:
        where = style.bold(visible(f"{shown_path(proof.path)}:{proof.line}"))
        yield f"           {where}: {said(proof, style=style)}\n"


def said(proof: Proof, *, style: Style) -> str:
    """What is proved of a line, in words: the longest run counts."""
    if proof.waits is None:
        return f"not proved: {visible(proof.reason)}"
    verdict = style.red("waits") if proof.waits else style.green("does not wait")
    runs = f"{len(proof.host)} run{'s' * (len(proof.host) != 1)}"
    some = f"{proof.waited} of " if 0 < proof.waited < len(proof.host) else ""
    return f"proved: {verdict} (host {duration(max(proof.host))} of a sleep of {duration(proof.sleep)}, {some}{runs})"


def as_json(proof: Proof) -> dict[str, Any]:
    """Times in seconds; ``host`` has one for each judged run."""
    return {**proof.to_json(), "path": shown_path(proof.path)}
