"""Parts of a function that run more or less often than the function, or where a wait means something else."""

from __future__ import annotations

import ast
from typing import NamedTuple

from synclint.finding import Heat
from synclint.index.names import dotted_name

_PART_OF_A_LOOP = frozenset(("StopIteration", "StopAsyncIteration", "Empty", "GeneratorExit"))


class Region(NamedTuple):
    """How often a part of a function runs, why, and on which line that is said. ``firm``: whatever is around it."""

    heat: Heat
    text: str
    line: int
    firm: bool = False


def innermost(outer: Region | None, inner: Region | None) -> Region | None:
    """The region of what is in both: the inner one, but nothing lifts what is behind a guard."""
    if inner is None or (outer is not None and outer.heat < inner.heat and not inner.firm):
        return outer
    return inner


def handler(node: ast.ExceptHandler) -> Region | None:
    """The region of an ``except``: an error, unless the exception is how a loop ends."""
    caught = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
    names = [(dotted_name(one) or "").rpartition(".")[2] for one in caught if one is not None]
    if any(name in _PART_OF_A_LOOP for name in names):
        return None
    return Region(Heat.COLD, "only runs after an exception", node.lineno)


def context(dotted: str, line: int) -> Region | None:
    """The region of a ``with`` whose context manager is called by this canonical name."""
    if dotted not in ("torch.cuda.graph", "torch.cuda.graphs.graph"):
        return None
    return Region(Heat.HOT, "is captured into a CUDA graph, where a wait is an error", line, firm=True)


class DebugMode(NamedTuple):
    """What ``torch.cuda.set_sync_debug_mode`` does: from here on waits are meant, or are complained of."""

    meant: bool
    region: Region | None


def debug_mode(call: ast.Call) -> DebugMode | None:
    """The mode that a call of ``set_sync_debug_mode`` sets; None if it is no such call."""
    if not isinstance(call.func, ast.Attribute) or call.func.attr != "set_sync_debug_mode":
        return None
    argument = call.args[0] if call.args else call.keywords[0].value if call.keywords else None
    mode = argument.value if isinstance(argument, ast.Constant) else None
    if mode in (2, "error"):
        return DebugMode(
            False, Region(Heat.HOT, "runs where the sync debug mode makes a wait an error", call.lineno, True)
        )
    if mode in (1, "warn"):
        return DebugMode(False, Region(Heat.HOT, "runs where the sync debug mode warns of waits", call.lineno, True))
    return DebugMode(mode in (0, "default"), None)
