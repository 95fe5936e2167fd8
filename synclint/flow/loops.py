"""Loops whose body is a step: over the batches of a data loader, or around a step of training or decoding."""

from __future__ import annotations

import ast
from bisect import bisect_left
from collections.abc import Iterator

from synclint.finding import Heat
from synclint.flow.conventions import names_loader
from synclint.flow.regions import Region
from synclint.index.build import flat
from synclint.index.names import dotted_name
from synclint.source import Source

Loop = ast.For | ast.AsyncFor | ast.While
_LOOPS = (ast.For, ast.AsyncFor, ast.While)

_STEPS = (b".training_step(", b".train_step(", b".execute_model(", b"optimizer.step(", b".backward(")
_WRAPS = frozenset(("enumerate", "tqdm", "zip", "iter", "track", "prefetch", "islice", "progress_bar", "trange"))


class Loops:
    """The loops of a file."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._steps = sorted(_places(source.data))

    def region(self, loop: Loop) -> Region | None:
        """The region of a loop's body, where that is a step; of several around a step, the innermost."""
        if not isinstance(loop, ast.While):
            name = _iterated(loop.iter)
            if name is not None and names_loader(name):
                return Region(Heat.HOT, f"runs for every batch of `{name}`", loop.lineno)
        if not self._steps:
            return None
        steps = self._within(loop)
        if steps:
            inner = [place for one in flat(loop.body) if isinstance(one, _LOOPS) for place in self._within(one)]
            for place, name in steps:
                if (place, name) not in inner:
                    return Region(Heat.HOT, f"runs for every step: the loop calls `{name}`", loop.lineno)
        return None

    def any_in(self, function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
        """Whether a function has a loop whose body is a step."""
        return any(isinstance(one, _LOOPS) and self.region(one) is not None for one in flat(function.body))

    def _within(self, node: ast.stmt) -> list[tuple[int, str]]:
        start, end = self._source.span(node)
        return self._steps[bisect_left(self._steps, (start, "")) : bisect_left(self._steps, (end, ""))]


def _places(data: bytes) -> Iterator[tuple[int, str]]:
    for text in _STEPS:
        place = data.find(text)
        while place >= 0:
            yield place, text.decode().strip(".(")
            place = data.find(text, place + 1)


def _iterated(node: ast.expr) -> str | None:
    """The last name of what a loop runs over, ``enumerate`` and its like taken off."""
    while isinstance(node, ast.Call):
        name = (dotted_name(node.func) or "").rpartition(".")[2]
        if name not in _WRAPS or not node.args:
            return name
        node = node.args[0]
    return (dotted_name(node) or "").rpartition(".")[2] or None
