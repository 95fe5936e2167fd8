"""Operators that only touch metadata: the CPU kernel runs on the CUDA tensor itself, so aliasing is torch's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from synclint.runtime.simulated.aliases import CPU_KERNELS

if TYPE_CHECKING:
    from synclint.runtime.simulated.operator import Kernel, Operator


def view(operator: Operator, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    return operator.op.redispatch(CPU_KERNELS, *args, **kwargs)


KERNELS: dict[str, Kernel] = dict.fromkeys(
    """
    as_strided view _reshape_alias unfold view_as_real view_as_complex is_set_to
    set_ set_.source_Storage set_.source_Storage_storage_offset set_.source_Tensor
    """.split(),
    view,
)
