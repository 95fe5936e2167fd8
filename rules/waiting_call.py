"""SYN207: a call passes a device tensor to a function that waits for it."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from synclint.lint import Context, Invalid, Report, Rule, Valid

if TYPE_CHECKING:
    from synclint.lint import Site


class WaitingCall(Rule):
    """
    ## What it does

    Finds calls of functions of the project that are given a device tensor and wait for it whenever they are called with
    one. Where the line in the function is a finding by itself, because its parameter is known to be on the device, the
    call is none: this is for functions whose callers differ, or of whose parameter nothing else is known.

    ## Why it waits

    The function reads its parameter on the host, by `.item()`, `.cpu()`, `.tolist()`, a condition, ...: the copy waits
    until the stream has run up to there. The chain of the finding ends in that line.

    ## Example

    ## Use instead

    - Pass what the host has: the list that the tensor was made of, a length, a copy that was made without waiting.
    - Give the function a form that stays on the device, for callers that have their data there.
    - Call it once for many tensors, or when the stream has run up to there anyway.

    ## Fix safety

    No fix is offered: what to pass instead only the program knows.

    ## When it is fine

    Where the host needs the numbers at this point. Mark the line in the function, if that is so for whoever calls it:
    what is marked there is meant, and its calls are no findings.

    ## Evidence

    Facts: `waiting-call`. Seen on the simulated device, not yet measured on a GPU. A call is taken to wait if the
    function comes to the operation whenever it is given a tensor, errors aside: not behind other conditions, and not
    after an early `return`.
    """

    code = "SYN207"
    name = "waiting-call"
    facts = frozenset({"waiting-call"})

    VALID = (
        Valid(
            code="""
            import torch

            def as_list(values):
                return values.tolist()

            def lengths(n: int) -> list[int]:
                return as_list(torch.arange(n))
            """,
            run="lengths(2)",
            note="in host memory",
        ),
        Valid(
            code="""
            import torch

            def total(values, weights=None):
                if weights is None:
                    return values.sum()
                return (values * weights).sum().item()

            def loss(n: int) -> torch.Tensor:
                return total(torch.ones(n, device="cuda"))
            """,
            run="loss(2)",
            note="this call does not come to the line that waits",
        ),
        Valid(
            code="""
            import torch

            def as_list(values):
                return values.tolist()  # synclint: ignore[SYN204] whoever calls it wants numbers

            def lengths(n: int) -> list[int]:
                return as_list(torch.arange(n, device="cuda"))
            """,
            run="lengths(2)",
            event="sync",
            note="it is meant to wait",
        ),
    )
    INVALID = (
        Invalid(
            code="""
            import torch

            def as_list(values):
                return values if isinstance(values, list) else values.tolist()

            def lengths(n: int) -> list[int]:
                return as_list(torch.arange(n, device="cuda"))
            """,
            lines=(7,),
            at=(4,),
            event="sync",
            run="lengths(2)",
        ),
        Invalid(
            code="""
            import torch

            class Meter:
                def __init__(self) -> None:
                    self.total = 0.0

                def update(self, value, n=1) -> None:
                    self.add(value, n)

                def add(self, amount, n) -> None:
                    self.total += amount.item() * n

            def run(meter: Meter) -> float:
                loss = torch.ones(2, device="cuda").mean()
                meter.update(loss)
                meter.update(n=2, value=loss)
                return meter.total
            """,
            lines=(15, 16),
            at=(11,),
            event="sync",
            run="run(Meter())",
            note="two calls away",
        ),
    )

    def judge(self, site: Site, context: Context) -> Report | None:
        node = site.node
        if not isinstance(node, ast.Call):
            return None
        function = context.shown(node.func, "the function")
        value = site.operands["self"]
        tensor = context.shown(site.arguments.get("self"), context.tensor_at(value))
        where = "" if value.why is None else f": {value.why.text}"
        message = f"{function} is given {tensor}, and the host waits for it there{where}"
        return Report(message, "pass what the host has anyway, or let the function leave its result on the device")
