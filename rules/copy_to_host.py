"""SYN203: a tensor is copied to the host, which waits for it."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from synclint.lint import Confidence, Context, Heat, Invalid, Report, Rule, Valid
from synclint.lint.wording import shown, tensor_at

if TYPE_CHECKING:
    from synclint.lint import Site


class CopyToHost(Rule):
    """
    ## What it does

    Finds copies from the device to the host that the host waits for: `x.cpu()`, `x.to("cpu")`, `x.numpy(force=True)`,
    `x.type(torch.FloatTensor)`, `host.copy_(x)`, `host[a:b] = x`, and a CPU tensor that is indexed with a device
    tensor. `x.cpu().numpy()` is one copy and one finding.

    ## Why it waits

    The host is about to read the values, so the copy ends in `cudaMemcpyAsync` and then `cudaStreamSynchronize`: the
    host stands still until everything that was queued on the stream before has run. Nothing can be queued meanwhile,
    and the device runs dry.

    ## Example

    ## Use instead

    - Compute it on the host: if the tensor was made of host data, the list, the array or the CPU tensor is still
      there.
    - Keep it on the device, if it goes back there.
    - Copy it without waiting, and read it later: `copied = x.to("cpu", non_blocking=True)`, `event.record()`, and
      `event.synchronize()` just before the host reads `copied`, after other work was queued.

    ## Fix safety

    No fix is offered. `non_blocking=True` alone is a race: the host would read memory that is not yet filled.

    ## When it is fine

    Where results leave the device anyway: outputs, checkpoints, logs every n-th step. An asynchronous copy is no
    finding; that it is waited for before it is read is the program's part.

    ## Evidence

    Facts: `blocking-d2h-copy`, `blocking-d2h-copy-into`, `device-positions-of-host-tensor`. Read in source, seen on the
    simulated device, not yet measured on a GPU.
    """

    code = "SYN203"
    name = "copy-to-host"
    facts = frozenset({"blocking-d2h-copy", "blocking-d2h-copy-into", "device-positions-of-host-tensor"})

    VALID = (
        Valid(
            code="""
            import torch

            def lengths(n: int) -> torch.Tensor:
                x = torch.arange(n, device="cuda")
                return x.to("cpu", non_blocking=True)
            """,
            run="lengths(4)",
            note="not waited for here",
        ),
        Valid(
            code="""
            import torch

            def lengths(n: int):
                x = torch.arange(n)
                return x.cpu().numpy(), x.to("cpu"), torch.arange(n, device="cuda").to(torch.float32)
            """,
            run="lengths(4)",
            note="on the host already, or only another dtype",
        ),
    )
    INVALID = (
        Invalid(
            code="""
            import torch

            def counts(n: int):
                x = torch.arange(n, device="cuda")
                return x.cpu().numpy()
            """,
            lines=(5,),
            event="sync",
            run="counts(4)",
        ),
        Invalid(
            code="""
            import torch

            def copies(mask: torch.Tensor, n: int):
                x = torch.arange(n, device="cuda")
                into = torch.empty(n, dtype=torch.int64)
                into.copy_(x)
                into[1:] = x[1:]
                return x.to("cpu"), mask.type(torch.BoolTensor), x.numpy(force=True), into
            """,
            lines=(6, 7, 8, 8, 8),
            event="sync",
            run="copies(torch.ones(4, device='cuda'), 4)",
            note="every spelling",
        ),
        Invalid(
            code="""
            import torch

            def forward(n: int, ids: torch.Tensor):
                table = torch.arange(n)
                return table[ids.long() + 1]
            """,
            lines=(5,),
            event="sync",
            run="forward(4, torch.arange(2, device='cuda'))",
            note="positions on the device are copied to the table on the host",
        ),
    )

    def judge(self, site: Site, context: Context) -> Report | None:
        if site.fact.id != "blocking-d2h-copy" and not _is_plausible(site):
            return None
        if site.fact.id == "device-positions-of-host-tensor":
            index = shown(context, site.arguments.get("index"), "the index")
            message = f"{index} is on the accelerator and indexes a CPU tensor: it is copied to the host, which waits"
            return Report(message, "keep both on one side: the table on the device, or the positions on the host")
        into = site.fact.id == "blocking-d2h-copy-into"
        source = site.operands["source" if into else "self"]
        text = shown(context, site.arguments.get("source" if into else "self"), tensor_at(context, source))
        message = f"{_spelling(site)} copies {text} to the host, which waits until the stream has run up to here"
        return Report(message, _HELP)


_HELP = (
    "compute it from the host data that the tensor was made of, or copy with `non_blocking=True`, record an event, "
    "and wait for the event just before the values are read"
)


def _is_plausible(site: Site) -> bool:
    """Code that mixes a host tensor with one that only convention puts on the device may mean the host by both."""
    return site.confidence is Confidence.CERTAIN or site.scope.heat is Heat.HOT


def _spelling(site: Site) -> str:
    node = site.node
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        return f"`.{node.func.attr}(...)`" if node.args or node.keywords else f"`.{node.func.attr}()`"
    return "the assignment"
