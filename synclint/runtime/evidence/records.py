"""What an evidence file holds, and the strict reader that refuses anything else."""

from __future__ import annotations

import dataclasses
import json
import os
import types
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin, get_type_hints

if TYPE_CHECKING:
    from pathlib import Path

VERSION = 1

Origin = Literal["disputed", "fact", "rule"]
OracleName = Literal["trace", "debug-mode", "profiler", "sleep", "simulated"]


class EvidenceError(ValueError):
    """A file that is no evidence. The message starts with the path, and names the entry."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What one oracle saw of one snippet.

    ``waits``: whether the host waited; None where the oracle cannot say, and ``reason`` says why. ``pageable``:
    whether a copy was asynchronous in name only. ``events`` are what it reported, one text each. ``host`` are the raw
    times, in seconds, that each run of the snippet took the host (for ``sleep``: while the device was busy).
    """

    waits: bool | None
    host: tuple[float, ...] = ()
    events: tuple[str, ...] = ()
    pageable: bool = False
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """One snippet. ``id`` begins with its origin. ``expected`` is what the tables say: the kind of event, ``unknown``
    where they say nothing. ``sha256`` is of its text. ``value`` is what it computed, where a row asks for that."""

    id: str
    origin: Origin
    expected: str
    sha256: str
    seen: dict[str, Seen] = field(default_factory=dict)
    error: str = ""
    value: Any = None

    @property
    def waits(self) -> bool | None:
        """The verdict: that of behaviour where there is one, else that of reports; None where there is none. The
        simulated device has a say only where nothing else was asked."""
        for oracle in ("simulated",) if self.seen.keys() == {"simulated"} else ("sleep", "trace", "debug-mode"):
            seen = self.seen.get(oracle)
            if seen is not None and seen.waits is not None:
                return seen.waits
        return None

    @property
    def pageable(self) -> bool:
        return any(seen.pageable for seen in self.seen.values())


@dataclass(frozen=True, slots=True)
class Control:
    """A function of which the answer is known, and what an oracle said of it."""

    oracle: OracleName
    expected: bool
    seen: Seen

    @property
    def answered(self) -> bool:
        return self.seen.waits is self.expected


@dataclass(frozen=True, slots=True)
class Stage:
    """A part of the run: how long it took in seconds, what it was to do and did not, and why."""

    name: str
    seconds: float
    not_run: tuple[str, ...] = ()
    reason: str = ""


@dataclass(slots=True)
class Evidence:
    """One run on one device.

    ``snippets`` is the hash of all rows that there are, run or not. ``cycles_per_second`` is what the sleep was
    calibrated to, 0 without one. ``samples`` holds, for each operator and dtype (``add#float32``), a text for each
    oracle, forward and backward (``trace``, ``trace-backward``): one character a sample, ``.`` for no wait, ``S`` for
    waits, ``E`` where it raised, ``-`` where there is no backward. ``overheads`` are the raw times of a training loop
    in seconds, by what ran beside it; ``tests`` the outcomes of the tests that need a GPU.
    """

    backend: Literal["cuda", "simulated"]
    device: str
    versions: dict[str, str]
    command: str
    started: str
    snippets: str
    cycles_per_second: float = 0.0
    controls: list[Control] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    samples: dict[str, dict[str, str]] = field(default_factory=dict)
    tests: dict[str, int] = field(default_factory=dict)
    overheads: dict[str, list[float]] = field(default_factory=dict)
    stages: list[Stage] = field(default_factory=list)

    @property
    def torch(self) -> tuple[int, int]:
        """The release (major, minor)."""
        major, minor = self.versions["torch"].split(".")[:2]
        return int(major), int(minor)

    def write(self, path: Path) -> None:
        """Replace the file, one entry to a line, so that two files can be compared by eye."""
        lines = [f'"synclint-evidence": {VERSION}']
        for name, value in dataclasses.asdict(self).items():
            if isinstance(value, list) and value:
                entries = ",\n".join(f"  {_dump(entry)}" for entry in value)
                lines.append(f'"{name}": [\n{entries}\n ]')
            elif name == "samples" and value:
                entries = ",\n".join(f"  {_dump(key)}: {_dump(entry)}" for key, entry in value.items())
                lines.append(f'"{name}": {{\n{entries}\n }}')
            else:
                lines.append(f'"{name}": {_dump(value)}')
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        temporary.write_text("{\n " + ",\n ".join(lines) + "\n}\n", encoding="utf-8")
        os.replace(temporary, path)


def read(path: Path) -> Evidence:
    """The evidence in a file. Raises EvidenceError, OSError."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise EvidenceError(f"{path}: not JSON: {error}") from None
    if not isinstance(data, dict) or data.pop("synclint-evidence", None) != VERSION:
        raise EvidenceError(f"{path}: not evidence of version {VERSION}")
    try:
        evidence: Evidence = _convert(Evidence, data, "")
    except _Malformed as error:
        raise EvidenceError(f"{path}: {error}") from None
    ids = [row.id for row in evidence.rows]
    for row in evidence.rows:
        if ids.count(row.id) > 1 or not row.id.startswith(f"{row.origin}:"):
            raise EvidenceError(f"{path}: rows: the id {row.id!r} is used twice, or is none of a {row.origin}")
    if "torch" not in evidence.versions:
        raise EvidenceError(f"{path}: versions: 'torch' is missing")
    return evidence


class _Malformed(Exception):
    """What is wrong with an entry, and where it is."""


def _convert(kind: Any, value: Any, where: str) -> Any:
    """``value`` as ``kind``, a type of the records above. Raises _Malformed where it is anything else."""
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _record(kind, value, where)
    origin, arguments = get_origin(kind), get_args(kind)
    if kind is Any:
        return value
    if origin is Literal and value in arguments:
        return value
    if origin in (Union, types.UnionType):
        return (
            None if value is None else _convert(next(one for one in arguments if one is not type(None)), value, where)
        )
    if origin in (list, tuple) and isinstance(value, list):
        return origin(_convert(arguments[0], one, f"{where}[{at}]") for at, one in enumerate(value))
    if origin is dict and isinstance(value, dict):
        return {key: _convert(arguments[1], one, f"{where}.{key}") for key, one in value.items()}
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(kind, type) and type(value) is kind:
        return value
    raise _Malformed(f"{where}: {value!r} is not {getattr(kind, '__name__', kind)}")


def _record(kind: type, value: Any, where: str) -> Any:
    fields = {one.name for one in dataclasses.fields(kind)}
    if not isinstance(value, dict):
        raise _Malformed(f"{where}: {value!r} is no object")
    for key in sorted(fields ^ value.keys()):
        raise _Malformed(f"{where}: {'missing' if key in fields else 'unknown'} key {key!r}".removeprefix(": "))
    hints = get_type_hints(kind)
    return kind(**{key: _convert(hints[key], one, f"{where}.{key}".removeprefix(".")) for key, one in value.items()})


def _dump(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
