"""What is imported within the functions of a file, by its text."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from synclint.index.names import imported_names
from synclint.index.records import ModuleRecord

_BLANK = b" \t"


def local_imports(data: bytes, record: ModuleRecord) -> Iterator[tuple[str, str]]:
    """(local name, dotted name) pairs of the ``from`` imports that are indented, where the module has no such name."""
    place = data.find(b" import ")
    while place >= 0:
        start = data.rfind(b"\n", 0, place) + 1
        line = data[start:place]
        if line[:1] in (b" ", b"\t") and line.lstrip(_BLANK).startswith(b"from "):
            end = data.find(b"\n", place)
            if data[place + 8 : place + 9] == b"(":
                end = data.find(b")", place) + 1
            for name, dotted in _read(data[start : end if end > 0 else len(data)], record.package):
                if not _binds(record, name):
                    yield name, dotted
        place = data.find(b" import ", place + 8)


def _read(text: bytes, package: str) -> list[tuple[str, str]]:
    try:
        (statement,) = ast.parse(text.strip(_BLANK)).body
    except (SyntaxError, ValueError):  # a part of a text, or more than one statement
        return []
    return imported_names(statement, package) if isinstance(statement, ast.ImportFrom) else []


def _binds(record: ModuleRecord, name: str) -> bool:
    return name in record.imports or name in record.functions or name in record.classes or name in record.bound
