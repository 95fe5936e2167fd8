"""The folder in a project's root where synclint keeps what it has learnt of the project. Removing it is always safe."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

from synclint.config import root_of
from synclint.discover import DEFAULT_EXCLUDE

FOLDER = ".synclint_cache"
_STORES = "project-*.db"
_IGNORED = ".gitignore"
_UNUSED = 7 * 24 * 3600  # seconds after which the store of another version is taken to be of no use


def store_of(folder: Path, version: str) -> Path:
    """Where a version of synclint keeps what it learns. Versions do not share a file: several may run at once."""
    store = folder / _STORES.replace("*", version[:16])
    if not store.exists():
        for other in stores(folder):
            with suppress(OSError):
                if time.time() - other.stat().st_mtime > _UNUSED:
                    other.unlink()
    return store


def stores(folder: Path | str) -> list[Path]:
    """The stores in a folder."""
    return sorted(Path(folder).glob(_STORES))


def make(root: str) -> Path:
    """The folder in this root, made if it is not there, with what keeps git from seeing it."""
    folder = Path(root) / FOLDER
    if not folder.is_dir():
        folder.mkdir()
        (folder / _IGNORED).write_text("# Made by synclint: what it has learnt of this project.\n*\n")
    return folder


def find(path: str) -> list[str]:
    """The folders of the projects that a file or folder is in, and that are in the folder; whatever has the name."""
    start = os.path.abspath(path)
    folder = start if os.path.isdir(start) else os.path.dirname(start)
    roots = {root_of(folder)}
    if folder == start:
        for level, folders, _ in os.walk(start):
            roots.add(level)
            folders[:] = [name for name in folders if name not in DEFAULT_EXCLUDE]
    places = (os.path.join(root, FOLDER) for root in roots)
    return sorted(place for place in places if os.path.lexists(place))


def is_ours(folder: str) -> bool:
    """Whether synclint made this folder: it is a real one and holds a store."""
    return not os.path.islink(folder) and any(map(os.path.isfile, stores(folder)))


def remove(folder: str) -> list[str]:
    """Removes what synclint keeps in a folder that is its own, then the folder; what else is in it stays, and is
    returned. Raises OSError."""
    ours = [name for store in stores(folder) for name in (f"{store.name}-journal", store.name)]
    others = sorted(set(os.listdir(folder)) - {*ours, _IGNORED})
    for name in ours if others else (_IGNORED, *ours):
        if os.path.lexists(os.path.join(folder, name)):
            os.remove(os.path.join(folder, name))
    if not others:
        os.rmdir(folder)
    return others
