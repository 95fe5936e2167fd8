"""What is known of one aten overload."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from synclint.runtime.simulated.waits import Question, questions_of

# Accept tensors in host memory beside those on the device.
_MIXED = frozenset(
    """
    _to_copy copy_ index.Tensor index.Tensor_out _index_put_impl_ _ctc_loss _ctc_loss.Tensor _cudnn_rnn
    _pack_padded_sequence _foreach_copy_ set_.source_Tensor lift_fresh tensor_split.tensor_indices_or_sections
    segment_reduce _fused_adam_ _fused_adam_.tensor_lr _fused_adamw_ _fused_adamw_.tensor_lr record_stream
    repeat_interleave.Tensor
    """.split()
)

Kernel = Callable[["Operator", tuple[Any, ...], Mapping[str, Any]], Any]


@dataclass(frozen=True, slots=True, eq=False)
class Operator:
    """An overload and its kernel. ``outs`` are its ``out=`` arguments, ``tensors`` the positions of single tensors.

    ``writes`` are the positions and the names of those that it writes to. ``questions`` are what the facts about
    its waits ask; None where no fact says that it waits.
    """

    op: Any
    name: str
    kernel: Kernel
    mixed: bool
    mutates: bool
    outs: tuple[str, ...]
    tensors: tuple[int, ...]
    writes: frozenset[int | str]
    questions: Question | None

    @classmethod
    def of(cls, op: Any, kernels: Mapping[str, Kernel]) -> Operator:
        schema = op._schema
        space, _, base = schema.name.partition("::")
        local = f"{base}.{schema.overload_name}" if schema.overload_name else base
        kernel = kernels.get(local) if space == "aten" else None
        return cls(
            op=op,
            name=f"{space}::{local}",
            kernel=kernel or kernels[""],
            mixed=space == "aten" and local in _MIXED,
            mutates=schema.is_mutable,
            outs=tuple(one.name for one in schema.arguments if one.is_out),
            tensors=tuple(
                at for at, one in enumerate(schema.arguments) if str(one.type) in ("Tensor", "Optional[Tensor]")
            ),
            writes=frozenset(
                key
                for at, one in enumerate(schema.arguments)
                if one.alias_info is not None and one.alias_info.is_write
                for key in (at, one.name)
            ),
            questions=questions_of(f"{space}::{local}", [one.name for one in schema.arguments]),
        )
