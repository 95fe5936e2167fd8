"""The copies between host and device that code asks for: named for the callbacks, and those found out that are
asynchronous in name only.

A copy with ``non_blocking=True`` is asynchronous where the memory of the host is pinned and dense. Otherwise the driver
stages it, and may make the host wait; torch reports nothing. Copies that torch makes itself (an index, a list) do
not pass here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from synclint.finding import Direction
from synclint.runtime.cuda.calls import Call
from synclint.runtime.cuda.patches import Patches

if TYPE_CHECKING:
    from collections.abc import Callable

    from synclint.runtime.cuda.watch import Watch


class Copy(NamedTuple):
    """A copy between host and device: ``host`` is the tensor in host memory, None where torch makes a pinned one."""

    operation: str
    direction: Direction
    non_blocking: bool
    host: torch.Tensor | None
    staged: str = ""
    """Why the driver stages it even if ``host`` is pinned; empty where it does not."""


def wrap(patches: Patches, watch: Watch) -> None:
    """Wraps ``Tensor.to``, ``cuda``, ``cpu`` and ``copy_``."""
    for name, describe in (("to", _to), ("cuda", _cuda), ("cpu", _cpu), ("copy_", _copy_into)):
        patches.wrap(torch.Tensor, name, _around(describe, watch))


def _around(
    describe: Callable[[tuple[Any, ...], dict[str, Any]], Copy | None], watch: Watch
) -> Callable[[Callable[..., Any], tuple[Any, ...], dict[str, Any]], Any]:
    def around(original: Callable[..., Any], arguments: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
        copy = describe(arguments, keywords)
        if copy is None:
            return original(*arguments, **keywords)
        if not copy.non_blocking:
            with watch.named(Call(copy.operation, "blocking-copy", copy.direction)):
                return original(*arguments, **keywords)
        why = staged(copy)
        if why:
            watch.pageable(copy.operation, copy.direction, why)
        return original(*arguments, **keywords)

    return around


def staged(copy: Copy) -> str:
    """Why the driver stages a copy that was to be asynchronous; empty where it does not."""
    if copy.host is None:
        return ""
    if not copy.host.is_pinned():
        return "the tensor in host memory is not pinned"
    return copy.staged


def to_copy(tensor: torch.Tensor, device: torch.device | None, non_blocking: bool) -> Copy | None:
    """What ``tensor.to(device)`` copies between host and device, if anything."""
    if device is None or device.type == tensor.device.type or tensor.numel() == 0 or tensor.layout != torch.strided:
        return None
    if tensor.device.type == "cpu" and device.type == "cuda":
        # The copy keeps the strides of dense memory; of memory with holes torch makes a dense temporary first.
        gaps = "" if _dense(tensor) else "its elements lie apart: torch copies it to memory that is not pinned first"
        return Copy("aten::_to_copy", Direction.H2D, non_blocking, tensor, gaps)
    if tensor.device.type == "cuda" and device.type == "cpu":
        return Copy("aten::_to_copy", Direction.D2H, non_blocking, None)
    return None


def _to(arguments: tuple[Any, ...], keywords: dict[str, Any]) -> Copy | None:
    keywords = {name: value for name, value in keywords.items() if name != "copy"}
    if "other" in keywords:
        keywords["tensor"] = keywords.pop("other")
    first = arguments[1] if len(arguments) > 1 else None
    before_copy = 3 if isinstance(first, torch.dtype | torch.Tensor) else 4  # the next positional one is ``copy``
    try:
        device, _, non_blocking, _ = torch._C._nn._parse_to(*arguments[1:before_copy], **keywords)
    except (TypeError, RuntimeError):  # not a call that Tensor.to takes: the original says so
        return None
    return to_copy(arguments[0], device, non_blocking)


def _cuda(arguments: tuple[Any, ...], keywords: dict[str, Any]) -> Copy | None:
    given = dict(zip(("device", "non_blocking"), arguments[1:], strict=False)) | keywords
    return to_copy(arguments[0], torch.device("cuda"), bool(given.get("non_blocking", False)))


def _cpu(arguments: tuple[Any, ...], keywords: dict[str, Any]) -> Copy | None:
    return to_copy(arguments[0], torch.device("cpu"), False)


def _copy_into(arguments: tuple[Any, ...], keywords: dict[str, Any]) -> Copy | None:
    given = dict(zip(("src", "non_blocking"), arguments[1:], strict=False)) | keywords
    target, source = arguments[0], given.get("src")
    if not isinstance(source, torch.Tensor) or target.numel() == 0:
        return None
    if source.layout != torch.strided or target.layout != torch.strided:
        return None
    places = (source.device.type, target.device.type)
    if places not in (("cpu", "cuda"), ("cuda", "cpu")):
        return None
    host, direction = (source, Direction.H2D) if places[0] == "cpu" else (target, Direction.D2H)
    same_order = source.stride() == target.stride() and _dense(source)
    alike = source.shape == target.shape and (same_order or (source.is_contiguous() and target.is_contiguous()))
    differ = "" if alike else "source and target are laid out differently: torch goes through memory that is not pinned"
    return Copy("aten::copy_", direction, bool(given.get("non_blocking", False)), host, differ)


def _dense(tensor: torch.Tensor) -> bool:
    """Whether the elements fill their memory without gaps or overlaps, in any order."""
    expected = 1
    for stride, size in sorted(zip(tensor.stride(), tensor.size(), strict=True)):
        if size != 1:
            if stride != expected:
                return False
            expected *= size
    return True
