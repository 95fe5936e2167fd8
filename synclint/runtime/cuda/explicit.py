"""The waits that code asks for: ``torch.cuda.synchronize`` and the ``synchronize`` of streams and events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from synclint.runtime.cuda.patches import Patches

if TYPE_CHECKING:
    from collections.abc import Callable

    from synclint.runtime.cuda.watch import Watch


def wrap(patches: Patches, watch: Watch) -> None:
    """Records before the wait, so that ``no_sync()`` can raise instead of it."""

    def device(original: Callable[..., Any], arguments: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
        with watch.explicit("torch.cuda.synchronize", "device"):
            return original(*arguments, **keywords)

    def stream(original: Callable[..., Any], arguments: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
        handle = getattr(arguments[0], "cuda_stream", 0) if arguments else 0
        with watch.explicit("torch.cuda.Stream.synchronize", "stream", handle):
            return original(*arguments, **keywords)

    def event(original: Callable[..., Any], arguments: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
        with watch.explicit("torch.cuda.Event.synchronize", "event"):
            return original(*arguments, **keywords)

    patches.wrap(torch.cuda, "synchronize", device)
    patches.wrap(torch.cuda.Stream, "synchronize", stream)
    patches.wrap(torch.cuda.Event, "synchronize", event)
