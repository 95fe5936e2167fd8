"""One table of this folder, parsed entry by entry: few of its entries are about what a file uses."""

from __future__ import annotations

import re
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FOLDER = Path(__file__).parent

Entry = TypeVar("Entry")

_BEFORE_HEADER = re.compile(r"^(?=\[\[\w+\]\][ \t]*$)", re.MULTILINE)
_WORD = re.compile(r"""[^\s'"]+""")


class Table(Generic[Entry]):
    """The entries of ``<name>.toml``.

    ``read`` makes entries of a text, the name of its file and the line of the file that the text starts in; it raises
    FactsError.
    """

    def __init__(self, name: str, read: Callable[[str, str, int], tuple[Entry, ...]]) -> None:
        self._file = f"{name}.toml"
        self._read = read
        self._text = (FOLDER / self._file).read_text(encoding="utf-8")
        self._parsed: dict[int, tuple[Entry, ...]] = {}

    def __iter__(self) -> Iterator[Entry]:
        for line, text, _ in self._parts:
            yield from self._entries(line, text)

    def about(self, word: str) -> Iterator[Entry]:
        """The entries that mention a word, in their order: all that are about it, and perhaps others."""
        if word in self._text:
            for line, text, words in self._parts:
                if word in words:
                    yield from self._entries(line, text)

    @cached_property
    def _parts(self) -> list[tuple[int, str, frozenset[str]]]:
        """The entries as text, each with the line that it starts in and the words that it is made of."""
        above, *texts = _BEFORE_HEADER.split(self._text)
        lines = accumulate((text.count("\n") for text in texts), initial=1 + above.count("\n"))
        return [(line, text, frozenset(_WORD.findall(text))) for line, text in zip(lines, texts, strict=False)]

    def _entries(self, line: int, text: str) -> tuple[Entry, ...]:
        if line not in self._parsed:
            self._parsed[line] = self._read(text, self._file, line)
        return self._parsed[line]
