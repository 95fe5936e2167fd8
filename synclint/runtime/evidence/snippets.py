"""The snippets that run: the disputed ones, those of the facts, and the examples of the rules.

Rules stand above the runtime. Their modules are found as plug-ins are, through the entry points that name their
packages, and only their data is used: ``INVALID`` and ``VALID``.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any

from synclint.facts import all_facts

if TYPE_CHECKING:
    from synclint.runtime.evidence.records import Origin

_GROUP = "synclint.rules"
_DISPUTED = Path(__file__).parent / "disputed.toml"
_KEYS = {"id", "question", "setup", "run", "expected", "value", "since", "until"}


@dataclass(frozen=True, slots=True)
class Snippet:
    """``setup`` runs once, then ``run`` is watched, as often as needed, in the same namespace.

    ``own``: waits in ``run`` itself count; they do not for the examples of rules, where it only calls what ``setup``
    defines. ``value`` is an expression to record. ``since`` and ``until`` bound the torch releases, as for facts.
    """

    id: str
    origin: Origin
    setup: str
    run: str
    expected: str
    value: str = ""
    since: tuple[int, int] | None = None
    until: tuple[int, int] | None = None
    own: bool = field(default=True, kw_only=True)

    @property
    def sha256(self) -> str:
        return hashlib.sha256("\0".join((self.setup, self.run, self.value)).encode()).hexdigest()

    @property
    def passed_over(self) -> str:
        """The name of the code whose waits do not count, as its frames show it; empty where all do."""
        return "" if self.own else f"<string {self.id}>"

    def holds(self, torch: tuple[int, int]) -> bool:
        """Whether what is expected speaks of that release."""
        return (self.since is None or torch >= self.since) and (self.until is None or torch < self.until)

    def prepare(self, space: dict[str, Any]) -> Callable[[], None]:
        """Run ``setup`` in ``space``; what is returned runs ``run`` there. Its exceptions pass."""
        exec(compile(self.setup, f"<string {self.id} setup>", "exec"), space)
        code = compile(self.run, f"<string {self.id}>", "exec")
        return lambda: exec(code, space)


def all_snippets() -> list[Snippet]:
    """In the order in which they run: the disputed first."""
    return [*disputed(), *_facts(), *_examples()]


def digest(snippets: list[Snippet]) -> str:
    """One hash for all of them."""
    text = "\n".join(f"{snippet.id} {snippet.sha256}" for snippet in sorted(snippets, key=lambda one: one.id))
    return hashlib.sha256(text.encode()).hexdigest()


def disputed() -> list[Snippet]:
    """The rows of ``disputed.toml``. Raises ValueError where one has an unknown key or lacks one."""
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    found = []
    for row in tomllib.loads(_DISPUTED.read_text(encoding="utf-8"))["row"]:
        unknown, missing = row.keys() - _KEYS, {"id", "question", "setup", "run", "expected"} - row.keys()
        if unknown or missing:
            raise ValueError(f"{_DISPUTED.name}: row {row.get('id')!r}: {sorted(unknown | missing)} unknown or missing")
        found.append(
            Snippet(
                f"disputed:{row['id']}", "disputed", row["setup"], row["run"], row["expected"], row.get("value", ""),
                _release(row.get("since")), _release(row.get("until")),
            )
        )  # fmt: skip
    return found


def _release(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    major, minor = text.split(".")
    return int(major), int(minor)


def _facts() -> Iterator[Snippet]:
    for fact in all_facts():
        yield Snippet(f"fact:{fact.id}", "fact", "", fact.snippet, fact.event, "", fact.since, fact.until)


def _examples() -> Iterator[Snippet]:
    for rule in _rules():
        for number, bad in enumerate(rule.INVALID):
            name = f"rule:{rule.code}/invalid-{number}"
            yield Snippet(f"{name}/before", "rule", bad.code, bad.run, bad.event, own=False)
            if bad.fixed is not None:
                yield Snippet(f"{name}/fixed", "rule", bad.fixed, bad.run, "unknown", own=False)
        for number, good in enumerate(rule.VALID):
            yield Snippet(f"rule:{rule.code}/valid-{number}", "rule", good.code, good.run, good.event, own=False)


def _rules() -> list[Any]:
    """The rule classes of all installed packages of rules, by code."""
    packages = sorted({"synclint.rules", *(point.value for point in entry_points(group=_GROUP))})
    names = [one.name for package in packages for one in iter_modules(import_module(package).__path__, f"{package}.")]
    modules = [import_module(name) for name in names]
    found = {}
    for module in modules:
        for member in vars(module).values():
            if isinstance(member, type) and member.__module__ == module.__name__ and hasattr(member, "INVALID"):
                found[member.code] = member  # type: ignore[attr-defined]
    return [found[code] for code in sorted(found)]
