"""SYN601: linear algebra whose success the host checks."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from synclint.lint import Context, Invalid, Report, Rule, Valid
from synclint.lint.wording import shown, tensor_at

if TYPE_CHECKING:
    from synclint.lint import Site


class LinalgCheck(Rule):
    """
    ## What it does

    Finds functions of `torch.linalg` on device tensors that look at the outcome on the host: `inv`, `solve`,
    `cholesky`, `lu_factor` and their kin, and the decompositions `svd`, `eigh`, `eig`, `lstsq`, `pinv`, `matrix_rank`.

    ## Why it waits

    They raise where a matrix is singular or the iteration fails, and to know that `_linalg_check_errors` reads a number
    from the device: `cudaMemcpyAsync` and `cudaStreamSynchronize`. `eig`, `eigvals` and `lstsq` work on the host in
    part.

    ## Example

    ## Use instead

    - `torch.linalg.inv_ex`, `solve_ex`, `cholesky_ex`, `lu_factor_ex`, `ldl_factor_ex` with `check_errors=False`: equal
      numbers, and `info` on the device, to be looked at later or used in `torch.where(info == 0, ...)`.
    - The others have no such form: compute them outside of the loop.
    - `qr`, `det`, `slogdet`, `lu_solve` and `solve_triangular` do not wait.

    ## Fix safety

    No fix is offered: where a matrix is singular, the `_ex` form gives numbers without meaning instead of an error.

    ## When it is fine

    Once per run, and where the error is what matters.

    ## Evidence

    Facts: `linalg-check`, `decomposition-check`, `linalg-host-stage`. Read in source, seen on the simulated device, not
    yet measured on a GPU.
    """

    code = "SYN601"
    name = "linalg-check"
    facts = frozenset({"linalg-check", "decomposition-check", "linalg-host-stage"})

    VALID = (
        Valid(
            code="""
            import torch

            def solved(n: int):
                a = torch.eye(n, device="cuda")
                return torch.linalg.inv_ex(a), torch.linalg.solve_ex(a, a, check_errors=False), torch.linalg.qr(a)
            """,
            run="solved(2)",
            note="not checked on the host",
        ),
        Valid(
            code="""
            import torch

            def solved(n: int):
                return torch.linalg.inv(torch.eye(n))
            """,
            run="solved(2)",
            note="in host memory",
        ),
    )
    INVALID = (
        Invalid(
            code="""
            import torch

            def solved(a: torch.Tensor, b: torch.Tensor):
                return torch.linalg.solve(a, b)
            """,
            lines=(4,),
            event="sync",
            run="solved(torch.eye(2, device='cuda'), torch.ones(2, device='cuda'))",
        ),
        Invalid(
            code="""
            import torch
            from torch import linalg

            def decomposed(n: int):
                a = torch.eye(n, device="cuda")
                return linalg.eigh(a), torch.linalg.svd(a), linalg.cholesky(a), torch.inverse(a)
            """,
            lines=(6, 6, 6, 6),
            event="sync",
            run="decomposed(2)",
            note="decompositions",
        ),
    )

    def judge(self, site: Site, context: Context) -> Report | None:
        node = site.node
        function = shown(context, node.func if isinstance(node, ast.Call) else None, f"`{site.operation}`")
        tensor = shown(context, site.arguments.get("self"), tensor_at(context, site.operands["self"]))
        message = f"{function} checks on the host what came of {tensor}: it waits until the stream has run up to here"
        return Report(message, _help(site))


def _help(site: Site) -> str:
    if site.fact.id != "linalg-check":
        return "there is no form that does not wait: compute it outside of the loop, or less often"
    name = site.operation.rpartition(".")[2]
    name = {"inverse": "inv"}.get(name, name)
    if name in ("tensorinv", "tensorsolve"):
        return f"reshape, and call `torch.linalg.{name[6:]}_ex`, which leaves `info` on the device"
    return f"`torch.linalg.{name}_ex` does not check, and leaves `info` on the device to be looked at later"
