"""Attributes that are replaced while a simulation runs, and put back exactly."""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import Any

_ABSENT = object()


class Patches:
    """What was replaced, in order."""

    def __init__(self) -> None:
        self._undo: list[Callable[[], object]] = []

    def set(self, owner: Any, name: str, value: Any) -> None:
        """Replaces an attribute; an inherited one is hidden."""
        before = vars(owner).get(name, _ABSENT)
        setattr(owner, name, _distinct(value))
        if before is _ABSENT:
            self._undo.append(lambda: delattr(owner, name))
        else:
            self._undo.append(lambda: setattr(owner, name, before))

    def set_entry(self, table: dict[Any, Any], key: Any, value: Any) -> None:
        """Adds an entry that a table does not have."""
        table[key] = value
        self._undo.append(lambda: table.pop(key, None))

    def set_by(self, setter: Callable[[Any], object], before: Any, value: Any) -> None:
        """Changes a setting that a function sets."""
        setter(value)
        self._undo.append(lambda: setter(before))

    def restore(self) -> None:
        while self._undo:
            self._undo.pop()()


def _distinct(value: Any) -> Any:
    """A copy of a function: torch._dynamo keeps tables by identity, and refuses one function under two names."""
    if not isinstance(value, FunctionType):
        return value
    copy = FunctionType(value.__code__, value.__globals__, value.__name__, value.__defaults__, value.__closure__)
    copy.__kwdefaults__ = value.__kwdefaults__
    copy.__dict__.update(value.__dict__)
    return copy
