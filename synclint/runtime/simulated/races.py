"""Race mode."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from synclint.runtime.recorder import Recorder
    from synclint.runtime.simulated.operator import Operator


class Races:
    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    def start(self) -> None: ...
    def stop(self) -> None: ...
    def before(self, operator: Operator, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None: ...
    def after(self, operator: Operator, args: tuple[Any, ...], kwargs: Mapping[str, Any], result: Any) -> None: ...
    def host_waits(self, direction: str, stream: int) -> None: ...
    def now(self, stream: int) -> dict[int, int]:
        return {}

    def order(self, clock: dict[int, int], stream: int) -> None: ...
    def host_knows(self, clock: dict[int, int]) -> None: ...
