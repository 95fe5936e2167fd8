"""Traces out of what other profilers wrote: Chrome traces of torch.profiler, SQLite exports of Nsight Systems."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from synclint.runtime.trace import Trace

_SQLITE = b"SQLite format 3\0"


def read_profile(path: Path, roots: tuple[str, ...]) -> Trace:
    """The waits of a profile, with their durations as stall times; ``roots`` are the project's folders.

    Raises TraceError where the file is neither kind of profile, OSError.
    """
    with path.open("rb") as file:
        begin = file.read(len(_SQLITE))
    if begin == _SQLITE:
        from synclint.profiles import nsys

        return nsys.read(path, roots)
    from synclint.profiles import kineto

    return kineto.read(path, roots)
