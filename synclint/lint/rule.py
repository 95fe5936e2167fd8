"""What a rule is: one class in one file, its docstring its page, its examples its tests."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from textwrap import dedent
from typing import TYPE_CHECKING, ClassVar, Literal

from synclint.finding import Applicability, Fix

if TYPE_CHECKING:
    from synclint.flow.site import Site
    from synclint.lint.context import Context

Event = Literal["sync", "pageable", "race", "host-cost", "none"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Valid:
    """Code that the rule must not report.

    ``code`` is a whole module. ``run`` is what the runtime executes after it, to see that ``event`` and nothing
    else happens. ``note`` says why it is fine.
    """

    code: str
    run: str
    event: Event = "none"
    note: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "code", dedent(self.code).lstrip("\n"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Invalid:
    """Code that the rule must report on ``lines``, and what its fix at ``level`` must make of it.

    ``fixed`` is None when there is no fix with edits; ``level`` is then None or SUGGESTION. ``settings`` are
    keys of ``[tool.synclint]`` that the example needs. ``run`` is executed before and after the fix:
    ``event`` must happen before and not after, and the value of ``run`` (an expression) must stay the same.
    ``at`` are the lines in which it happens, where those are others than the reported ones. ``left`` is how often it
    still happens in the lines that the fix wrote: reads joined into one are one read. ``race``: the fix opens one,
    which is why it is unsafe; the race must be seen, and the value may change.
    """

    code: str
    run: str
    lines: tuple[int, ...]
    event: Event
    fixed: str | None = None
    level: Applicability | None = None
    at: tuple[int, ...] = ()
    left: int = 0
    race: bool = False
    settings: tuple[tuple[str, str], ...] = ()
    note: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "code", dedent(self.code).lstrip("\n"))
        if self.fixed is not None:
            object.__setattr__(self, "fixed", dedent(self.fixed).lstrip("\n"))


@dataclass(frozen=True, slots=True)
class Report:
    """A rule's verdict on a site: what to tell the user, and what to do about it."""

    message: str
    help: str = ""
    fix: Fix | None = None
    alternatives: tuple[Fix, ...] = ()


class Rule(ABC):
    """One rule. Subclasses live one to a file in ``synclint.rules`` and are found by the engine.

    ``facts`` are the ids of the facts (``synclint/facts/*.toml``) whose sites the rule is asked about.
    The docstring is the rule's page, with the headings What it does, Why it waits, Example, Use instead,
    Fix safety, When it is fine, Evidence.
    """

    code: ClassVar[str]
    name: ClassVar[str]
    facts: ClassVar[frozenset[str]]
    VALID: ClassVar[tuple[Valid, ...]] = ()
    INVALID: ClassVar[tuple[Invalid, ...]] = ()

    @abstractmethod
    def judge(self, site: Site, context: Context) -> Report | None:
        """The verdict on one site, or None if the rule has nothing to say about it."""
