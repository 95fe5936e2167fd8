"""The fused cells of LSTM and GRU, which exist on CUDA alone, forward and backward."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from synclint.runtime.simulated.aliases import as_cuda
from synclint.runtime.simulated.compute import Aliases

if TYPE_CHECKING:
    from synclint.runtime.simulated.operator import Kernel, Operator


def lstm(operator: Operator, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[Tensor, Tensor, Tensor]:
    from_input, from_hidden, cell, input_bias, hidden_bias = _five(args, kwargs)
    gates = from_input + from_hidden
    if input_bias is not None:
        gates = gates + input_bias + hidden_bias
    enter, forget, candidate, leave = gates.chunk(4, -1)
    enter, forget, candidate, leave = enter.sigmoid(), forget.sigmoid(), candidate.tanh(), leave.sigmoid()
    new_cell = forget * cell + enter * candidate
    workspace = torch.cat([enter, forget, candidate, leave], -1)
    return as_cuda(leave * new_cell.tanh()), as_cuda(new_cell), as_cuda(workspace)


def lstm_backward(
    operator: Operator, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> tuple[Tensor, Tensor, Tensor | None]:
    aliases = Aliases()
    grad_hidden, grad_new_cell, cell, new_cell, workspace, has_bias = (aliases.host(one) for one in args)
    enter, forget, candidate, leave = workspace.chunk(4, -1)
    squashed = new_cell.tanh()
    if grad_hidden is None:
        grad_hidden = torch.zeros_like(new_cell)
    if grad_new_cell is None:
        grad_new_cell = torch.zeros_like(new_cell)
    grad_cell = grad_hidden * leave * (1 - squashed * squashed) + grad_new_cell
    grad_gates = torch.cat(
        [
            grad_cell * candidate * enter * (1 - enter),
            grad_cell * cell * forget * (1 - forget),
            grad_cell * enter * (1 - candidate * candidate),
            grad_hidden * squashed * leave * (1 - leave),
        ],
        -1,
    )
    bias = as_cuda(grad_gates.sum(0)) if has_bias else None
    return as_cuda(grad_gates), as_cuda(grad_cell * forget), bias


def gru(operator: Operator, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
    from_input, from_hidden, hidden, input_bias, hidden_bias = _five(args, kwargs)
    if input_bias is not None:
        from_input, from_hidden = from_input + input_bias, from_hidden + hidden_bias
    input_reset, input_update, input_new = from_input.chunk(3, -1)
    hidden_reset, hidden_update, hidden_new = from_hidden.chunk(3, -1)
    reset, update = (input_reset + hidden_reset).sigmoid(), (input_update + hidden_update).sigmoid()
    new = (input_new + reset * hidden_new).tanh()
    workspace = torch.cat([reset, update, new, hidden, hidden_new], -1)
    return as_cuda(new + update * (hidden - new)), as_cuda(workspace)


def gru_backward(
    operator: Operator, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> tuple[Tensor, Tensor, Tensor, Tensor | None, Tensor | None]:
    aliases = Aliases()
    grad, workspace, has_bias = (aliases.host(one) for one in args)
    reset, update, new, hidden, hidden_new = workspace.chunk(5, -1)
    grad_update = grad * (hidden - new) * update * (1 - update)
    grad_new = grad * (1 - update) * (1 - new * new)
    grad_reset = grad_new * hidden_new * reset * (1 - reset)
    grad_input = torch.cat([grad_reset, grad_update, grad_new], -1)
    grad_hidden = torch.cat([grad_reset, grad_update, grad_new * reset], -1)
    input_bias = as_cuda(grad_input.sum(0)) if has_bias else None
    hidden_bias = as_cuda(grad_hidden.sum(0)) if has_bias else None
    return as_cuda(grad_input), as_cuda(grad_hidden), as_cuda(grad * update), input_bias, hidden_bias


def _five(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> list[Any]:
    """The gates of input and hidden state, the state, and the two biases, which may be missing."""
    aliases = Aliases()
    given = [*args, *(kwargs.get(name) for name in ("input_bias", "hidden_bias")[len(args) - 3 :])]
    return [aliases.host(one) for one in given]


KERNELS: dict[str, Kernel] = {
    "_thnn_fused_lstm_cell": lstm,
    "_thnn_fused_lstm_cell_backward_impl": lstm_backward,
    "_thnn_fused_gru_cell": gru,
    "_thnn_fused_gru_cell_backward": gru_backward,
}
