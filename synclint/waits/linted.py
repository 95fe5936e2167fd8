"""What the linter finds in the files that a trace speaks of."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from synclint import config
from synclint.finding import Confidence, Heat
from synclint.lint.engine import check_source, load_rules
from synclint.runtime.codes import codes
from synclint.source import Source, SourceError
from synclint.waits.match import explaining

if TYPE_CHECKING:
    from synclint.finding import Finding
    from synclint.waits.wait import Wait


class Linted:
    """Lints files when they are asked for: all rules, whatever the confidence and the heat, suppressed or not."""

    def __init__(self) -> None:
        self._files: dict[str, tuple[Source, tuple[Finding, ...]] | None] = {}

    def codes(self, wait: Wait) -> tuple[tuple[str, ...], bool]:
        """The codes of the rules that report a wait, and whether they are those of findings about its line.

        Where the linter finds nothing there, they are those that report such a wait somewhere.
        """
        frame = wait.frame
        file = None if frame is None or wait.event.in_function else self._file(frame.path)
        if file is not None and frame is not None:
            found = explaining(wait.event, file[1], frame.line)
            if found:
                return tuple(sorted({one.code for one in found})), True
        return codes(wait.event), False

    def line(self, wait: Wait) -> str:
        """The text of the line that waits, empty where there is none to be read."""
        frame = wait.frame
        file = None if frame is None else self._file(frame.path)
        if file is None or frame is None or not 1 <= frame.line <= len(file[0].lines):
            return ""
        return file[0].line_text(frame.line).strip()

    def _file(self, path: str) -> tuple[Source, tuple[Finding, ...]] | None:
        if path not in self._files:
            self._files[path] = _lint(path)
        return self._files[path]


def _lint(path: str) -> tuple[Source, tuple[Finding, ...]] | None:
    try:
        source = Source.read(path)
    except SourceError:  # no file (<stdin>), or not Python
        return None
    try:
        settings = replace(config.load(Path(path)), confidence=Confidence.POSSIBLE, heat=Heat.COLD)
        return source, tuple(check_source(source, settings, load_rules()))
    except (SourceError, config.ConfigError):
        return source, ()
