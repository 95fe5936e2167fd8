"""Sparse COO tensors: indices and values are CUDA tensors; operators run on a sparse CPU twin."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from synclint.runtime.simulated import state, waits
from synclint.runtime.simulated.aliases import CPU, CUDA, as_cpu, as_cuda

_KERNELS = torch._C.DispatchKeySet(torch._C.DispatchKey.SparseCPU)
_aten = torch.ops.aten

_METADATA = frozenset(
    """
    _indices _values indices values _nnz sparse_dim dense_dim _dimI _dimV is_coalesced _coalesced_
    _sparse_coo_tensor_with_dims_and_tensors _sparse_coo_tensor_with_dims
    """.split()
)
"""They touch metadata alone, and run on the tensor itself."""


def sparse_as_cpu(tensor: Tensor) -> Tensor:
    return torch.sparse_coo_tensor(
        as_cpu(_aten._indices.default.redispatch(_KERNELS, tensor)),
        as_cpu(_aten._values.default.redispatch(_KERNELS, tensor)),
        tensor.shape,
        is_coalesced=_aten.is_coalesced.default.redispatch(_KERNELS, tensor),
        check_invariants=False,
    )


def sparse_as_cuda(tensor: Tensor) -> Tensor:
    made = _aten._sparse_coo_tensor_with_dims_and_tensors.default.redispatch(
        _KERNELS,
        tensor.sparse_dim(),
        tensor.dense_dim(),
        list(tensor.shape),
        as_cuda(tensor._indices()),
        as_cuda(tensor._values()),
        dtype=tensor.dtype,
        layout=torch.sparse_coo,
        device=CUDA,
    )
    return _aten._coalesced_.default.redispatch(_KERNELS, made, tensor.is_coalesced())  # type: ignore[no-any-return]


def kernel(op: Any) -> Callable[..., Any]:
    """The function for the dispatcher."""
    base = op._schema.name.partition("::")[2]
    name = f"aten::{base}.{op._schema.overload_name}" if op._schema.overload_name else f"aten::{base}"
    questions = waits.questions_of(name, [one.name for one in op._schema.arguments])

    def on_sparse_cuda(*args: Any, **kwargs: Any) -> Any:
        simulation = state.running()
        if base in _METADATA:
            return op.redispatch(_KERNELS, *args, **kwargs)
        if op._schema.is_mutable:
            raise simulation.refuse(f"{name} for sparse tensors")
        simulation.operators += 1
        if questions is not None:
            waits.tell(simulation, name, questions, args, kwargs)
        return _compute(op, args, kwargs)

    return on_sparse_cuda


def _compute(op: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    device = kwargs.get("device")
    to_host = device is not None and device.type == "cpu"
    result = op(*[_host(one) for one in args], **{name: _host(one) for name, one in kwargs.items()})
    return result if to_host else _device(result)


def _host(value: Any) -> Any:
    if isinstance(value, Tensor):
        if not value.is_cuda:
            return value
        return sparse_as_cpu(value) if value.is_sparse else as_cpu(value)
    if isinstance(value, (list, tuple)):
        return [_host(one) for one in value]
    return CPU if isinstance(value, torch.device) and value.type == "cuda" else value


def _device(value: Any) -> Any:
    if isinstance(value, Tensor):
        return as_cuda(value)
    if isinstance(value, (list, tuple)):
        return type(value)(_device(one) for one in value)
    return value
