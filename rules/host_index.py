"""SYN103: a list, an array or a CPU tensor as the index of a device tensor."""

from __future__ import annotations

from typing import TYPE_CHECKING

from synclint.lint import Context, Invalid, Kind, Report, Rule, Valid
from synclint.lint.wording import shown, tensor_at, written

if TYPE_CHECKING:
    from synclint.lint import Site, Value


class HostIndex(Rule):
    """
    ## What it does

    Finds device tensors that are indexed with positions in host memory: a list, a NumPy array, or a CPU tensor, in
    what is read (`x[ids]`) and in what is assigned (`x[:, ids] = 0`).

    ## Why it waits

    The positions must be on the device before a kernel can use them. `expandTensors` copies them there with a blocking
    copy, `cudaMemcpyAsync` and then `cudaStreamSynchronize`: one for each such index, pinned or not. The host stands
    still until the stream has run up to there.

    ## Example

    ## Use instead

    - A slice, where the positions are contiguous: `x[a:b]`, a view.
    - Positions that are made on the device once and kept: a buffer, or `torch.arange(..., device=x.device)`.
    - `x[async_tensor_h2d(ids, device=x.device)]`: copied out of pinned memory, which nobody waits for.
    - `torch.stack((x[i], x[j]))` for two or three known positions.

    ## Fix safety

    No fix is offered.

    ## When it is fine

    Once per run. A mask on the host does not wait with torch 2.9 and later: its positions are found on the host and
    copied out of pinned memory. Numbers, slices, `None` and `...` need no copy at all.

    ## Evidence

    Facts: `host-positions-read`, `host-positions-assignment`, `host-mask-read`, `host-mask-assignment`. Read in source,
    seen on the simulated device, not yet measured on a GPU.
    """

    code = "SYN103"
    name = "host-index"
    facts = frozenset({"host-positions-read", "host-positions-assignment", "host-mask-read", "host-mask-assignment"})

    VALID = (
        Valid(
            code="""
            import torch

            def rows(x: torch.Tensor, start: int, i: int) -> list[torch.Tensor]:
                return [x[start : start + 2], x[i], x[None], x[..., 0], x[i, 0]]
            """,
            run="rows(torch.ones(4, 2, device='cuda'), 1, 2)",
            note="numbers and slices",
        ),
        Valid(
            code="""
            import torch

            def rows(x: torch.Tensor, count: int) -> torch.Tensor:
                return x[torch.arange(count, device="cuda")]
            """,
            run="rows(torch.ones(4, 2, device='cuda'), 2)",
            note="positions on the device",
        ),
        Valid(
            code="""
            import torch

            def rows(n: int, mask_cpu: torch.Tensor) -> torch.Tensor:
                return torch.ones(n, 2, device="cuda")[mask_cpu > 0]
            """,
            run="rows(4, torch.arange(4))",
            note="a mask on the host, with torch 2.9 and later",
        ),
        Valid(
            code="""
            import torch

            def host_rows(n: int) -> torch.Tensor:
                return torch.ones(n, 2)[[0, 1]]
            """,
            run="host_rows(4)",
            note="a tensor on the host",
        ),
    )
    INVALID = (
        Invalid(
            code="""
            import torch

            def ends(n: int):
                x = torch.arange(n, device="cuda")
                return x[[0, n - 1]]
            """,
            lines=(5,),
            event="sync",
            run="ends(4)",
        ),
        Invalid(
            code="""
            import numpy as np
            import torch

            def suppress(logits: torch.Tensor, ids: list[int]) -> torch.Tensor:
                logits[:, ids] = -float("inf")
                logits[:, np.array(ids)] = torch.zeros(2, device="cuda")
                return logits
            """,
            lines=(5, 6),
            event="sync",
            run="suppress(torch.ones(2, 4, device='cuda'), [1, 2])",
            note="assignments, and arrays",
        ),
        Invalid(
            code="""
            import torch

            def chosen(n: int):
                order_cpu = torch.arange(n).flip(0)
                return torch.ones(n, 2, device="cuda")[order_cpu, 0]
            """,
            lines=(5,),
            event="sync",
            run="chosen(4)",
            note="a CPU tensor",
        ),
        Invalid(
            code="""
            import torch

            def kept(n: int):
                keep = torch.ones(n, dtype=torch.bool)
                return torch.ones(n, device="cuda")[keep]
            """,
            lines=(5,),
            event="none",
            run="kept(4)",
            settings=(("target-torch", "2.8"),),
            note="a mask on the host waits before torch 2.9 (this run is of a later one)",
        ),
    )

    def judge(self, site: Site, context: Context) -> Report | None:
        index = site.operands["index"]
        if index.kind is Kind.SEQUENCE and index.items == ():
            return None  # nothing is copied
        node = site.arguments.get("index")
        message = (
            f"{shown(context, node, 'the index')} is {_what(index)} in host memory: it is copied to the device to "
            f"index {tensor_at(context, site.operands['self'])}, and the host waits for that"
        )
        return Report(message, _help(index, written(context, node, "positions")))


def _what(index: Value) -> str:
    return {Kind.SEQUENCE: "a list", Kind.NDARRAY: "an array"}.get(index.kind, "a tensor")


def _help(index: Value, name: str) -> str:
    return (
        f"keep the positions on the device, take a slice where they are contiguous, or index with "
        f"`async_tensor_h2d({name}, device=...)`, which copies out of pinned memory"
    )
