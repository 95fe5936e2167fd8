"""SYN304: a result whose size depends on the values in a device tensor."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from synclint.lint import Context, Invalid, Report, Rule, Valid
from synclint.lint.wording import shown, tensor_at

if TYPE_CHECKING:
    from synclint.lint import Site

_HELP = {
    "nonzero-size": "keep the mask and choose with `torch.where(mask, a, b)`, or bound the number of hits with "
    "`torch.nonzero_static(mask, size=n)`",
    "masked-select-size": "keep the shape with `torch.where(mask, x, 0)`",
    "unique-size": "sort and compare neighbours, which keeps the size, or find the values on the host",
    "unique-rows-size": "sort and compare neighbours, which keeps the size, or find the rows on the host",
    "bincount-size": "count with `zeros.scatter_add_(0, x, torch.ones_like(x))` into a tensor of the size that the "
    "host knows; `minlength` does not avoid the wait",
    "histc-range": "pass `min` and `max`",
    "isin-by-sorting": "look the elements up in a table of truth values, or compare: `(a[..., None] == b).any(-1)`",
    "sparse-size": "build the sparse tensor from indices and values that are on the device",
}


class DataDependentSize(Rule):
    """
    ## What it does

    Finds operations on device tensors whose result is as long as the values say: `nonzero`, `argwhere`, `torch.where`
    with one argument, `masked_select`, `unique`, `unique_consecutive`, `bincount`, `to_sparse`; and two that must know
    the values first: `histc` without a range, and `isin` among many elements.

    ## Why it waits

    The host allocates the result, and must read its size from the device before: a number is copied with
    `cudaMemcpyAsync` and waited for in `cudaStreamSynchronize`. `bincount` reads two.

    ## Example

    ## Use instead

    - Keep the mask, and the shape: `torch.where(mask, a, b)`, masked reductions.
    - Where the size, or a bound of it, is known: `torch.nonzero_static(mask, size=n)`, `scatter_add_` into a tensor of
      `n` counts, `histc` with `min` and `max`.
    - Sort and compare neighbours instead of `unique`: the first of each run is marked, the size stays.
    - On the host, where the data came from.

    ## Fix safety

    No fix is offered.

    ## When it is fine

    Where the size must be known to the host anyway, once.

    ## Evidence

    Facts: `nonzero-size`, `masked-select-size`, `unique-size`, `unique-rows-size`, `bincount-size`, `histc-range`,
    `isin-by-sorting`, `sparse-size`. Read in source, seen on the simulated device, not yet measured on a GPU.
    """

    code = "SYN304"
    name = "data-dependent-size"
    facts = frozenset(_HELP)

    VALID = (
        Valid(
            code="""
            import torch

            def chosen(x: torch.Tensor, n: int):
                counts = torch.zeros(n, dtype=torch.int64, device="cuda").scatter_add_(0, x, torch.ones_like(x))
                return torch.where(x > 0, x, 0), torch.nonzero_static(x, size=n), counts, x.float().histc(4, 0, 9)
            """,
            run="chosen(torch.arange(4, device='cuda'), 4)",
            note="sizes that the host knows",
        ),
        Valid(
            code="""
            import torch

            def on_host(n: int):
                x = torch.arange(n)
                return x.nonzero(), x.unique(), torch.where(x), x.bincount()
            """,
            run="on_host(4)",
            note="in host memory",
        ),
    )
    INVALID = (
        Invalid(
            code="""
            import torch

            def boundaries(ids: torch.Tensor) -> torch.Tensor:
                return (ids[1:] != ids[:-1]).nonzero().squeeze(1) + 1
            """,
            lines=(4,),
            event="sync",
            run="boundaries(torch.arange(4, device='cuda'))",
        ),
        Invalid(
            code="""
            import torch

            def sizes(x: torch.Tensor):
                a = torch.nonzero(x, as_tuple=True)
                b = torch.where(x > 0)[0]
                c = torch.argwhere(x)
                d = x.masked_select(x > 0)
                e = torch.unique(x)
                f = x.unique_consecutive()
                g = torch.bincount(x, minlength=9)
                h = x.float().histc(4)
                i = torch.unique(x.view(2, -1), dim=0)
                j = x.view(2, -1).to_sparse()
                return a, b, c, d, e, f, g, h, i, j
            """,
            lines=(4, 5, 6, 7, 8, 9, 10, 11, 12, 13),
            event="sync",
            run="sizes(torch.arange(4, device='cuda'))[:9]",
            note="every spelling",
        ),
    )

    def judge(self, site: Site, context: Context) -> Report | None:
        if site.operation.endswith(("unique", "unique_consecutive")) and (
            _has_dimension(site.node) is not (site.fact.id == "unique-rows-size")
        ):
            return None
        tensor = shown(context, site.arguments.get("self"), tensor_at(context, site.operands["self"]))
        message = (
            f"`{_called(site)}` of {tensor} must know its values: the host waits until the stream has run up to here"
        )
        return Report(message, _HELP[site.fact.id])


def _called(site: Site) -> str:
    function = site.node.func if isinstance(site.node, ast.Call) else None
    return function.attr if isinstance(function, ast.Attribute) else site.operation.rpartition(".")[2]


def _has_dimension(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and any(keyword.arg == "dim" for keyword in node.keywords)
