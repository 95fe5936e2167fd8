"""The general kernel: what the operator does on CPU tensors over the same memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from synclint.runtime.simulated.aliases import CPU, as_cpu, as_cuda, set_storage
from synclint.runtime.simulated.state import running

if TYPE_CHECKING:
    from synclint.runtime.simulated.operator import Kernel, Operator

_NUMBERS = frozenset((int, float, bool, complex))
_HALF = (torch.float16, torch.bfloat16)


class Aliases:
    """The CPU twins of the tensors of one call, so that each tensor has one, and results find their way back."""

    __slots__ = ("misplaced", "mixed", "pairs")

    def __init__(self, mixed: bool = True) -> None:
        self.mixed = mixed
        self.pairs: list[tuple[Tensor, Tensor]] = []
        self.misplaced: Tensor | None = None

    def host(self, value: Any) -> Any:
        """The argument as the CPU operator takes it."""
        if isinstance(value, Tensor):
            if value.is_cuda:
                for twin, original in self.pairs:
                    if original is value:
                        return twin
                twin = as_cpu(value)
                self.pairs.append((twin, value))
                return twin
            if value.dim() and not self.mixed:
                self.misplaced = value
            return value
        if isinstance(value, (list, tuple)):
            return [self.host(one) for one in value]
        if isinstance(value, torch.device) and value.type == "cuda":
            if value.index:
                raise RuntimeError("CUDA error: invalid device ordinal (the simulated CUDA device is cuda:0 alone)")
            return CPU
        return value

    def device(self, value: Any) -> Any:
        """A result as the caller gets it: an argument is itself again, anything else a tensor on the device."""
        if isinstance(value, Tensor):
            for twin, original in self.pairs:
                if value is twin:
                    if twin.shape != original.shape:  # an out= argument was resized
                        set_storage(original, as_cuda(twin.clone()))
                    return original
            return as_cuda(value)
        return _mapped(value, self.device) if isinstance(value, (list, tuple)) else value


def general(operator: Operator, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    aliases = Aliases(operator.mixed)
    call = [aliases.host(one) for one in args]
    named = {name: aliases.host(one) for name, one in kwargs.items()}
    if aliases.misplaced is not None and aliases.pairs:
        raise RuntimeError(
            "Expected all tensors to be on the same device, but found at least two devices, cuda:0 and cpu! "
            f"(when checking argument in method {operator.name}, "
            f"cpu tensor of shape {tuple(aliases.misplaced.shape)})"
        )
    if "pin_memory" in named:
        named["pin_memory"] = None
    function = _callable(operator, call)
    if operator.outs:
        return _into(operator, function, call, named, kwargs)
    try:
        result = function(*call, **named)
    except (NotImplementedError, RuntimeError) as error:
        if isinstance(error, NotImplementedError) and "Could not run" in str(error):
            raise running().refuse(operator.name) from error
        if "not implemented for '" not in str(error) or operator.mutates:
            raise
        result = _wider(function, call, named, error)
    return aliases.device(result)


def _callable(operator: Operator, call: list[Any]) -> Any:
    """The overload, or all of them where a number stands for a tensor: numbers that torch wraps come as numbers."""
    for at in operator.tensors:
        if at < len(call) and call[at].__class__ in _NUMBERS:
            return operator.op.overloadpacket
    return operator.op


def _into(operator: Operator, function: Any, call: list[Any], named: dict[str, Any], kwargs: Mapping[str, Any]) -> Any:
    """``out=``: an alias cannot be resized, so a result of another size goes to new memory first."""
    outs = {name: kwargs[name] for name in operator.outs if isinstance(kwargs.get(name), Tensor)}
    fresh = [name for name, out in outs.items() if not out.numel()]
    for attempt in (1, 2):
        for name in fresh:
            named[name] = torch.empty(0, dtype=outs[name].dtype, device="cpu")
        try:
            function(*call, **named)
            break
        except RuntimeError as error:
            if attempt == 2 or "not resizable" not in str(error):
                raise
            fresh = list(outs)
    for name in fresh:
        set_storage(outs[name], as_cuda(named[name]))
    results = tuple(kwargs[name] for name in operator.outs)
    return results[0] if len(results) == 1 else results


def _wider(function: Any, call: list[Any], named: dict[str, Any], error: Exception) -> Any:
    """Computes in a dtype that the CPU kernel has, and rounds the result."""
    dtypes = [tensor.dtype for tensor in tensors_in([call, list(named.values())])]
    narrow = next((one for one in dtypes if one in _HALF), None)
    wide = torch.float32
    if narrow is None:
        integers = [one for one in dtypes if not one.is_floating_point and not one.is_complex]
        narrow = next((one for one in integers if one is not torch.bool), torch.bool if integers else None)
        wide = torch.uint8 if narrow is torch.bool else torch.float64
    if narrow is None:
        raise error

    def convert(value: Any, source: torch.dtype, target: torch.dtype) -> Any:
        if isinstance(value, Tensor):
            return value.to(target) if value.dtype is source else value
        if isinstance(value, (list, tuple)):
            return _mapped(value, lambda one: convert(one, source, target))
        return target if value is source else value

    result = function(*convert(call, narrow, wide), **convert_values(named, lambda one: convert(one, narrow, wide)))
    return convert(result, wide, narrow)


def convert_values(named: Mapping[str, Any], change: Any) -> dict[str, Any]:
    return {name: change(value) for name, value in named.items()}


def _mapped(values: Any, change: Any) -> Any:
    """The same kind of list or tuple (named ones included) with each item changed."""
    changed = [change(value) for value in values]
    return type(values)(*changed) if hasattr(values, "_fields") else type(values)(changed)


def tensors_in(value: Any) -> Iterator[Tensor]:
    """The tensors in nested lists and tuples."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (list, tuple)):
        for one in value:
            yield from tensors_in(one)


KERNELS: dict[str, Kernel] = {"": general}
