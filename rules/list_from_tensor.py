"""SYN204: a device tensor is made a Python list."""

from __future__ import annotations

from typing import TYPE_CHECKING

from synclint.lint import Context, Invalid, Report, Rule, Valid
from synclint.lint.wording import shown, tensor_at

if TYPE_CHECKING:
    from synclint.lint import Site


class ListFromTensor(Rule):
    """
    ## What it does

    Finds `x.tolist()` where `x` is on the device.

    ## Why it waits

    `tensor_to_list` copies the whole tensor to the host, once, with `cudaMemcpyAsync` and then `cudaStreamSynchronize`:
    the host stands still until everything that was queued on the stream before has run. (That is one wait, where
    `.item()` for each element would be many.)

    ## Example

    ## Use instead

    - The list, the array or the CPU tensor that the tensor was made of: keep it next to the device tensor.
    - Several tensors at once: `torch.stack((a, b)).tolist()` waits once.
    - A copy that is read later: `copied = x.to("cpu", non_blocking=True)`, `event.record()`, other work, then
      `event.synchronize()` and `copied.tolist()`.

    ## Fix safety

    No fix is offered.

    ## When it is fine

    Where the numbers leave the device anyway, once per step: sampled tokens, results. Mark it with
    `# synclint: ignore[list-from-tensor]` and the reason.

    ## Evidence

    Facts: `list-read`. Read in source, seen on the simulated device, not yet measured on a GPU.
    """

    code = "SYN204"
    name = "list-from-tensor"
    facts = frozenset({"list-read"})

    VALID = (
        Valid(
            code="""
            import numpy as np
            import torch

            def sizes(n: int):
                return torch.arange(n).tolist(), np.arange(n).tolist()
            """,
            run="sizes(4)",
            note="in host memory",
        ),
    )
    INVALID = (
        Invalid(
            code="""
            import torch

            def split(x: torch.Tensor, lengths: torch.Tensor):
                return torch.split(x, lengths.tolist())
            """,
            lines=(4,),
            event="sync",
            run="split(torch.ones(4, device='cuda'), torch.tensor([1, 3], device='cuda'))",
        ),
        Invalid(
            code="""
            import torch

            def bounds(n: int):
                offsets = torch.arange(n, device="cuda").cumsum(0)
                return offsets[:-1].tolist(), offsets[1:].flatten().tolist()
            """,
            lines=(5, 5),
            event="sync",
            run="bounds(4)",
            note="two lists, two waits",
        ),
    )

    def judge(self, site: Site, context: Context) -> Report | None:
        tensor = shown(context, site.arguments.get("self"), tensor_at(context, site.operands["self"]))
        message = f"`.tolist()` copies {tensor} to the host, which waits until the stream has run up to here"
        return Report(message, _HELP)


_HELP = (
    "take the list that the tensor was made of, read several tensors at once with `torch.stack(...).tolist()`, or copy "
    "with `non_blocking=True` and an event and read it later"
)
