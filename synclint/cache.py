"""The folder in a project's root where synclint keeps what it has learnt of the project. Removing it is always safe."""

from __future__ import annotations

import os
from pathlib import Path

from synclint.config import root_of
from synclint.discover import DEFAULT_EXCLUDE

FOLDER = ".synclint_cache"
STORE = "project.db"
_JOURNAL = f"{STORE}-journal"
_IGNORED = ".gitignore"


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
    return not os.path.islink(folder) and os.path.isfile(os.path.join(folder, STORE))


def remove(folder: str) -> list[str]:
    """Removes what synclint keeps in a folder that is its own, then the folder; what else is in it stays, and is
    returned. Raises OSError."""
    others = sorted(set(os.listdir(folder)) - {STORE, _JOURNAL, _IGNORED})
    for name in (_JOURNAL, STORE) if others else (_JOURNAL, _IGNORED, STORE):
        if os.path.lexists(os.path.join(folder, name)):
            os.remove(os.path.join(folder, name))
    if not others:
        os.rmdir(folder)
    return others
