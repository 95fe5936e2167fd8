"""SYN402: cached memory is given back to the driver while the program runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from synclint.lint import Context, Invalid, Report, Rule, Valid
from synclint.lint.wording import shown

if TYPE_CHECKING:
    from synclint.lint import Site


class AllocatorRelease(Rule):
    """
    ## What it does

    Finds `torch.cuda.empty_cache()` and `torch.accelerator.empty_cache()` in code that runs often.

    ## Why it waits

    Every cached block is freed with `cudaFree`, which waits for the device; and what is allocated next must ask the
    driver again with `cudaMalloc`, which may wait, too. The memory that tensors use does not become less.

    ## Example

    ## Use instead

    Leave the memory to the allocator, which reuses it. Against fragmentation, set
    `PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True`, or allocate the largest buffers once.

    ## Fix safety

    No fix is offered: another process on the device may need the memory.

    ## When it is fine

    After loading or unloading a model, after an out-of-memory error, before memory is measured, or before another
    process or library allocates: code that runs once. Mark others with `# synclint: ignore[allocator-release]` and the
    reason.

    ## Evidence

    Facts: `empty-cache`. Read in source, seen on the simulated device, not yet measured on a GPU.
    """

    code = "SYN402"
    name = "allocator-release"
    facts = frozenset({"empty-cache"})

    VALID = (
        Valid(
            code="""
            import torch

            def load_model(n: int) -> torch.Tensor:
                weights = torch.ones(n, device="cuda")
                torch.cuda.empty_cache()
                return weights
            """,
            run="load_model(2)",
            event="sync",
            note="once, while loading",
        ),
    )
    INVALID = (
        Invalid(
            code="""
            import torch

            def training_step(x: torch.Tensor) -> torch.Tensor:
                loss = (x * x).sum()
                torch.cuda.empty_cache()
                return loss
            """,
            lines=(5,),
            event="sync",
            run="training_step(torch.ones(2, device='cuda'))",
        ),
    )

    def judge(self, site: Site, context: Context) -> Report | None:
        text = shown(context, site.node, "`empty_cache()`")
        message = f"{text} frees every cached block: the host waits for the device, and later allocations start anew"
        return Report(message, "leave the memory to the allocator, which reuses it")
