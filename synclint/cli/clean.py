"""``synclint clean``: removes what synclint keeps of projects."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from synclint import cache
from synclint.source import shown_path

if TYPE_CHECKING:
    from argparse import Namespace


def clean(options: Namespace) -> int:
    """Run the command; the exit status: 0, or 2 where a path is missing or something could not be removed."""
    paths = options.paths or ["."]
    missing = [path for path in paths if not os.path.exists(path)]
    for path in missing:
        print(f"synclint: error: {path}: no such file or directory", file=sys.stderr)
    if missing:
        return 2
    folders = sorted({folder for path in paths for folder in cache.find(path)})
    removed = [_remove(folder) for folder in folders]
    if not folders:
        print("Nothing to remove.", file=sys.stderr)
    return 0 if all(removed) else 2


def _remove(folder: str) -> bool:
    """Removes one folder and says so. False if that failed."""
    shown = shown_path(folder)
    if not cache.is_ours(folder):
        print(f"synclint: warning: {shown} is left alone: it is no folder that synclint made", file=sys.stderr)
        return True
    try:
        others = cache.remove(folder)
    except OSError as error:
        print(f"synclint: error: {shown} cannot be removed: {error.strerror or error}", file=sys.stderr)
        return False
    print(f"{shown}: removed" + (f", but for what synclint did not make: {', '.join(others)}" if others else ""))
    return True
