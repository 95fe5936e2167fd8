"""Which rules report, and in which files."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from synclint.config import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pathspec import GitIgnoreSpec

    from synclint.config import Settings


class UnknownSelectorError(ValueError):
    """A selector that names no rule. ``key`` is the setting it stands in."""

    def __init__(self, key: str, selector: str, suggestion: str) -> None:
        super().__init__(f"unknown rule `{selector}`{suggestion}")
        self.key = key


class Selection:
    """The rules that a project's settings turn on.

    A selector is ``ALL``, the code or the name of a rule, or a prefix of codes. The most specific one decides;
    between equals, ``ignore`` does. ``rules`` gives the name of each rule by its code, ``always`` the codes that
    ``select`` need not name. Raises :class:`UnknownSelectorError`.
    """

    def __init__(self, settings: Settings, rules: Mapping[str, str], always: Iterable[str] = ()) -> None:
        self._root = os.path.abspath(settings.root)
        wanted = dict.fromkeys(always, 0) | _strongest("select", settings.select, rules)
        for code, strength in _strongest("extend-select", settings.extend_select, rules).items():
            wanted[code] = max(strength, wanted.get(code, strength))
        unwanted = _strongest("ignore", settings.ignore, rules)
        self._codes = frozenset(code for code, strength in wanted.items() if strength > unwanted.get(code, -1))
        self._per_file = [
            (pattern, frozenset(_strongest("per-file-ignores", selectors, rules)))
            for pattern, selectors in settings.per_file_ignores
        ]
        self._patterns: list[tuple[GitIgnoreSpec, bool]] = []

    def codes(self, path: str) -> frozenset[str]:
        """The codes of the rules that report in the file ``path``."""
        codes = self._codes
        if self._per_file:
            if not self._patterns:
                self._patterns = [_compiled(pattern) for pattern, _ in self._per_file]
            relative = self._relative(path)
            for (pattern, inverted), (_, ignored) in zip(self._patterns, self._per_file, strict=True):
                if pattern.match_file(relative) != inverted:
                    codes -= ignored
        return codes

    def deselected(self, code: str, path: str) -> str:
        """The settings that keep a rule from reporting in a file; empty where it reports."""
        if code not in self._codes:
            return "select, extend-select and ignore"
        return "" if code in self.codes(path) else "per-file-ignores"

    def _relative(self, path: str) -> str:
        """The path from the root; that of a file outside it, from the top of the file system."""
        absolute = os.path.abspath(path)
        inside = absolute.startswith(os.path.join(self._root, ""))
        relative = os.path.relpath(absolute, self._root) if inside else os.path.splitdrive(absolute)[1].lstrip(os.sep)
        return relative.replace(os.sep, "/")


def _strongest(key: str, selectors: Iterable[str], rules: Mapping[str, str]) -> dict[str, int]:
    """The codes that selectors name, each with how specific the most specific of them is."""
    strongest: dict[str, int] = {}
    for selector in selectors:
        named = {code: strength for code, name in rules.items() if (strength := _strength(selector, code, name)) >= 0}
        if not named:
            raise UnknownSelectorError(key, selector, did_you_mean(selector, [*rules, *rules.values(), "ALL"]))
        for code, strength in named.items():
            strongest[code] = max(strength, strongest.get(code, 0))
    return strongest


def _strength(selector: str, code: str, name: str) -> int:
    """How specific a selector is for a rule: from 0 for ``ALL`` to the length of the code, -1 if it does not match."""
    if selector == "ALL":
        return 0
    if selector == name:
        return len(code)
    return len(selector) if selector and code.startswith(selector) else -1


def _compiled(pattern: str) -> tuple[GitIgnoreSpec, bool]:
    from pathspec import GitIgnoreSpec

    inverted = pattern.startswith("!")
    return GitIgnoreSpec.from_lines([pattern.removeprefix("!")]), inverted
