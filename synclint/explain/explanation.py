"""What an explanation says: plain data, for reports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from synclint.finding import Confidence, Heat, Step

if TYPE_CHECKING:
    from synclint.flow.values import Value
    from synclint.source import Source


class ExplainError(Exception):
    """Lines that cannot be explained; the message names them."""


@dataclass(frozen=True, slots=True)
class Span:
    """1-based lines and columns (in code points), ends exclusive."""

    line: int
    column: int
    end_line: int
    end_column: int

    def covers(self, line: int, column: int) -> bool:
        return (self.line, self.column) <= (line, column) < (self.end_line, self.end_column)


@dataclass(frozen=True, slots=True)
class Expression:
    """One expression and what it is believed to be.

    ``role``: an expression that is read, a target that is assigned, a parameter as the function starts, or what a
    function returns. ``depth`` counts the expressions around it. ``plain``: a constant, or a name whose meaning is no
    question. ``note`` says why nothing is known, or what else sets the name where paths differ.
    """

    span: Span
    text: str
    role: Literal["expression", "target", "parameter", "returns"]
    depth: int
    value: Value
    belief: str
    certainty: str
    plain: bool = False
    note: str = ""
    why: tuple[Step, ...] = ()


@dataclass(frozen=True, slots=True)
class Asked:
    """A condition of a fact, in words, and whether it holds (None: not known). ``otherwise`` is its opposite."""

    predicate: str
    text: str
    otherwise: str
    holds: bool | None


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a finding is not in the report.

    ``kind``: ``confidence``, ``heat``, ``suppressed``, ``not-selected``, ``file`` (the file is not judged at all), or
    ``rule`` (the rule has looked at the place and reports nothing).
    """

    kind: Literal["confidence", "heat", "suppressed", "not-selected", "file", "rule"]
    text: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one rule makes of a site. It is reported if there are no ``reasons`` against it."""

    code: str
    name: str
    message: str
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class FactVerdict:
    """Whether a fact holds of an operation: True, False, None where that is not known.

    ``confidence`` is None where no site came of it; ``limits`` says what keeps it from being certain. ``note`` says
    why nothing is reported where there is no rule to ask.
    """

    id: str
    event: str
    direction: str
    holds: bool | None
    asked: tuple[Asked, ...]
    confidence: Confidence | None = None
    limits: str = ""
    verdicts: tuple[Verdict, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class OperationVerdict:
    """An operation of which the facts speak."""

    span: Span
    text: str
    operation: str
    context: str
    facts: tuple[FactVerdict, ...]


@dataclass(frozen=True, slots=True)
class Explained:
    """A statement, or the header of one. ``state`` is empty, or says why it was not interpreted.

    ``left_out`` counts expressions on other lines of a long statement.
    """

    first: int
    last: int
    scope: str
    heat: Heat
    why_hot: tuple[Step, ...]
    state: str
    expressions: tuple[Expression, ...]
    operations: tuple[OperationVerdict, ...]
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class Explanation:
    """What is believed about the lines ``first`` to ``last``. ``notes`` concern the whole file."""

    source: Source
    first: int
    last: int
    column: int | None
    notes: tuple[str, ...]
    statements: tuple[Explained, ...]
