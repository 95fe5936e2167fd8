"""Records and summaries as bytes. Loading them makes nothing but synclint's own plain data, whatever the bytes say."""

from __future__ import annotations

import io
import pickle
from typing import Any

_ALLOWED = {
    "synclint.finding": {"Applicability", "Confidence", "Direction", "Edit", "Finding", "Fix", "Heat", "Step"},
    "synclint.flow.origins": {"Attribute", "Called", "Defined", "Element", "Held", "Mixed", "Named", "Passed", "Super"},
    "synclint.flow.prospects": {"Prospect"},
    "synclint.flow.summary": {"Call", "Summary"},
    "synclint.flow.values": {"Dtype", "Kind", "Place", "Why", "_restored"},
    "synclint.flow.waiting": {"Handed", "Wait"},
    "synclint.index.records": {"ClassRecord", "FunctionRecord", "ModuleRecord", "Symbol"},
    "builtins": {"Ellipsis", "complex", "frozenset", "set"},
}


class _Loader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if name not in _ALLOWED.get(module, ()):
            raise pickle.UnpicklingError(f"{module}.{name} has no place here")
        return super().find_class(module, name)


def dump(data: object) -> bytes:
    return pickle.dumps(data, protocol=5)


def load(data: bytes) -> Any:
    """What :func:`dump` was given. Raises :class:`pickle.UnpicklingError`, or whatever other bytes lead to."""
    return _Loader(io.BytesIO(data)).load()
