"""What tells this very synclint from any other."""

from __future__ import annotations

import hashlib
import os
import sys
from functools import lru_cache

_BESIDE = frozenset(("__pycache__", "cli", "explain", "profiles", "report", "runtime", "verify", "waits"))
"""Folders of synclint that have no say in what is found."""


@lru_cache(maxsize=1)
def version() -> str:
    """What tells the entries of this very synclint from those of any other: its code, its rules and its facts."""
    stamps = []
    pending = [os.path.dirname(__file__)]
    while pending:
        folder = pending.pop()
        with os.scandir(folder) as listing:
            for entry in listing:
                if entry.name.endswith((".py", ".toml")):
                    status = entry.stat()
                    stamps.append(f"{entry.path} {status.st_size} {status.st_mtime_ns}")
                elif entry.name not in _BESIDE and entry.is_dir():
                    pending.append(entry.path)
    # What one release of Python can parse, another may not.
    said = [str(sys.version_info[:2]), *sorted(stamps)]
    return hashlib.blake2b("\n".join(said).encode(), digest_size=16).hexdigest()
