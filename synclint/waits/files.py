"""Traces by the paths that users give."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from synclint.runtime.trace import TraceError, merge, read

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from synclint.runtime.trace import Trace


def read_traces(paths: Sequence[str]) -> Trace:
    """The traces in files, and in folders of them, as one. Raises TraceError, OSError."""
    return merge(read(file) for file in _files(paths))


def changed_since(traces: Sequence[str], sources: Iterable[str]) -> list[str]:
    """Those of the sources that were written after the last of the traces. Raises TraceError, OSError."""
    written = max(file.stat().st_mtime for file in _files(traces))
    return [path for path in sources if os.path.exists(path) and os.stat(path).st_mtime > written]


def _files(paths: Sequence[str]) -> list[Path]:
    files: list[Path] = []
    for path in map(Path, paths):
        if path.is_dir():
            found = sorted(path.glob("*.jsonl"))
            if not found:
                raise TraceError(f"{path}: no traces in this folder")
            files += found
        else:
            files.append(path)
    return files
