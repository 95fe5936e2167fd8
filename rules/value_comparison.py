"""SYN602: two tensors are compared, and the answer is a Python bool."""

from __future__ import annotations

from typing import TYPE_CHECKING

from synclint.lint import Context, Invalid, Report, Rule, Valid

if TYPE_CHECKING:
    from synclint.lint import Site


class ValueComparison(Rule):
    """
    ## What it does

    Finds `torch.equal` and `torch.allclose` (and the methods) on device tensors.

    ## Why it waits

    They give a Python bool, so the host reads the answer from the device: `cudaMemcpyAsync` and
    `cudaStreamSynchronize`. `torch.equal` need not where the shapes differ or both are the same memory.

    ## Example

    ## Use instead

    `(a == b).all()` and `torch.isclose(a, b).all()` are tensors that need not be read; compare shapes on the host. Or
    compare the host data that the tensors were made of.

    ## Fix safety

    No fix is offered.

    ## When it is fine

    In tests and in checks that only run while debugging, or once per run.

    ## Evidence

    Facts: `equal`, `allclose`. Read in source, seen on the simulated device, not yet measured on a GPU.
    """

    code = "SYN602"
    name = "value-comparison"
    facts = frozenset({"equal", "allclose"})

    VALID = (
        Valid(
            code="""
            import torch

            def same(a: torch.Tensor, b: torch.Tensor):
                return (a == b).all(), torch.isclose(a, b).all(), a.shape == b.shape
            """,
            run="same(torch.ones(2, device='cuda'), torch.ones(2, device='cuda'))",
            note="the answer stays on the device",
        ),
        Valid(
            code="""
            import torch

            def same(n: int):
                return torch.equal(torch.ones(n), torch.ones(n))
            """,
            run="same(2)",
            note="in host memory",
        ),
    )
    INVALID = (
        Invalid(
            code="""
            import torch

            def same(a: torch.Tensor, b: torch.Tensor):
                return torch.equal(a, b), a.allclose(b)
            """,
            lines=(4, 4),
            event="sync",
            run="same(torch.ones(2, device='cuda'), torch.zeros(2, device='cuda'))",
        ),
    )

    def judge(self, site: Site, context: Context) -> Report | None:
        name = site.operation.rpartition(".")[2]
        message = f"`{name}` reads its answer from the device: the host waits until the stream has run up to here"
        instead = "(a == b).all()" if name == "equal" else "torch.isclose(a, b).all()"
        return Report(
            message, f"keep `{instead}` on the device, or compare the host data that the tensors were made of"
        )
