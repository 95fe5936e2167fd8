"""SYN302: values of the device are assigned through a mask."""

from __future__ import annotations

from typing import TYPE_CHECKING

from synclint.lint import Context, Invalid, Kind, Report, Rule, Valid
from synclint.lint.wording import shown, written

if TYPE_CHECKING:
    from synclint.lint import Site


class MaskAssignment(Rule):
    """
    ## What it does

    Finds `x[mask] = values` where `mask` is a tensor of truth values on the device and `values` a tensor, and
    `x[mask] += values` and the like, which both read and assign through the mask.

    ## Why it waits

    The values are handed out to the positions of the hits, and how many there are is known on the device alone. The
    mask is made positions with `nonzero`, which copies the count to the host with `cudaMemcpyAsync` and waits in
    `cudaStreamSynchronize`. One number is filled in without that: `x[mask] = 0.0` does not wait.

    ## Example

    ## Use instead

    - One value for each element of `x`, or one for all: `x = torch.where(mask, values, x)`.
    - One value for each hit, in order: `x.masked_scatter_(mask, values)`, with the mask in the shape of `x`
      (`mask.unsqueeze(-1).expand_as(x)`), values of the dtype of `x`, and no fewer than there are hits. More are
      silently ignored.
    - `x[mask] *= y[mask]`: `x = torch.where(mask, x * y, x)`.
    - A mask that the host has: with torch 2.9 and later `x[mask_cpu] = values` does not wait.

    ## Fix safety

    No fix is offered.

    ## When it is fine

    Where the number of hits must be known to the host anyway.

    ## Evidence

    Facts: `mask-assignment`. Read in source, seen on the simulated device, not yet measured on a GPU.
    """

    code = "SYN302"
    name = "mask-assignment"
    facts = frozenset({"mask-assignment"})

    VALID = (
        Valid(
            code="""
            import torch

            def clipped(x: torch.Tensor):
                x[x > 1] = 1.0
                x[:, x[0] < 0] = 0
                return torch.where(x > 0, x * 2, x)
            """,
            run="clipped(torch.ones(2, 4, device='cuda'))",
            note="one number is filled in",
        ),
        Valid(
            code="""
            import torch

            def placed(x: torch.Tensor, values: torch.Tensor):
                x[x.argsort()] = values
                x.masked_scatter_(x > 0, values)
                return x
            """,
            run="placed(torch.ones(4, device='cuda'), torch.ones(4, device='cuda'))",
            note="positions, and values in order",
        ),
    )
    INVALID = (
        Invalid(
            code="""
            import torch

            def placed(x: torch.Tensor, values: torch.Tensor):
                x[x > 0] = values
                return x
            """,
            lines=(4,),
            event="sync",
            run="placed(torch.ones(4, device='cuda'), torch.ones(4, device='cuda'))",
        ),
        Invalid(
            code="""
            import torch

            def penalized(logits: torch.Tensor, penalties: torch.Tensor):
                logits[logits > 0] /= penalties.mean()
                logits[logits <= 0] = torch.zeros((), device="cuda")
                return logits
            """,
            lines=(4, 5),
            event="sync",
            run="penalized(torch.ones(4, 2, device='cuda')[:, 0], torch.ones(4, device='cuda'))",
            note="in place, and one value that is on the device",
        ),
    )

    def judge(self, site: Site, context: Context) -> Report | None:
        value = site.operands.get("value")
        if value is None or value.kind is Kind.HOST:
            return None
        mask = shown(context, site.arguments.get("index"), "")
        through = f"the mask {mask}" if mask else "a mask"
        message = f"assigning tensors through {through} counts the hits on the device: the host waits for the count"
        name = written(context, site.arguments.get("index"), "mask")
        tensor = written(context, site.arguments.get("self"), "x")
        return Report(
            message,
            f"choose with `torch.where({name}, ..., {tensor})`, or write with "
            f"`{tensor}.masked_scatter_(mask, values)`, whose mask has the shape of `{tensor}`",
        )
