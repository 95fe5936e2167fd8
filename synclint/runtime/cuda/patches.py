"""Functions of torch replaced for a while, and put back."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Callable


class Patches:
    """Wraps attributes of modules and classes; :meth:`restore` puts all of them back, the last first.

    A wrapper hands over to the original while torch compiles: what it traces must not change.
    """

    def __init__(self) -> None:
        self._before: list[tuple[Any, str, Any, Any]] = []

    def wrap(
        self, owner: Any, name: str, around: Callable[[Callable[..., Any], tuple[Any, ...], dict[str, Any]], Any]
    ) -> None:
        """Replace ``owner.name`` by a function that calls ``around(original, arguments, keywords)``."""
        original = getattr(owner, name)
        own = vars(owner).get(name)

        @functools.wraps(original)
        def wrapper(*arguments: Any, **keywords: Any) -> Any:
            if torch.compiler.is_compiling():
                return original(*arguments, **keywords)
            return around(original, arguments, keywords)

        self._before.append((owner, name, own, wrapper))
        setattr(owner, name, wrapper)

    def restore(self) -> None:
        """Leaves alone what somebody else has replaced since."""
        while self._before:
            owner, name, own, wrapper = self._before.pop()
            if vars(owner).get(name) is not wrapper:
                continue
            if own is None:
                delattr(owner, name)
            else:
                setattr(owner, name, own)
