"""SYN104: a number of the host is written to single elements of a device tensor."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from synclint.lint import Context, Dtype, Invalid, Kind, Report, Rule, Valid
from synclint.lint.wording import shown, tensor_at, written

if TYPE_CHECKING:
    from synclint.lint import Site

_KEEPS_NUMBERS = (2, 15)


class ScalarAssignment(Rule):
    """
    ## What it does

    Finds assignments of a Python number (or a CPU tensor without dimensions) to one element of a device tensor,
    `x[i] = 0` where `x` has one dimension, and to positions given by a tensor, `x[indices] = 0`.

    ## Why it waits

    Up to torch 2.14 the number becomes a CPU tensor, which `copy_` or `index_put_` copies to the device with
    `cudaMemcpyAsync` and then `cudaStreamSynchronize`: for four bytes, the host stands still until the stream has run
    up to there. A slice is filled by a kernel that brings the number along, and so is a mask.

    ## Example

    ## Use instead

    - `x[i].fill_(0)` or `x[i : i + 1] = 0` (not for `i = -1`) for one element.
    - `x.index_fill_(0, indices, 0)` for positions in one dimension (int64), `x[indices] = x.new_full((), 0)` for any.

    ## Fix safety

    No fix is offered.

    ## When it is fine

    With torch 2.15 and later a Python number goes along with the kernel, and nothing is reported (see `target-torch`).
    Assignments to slices, to rows (`x[i] = 0` where `x` has two dimensions) and to masks never wait.

    ## Evidence

    Facts: `element-assignment`, `assignment-of-host-number`. Read in source, seen on the simulated device, not yet
    measured on a GPU.
    """

    code = "SYN104"
    name = "scalar-assignment"
    facts = frozenset({"element-assignment", "assignment-of-host-number"})

    VALID = (
        Valid(
            code="""
            import torch

            def starts(lengths: torch.Tensor, n: int) -> torch.Tensor:
                ends = torch.empty(n + 1, dtype=torch.int64, device="cuda")
                ends[:1] = 0
                ends[1:] = lengths.cumsum(0)
                table = torch.zeros(n, 2, device="cuda")
                table[0] = 1
                table[:, 1] = 2
                table[...] = 3
                ends[-1].fill_(4)
                return ends
            """,
            run="starts(torch.ones(2, dtype=torch.int64, device='cuda'), 2)",
            note="slices and rows are filled by a kernel",
        ),
        Valid(
            code="""
            import torch

            def clipped(x: torch.Tensor) -> torch.Tensor:
                x[x > 1] = 1.0
                x[..., x[0] < 0] = 0.0
                return x
            """,
            run="clipped(torch.ones(2, 3, device='cuda'))",
            note="a mask: `masked_fill_` brings the number along",
        ),
        Valid(
            code="""
            import torch

            def reset(x: torch.Tensor, indices: torch.Tensor) -> torch.Tensor:
                x.index_fill_(0, indices, 0)
                x[indices] = x.new_full((), 1)
                return x
            """,
            run="reset(torch.ones(4, device='cuda'), torch.arange(2, device='cuda'))",
            note="positions, without a copy",
        ),
    )
    INVALID = (
        Invalid(
            code="""
            import torch

            def starts(lengths: torch.Tensor, n: int) -> torch.Tensor:
                ends = torch.empty(n + 1, dtype=torch.int64, device="cuda")
                ends[0] = 0
                ends[1:] = lengths.cumsum(0)
                return ends
            """,
            lines=(5,),
            event="sync",
            run="starts(torch.ones(2, dtype=torch.int64, device='cuda'), 2)",
        ),
        Invalid(
            code="""
            import torch

            def reset(counts: torch.Tensor, slots: torch.Tensor) -> torch.Tensor:
                order = torch.argsort(slots)
                counts[order] = 0
                counts[order, 0] = 1.5
                return counts
            """,
            lines=(5, 6),
            event="sync",
            run="reset(torch.ones(4, 2, device='cuda'), torch.arange(2, device='cuda'))",
            note="positions on the device",
        ),
        Invalid(
            code="""
            import torch

            class Slots:
                def __init__(self, n: int) -> None:
                    self.step = torch.zeros(n, dtype=torch.int64, device="cuda")

                def begin(self, slot: int, step: int):
                    self.step[slot] = step
                    return self.step
            """,
            lines=(8,),
            event="sync",
            run="Slots(4).begin(1, 2)",
            note="a number that is only known to be one",
        ),
    )

    def judge(self, site: Site, context: Context) -> Report | None:
        single = site.fact.id == "element-assignment"
        value = site.operands["source" if single else "value"]
        target = context.settings.target_torch
        if value.kind is Kind.HOST and target is not None and target >= _KEEPS_NUMBERS:
            return None
        index = site.operands.get("index")
        if index is not None and not index.place.on_accelerator and index.dtype is not Dtype.BOOL:
            return None  # the positions are copied, too: SYN103's
        what = "a number" if value.kind is Kind.HOST else "a CPU tensor"
        where = "one element of" if single else "positions of"
        message = (
            f"{shown(context, site.node, 'this')} assigns {what} to {where} {tensor_at(context, site.operands['self'])}"
            ": it is copied to the device, and the host waits for that"
        )
        return Report(message, _help(site, context, single))


def _help(site: Site, context: Context, single: bool) -> str:
    number = _number(site.statement, context)
    if single:
        return f"`{written(context, site.node, 'x[i]')}.fill_({number})` brings the number along with the kernel"
    tensor = written(context, site.arguments.get("self"), "x")
    index = written(context, site.arguments.get("index"), "indices")
    return f"assign `{tensor}.new_full((), {number})`, or call `{tensor}.index_fill_(dim, {index}, {number})`"


def _number(statement: ast.stmt, context: Context) -> str:
    return written(context, statement.value, "number") if isinstance(statement, ast.Assign) else "number"
