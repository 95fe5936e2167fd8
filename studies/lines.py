"""The waiting lines of installed libraries, and whether synclint reports them."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass, replace
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from synclint.runtime.codes import codes
from synclint.waits.linted import Linted
from synclint.waits.wait import waits_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from synclint.runtime.event import Event

LINES = Path(__file__).parent.parent / "fixtures" / "waiting_lines"
INSTALLED = "/site-packages/"


@dataclass(frozen=True, slots=True, order=True)
class WaitingLine:
    """A line of a library at which the host waited ``count`` times, for one operation and cause.

    ``path`` is relative to the folder that holds the package. ``rules`` speak of the operation, whoever calls it;
    ``reported`` are the codes that synclint reports about this line, whatever the confidence and the heat.
    """

    path: str
    line: int
    operation: str
    cause: str
    direction: str
    kind: str
    backward: bool
    count: int
    source: str
    rules: tuple[str, ...]
    reported: tuple[str, ...]


class Place(NamedTuple):
    """Below which folder a file is, and its path from there."""

    folder: str
    path: str

    @property
    def package(self) -> str:
        """The import name of the package; of the tests that some packages ship, none."""
        package, *folders, _ = self.path.split("/")
        return "" if {"test", "tests", "testing"} & {*folders} else package


def place(path: str) -> Place | None:
    """Where an installed library has the file; None for code that is not installed, such as tests."""
    before, found, after = path.rpartition(INSTALLED)
    return Place(before + found, after) if found and "/" in after else None


def waiting_lines(events: Iterable[Event], package: str) -> list[WaitingLine]:
    """The lines of a package (by its import name) that waited, sorted; the innermost line outside torch counts."""
    linted = Linted()
    counts: Counter[WaitingLine] = Counter()
    for wait in waits_of(replace(event, project=None) for event in events):
        event, where = wait.event, None if wait.event.user is None else place(wait.event.user.path)
        if event.user is None or where is None or where.package != package:
            continue
        reported, here = linted.codes(wait)
        line = WaitingLine(
            where.path, event.user.line, event.operation, event.cause, event.direction.value, event.kind,
            event.backward, 0, linted.line(wait), codes(event), reported if here else (),
        )  # fmt: skip
        counts[line] += event.count
    return sorted(replace(line, count=count) for line, count in counts.items())


def version_of(package: str) -> str:
    """The version of the distribution that an import name comes from."""
    try:
        return version(packages_distributions().get(package, [package])[0])
    except PackageNotFoundError as error:
        raise RuntimeError(f"{package} is not installed here: run this where the library's tests ran") from error


def as_json(line: WaitingLine) -> str:
    return json.dumps(asdict(line), separators=(", ", ": "))
