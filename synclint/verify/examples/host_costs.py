"""Sees what waits for nothing but costs time on the host: CPU tensors that are read one number at a time."""

from __future__ import annotations

import sys
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType


@contextmanager
def host_costs(path: str) -> Iterator[Counter[int]]:
    """Counts, by line of the file at ``path``, the numbers that are read out of CPU tensors inside."""
    found: Counter[int] = Counter()
    with _Reads(path, found):
        yield found


class _Reads(TorchDispatchMode):  # type: ignore[no-untyped-call]
    def __init__(self, path: str, found: Counter[int]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._path = path
        self._found = found

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function is torch.ops.aten._local_scalar_dense.default and args[0].device.type == "cpu":
            line = self._line()
            if line is not None:
                self._found[line] += 1
        return function(*args, **(kwargs or {}))

    def _line(self) -> int | None:
        """The line that the file is at, in its innermost frame."""
        frame: FrameType | None = sys._getframe(1)
        while frame is not None and frame.f_code.co_filename != self._path:
            frame = frame.f_back
        return None if frame is None else frame.f_lineno
