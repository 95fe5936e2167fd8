"""SYN305: repeat_interleave that must add up its repeats first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from synclint.lint import Context, Invalid, Report, Rule, Valid
from synclint.lint.wording import shown, written

if TYPE_CHECKING:
    from synclint.lint import Site


class RepeatInterleave(Rule):
    """
    ## What it does

    Finds `torch.repeat_interleave(x, repeats)` and `x.repeat_interleave(repeats)` with `repeats` on the device and
    without `output_size`.

    ## Why it waits

    The result is as long as the repeats add up to, and the host must know that to allocate it. It reads the last
    element of their cumulative sum, and another number that says that none is negative: twice `cudaMemcpyAsync` and
    `cudaStreamSynchronize`.

    ## Example

    ## Use instead

    - `torch.repeat_interleave(x, repeats, output_size=total)` with the total as the host knows it: often it is the
      number of tokens, a shape. It must be right: a wrong one is an assertion on the device, which ends the process.
    - With repeats that are the same for all, a number: `x.repeat_interleave(2)` does not wait.
    - On the host, where the lengths came from, and one copy that nobody waits for.

    ## Fix safety

    No fix is offered.

    ## When it is fine

    Where the total must be known to the host anyway, once.

    ## Evidence

    Facts: `repeat-interleave-size`. Read in source, seen on the simulated device, not yet measured on a GPU.
    """

    code = "SYN305"
    name = "repeat-interleave"
    facts = frozenset({"repeat-interleave-size"})

    VALID = (
        Valid(
            code="""
            import torch

            def segments(x: torch.Tensor, lengths: torch.Tensor, total: int):
                return torch.repeat_interleave(x, lengths, output_size=total), x.repeat_interleave(2, dim=0)
            """,
            run="segments(torch.arange(2, device='cuda'), torch.tensor([1, 2], device='cuda'), 3)",
            note="the size is given, or a number says it",
        ),
        Valid(
            code="""
            import torch

            def segments(lengths: list[int]):
                return torch.arange(len(lengths)).repeat_interleave(torch.tensor(lengths))
            """,
            run="segments([1, 2])",
            note="on the host",
        ),
    )
    INVALID = (
        Invalid(
            code="""
            import torch

            def segments(lengths: torch.Tensor) -> torch.Tensor:
                ids = torch.arange(lengths.shape[0], device=lengths.device)
                return torch.repeat_interleave(ids, lengths)
            """,
            lines=(5,),
            event="sync",
            run="segments(torch.tensor([1, 2], device='cuda'))",
        ),
        Invalid(
            code="""
            import torch

            def segments(x: torch.Tensor, lengths: torch.Tensor):
                return x.repeat_interleave(repeats=lengths, dim=0), torch.repeat_interleave(lengths)
            """,
            lines=(4, 4),
            event="sync",
            run="segments(torch.ones(2, 3, device='cuda'), torch.tensor([1, 2], device='cuda'))",
            note="the other forms",
        ),
    )

    def judge(self, site: Site, context: Context) -> Report | None:
        repeats = site.arguments.get("repeats")
        text = shown(context, repeats, "the repeats")
        message = f"`repeat_interleave` adds up {text} on the device: the host waits for the size of the result"
        name = written(context, repeats, "repeats")
        return Report(message, f"pass `output_size`, the sum of `{name}`, where the host knows it")
