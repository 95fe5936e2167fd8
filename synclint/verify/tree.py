"""The scratch tree: a copy of the project in which commands run and fixes are tried."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_LEFT_OUT = frozenset(
    (
        ".git",
        ".hg",
        ".hypothesis",
        ".mypy_cache",
        ".nox",
        ".pytest_cache",
        ".ruff_cache",
        ".synclint_cache",
        ".tox",
        "__pycache__",
        "node_modules",
    )
)
_PROJECT_FILES = ("pyproject.toml", "setup.py", "setup.cfg", ".git", ".hg")


def project_root(start: Path) -> Path:
    """The project that ``start`` belongs to: the nearest folder with a project file, else ``start`` itself."""
    folder = start.resolve()
    folder = folder if folder.is_dir() else folder.parent
    for candidate in (folder, *folder.parents):
        if any((candidate / name).exists() for name in _PROJECT_FILES):
            return candidate
    return folder


def copy_project(root: Path, into: Path) -> None:
    """Copy a project without its history, caches, virtual environments, sockets and pipes.

    Symbolic links stay links: those into the project lead into the copy, those out of it to the same place as before.
    ``root`` is a real path; ``into`` must not exist, and may be below it. Raises OSError (``shutil.Error`` names each
    file that could not be copied).
    """

    def left_out(folder: str, names: list[str]) -> list[str]:
        places = [(name, os.path.join(folder, name)) for name in names]
        return [name for name, place in places if name in _LEFT_OUT or place == str(into) or _is_left_out(place)]

    shutil.copytree(root, into, symlinks=True, ignore=left_out)
    for folder, folders, files in os.walk(into):
        for name in (*folders, *files):
            link = os.path.join(folder, name)
            if os.path.islink(link):
                _relink(link, os.path.join(root, os.path.relpath(folder, into)), str(root))


def _is_left_out(path: str) -> bool:
    if os.path.isdir(path):
        return is_environment(path)
    return not os.path.islink(path) and not os.path.isfile(path)


def is_environment(folder: str) -> bool:
    """Whether a folder holds an environment of Python: a virtual one, or conda's."""
    return any(os.path.exists(os.path.join(folder, name)) for name in ("pyvenv.cfg", "conda-meta"))


def _relink(link: str, folder: str, root: str) -> None:
    """Let a copied link, whose original stands in ``folder``, lead where it must."""
    target = os.readlink(link)
    place = os.path.normpath(os.path.join(folder, target))
    inside = place == root or place.startswith(root + os.sep)
    if inside is os.path.isabs(target):
        os.unlink(link)
        os.symlink(os.path.relpath(place, folder) if inside else place, link)


def write_texts(tree: Path, texts: Mapping[str, bytes]) -> None:
    """Put files, by path relative to the tree, into it. Links are replaced, never followed out of the tree."""
    for path, data in texts.items():
        target = tree / path
        if target.is_symlink():
            target.unlink()
        target.write_bytes(data)
