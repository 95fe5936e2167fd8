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
    """Copy a project without its history, caches and virtual environments; symbolic links stay links.

    ``into`` must not exist. Raises OSError (``shutil.Error`` names each file that could not be copied).
    """

    def left_out(folder: str, names: list[str]) -> list[str]:
        return [name for name in names if name in _LEFT_OUT or _is_environment(os.path.join(folder, name))]

    shutil.copytree(root, into, symlinks=True, ignore=left_out)


def _is_environment(path: str) -> bool:
    return os.path.exists(os.path.join(path, "pyvenv.cfg"))


def write_texts(tree: Path, texts: Mapping[str, bytes]) -> None:
    """Put files, by path relative to the tree, into it. Links are replaced, never followed out of the tree."""
    for path, data in texts.items():
        target = tree / path
        if target.is_symlink():
            target.unlink()
        target.write_bytes(data)
