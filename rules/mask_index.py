"""SYN301: a device tensor is indexed with a mask."""

from __future__ import annotations

from typing import TYPE_CHECKING

from synclint.lint import Context, Invalid, Report, Rule, Valid
from synclint.lint.wording import shown, tensor_at, written

if TYPE_CHECKING:
    from synclint.lint import Site


class MaskIndex(Rule):
    """
    ## What it does

    Finds `x[mask]`, read, where `mask` is a tensor of truth values on the device.

    ## Why it waits

    How many elements are picked is known on the device alone, and the host must know it to allocate the result. The
    mask is made positions with `nonzero`, which copies the count to the host with `cudaMemcpyAsync` and waits in
    `cudaStreamSynchronize`. Backward does so again.

    ## Example

    ## Use instead

    - Keep the shape: `torch.where(mask, x, 0)`, and `(x * mask).sum() / mask.sum()` instead of `x[mask].mean()`
      (`x.masked_fill(~mask, 0)` if `x` may hold infinities or NaN).
    - A mask that the host has: with torch 2.9 and later, `x[mask_cpu]` does not wait.
    - Where the count, or a bound of it, is known: `x[torch.nonzero_static(mask, size=n).squeeze(1)]`.
    - Find the positions once where several tensors are picked with one mask: `i = mask.nonzero().squeeze(1)`, then
      `x[i]`, `y[i]` wait no more.

    ## Fix safety

    No fix is offered.

    ## When it is fine

    Where the number of hits must be known to the host anyway. Positions, tensors of integers, are no masks and do not
    wait.

    ## Evidence

    Facts: `mask-read`. Read in source, seen on the simulated device, not yet measured on a GPU.
    """

    code = "SYN301"
    name = "mask-index"
    facts = frozenset({"mask-read"})

    VALID = (
        Valid(
            code="""
            import torch

            def chosen(x: torch.Tensor, limit: float):
                order = x.argsort()
                return x[order], torch.where(x > limit, x, 0.0), x[1:], x[None]
            """,
            run="chosen(torch.ones(4, device='cuda'), 0.5)",
            note="positions, and a choice that keeps the shape",
        ),
        Valid(
            code="""
            import torch

            def positive(x: torch.Tensor, mask_cpu: torch.Tensor):
                return x[mask_cpu], mask_cpu[mask_cpu]
            """,
            run="positive(torch.ones(4, device='cuda'), torch.ones(4, dtype=torch.bool))",
            note="the mask is on the host, with torch 2.9 and later",
        ),
    )
    INVALID = (
        Invalid(
            code="""
            import torch

            def positive(x: torch.Tensor) -> torch.Tensor:
                return x[x > 0]
            """,
            lines=(4,),
            event="sync",
            run="positive(torch.ones(4, device='cuda'))",
        ),
        Invalid(
            code="""
            import torch

            def split(x: torch.Tensor, ids: torch.Tensor, wanted: int):
                hits = torch.isin(ids, ids.new_full((1,), wanted)) & (ids >= 0)
                return x[hits], x[~hits, 0], ids.view(2, -1)[:, hits.view(2, -1)[0]]
            """,
            lines=(5, 5, 5),
            event="sync",
            run="split(torch.ones(4, 2, device='cuda'), torch.arange(4, device='cuda'), 2)",
            note="any expression that gives truth values, in any place",
        ),
        Invalid(
            code="""
            import torch

            class Pool(torch.nn.Module):
                def forward(self, hidden_states: torch.Tensor, attention_mask: torch.Tensor):
                    return [row[mask] for row, mask in zip(hidden_states, attention_mask)]
            """,
            lines=(5,),
            event="sync",
            run="Pool()(torch.ones(2, 4, device='cuda'), torch.ones(2, 4, dtype=torch.bool, device='cuda'))",
            note="a mask by its name",
        ),
    )

    def judge(self, site: Site, context: Context) -> Report | None:
        mask = shown(context, site.arguments.get("index"), "")
        what = shown(context, site.arguments.get("self"), tensor_at(context, site.operands["self"]))
        through = f"the mask {mask}" if mask else "a mask"
        message = f"indexing {what} with {through} counts the hits on the device: the host waits for the count"
        return Report(message, _help(site, context))


def _help(site: Site, context: Context) -> str:
    tensor = written(context, site.arguments.get("self"), "x")
    mask = written(context, site.arguments.get("index"), "mask")
    return (
        f"keep the shape with `torch.where({mask}, {tensor}, 0)`, index with a mask of the host (torch 2.9 and later), "
        "or find the positions once with `nonzero`"
    )
