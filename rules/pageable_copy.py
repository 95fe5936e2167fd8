"""SYN501: a copy that is asynchronous in name only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from synclint.lint import Context, Invalid, Report, Rule, Valid
from synclint.lint.wording import shown

if TYPE_CHECKING:
    from synclint.lint import Site


class PageableCopy(Rule):
    """
    ## What it does

    Finds copies with `non_blocking=True` whose side on the host is not pinned, or is pinned but has gaps (columns of a
    larger buffer).

    ## Why it waits

    The device reads and writes pinned memory alone. Out of pageable memory the driver copies through a pinned buffer of
    its own, in stages, and the call may return only when the last of them was read; the stream is waited for where that
    buffer is full. A source with gaps is first gathered in a temporary, which is pageable.
    `torch.cuda.set_sync_debug_mode` does not see it.

    ## Example

    ## Use instead

    - Make the tensor in pinned memory: `torch.empty(n, pin_memory=True)`, `torch.tensor(data, pin_memory=True)`,
      `DataLoader(pin_memory=True)`. Pinned memory of which the copy is under way must not be written to.
    - `async_tensor_h2d(array, device=...)`, which pins first.
    - Of a strided part of a pinned buffer, a contiguous pinned copy.
    - Every operation gives new, pageable memory: `pinned + 1`, `torch.cat(...)`, `pinned[indices]`, and
      `pinned.t().contiguous()`. Pin last.

    ## Fix safety

    No fix is offered. Pinning makes the copy asynchronous indeed, and whoever wrote to the source right after it now
    has a race.

    ## When it is fine

    For a few numbers the driver is done before it would have to wait.

    ## Evidence

    Facts: `pageable-h2d-copy`, `pageable-h2d-copy-into`, `pageable-d2h-copy-into`, `strided-h2d-copy`,
    `strided-h2d-copy-into`, `strided-d2h-copy-into`. Documented by NVIDIA and read in source, seen on the simulated
    device, not yet measured on a GPU.
    """

    code = "SYN501"
    name = "pageable-copy"
    facts = frozenset(
        {
            "pageable-h2d-copy",
            "pageable-h2d-copy-into",
            "pageable-d2h-copy-into",
            "strided-h2d-copy",
            "strided-h2d-copy-into",
            "strided-d2h-copy-into",
        }
    )

    VALID = (
        Valid(
            code="""
            import torch

            def sent(data: list[int]) -> torch.Tensor:
                return torch.tensor(data, pin_memory=True).to("cuda", non_blocking=True)
            """,
            run="sent([1, 2])",
            note="pinned",
        ),
        Valid(
            code="""
            import torch

            class Buffer:
                def __init__(self, n: int, pin_memory: bool) -> None:
                    self.cpu = torch.zeros(n, pin_memory=pin_memory)

                def sent(self, n: int) -> torch.Tensor:
                    return self.cpu[:n].to("cuda", non_blocking=True)
            """,
            run="Buffer(4, True).sent(2)",
            note="pinned, where the program was told so",
        ),
        Valid(
            code="""
            import torch

            def moved(n: int) -> torch.Tensor:
                return torch.ones(n, device="cuda").to("cuda", non_blocking=True).to(torch.float16)
            """,
            run="moved(2)",
            note="nothing is copied from the host",
        ),
    )
    INVALID = (
        Invalid(
            code="""
            import numpy as np
            import torch

            def sent(n: int) -> torch.Tensor:
                starts = np.arange(n)
                return torch.from_numpy(starts).to("cuda", non_blocking=True)
            """,
            lines=(6,),
            event="pageable",
            run="sent(3)",
        ),
        Invalid(
            code="""
            import torch

            def sent(n: int):
                into = torch.empty(n, dtype=torch.int64, device="cuda")
                into.copy_(torch.arange(n, pin_memory=True) + 1, non_blocking=True)
                back = torch.empty(n, dtype=torch.int64)
                back.copy_(into, non_blocking=True)
                return into, back
            """,
            lines=(5, 7),
            event="pageable",
            run="sent(3)",
            note="what arithmetic gives is not pinned; both directions",
        ),
        Invalid(
            code="""
            import torch

            def sent(n: int):
                buffer = torch.ones(3, 8, pin_memory=True)
                return buffer[:, :n].to("cuda", non_blocking=True)
            """,
            lines=(5,),
            event="pageable",
            run="sent(4)",
            note="pinned, but with gaps",
        ),
    )

    def judge(self, site: Site, context: Context) -> Report | None:
        into = site.operation == "Tensor.copy_"
        side = "self" if not into or site.fact.id.endswith("d2h-copy-into") else "source"
        name = shown(context, site.arguments.get(side), "the tensor on the host")
        if site.fact.id.startswith("strided"):
            message = f"{name} has gaps: `non_blocking=True` copies it through pageable memory, and the host may wait"
            return Report(message, "gather it in a contiguous pinned buffer first, and copy that")
        message = f"{name} is not pinned: `non_blocking=True` is asynchronous in name only, and the host may wait"
        if site.fact.id.endswith("d2h-copy-into"):
            return Report(message, "copy into pinned memory, and wait for an event just before the values are read")
        return Report(message, _HELP)


_HELP = (
    "make it in pinned memory (`pin_memory=True`) or send it with `async_tensor_h2d`; then nobody may write to it "
    "before the copy has run"
)
