"""What a traced process is told, through its environment."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Mapping

    from synclint.runtime.tracer import BackendName

VARIABLE = "SYNCLINT_TRACE"


@dataclass(frozen=True, slots=True)
class Request:
    """How to trace. ``out`` is the folder for the traces, ``run`` begins the names of the files of one command.

    ``lines``: note which lines of the project are executed; None does so where it costs next to nothing (Python 3.12
    and later). ``prove`` names lines, by (path, line), that the behavioural oracle judges: on a GPU alone.
    """

    out: str
    run: str
    backend: BackendName = "auto"
    roots: tuple[str, ...] = ()
    races: bool = False
    pageable: bool = False
    stall_times: bool = False
    lines: bool | None = None
    prove: tuple[tuple[str, int], ...] = ()

    def to_text(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Request:
        """The request in an environment that holds one."""
        fields = json.loads(environment[VARIABLE])
        prove = tuple((str(path), int(line)) for path, line in fields["prove"])
        return cls(**{**fields, "roots": tuple(cast("list[str]", fields["roots"])), "prove": prove})
