"""The heat of a project's functions: computed once from what calls what in all of its files, and kept in its store."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Mapping
from contextlib import suppress

from synclint.flow.callgraph import call_graph
from synclint.flow.heat import FunctionHeat, Heats, Names, dump, heats, load
from synclint.flow.outline import load as load_outline
from synclint.index.sides import side_folder
from synclint.index.store import Store

_COMPLETE = ""  # the path of the row that says that all others are there


class StoredHeats:
    """The heats of the files of a store, by what a project says of its functions: of the code itself and, where
    ``side`` is one, of a folder of tests, examples or the like."""

    def __init__(self, store: Store, names: Names, side: str = "") -> None:
        self._store = store
        self._names = names
        self._side = side
        self._key = hashlib.blake2b(repr((names, side)).encode(), digest_size=16).digest()
        self._computed: dict[str, dict[str, FunctionHeat]] | None = None
        self._files: dict[str, Mapping[str, FunctionHeat]] = {}
        self._generation = store.generation()
        self._heats = Heats(self._of_file)

    @property
    def heats(self) -> Heats:
        """The heats as they are now: after changes, none of those that were looked up before."""
        generation = self._store.generation()
        if generation != self._generation:
            self._generation, self._computed, self._files = generation, None, {}
        return self._heats

    def prepare(self) -> None:
        """Computes the heats unless those that are kept are still right."""
        if self._kept(_COMPLETE) is None:
            self._compute()

    def _of_file(self, path: str) -> Mapping[str, FunctionHeat]:
        found = self._files.get(path)
        if found is None:
            data = self._kept(path) if self._computed is None else None
            if data is None:  # nothing is kept, or nothing of this file
                self.prepare()
            known = {} if data is None else load(data)
            found = self._files[path] = known if self._computed is None else self._computed.get(path, {})
        return found

    def _kept(self, path: str) -> bytes | None:
        try:
            return self._store.heats(path, self._key)
        except sqlite3.DatabaseError:  # damaged
            self._compute()
            return None

    def _compute(self) -> None:
        if self._computed is not None:
            return
        generation, edges = self._store.edges()
        sides = ("", self._side)
        outlines = {path: load_outline(path, data) for path, data in edges if data and side_folder(path) in sides}
        modules = {path: found.record.name for path, found in outlines.items()}
        self._computed = heats(call_graph(outlines), self._names, modules)
        rows = [(path, dump(found)) for path, found in self._computed.items()]
        with suppress(sqlite3.OperationalError):  # it cannot be written: whoever asks next computes it again
            self._store.keep_heats(generation, self._key, [*rows, (_COMPLETE, b"")])
