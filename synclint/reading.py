"""Reading a file of a project: what it says to the others."""

from __future__ import annotations

from typing import NamedTuple

from synclint.flow.mentions import outline
from synclint.flow.module import ModuleFlow
from synclint.flow.outline import dump as dump_outline
from synclint.flow.pickled import dump
from synclint.flow.summary import Summary
from synclint.index.build import build
from synclint.index.records import ModuleRecord
from synclint.index.store import Entry, Known, Stamp
from synclint.source import Source, SourceError


class Task(NamedTuple):
    """A file to read: its absolute path, its path in the project, the dotted name of its module, its stamp."""

    file: str
    path: str
    module: str
    stamp: Stamp


def read_file(task: Task) -> Entry:
    """What one file says to the others; nothing when it cannot be parsed (which linting it reports)."""
    try:
        source = Source.read(task.file, shown=task.path)
        digest = source.digest
        record, summary = _learn(source, task)
        edges = dump_outline(outline(source, record))
    except (SourceError, RecursionError):
        digest, record, summary, edges = b"", ModuleRecord(task.path, task.module), Summary(), b""
    return Entry(
        task.path, Known(task.stamp, digest, task.module), dump(record), dump(summary), edges,
        sorted(summary.calls), sorted(owned(record)), sorted(waiting(summary)),
    )  # fmt: skip


def owned(record: ModuleRecord) -> set[tuple[str, str]]:
    """(attribute, class) of the attributes of all classes of a file, properties included."""
    return {
        (name, known.qualname)
        for known in record.classes.values()
        for name in (*known.attributes, *(name for name, method in known.methods.items() if method.is_property))
    }


def waiting(summary: Summary) -> set[str]:
    """The names of the functions of a file that wait for a parameter, or may hand it on to one that does."""
    return {qualname.rpartition(".")[2] for qualname in summary.waits}


def _learn(source: Source, task: Task) -> tuple[ModuleRecord, Summary]:
    if b"torch" not in source.data:
        return build(task.path, source.tree, task.module), Summary()
    flow = ModuleFlow(source, path=task.path, name=task.module)
    return flow.record, flow.summarise()
