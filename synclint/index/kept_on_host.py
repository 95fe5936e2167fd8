"""Names of data that a file keeps in host memory by an explicit flag: ``field("grid", keep_on_cpu=True)``."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from synclint.source import Source

_FLAGS = frozenset(("keep_on_cpu", "keep_on_host"))


def kept_on_host(source: Source) -> frozenset[str]:
    """The names, as keywords, keys or variables, that are given the result of a call with such a flag."""
    if not any(flag.encode() + b"=True" in source.data for flag in _FLAGS):
        return frozenset()
    return frozenset(_names(source.tree))


def _names(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg is not None and _keeps(node.value):
            yield node.arg
        elif isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant) and isinstance(key.value, str) and _keeps(value):
                    yield key.value
        elif isinstance(node, ast.Assign) and _keeps(node.value):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    yield target.id
                elif isinstance(target, ast.Subscript) and isinstance(target.slice, ast.Constant):
                    yield str(target.slice.value)


def _keeps(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and any(
        keyword.arg in _FLAGS and isinstance(keyword.value, ast.Constant) and keyword.value.value is True
        for keyword in node.keywords
    )
