"""What earlier runs found, good as long as neither the project nor the settings nor synclint itself has changed."""

from __future__ import annotations

import os
import sqlite3
import sys
from contextlib import suppress
from dataclasses import fields
from hashlib import blake2b
from typing import TYPE_CHECKING

from synclint.flow.pickled import dump, load
from synclint.index.sides import side_folder

if TYPE_CHECKING:
    from collections.abc import Iterable

    from synclint.config import Settings
    from synclint.finding import Finding
    from synclint.index.store import Store
    from synclint.lint.rule import Rule


class Answers:
    """The findings of the files of one project. ``states`` tell what its files say from anything else they could say:
    for the code itself (under the empty name), and for each folder of tests, examples or the like. ``read`` are the
    files that have a part in that; nothing is kept of others, such as scripts without the ending."""

    def __init__(self, store: Store, states: dict[str, str], read: frozenset[str], rules: Iterable[Rule]) -> None:
        self._store = store
        self._states = states
        self._read = read
        self._base = (os.getcwd(), sys.version_info[:2], [_identity(rule) for rule in rules])
        self._keys: dict[tuple[str, Settings], bytes] = {}
        self._new: list[tuple[str, bytes, bytes]] = []

    def known(self, path: str, settings: Settings) -> tuple[Finding, ...] | None:
        """What was found in a file of the project, by its path in it; None if that is not known."""
        if path not in self._read:
            return None
        try:
            data = self._store.answer(path, self._key(path, settings))
            findings: tuple[Finding, ...] | None = None if data is None else load(data)
        except Exception:  # damaged bytes can raise anything
            return None
        return findings

    def add(self, path: str, settings: Settings, findings: tuple[Finding, ...]) -> None:
        if path in self._read:
            self._new.append((path, self._key(path, settings), dump(findings)))

    def keep(self) -> None:
        """Writes what was added."""
        if self._new:
            with suppress(sqlite3.Error):  # it cannot be written: the next run will find the same
                self._store.keep(self._new)

    def _key(self, path: str, settings: Settings) -> bytes:
        side = side_folder(path)
        key = self._keys.get((side, settings))
        if key is None:
            said = [getattr(settings, field.name) for field in fields(settings)]
            plain = [sorted(value) if isinstance(value, frozenset) else value for value in said]
            text = repr((self._states[side], self._base, plain))
            key = self._keys[side, settings] = blake2b(text.encode(), digest_size=16).digest()
        return key


def _identity(rule: Rule) -> tuple[str, int]:
    """A rule and when its file was changed."""
    module = sys.modules[type(rule).__module__]
    file = getattr(module, "__file__", None)
    return rule.code, os.stat(file).st_mtime_ns if file and os.path.exists(file) else 0
