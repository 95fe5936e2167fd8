"""SYN205: a device tensor stands where Python or torch needs a number."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from synclint.lint import Context, Invalid, Report, Rule, Valid
from synclint.lint.wording import shown

if TYPE_CHECKING:
    from synclint.lint import Site


class TensorAsIndex(Rule):
    """
    ## What it does

    Finds device tensors that are read as numbers without a word: bounds of slices (`x[o[i] : o[i + 1]]`), an index
    without dimensions (`x[i]`, `list[i]`), `range(n)`, sizes (`torch.zeros(n)`, `x.view(n, -1)`, `x.split(n)`),
    repetitions (`[value] * n`).

    ## Why it waits

    Python asks the tensor for `__index__`, torch's argument parser asks it for its item: `aten::_local_scalar_dense`
    copies the number to the host with `cudaMemcpyAsync` and then waits in `cudaStreamSynchronize`, for each bound and
    each size.

    ## Example

    ## Use instead

    - The number that the host had before: keep the list of lengths next to the tensor of lengths.
    - All of them at once: `offsets = offsets.tolist()` before the loop waits once.
    - Without the number: a mask such as `torch.arange(longest, device=...) < n`, `index_select` with a tensor.

    ## Fix safety

    No fix is offered.

    ## When it is fine

    Once per run, or where a size must be known to the host.

    ## Evidence

    Facts: `tensor-as-number`. Read in source, seen on the simulated device, not yet measured on a GPU.
    """

    code = "SYN205"
    name = "tensor-as-index"
    facts = frozenset({"tensor-as-number"})

    VALID = (
        Valid(
            code="""
            import torch

            def pieces(x: torch.Tensor, lengths: list[int]):
                ends = torch.tensor(lengths).cumsum(0)
                return [x[end - length : end] for end, length in zip(ends.tolist(), lengths)], x.view(x.shape[0], -1)
            """,
            run="pieces(torch.ones(4, device='cuda'), [1, 3])",
            note="numbers of the host",
        ),
        Valid(
            code="""
            import torch

            def rows(x: torch.Tensor, ids: torch.Tensor):
                return x[ids], x[:, None], x.view(torch.int32)
            """,
            run="rows(torch.ones(4, 2, device='cuda'), torch.arange(2, device='cuda'))",
            note="positions on the device are not read",
        ),
    )
    INVALID = (
        Invalid(
            code="""
            import torch

            def pieces(x: torch.Tensor, n: int):
                ends = torch.arange(n, device="cuda").cumsum(0)
                found = []
                for i in range(n - 1):
                    found.append(x[ends[i] : ends[i + 1]])
                return found
            """,
            lines=(7, 7),
            event="sync",
            run="pieces(torch.ones(4, device='cuda'), 3)",
        ),
        Invalid(
            code="""
            import torch

            def sizes(x: torch.Tensor, names: list[str]):
                n = torch.arange(3, device="cuda").max()
                return (
                    torch.zeros(n),
                    x.view(n, -1),
                    x.reshape((n, 2)),
                    [0] * n,
                    names[n],
                    list(range(n)),
                    torch.arange(0, 1, 1 / n),
                    x.split(n),
                    x[n],
                )
            """,
            lines=(6, 7, 8, 9, 10, 11, 12, 13, 14),
            event="sync",
            run="sizes(torch.ones(4, device='cuda'), ['a', 'b', 'c'])",
            note="wherever a number is needed",
        ),
    )

    def judge(self, site: Site, context: Context) -> Report | None:
        if _is_element_of_loop(site, context):
            return None  # SYN206's
        tensor = shown(context, site.node, "a tensor on the accelerator")
        message = f"{tensor} stands where a number is needed: it is read from the device, and the host waits"
        return Report(message, _HELP)


_HELP = (
    "take the number from the host data that the tensor was made of, or read all of them at once with one `.tolist()` "
    "before they are used"
)


def _is_element_of_loop(site: Site, context: Context) -> bool:
    """Whether a loop over the tensor is reported for it."""
    if not isinstance(site.node, ast.Name):
        return False
    loops = [
        loop
        for other in context.sites
        if other.operation == "iter(Tensor)" and other.scope.node is site.scope.node
        for loop in ast.walk(other.statement)
        if isinstance(loop, (ast.For, ast.AsyncFor, ast.comprehension)) and loop.iter is other.node
    ]
    targets = [part for loop in loops for part in ast.walk(loop.target) if isinstance(part, ast.Name)]
    return any(part.id == site.node.id for part in targets)
