"""What the behavioural oracle (``cuda/sleep.py``) proves of a named line."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

NOT_EXECUTED = "it was not executed, or only in compiled code"


@dataclass(frozen=True, slots=True)
class Proof:
    """Whether the statement in a line makes the host wait for what the device does on the current stream.

    ``waits`` is None where that is not proved; ``reason`` says why. ``host`` is how long each judged run of the
    statement took, ``sleep`` how long the device was kept busy meanwhile, both in seconds. ``waited`` of the runs
    waited: a statement waits if one of its runs did.
    """

    path: str
    line: int
    waits: bool | None
    host: tuple[float, ...] = ()
    sleep: float = 0.0
    waited: int = 0
    reason: str = ""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> Proof:
        """Raises TypeError, KeyError where fields are missing or unknown."""
        return cls(**{**fields, "host": tuple(fields["host"])})


def join_proofs(proofs: Iterable[Proof]) -> list[Proof]:
    """One proof for each line, of what several processes found, in the order of paths and lines."""
    joined: dict[tuple[str, int], Proof] = {}
    for proof in proofs:
        key = (proof.path, proof.line)
        joined[key] = _both(joined[key], proof) if key in joined else proof
    return [joined[key] for key in sorted(joined)]


def _both(one: Proof, other: Proof) -> Proof:
    if one.waits is None or other.waits is None:
        if one.waits is not None or other.waits is not None:
            return other if one.waits is None else one
        reasons = dict.fromkeys(reason for proof in (one, other) for reason in proof.reason.split("; "))
        told = [reason for reason in reasons if reason != NOT_EXECUTED] or [NOT_EXECUTED]
        return replace(one, reason="; ".join(told))
    return replace(one, waits=one.waits or other.waits, host=one.host + other.host, waited=one.waited + other.waited)
