"""Unified diffs of whole files, as ``patch -p0`` reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from synclint.report.terminal import Style


def unified(path: str, before: bytes, after: bytes, *, style: Style) -> str:
    """The changes from ``before`` to ``after`` (UTF-8 text), empty where there are none."""
    from difflib import unified_diff

    old, new = (data.decode().split("\n") for data in (before, after))
    old, new = ([line + "\n" for line in lines[:-1]] + [lines[-1]] * bool(lines[-1]) for lines in (old, new))
    parts = []
    for line in unified_diff(old, new, path, path):
        if not line.endswith("\n"):
            line += "\n\\ No newline at end of file\n"
        parts.append(_painted(line, style))
    return "".join(parts)


def _painted(line: str, style: Style) -> str:
    if not style.colour:
        return line
    text, newline = line[:-1], line[-1]
    if line.startswith(("---", "+++")):
        return style.bold(text) + newline
    if line.startswith("@@"):
        return style.cyan(text) + newline
    if line.startswith("+"):
        return style.green(text) + newline
    return (style.removed(text) if line.startswith("-") else text) + newline
