"""Traces by the paths that users give."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from synclint.runtime.trace import TraceError, merge, read

if TYPE_CHECKING:
    from collections.abc import Sequence

    from synclint.runtime.trace import Trace


def read_traces(paths: Sequence[str]) -> Trace:
    """The traces in files, and in folders of them, as one. Raises TraceError, OSError."""
    files: list[Path] = []
    for path in map(Path, paths):
        if path.is_dir():
            found = sorted(path.glob("*.jsonl"))
            if not found:
                raise TraceError(f"{path}: no traces in this folder")
            files += found
        else:
            files.append(path)
    return merge(read(file) for file in files)
