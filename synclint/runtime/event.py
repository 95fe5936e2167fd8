"""The one type of event that both back ends report."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from synclint.finding import Direction

if TYPE_CHECKING:
    from collections.abc import Mapping

    from synclint.facts.schema import Cause

Kind = Literal["sync", "pageable", "race"]
"""sync: the host waits. pageable: a copy that is asynchronous in name only, during which the driver may make the host
wait. race: memory is read or written before the copy that uses it is known to have run."""


class Frame(NamedTuple):
    """A line that was being executed; ``path`` is absolute."""

    path: str
    line: int
    function: str


@dataclass(frozen=True, slots=True)
class Event:
    """One wait (or race), or ``count`` like ones.

    ``operation`` is an aten overload (``aten::_to_copy``) or the Python name of what was called
    (``torch.cuda.synchronize``). ``user`` is the innermost frame outside torch and the standard library, ``project``
    the innermost one below the roots of the tracer; None where there was none. ``thread`` is the native thread id,
    ``stream`` the CUDA stream's handle (0 is the default stream). ``stall`` is how long the host stood, in seconds,
    over all ``count``; None where it was not measured. One with ``count`` 0 only adds its stall time to those before
    it that are like it. ``allowed`` is the reason given to ``allow_sync``, or empty.
    ``in_function``: the line to show is that of its function's definition, because a profiler told no more.
    """

    operation: str
    cause: Cause
    direction: Direction
    kind: Kind = "sync"
    detail: str = ""
    user: Frame | None = None
    project: Frame | None = None
    thread: int = 0
    stream: int = 0
    backward: bool = False
    capture: bool = False
    allowed: str = ""
    in_function: bool = False
    count: int = 1
    stall: float | None = None

    @property
    def frame(self) -> Frame | None:
        """The line to show: the project's, or else the innermost."""
        return self.project or self.user

    @property
    def like(self) -> tuple[object, ...]:
        """What like events have in common: all but thread, count and stall."""
        return (
            self.operation, self.cause, self.direction, self.kind, self.detail, self.user, self.project,
            self.stream, self.backward, self.capture, self.allowed, self.in_function,
        )  # fmt: skip

    def placed(
        self, user: Frame | None, project: Frame | None, *, backward: bool = False, in_function: bool = False
    ) -> Event:
        """The same event, at these frames."""
        return replace(self, user=user, project=project, backward=backward, in_function=in_function)

    def to_json(self) -> dict[str, Any]:
        """Plain data, fields with their default left out."""
        defaults = {name: field.default for name, field in self.__dataclass_fields__.items()}
        fields = asdict(self)
        fields["direction"] = self.direction.value
        return {name: value for name, value in fields.items() if value != defaults[name]}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Event:
        """The event of :meth:`to_json`. Raises TypeError, ValueError or KeyError where the data is not that."""
        values = dict(fields)
        values["direction"] = Direction(values["direction"])
        for name in ("user", "project"):
            if values.get(name) is not None:
                values[name] = Frame(*values[name])
        return cls(**values)

    def __str__(self) -> str:
        where = f"{self.frame.path}:{self.frame.line}" if self.frame else "no Python frame"
        said = f"{self.operation} ({self.cause}{', in backward' if self.backward else ''})"
        return f"{where}: {said}: {self.detail}" if self.detail else f"{where}: {said}"
