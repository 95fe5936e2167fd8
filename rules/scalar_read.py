"""SYN201 scalar-read: one number of a tensor on the device is read by the host."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

from synclint.lint import Applicability, Context, Invalid, Place, Report, Rule, Site, Valid

if TYPE_CHECKING:
    from synclint.lint.scalars import ScalarRead

_LOGGING = re.compile(
    r"print|log(?:_metrics?|_dict)?|add_scalars?|debug|info|warning|set_postfix|set_description|write|record"
)


class ScalarReadRule(Rule):
    """
    ## What it does

    Reports `.item()`, `int(t)`, `float(t)`, `bool(t)` and `complex(t)` where `t` is a tensor on the device.
    Implicit reads in conditions (`if t:`) are SYN202; reads of CPU tensors, which cost but do not wait, are
    SYN701.

    ## Why it waits

    The number is on the device. `aten::_local_scalar_dense` copies it into host memory with `cudaMemcpyAsync`
    and calls `cudaStreamSynchronize` on the current stream: the host stands still until everything that was
    queued before has run, and then the device stands still until the host has queued something new. Every read
    waits by itself. `int(t.item())` reads once. In `t.cpu().item()` it is `.cpu()` that waits, not `.item()`.

    ## Example

    ## Use instead

    - Keep it on the device: `total += loss.detach()` and one read after the loop, `torch.where` for a choice,
      `index_select` for an index.
    - Compute it on the host: if the tensor was made of host data, the list, the array or the CPU tensor is
      still there.
    - Read what is needed at once, with one wait: `top, left = torch.stack((box[0], box[1])).tolist()`, or
      `box.tolist()` where it is short; before the loop where its elements are read in a loop.
    - Read it later: copy it to pinned memory with `non_blocking=True`, record an event, and read it one step
      later.

    ## Fix safety

    Two shapes are rewritten. *Several reads of elements of one tensor in one basic block* become one:
    `t.tolist()` where `t` is known to have at most 64 elements, else `torch.stack((t[0], t[-1])).tolist()`, put
    before the statement with the first read; that line still waits, once. *A `functools.cached_property` whose
    tensor is only read as Python numbers* gets `.tolist()` at its end and becomes a list (see SYN701).

    Safe when all of this is proven: `t` is a tensor of exactly one dimension; its dtype is bool, int or float,
    or it is read with `.item()` alone (`int()` of a complex tensor fails otherwise than `int()` of a complex
    number); each index is an int; every read happens whenever the first one does, so that none raises that
    would not have been reached; and nothing between the reads may write to `t` or give it, or an index, another
    value. `int()`, `float()` and the like stay around the elements unless the dtype makes them empty. An index
    out of range still raises IndexError, at the new line.

    Unsafe, with the reason given: what is not proven of the above; code between the reads that is not known (it
    may write to `t`, unless `t` is a local that the function makes and only looks at); reads in several
    statements of a `try` or `with` that may go on after an IndexError; files that speak of uint64 (`int()` of
    2**63 raises) or of dtypes that `torch.stack` may not take; and, where other work is queued between the
    reads, anything in reach that a later wait may be holding up: an asynchronous copy to the host, a reused
    pinned buffer, another stream, host timing, graph capture, compilation.

    No fix: reads on different branches or in an `assert`, a tensor that is surely written to between the reads,
    a place where no statement can be inserted, nested functions. It is assumed that the code runs on one
    stream, and that no other thread writes to `t`.

    ## When it is fine

    Once per run, or once in many steps: logging, a checkpoint, a stopping criterion that the host must know.
    Mark it with `# synclint: ignore[scalar-read]` and the reason.

    ## Evidence

    Fact `scalar-read`: read in source (`CUDAScalar.cu::_local_scalar_dense_cuda`, torch 2.6 to 2.12) and
    probed, not yet measured on a GPU. Equality of values, dtypes and errors of both fixes was run on the CPU
    build of torch 2.13.
    """

    code = "SYN201"
    name = "scalar-read"
    facts = frozenset({"scalar-read"})

    INVALID = (
        Invalid(
            code="""
            import torch

            def first_and_last(n: int):
                squares = torch.arange(n, device="cuda") ** 2
                first = squares[0].item()
                last = squares[-1].item()
                return first, last
            """,
            fixed="""
            import torch

            def first_and_last(n: int):
                squares = torch.arange(n, device="cuda") ** 2
                squares_0, squares_last = torch.stack((squares[0], squares[-1])).tolist()
                first = squares_0
                last = squares_last
                return first, last
            """,
            level=Applicability.SAFE,
            lines=(5, 6),
            left=1,
            event="sync",
            run="first_and_last(4)",
        ),
        Invalid(
            code="""
            import torch

            def area(scale: float):
                grid = torch.tensor([4, 6], device="cuda")
                height = int(grid[0])
                return height * float(grid[1]) * scale, bool(grid[0])
            """,
            fixed="""
            import torch

            def area(scale: float):
                grid = torch.tensor([4, 6], device="cuda")
                grid_values = grid.tolist()
                height = grid_values[0]
                return height * float(grid_values[1]) * scale, bool(grid_values[0])
            """,
            level=Applicability.SAFE,
            lines=(5, 6, 6),
            left=1,
            event="sync",
            run="area(0.5)",
            note="all of a short tensor; conversions that change the type stay",
        ),
        Invalid(
            code="""
            import torch

            def pairs(n: int):
                starts = torch.arange(n + 1, device="cuda")
                found = []
                for i in range(n):
                    found.append((starts[i].item(), starts[i + 1].item()))
                return found
            """,
            fixed="""
            import torch

            def pairs(n: int):
                starts = torch.arange(n + 1, device="cuda")
                found = []
                for i in range(n):
                    starts_i, starts_i_plus_1 = torch.stack((starts[i], starts[i + 1])).tolist()
                    found.append((starts_i, starts_i_plus_1))
                return found
            """,
            level=Applicability.SAFE,
            lines=(7, 7),
            left=3,
            event="sync",
            run="pairs(3)",
            note="in a loop: half of the waits; the help says to read all of it before the loop",
        ),
        Invalid(
            code="""
            import torch

            def twice(n: int):
                flags = torch.arange(n, device="cuda") > 2
                if flags[-1].item():
                    return True
                return False

            def doubled(n: int):
                steps = torch.arange(n, device="cuda")
                return steps[1].item() + steps[1].item()
            """,
            fixed="""
            import torch

            def twice(n: int):
                flags = torch.arange(n, device="cuda") > 2
                if flags[-1].item():
                    return True
                return False

            def doubled(n: int):
                steps = torch.arange(n, device="cuda")
                steps_1 = steps[1].item()
                return steps_1 + steps_1
            """,
            level=Applicability.SAFE,
            lines=(5, 11, 11),
            left=1,
            event="sync",
            run="twice(4), doubled(4)",
            note="the same element twice; a read that stands alone has no fix",
        ),
        Invalid(
            code="""
            import torch

            class Crop(torch.nn.Module):
                def forward(self, image: torch.Tensor, box: torch.Tensor):
                    top = int(box[0])
                    left = int(box[1])
                    return image[top:, left:]
            """,
            fixed="""
            import torch

            class Crop(torch.nn.Module):
                def forward(self, image: torch.Tensor, box: torch.Tensor):
                    box_0, box_1 = torch.stack((box[0], box[1])).tolist()
                    top = int(box_0)
                    left = int(box_1)
                    return image[top:, left:]
            """,
            level=Applicability.UNSAFE,
            lines=(5, 6),
            left=1,
            event="sync",
            run='Crop()(torch.ones(4, 4, device="cuda"), torch.tensor([1, 2], device="cuda"))',
            note="unsafe: `box` may have two dimensions, where `int(box[0])` works if it has one column, or be complex",
        ),
        Invalid(
            code="""
            import torch

            def ends(n: int, advance):
                steps = torch.arange(n, device="cuda")
                advance(steps)
                first = steps[0].item()
                advance(None)
                return first, steps[-1].item()
            """,
            fixed="""
            import torch

            def ends(n: int, advance):
                steps = torch.arange(n, device="cuda")
                advance(steps)
                steps_0, steps_last = torch.stack((steps[0], steps[-1])).tolist()
                first = steps_0
                advance(None)
                return first, steps_last
            """,
            level=Applicability.UNSAFE,
            lines=(6, 8),
            left=1,
            event="sync",
            run="ends(4, lambda steps: None)",
            note="unsafe: `advance` has seen the tensor and may write to it between the reads",
        ),
        Invalid(
            code="""
            import torch

            def ends(n: int):
                steps = torch.arange(n, device="cuda")
                staged = torch.empty(n, dtype=torch.int64, pin_memory=True)
                staged.copy_(steps, non_blocking=True)
                first = steps[0].item()
                negative = torch.neg(steps)
                return first, steps[-1].item(), negative, staged
            """,
            fixed="""
            import torch

            def ends(n: int):
                steps = torch.arange(n, device="cuda")
                staged = torch.empty(n, dtype=torch.int64, pin_memory=True)
                staged.copy_(steps, non_blocking=True)
                steps_0, steps_last = torch.stack((steps[0], steps[-1])).tolist()
                first = steps_0
                negative = torch.neg(steps)
                return first, steps_last, negative, staged
            """,
            level=Applicability.UNSAFE,
            lines=(7, 9),
            left=1,
            event="sync",
            run="ends(4)",
            note="unsafe: work is queued between the reads, and an asynchronous copy may rely on the second wait",
        ),
        Invalid(
            code="""
            import torch
            from functools import cached_property

            class Offsets:
                def __init__(self, lengths: list[int]):
                    self._lengths = torch.tensor(lengths, dtype=torch.int64, device="cuda")

                @cached_property
                def _ends(self) -> "torch.Tensor":
                    return self._lengths.cumsum(0)

                def end_of(self, i: int) -> int:
                    return int(self._ends[i])

                def total(self) -> int:
                    return self._ends[-1].item()
            """,
            fixed="""
            import torch
            from functools import cached_property

            class Offsets:
                def __init__(self, lengths: list[int]):
                    self._lengths = torch.tensor(lengths, dtype=torch.int64, device="cuda")

                @cached_property
                def _ends(self) -> "list[int]":
                    return self._lengths.cumsum(0).tolist()

                def end_of(self, i: int) -> int:
                    return self._ends[i]

                def total(self) -> int:
                    return self._ends[-1]
            """,
            level=Applicability.SAFE,
            lines=(13, 16),
            left=1,
            event="sync",
            run="[(offsets.end_of(0), offsets.total()) for offsets in [Offsets([2, 3])]]",
            note="a cached property that is only read as numbers",
        ),
        Invalid(
            code="""
            import torch

            def numbers(n: int):
                mean = torch.arange(n, device="cuda").sum() / n
                return mean.item(), int(mean), float(mean), bool(mean), complex(mean), int(mean.item()), int(mean) + 1
            """,
            lines=(5, 5, 5, 5, 5, 5, 5),
            event="sync",
            run="numbers(4)",
            note="every spelling; `int(mean.item())` is one read",
        ),
        Invalid(
            code="""
            import torch

            def choose(n: int, late: bool):
                steps = torch.arange(n, device="cuda")
                if late:
                    return steps[-1].item()
                elif int(steps[0]) < int(steps[1]):
                    return steps[2].item()
                steps[0] = 7
                first = steps[0].item()
                steps[1] = 8
                return first, steps[1].item()
            """,
            lines=(6, 7, 7, 8, 10, 12),
            event="sync",
            run="choose(4, False)",
            note="no fix: on different branches, in an `elif`, or written to in between",
        ),
        Invalid(
            code="""
            import torch

            def steps(n: int):
                total = 0.0
                for loss in torch.arange(n, device="cuda") / 2:
                    total += loss.item()
                return total
            """,
            lines=(6,),
            event="sync",
            run="steps(4)",
            note="a sum that could stay on the device",
        ),
    )

    VALID = (
        Valid(
            code="""
            import torch

            def sizes(n: int):
                x = torch.zeros(n, 3, device="cuda")
                return int(x.shape[0]), x.size(1), x.numel(), len(x), float(n)
            """,
            run="sizes(2)",
            note="sizes are known to the host",
        ),
        Valid(
            code="""
            import numpy as np
            import torch

            def numbers(n: int):
                array = np.arange(n)
                return array[0].item(), int(array[-1]), torch.arange(n)[-1].item()
            """,
            run="numbers(4)",
            event="host-cost",
            note="arrays and CPU tensors",
        ),
        Valid(
            code="""
            import torch

            def mean(n: int):
                x = torch.arange(n, device="cuda") / n
                return torch.where(x.mean() > 0, x, -x)
            """,
            run="mean(4)",
            note="a choice on the device",
        ),
        Valid(
            code="""
            import torch

            def total(n: int):
                x = torch.arange(n, device="cuda")
                return x.sum().cpu().item()
            """,
            run="total(4)",
            event="sync",
            note="it is `.cpu()` that waits, not `.item()`",
        ),
        Valid(
            code="""
            import torch

            def pairs(n: int):
                starts = torch.arange(n + 1, device="cuda").tolist()
                return [(int(starts[i]), starts[i + 1]) for i in range(n)]
            """,
            run="pairs(3)",
            event="sync",
            note="one read of everything, outside the loop (the `.tolist()` waits once)",
        ),
    )

    def judge(self, site: Site, context: Context) -> Report | None:
        from synclint.lint.scalars import batch_of, cached_fix, read_of

        read = read_of(site)
        place = {Place.CUDA: "a CUDA tensor", Place.EITHER: "a tensor that may be on the accelerator"}
        what = place.get(site.operands["self"].place, "a tensor on the accelerator")
        spelling = read.spelling if read is not None else f"`{site.operation}`"
        message = f"{spelling} reads {what}: the host waits until the stream has run up to here"
        if read is None:
            return Report(message, _HOST_OR_DEVICE)
        fix = cached_fix(context)
        if fix is not None:
            return Report(message, "Keep the numbers in a list: one wait where it is made, none where it is read.", fix)
        batch = batch_of(context, stacked=True)
        if batch is not None:
            count = len(batch.reads)
            advice = f"Read what is needed of `{batch.text}` at once: one wait instead of {count}."
            return Report(message, _help(read, context) or advice, batch.fix)
        return Report(message, _help(read, context) or _HOST_OR_DEVICE)


_HOST_OR_DEVICE = (
    "Keep it on the device, compute it from the host data that the tensor was made of, or read several values at once "
    "with one `.tolist()`."
)


def _help(read: ScalarRead, context: Context) -> str:
    """The alternative that the surroundings ask for, empty for none in particular."""
    from synclint.lint.scalars import in_loop, read_in_loop

    statement = context.site.statement
    tensor = read_in_loop(context, read)
    if tensor is not None:
        return f"Read `{tensor}` once before the loop, with `.tolist()`, and loop over the list."
    if isinstance(statement, ast.AugAssign) and in_loop(context):
        total = ast.unparse(statement.target)
        return f"Add tensors (`{total} += x.detach()`) and read `{total}` once after the loop."
    if any(isinstance(node, ast.Call) and _LOGGING.fullmatch(_called(node)) for node in ast.walk(statement)):
        return "Log it every few steps, or copy it with `non_blocking=True` and an event and log it one step later."
    if isinstance(statement, (ast.If, ast.While, ast.Assert)):
        return "Choose on the device with `torch.where`, or decide from host data."
    return ""


def _called(call: ast.Call) -> str:
    function = call.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
