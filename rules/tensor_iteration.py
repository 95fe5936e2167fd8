"""SYN206: Python goes through a device tensor and looks at each element."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from synclint.lint import Context, Invalid, Report, Rule, Valid
from synclint.lint.wording import shown, written

if TYPE_CHECKING:
    from synclint.lint import Site


class TensorIteration(Rule):
    """
    ## What it does

    Finds loops over a device tensor whose elements are used as numbers (`for h, w in sizes: torch.zeros(h, w)`), the
    builtins `max`, `min`, `sorted`, `any` and `all` over one, and `x in tensor`.

    ## Why it waits

    The loop itself only gives views. Each element that is then used as a number, or compared, is read by the host:
    `aten::_local_scalar_dense` copies it with `cudaMemcpyAsync` and waits in `cudaStreamSynchronize`, for every element
    anew.

    ## Example

    ## Use instead

    - `for h, w in sizes.tolist():` waits once. Where the host had the numbers before, it need not wait at all.
    - `x.max()`, `x.min()`, `x.sort()`, `x.any()`, `x.all()` stay on the device; `(x == element).any()` is a tensor that
      need not be read.

    ## Fix safety

    No fix is offered.

    ## When it is fine

    A loop over the rows of a tensor that uses them as tensors does not wait, nor do `list(x)`, `zip(x, y)`, `unbind()`
    and `sum(x)`.

    ## Evidence

    Facts: `tensor-elements`. Read in source, seen on the simulated device, not yet measured on a GPU.
    """

    code = "SYN206"
    name = "tensor-iteration"
    facts = frozenset({"tensor-elements"})

    VALID = (
        Valid(
            code="""
            import torch

            def rows(x: torch.Tensor):
                return [row * 2 for row in x], list(x), sum(x), [a + b for a, b in zip(x, x)], x.unbind()
            """,
            run="rows(torch.ones(4, 2, device='cuda'))",
            note="views of the rows",
        ),
        Valid(
            code="""
            import torch

            def extremes(n: int):
                lengths = torch.arange(n)
                return max(lengths), min(lengths), 2 in lengths, max(n, 3)
            """,
            run="extremes(4)",
            note="in host memory",
        ),
    )
    INVALID = (
        Invalid(
            code="""
            import torch

            def grids(n: int):
                sizes = torch.ones(n, 2, dtype=torch.int64, device="cuda")
                found = []
                for h, w in sizes:
                    found.append(torch.ones(h, w).sum())
                return found
            """,
            lines=(6,),
            at=(7,),
            event="sync",
            run="grids(3)",
        ),
        Invalid(
            code="""
            import torch

            def positions(n: int):
                lengths = torch.arange(n, device="cuda")
                return torch.cat([torch.arange(length) for length in lengths.unbind()])
            """,
            lines=(5,),
            event="sync",
            run="positions(4)",
            note="in a comprehension",
        ),
        Invalid(
            code="""
            import torch

            def extremes(n: int):
                lengths = torch.arange(n, device="cuda")
                return max(lengths), sorted(lengths), any(x > 1 for x in lengths), 2 in lengths
            """,
            lines=(5, 5, 5, 5),
            event="sync",
            run="extremes(4)",
            note="builtins",
        ),
    )

    def judge(self, site: Site, context: Context) -> Report | None:
        node = site.arguments.get("self")
        tensor = shown(context, node, "a tensor on the accelerator")
        name = site.operation.partition("(")[0]
        if name == "iter":
            message = f"the elements of {tensor} are read as numbers, one by one: the host waits for each of them"
            return Report(
                message, f"loop over `{_listed(node, context)}`, which waits once, or over the host's own list"
            )
        if name == "in":
            message = f"`in` compares with {tensor}, which is on the accelerator, and reads the answer: the host waits"
            return Report(message, "keep `(tensor == element).any()` on the device, or ask a list or set of the host")
        message = f"`{name}` looks at the elements of {tensor}, which are on the accelerator: the host waits for each"
        if isinstance(site.node, ast.Call) and len(site.node.args) > 1:
            message = f"`{name}` compares {tensor}, which is on the accelerator, and reads the answer: the host waits"
        return Report(message, _HELP[name])


_HELP = {
    "max": "`torch.maximum(a, b)` and `x.max()` stay on the device",
    "min": "`torch.minimum(a, b)` and `x.min()` stay on the device",
    "sorted": "`x.sort()` stays on the device; `sorted(x.tolist())` waits once",
    "any": "`x.any()` stays on the device; read the answer once, if the host must know",
    "all": "`x.all()` stays on the device; read the answer once, if the host must know",
}


def _listed(node: ast.expr | None, context: Context) -> str:
    """``x.tolist()`` for ``x`` and for ``x.unbind()``."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "unbind":
        node = node.func.value
    return f"{written(context, node, 'tensor')}.tolist()"
