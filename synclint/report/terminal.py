"""Colour, width and harmless text for terminals."""

from __future__ import annotations

import os
import sys
import unicodedata
from typing import TextIO

TAB = 4
"""Columns that a tab takes in an excerpt."""


class Style:
    """Paints text with ANSI escapes, or leaves it alone where ``colour`` is false."""

    def __init__(self, colour: bool) -> None:
        self.colour = colour

    def _paint(self, text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self.colour and text else text

    def bold(self, text: str) -> str:
        return self._paint(text, "1")

    def dim(self, text: str) -> str:
        return self._paint(text, "2")

    def red(self, text: str) -> str:
        return self._paint(text, "1;31")

    def green(self, text: str) -> str:
        return self._paint(text, "32")

    def removed(self, text: str) -> str:
        return self._paint(text, "31")

    def blue(self, text: str) -> str:
        return self._paint(text, "1;34")

    def cyan(self, text: str) -> str:
        return self._paint(text, "36")


def wants_colour(stream: TextIO) -> bool:
    """Whether to colour what goes to ``stream``: ``NO_COLOR`` and ``FORCE_COLOR`` first, else only a terminal."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    if os.environ.get("TERM") == "dumb" or not stream.isatty():
        return False
    return sys.platform != "win32" or _windows_takes_escapes()


def _windows_takes_escapes() -> bool:
    return bool(os.environ.get("WT_SESSION") or os.environ.get("ANSICON") or os.environ.get("TERM"))


def visible(text: str) -> str:
    """``text`` with tabs as blanks and other control characters as pictures, so that none acts on the terminal."""
    if text.isprintable():
        return text
    return "".join(" " * TAB if character == "\t" else _picture(character) for character in text)


def _picture(character: str) -> str:
    code = ord(character)
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "\u2421"
    return "\ufffd" if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp") else character


def width(text: str) -> int:
    """Terminal columns that visible text takes."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(character) else 2 if unicodedata.east_asian_width(character) in "WF" else 1
        for character in text
    )
