"""What synclint reports: findings, the chain behind them, and the fixes they offer.

Plain data that travels between processes: no trees, no sources.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum


class Direction(str, Enum):
    """What the host waits for."""

    H2D = "h2d"
    D2H = "d2h"
    STREAM = "stream"
    DEVICE = "device"
    NONE = "none"


class Confidence(IntEnum):
    """How sure synclint is that the line waits (ordered)."""

    POSSIBLE = 1
    LIKELY = 2
    CERTAIN = 3


class Heat(IntEnum):
    """How often the line runs (ordered)."""

    COLD = 1
    WARM = 2
    HOT = 3


class Applicability(str, Enum):
    """What a fix promises: SAFE keeps results, errors and ordering; UNSAFE may not; SUGGESTION is words."""

    SAFE = "safe"
    UNSAFE = "unsafe"
    SUGGESTION = "suggestion"


@dataclass(frozen=True, slots=True)
class Edit:
    """Replace bytes ``[start, end)`` of the UTF-8 form of a file (without its BOM) by ``text``.

    ``begin`` and ``finish`` are the same place as 1-based (line, column in code points), for reports.
    """

    path: str
    start: int
    end: int
    text: str
    begin: tuple[int, int]
    finish: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Fix:
    """An all-or-nothing set of edits, imports included.

    ``reason`` says why the level is what it is: shown to users when the fix is not safe.
    """

    applicability: Applicability
    message: str
    edits: tuple[Edit, ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """One link of the chain that makes synclint believe a finding."""

    path: str
    line: int
    text: str


@dataclass(frozen=True, slots=True)
class Finding:
    """One place where the host waits (or a file that could not be read).

    Lines and columns are 1-based, columns count code points, ends are exclusive; ``path`` is POSIX and
    relative to the working directory. ``header`` is the first and last line of the flagged statement's
    header, where a suppression comment counts. ``alternatives`` are other fixes, never applied by themselves.
    """

    code: str
    name: str
    message: str
    path: str
    line: int
    column: int
    end_line: int
    end_column: int
    direction: Direction
    heat: Heat
    confidence: Confidence
    header: tuple[int, int]
    why: tuple[Step, ...] = ()
    help: str = ""
    fix: Fix | None = None
    alternatives: tuple[Fix, ...] = ()
    scope: str = ""

    def sort_key(self) -> tuple[str, int, int, str, str]:
        return (self.path, self.line, self.column, self.code, self.message)
