"""SYN101: a copy from host memory to the device that the host waits for."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

from synclint.lint import (
    Applicability,
    Confidence,
    Context,
    Dtype,
    Fix,
    Invalid,
    Place,
    Report,
    Rule,
    Site,
    Valid,
    Value,
)

if TYPE_CHECKING:
    from synclint.lint import transfers

_MASK_NAME = re.compile(r"(?:^|_)(?:masks?|multimodal|is_\w+)(?:_|$)")
_NOT_SURELY_CUDA = "that the device is CUDA is not proven"
_PIN = "or pin the source where it is made, and pass `non_blocking=True`"
_CONFIGURED = (("h2d-helper", "synclint.h2d:async_tensor_h2d"),)


class BlockingTransfer(Rule):
    """
    ## What it does

    Finds copies of tensors from host memory to the device that the host waits for: `x.to(device)`, `x.to(other)`,
    `x.type_as(other)`, `x.cuda()` and `buffer.copy_(x)`, without `non_blocking=True`, and `buffer[a:b] = x`. What
    `torch.tensor(...)` and its like have just made of host data is SYN102's matter.

    ## Why it waits

    The copy ends in `cudaMemcpyAsync`, and then in `cudaStreamSynchronize`: the host stands still until everything
    that was queued on the current stream before has run, whether the source is pinned or not (`Copy.cu`,
    `copy_kernel_cuda`). Nothing can be queued meanwhile, and the device runs dry.

    ## Example

    ## Use instead

    ## Fix safety

    Out of **pinned memory without gaps** the fix adds `non_blocking=True`. It is safe when

    - the receiver surely is a tensor, and the target surely CUDA or ROCm: on MPS such a copy can arrive corrupted;
    - the source surely is pinned and dense, and the host does not write to it from the copy on: it is a temporary, or
      a local that is made in this function, written to at most before the copy, and handed to nobody. A buffer
      that is kept, passed in, or filled again in a loop may be overwritten while the copy is under way;
    - the dtype stays, or changes in a way in which host and device agree. The blocking form converts on the host, the
      other on the device, and float to int of NaN, infinity or values out of range differs between the two.

    Out of **pageable memory** the flag alone does not remove the wait: the driver stages the data itself, and may
    stall. There the fix is `async_tensor_h2d`, which copies into pinned memory of its own first, so that the source may
    be rewritten at once, and converts the dtype on the host as the blocking form does. It is safe when the
    receiver surely is a tensor, the target surely CUDA, neither `device` nor what it comes from may be None, and the
    helper is configured, or the project's own and surely does the same, or synclint stands in the project's
    dependencies.

    The flag on a pageable source is offered, always as unsafe, where the source is a mask that the function goes on to
    use on the host (as in vLLM #39234), or where the helper does not take tensors. PyTorch itself then waits no longer.
    In practice the driver has read the source when the call returns, but nothing promises it.

    Both forms assume that the function works on a single stream: the blocking copy also ordered all other
    streams. Where an asynchronous copy to the host, a reused pinned buffer, another stream, timing, graph capture or
    compilation is in sight of the function, its callers or its class, the wait may be what keeps these in order,
    and the fix is unsafe. No fix goes towards the host: `non_blocking=True` there is a race.

    ## When it is fine

    On paths that run once: loading, set-up, tests (code that surely is cold is not reported). Where the wait is
    meant as a barrier; say so with a suppression and a reason. A source that is empty never waits.

    ## Evidence

    Facts: `blocking-h2d-copy`, `blocking-h2d-copy-into`. Read in source and probed, not yet measured on a GPU. Equal
    results of both forms were seen on a simulated device, for dtypes, strides and autograd.
    """

    code = "SYN101"
    name = "blocking-transfer"
    facts = frozenset({"blocking-h2d-copy", "blocking-h2d-copy-into"})

    def judge(self, site: Site, context: Context) -> Report | None:
        from synclint.lint import host_data, transfers

        into = site.operation == "Tensor.copy_"
        source = site.operands["source" if into else "self"]
        target = site.operands["self" if into else "target"]
        transfer = transfers.read(site)
        if not into and host_data.read(context, site.arguments.get("self", site.node)) is not None:
            return None  # SYN102's
        message = _message(site, context, source, target)
        if not isinstance(site.node, ast.Call):
            return Report(
                message, f"call `{context.text(site.node)}.copy_(..., non_blocking=True)` out of pinned memory"
            )
        if transfer is None or source.certainty < Confidence.LIKELY:
            return Report(message, "copy out of pinned memory with `non_blocking=True`, or use `async_tensor_h2d`")
        if source.pinned is True and source.place is Place.CPU:
            return _pinned(context, message, transfer, source, target)
        return _pageable(context, message, transfer, source, target)

    VALID = (
        Valid(
            code="""
            import torch

            def positions(count: int) -> torch.Tensor:
                return torch.arange(count, pin_memory=True).to("cuda", non_blocking=True)
            """,
            run="positions(3)",
            note="out of pinned memory, and not waited for",
        ),
        Valid(
            code="""
            import torch

            def weights(count: int) -> torch.Tensor:
                return torch.ones(count, device="cuda").to(torch.float16).to("cuda")
            """,
            run="weights(3)",
            note="it is on the device already",
        ),
        Valid(
            code="""
            import torch

            def mean_length(lengths: list[int]) -> torch.Tensor:
                return torch.arange(max(lengths)).to("cpu", torch.float32).mean()
            """,
            run="mean_length([1, 5])",
            note="everything stays on the host",
        ),
        Valid(
            code="""
            import torch

            class Head(torch.nn.Module):
                def __init__(self) -> None:
                    super().__init__()
                    self.scale = torch.arange(4.0).to("cuda")

                def forward(self, x: torch.Tensor) -> torch.Tensor:
                    return x * self.scale

            def build() -> torch.nn.Module:
                return Head().to("cuda")
            """,
            run="build()(torch.ones(4, device='cuda'))",
            event="sync",
            note="once, in a constructor; and a module is moved, not a tensor",
        ),
        Valid(
            code="""
            import torch

            def positions(count: int) -> torch.Tensor:
                return torch.arange(count).to("cuda", non_blocking=True)
            """,
            run="positions(3)",
            event="pageable",
            note="pageable memory makes the flag all but useless, but PyTorch does not wait here",
        ),
        Valid(
            code="""
            import torch

            class Rows(list):
                def to(self, device: str) -> "Rows":
                    return self

            def rows() -> Rows:
                return Rows([1, 2]).to("cuda")
            """,
            run="rows()",
            note="a method of the same name",
        ),
    )

    INVALID = (
        Invalid(
            code="""
            import torch

            def window(count: int) -> torch.Tensor:
                mask = torch.ones(count, count, pin_memory=True)
                mask[0] = 0
                return mask.to("cuda").tril()
            """,
            run="window(3)",
            lines=(6,),
            event="sync",
            fixed="""
            import torch

            def window(count: int) -> torch.Tensor:
                mask = torch.ones(count, count, pin_memory=True)
                mask[0] = 0
                return mask.to("cuda", non_blocking=True).tril()
            """,
            level=Applicability.SAFE,
            note="pinned, and written to before the copy alone",
        ),
        Invalid(
            code="""
            import torch

            def window(count: int) -> torch.Tensor:
                mask = torch.ones(count, count, pin_memory=True)
                on_device = mask.cuda()
                mask.zero_()
                return on_device + mask.sum().item()
            """,
            run="window(3)",
            lines=(5,),
            race=True,
            event="sync",
            fixed="""
            import torch

            def window(count: int) -> torch.Tensor:
                mask = torch.ones(count, count, pin_memory=True)
                on_device = mask.cuda(non_blocking=True)
                mask.zero_()
                return on_device + mask.sum().item()
            """,
            level=Applicability.UNSAFE,
            note="the pinned source is overwritten after the copy",
        ),
        Invalid(
            code="""
            import torch

            def rounds(count: int) -> list[torch.Tensor]:
                step = torch.zeros(4, pin_memory=True)
                results = []
                for number in range(count):
                    step[0] = number
                    results.append(step.to(device="cuda", non_blocking=False))
                return results
            """,
            run="rounds(2)",
            lines=(8,),
            race=True,
            event="sync",
            fixed="""
            import torch

            def rounds(count: int) -> list[torch.Tensor]:
                step = torch.zeros(4, pin_memory=True)
                results = []
                for number in range(count):
                    step[0] = number
                    results.append(step.to(device="cuda", non_blocking=True))
                return results
            """,
            level=Applicability.UNSAFE,
            note="the next round overwrites the pinned source",
        ),
        Invalid(
            code="""
            import torch

            class Stage:
                def __init__(self) -> None:
                    self.buffer = torch.zeros(4, pin_memory=True)

                def step(self) -> torch.Tensor:
                    return self.buffer.to("cuda")
            """,
            run="Stage().step()",
            lines=(8,),
            event="sync",
            fixed="""
            import torch

            class Stage:
                def __init__(self) -> None:
                    self.buffer = torch.zeros(4, pin_memory=True)

                def step(self) -> torch.Tensor:
                    return self.buffer.to("cuda", non_blocking=True)
            """,
            level=Applicability.UNSAFE,
            note="a pinned buffer that is kept",
        ),
        Invalid(
            code="""
            import torch

            def scaled(count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
                one = torch.ones(count, pin_memory=True).to("cuda", torch.float16, False)
                two = torch.arange(count, pin_memory=True).to(
                    "cuda",
                    dtype=torch.float32,
                )
                three = torch.ones(count, pin_memory=True).to("cuda", copy=True)
                return one, two, three
            """,
            run="scaled(3)",
            lines=(4, 5, 9),
            event="sync",
            fixed="""
            import torch

            def scaled(count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
                one = torch.ones(count, pin_memory=True).to("cuda", torch.float16, True)
                two = torch.arange(count, pin_memory=True).to(
                    "cuda",
                    dtype=torch.float32,
                    non_blocking=True,
                )
                three = torch.ones(count, pin_memory=True).to("cuda", copy=True, non_blocking=True)
                return one, two, three
            """,
            level=Applicability.SAFE,
            note="conversions in which host and device agree",
        ),
        Invalid(
            code="""
            import torch

            def bins(count: int) -> torch.Tensor:
                return torch.linspace(0, 1, count, pin_memory=True).to("cuda", torch.int32)
            """,
            run="bins(3)",
            lines=(4,),
            event="sync",
            fixed="""
            import torch

            def bins(count: int) -> torch.Tensor:
                return torch.linspace(0, 1, count, pin_memory=True).to("cuda", torch.int32, non_blocking=True)
            """,
            level=Applicability.UNSAFE,
            note="float to int is converted on the host now, on the device then",
        ),
        Invalid(
            code="""
            import torch

            def columns(count: int) -> torch.Tensor:
                return torch.ones(count, count, pin_memory=True)[:, ::2].cuda()
            """,
            run="columns(4)",
            lines=(4,),
            event="sync",
            fixed="""
            import torch

            def columns(count: int) -> torch.Tensor:
                return torch.ones(count, count, pin_memory=True)[:, ::2].cuda(non_blocking=True)
            """,
            level=Applicability.UNSAFE,
            note="pinned, but perhaps with gaps, which need a temporary in pageable memory",
        ),
        Invalid(
            code="""
            import torch

            def image(count: int) -> torch.Tensor:
                pixels = torch.zeros(1, 3, count, count, pin_memory=True)
                return pixels.to("cuda", memory_format=torch.channels_last)
            """,
            run="image(2)",
            lines=(5,),
            event="sync",
            note="a change of layout goes through pageable memory, flag or no flag",
        ),
        Invalid(
            code="""
            import torch

            def fill(count: int) -> torch.Tensor:
                buffer = torch.empty(count, device="cuda")
                buffer.copy_(torch.ones(count, pin_memory=True))
                buffer.copy_(torch.ones(count, pin_memory=True), False)
                return buffer
            """,
            run="fill(3)",
            lines=(5, 6),
            event="sync",
            fixed="""
            import torch

            def fill(count: int) -> torch.Tensor:
                buffer = torch.empty(count, device="cuda")
                buffer.copy_(torch.ones(count, pin_memory=True), non_blocking=True)
                buffer.copy_(torch.ones(count, pin_memory=True), True)
                return buffer
            """,
            level=Applicability.SAFE,
            note="into a buffer on the device",
        ),
        Invalid(
            code="""
            import torch

            def positions(count: int) -> torch.Tensor:
                return torch.arange(count).to("cuda")
            """,
            run="positions(3)",
            lines=(4,),
            event="sync",
            fixed="""
            import torch
            from synclint.h2d import async_tensor_h2d

            def positions(count: int) -> torch.Tensor:
                return async_tensor_h2d(torch.arange(count), device="cuda")
            """,
            level=Applicability.UNSAFE,
            note="pageable, and the helper would make synclint a run-time dependency",
        ),
        Invalid(
            code="""
            import torch

            def spread(count: int, steps: int) -> list[torch.Tensor]:
                lengths = torch.arange(count)
                sent = [lengths.cuda(), lengths.float().to(device="cuda:0")]
                sent.append(lengths.to("cuda", torch.int32))
                lengths += steps
                sent.append(lengths.cuda(0))
                sent.append((lengths * 2).to("cuda"))
                return sent
            """,
            run="spread(3, 2)",
            lines=(5, 5, 6, 8, 9),
            event="sync",
            settings=_CONFIGURED,
            fixed="""
            import torch
            from synclint.h2d import async_tensor_h2d

            def spread(count: int, steps: int) -> list[torch.Tensor]:
                lengths = torch.arange(count)
                sent = [async_tensor_h2d(lengths, device="cuda"), async_tensor_h2d(lengths.float(), device="cuda:0")]
                sent.append(async_tensor_h2d(lengths, dtype=torch.int32, device="cuda"))
                lengths += steps
                sent.append(async_tensor_h2d(lengths, device="cuda:0"))
                sent.append(async_tensor_h2d(lengths * 2, device="cuda"))
                return sent
            """,
            level=Applicability.SAFE,
            note="pageable, with the helper configured: it takes its own copy, so that the source may change",
        ),
        Invalid(
            code="""
            import torch

            def fill(count: int) -> torch.Tensor:
                buffer = torch.empty(2, count, device="cuda")
                buffer[0].copy_(torch.arange(count))
                buffer[1].copy_(torch.ones(count, dtype=torch.int64), non_blocking=False)
                return buffer
            """,
            run="fill(3)",
            lines=(5, 6),
            event="sync",
            settings=_CONFIGURED,
            fixed="""
            import torch
            from synclint.h2d import async_tensor_h2d

            def fill(count: int) -> torch.Tensor:
                buffer = torch.empty(2, count, device="cuda")
                async_tensor_h2d(torch.arange(count), out=buffer[0])
                async_tensor_h2d(torch.ones(count, dtype=torch.int64), out=buffer[1])
                return buffer
            """,
            level=Applicability.SAFE,
            note="pageable into a buffer: shape and dtype become the buffer's",
        ),
        Invalid(
            code="""
            import torch

            class Pool:
                def __init__(self) -> None:
                    self.slots = [torch.zeros(2, device="cuda")]

                def slot(self) -> torch.Tensor:
                    return self.slots[-1]

                def lengths(self) -> torch.Tensor:
                    self.slots.append(torch.ones(2, device="cuda"))
                    return torch.arange(2.0)

                def step(self) -> torch.Tensor:
                    return self.slot().copy_(self.lengths())
            """,
            run="Pool().step()",
            lines=(15,),
            event="sync",
            settings=_CONFIGURED,
            fixed="""
            import torch
            from synclint.h2d import async_tensor_h2d

            class Pool:
                def __init__(self) -> None:
                    self.slots = [torch.zeros(2, device="cuda")]

                def slot(self) -> torch.Tensor:
                    return self.slots[-1]

                def lengths(self) -> torch.Tensor:
                    self.slots.append(torch.ones(2, device="cuda"))
                    return torch.arange(2.0)

                def step(self) -> torch.Tensor:
                    return async_tensor_h2d(self.lengths(), out=self.slot())
            """,
            level=Applicability.UNSAFE,
            note="the source is made before the buffer is chosen now",
        ),
        Invalid(
            code="""
            import torch

            def scores(hidden: torch.Tensor, count: int) -> torch.Tensor:
                steps = torch.arange(count).to(hidden.device)
                return hidden + steps + torch.ones(count).type_as(hidden)
            """,
            run="scores(torch.ones(3, device='cuda'), 3)",
            lines=(4, 5),
            event="sync",
            settings=_CONFIGURED,
            fixed="""
            import torch
            from synclint.h2d import async_tensor_h2d

            def scores(hidden: torch.Tensor, count: int) -> torch.Tensor:
                steps = async_tensor_h2d(torch.arange(count), device=hidden.device)
                return hidden + steps + async_tensor_h2d(
                    torch.ones(count), dtype=hidden.dtype, device=hidden.device
                )
            """,
            level=Applicability.UNSAFE,
            note="where another tensor is, which is the accelerator by convention alone",
        ),
        Invalid(
            code="""
            import torch

            device = "cuda" if torch.cuda.is_available() else "cpu"

            def positions(count: int) -> torch.Tensor:
                return torch.arange(count, pin_memory=True).to(device)
            """,
            run="positions(3)",
            lines=(6,),
            event="sync",
            fixed="""
            import torch

            device = "cuda" if torch.cuda.is_available() else "cpu"

            def positions(count: int) -> torch.Tensor:
                return torch.arange(count, pin_memory=True).to(device, non_blocking=True)
            """,
            level=Applicability.UNSAFE,
            note="the device need not be CUDA",
        ),
        Invalid(
            code="""
            import torch

            def masked(hidden: torch.Tensor, lengths: list[int]) -> tuple[torch.Tensor, int]:
                is_padding = torch.tensor(lengths) == 0
                hidden = hidden.masked_fill(is_padding.to(hidden.device), 0.0)
                return hidden, int(is_padding.sum())
            """,
            run="masked(torch.ones(3, device='cuda'), [1, 0, 2])",
            lines=(5,),
            event="sync",
            fixed="""
            import torch

            def masked(hidden: torch.Tensor, lengths: list[int]) -> tuple[torch.Tensor, int]:
                is_padding = torch.tensor(lengths) == 0
                hidden = hidden.masked_fill(is_padding.to(hidden.device, non_blocking=True), 0.0)
                return hidden, int(is_padding.sum())
            """,
            level=Applicability.UNSAFE,
            note="a mask that the host goes on to use (vLLM #39234): the copy may still stall",
        ),
        Invalid(
            code="""
            import torch

            def drain(logits: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor]:
                on_host = logits.to("cpu", non_blocking=True)
                steps = torch.arange(count, pin_memory=True).to("cuda")
                return on_host.clone(), steps
            """,
            run="drain(torch.ones(3, device='cuda'), 3)",
            lines=(5,),
            race=True,
            event="sync",
            fixed="""
            import torch

            def drain(logits: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor]:
                on_host = logits.to("cpu", non_blocking=True)
                steps = torch.arange(count, pin_memory=True).to("cuda", non_blocking=True)
                return on_host.clone(), steps
            """,
            level=Applicability.UNSAFE,
            note="the wait is what makes an earlier copy to the host readable",
        ),
        Invalid(
            code="""
            import torch

            def positions(count: int) -> torch.Tensor:
                return (torch.arange(count) + 1).to(
                    "cuda",  # the first one
                )
            """,
            run="positions(3)",
            lines=(4,),
            event="sync",
            settings=_CONFIGURED,
            fixed="""
            import torch
            from synclint.h2d import async_tensor_h2d

            def positions(count: int) -> torch.Tensor:
                return async_tensor_h2d(torch.arange(count) + 1, device="cuda")
            """,
            level=Applicability.UNSAFE,
            note="a comment would be lost",
        ),
        Invalid(
            code="""
            import torch

            def positions(count: int, *where: str) -> torch.Tensor:
                return torch.arange(count).to("cuda", *where)
            """,
            run="positions(3)",
            lines=(4,),
            event="sync",
            note="what else is passed cannot be told",
        ),
        Invalid(
            code="""
            import torch

            def placed(count: int) -> torch.Tensor:
                x = torch.zeros(count, 2, device="cuda")
                x[1:] = torch.ones(count - 1, 2)
                return x
            """,
            run="placed(3)",
            lines=(5,),
            event="sync",
            note="an assignment is a copy as well",
        ),
    )


def _message(site: Site, context: Context, source: Value, target: Value) -> str:
    node = site.arguments.get("source" if site.operation == "Tensor.copy_" else "self")
    text = context.text(node) if node is not None else ""
    subject = f"`{text}`" if text and len(text) <= 40 and "\n" not in text else "a tensor"
    memory = "pinned host memory" if source.pinned is True else "host memory"
    where = "CUDA" if target.place is Place.CUDA else "the accelerator"
    flag = " without `non_blocking=True`" if source.pinned is True else ""
    verb = "copies" if source.place is Place.CPU else "may copy"
    call = site.node
    given = "..." if isinstance(call, ast.Call) and (call.args or call.keywords) else ""
    method = site.operation.rpartition(".")[2]
    copying = f"`.{method}({given})`" if isinstance(call, ast.Call) else "the assignment"
    return (
        f"{copying} {verb} {subject} from {memory} to {where}{flag}: the host waits until the stream has run up to here"
    )


def _pinned(context: Context, message: str, transfer: transfers.Transfer, source: Value, target: Value) -> Report:
    from synclint.lint import transfers

    if "memory_format" in transfer.extra:
        help_ = "a change of memory format goes through pageable memory: make it on the device, after the copy"
        return Report(message, help_)
    if not target.place.on_accelerator:
        return Report(message, "pass `non_blocking=True` where the device surely is CUDA")
    return Report(message, fix=transfers.flag_fix(context, transfer, source, target))


def _pageable(context: Context, message: str, transfer: transfers.Transfer, source: Value, target: Value) -> Report:
    from synclint.lint import transfers

    flag = transfers.pageable_flag_fix(context, transfer, source, target)
    staged = _helper_fix(context, transfer, source, target)
    first, second = staged, flag
    if staged is None:
        if context.h2d().helper is not None:  # else the user has to choose a helper
            first, second = flag, None
    elif (
        staged.applicability is not Applicability.SAFE
        and flag is not None
        and _stays_on_host(context, transfer, source)
    ):
        first, second = flag, staged
    help_ = transfers.helper_hint(context) if staged is None else _PIN
    return Report(message, help_, first, () if second is None else (second,))


def _helper_fix(context: Context, transfer: transfers.Transfer, source: Value, target: Value) -> Fix | None:
    from synclint.lint import transfers

    doubts = []
    if not context.surely_tensor(source) or (transfer.destination is not None and not context.surely_tensor(target)):
        doubts.append(transfers.MAYBE_NO_TENSOR)
    if not context.surely_on_cuda(target):
        doubts.append(_NOT_SURELY_CUDA)
    if transfer.destination is not None:
        written = [transfer.destination, transfer.source]
        order = transfers.order_doubt(written, written[::-1])
        call = transfers.HelperCall(transfer.source, "tensor", out=context.text(transfer.destination), order=order)
        message = "copy with `{}`, which stages the source in pinned memory and only queues the copy"
    else:
        given = transfers.device_and_dtype(context, transfer)
        if given is None:
            return None
        device, dtype, doubt = given
        doubts.append(doubt)
        if target.optional:
            doubts.append("the device may be None")
        call = transfers.HelperCall(transfer.source, "tensor", dtype, device, order=transfers.order_of(transfer))
        message = "send it with `{}`, which stages the source in pinned memory and only queues the copy"
    return transfers.through_helper(context, transfer.call, call, message, target=target, source=source, unsafe=doubts)


def _stays_on_host(context: Context, transfer: transfers.Transfer, source: Value) -> bool:
    """Whether the source is a mask that is used on the host as well: it is read again, and not replaced by its copy."""
    node = transfer.source
    if not isinstance(node, ast.Name) or not (source.dtype is Dtype.BOOL or _MASK_NAME.search(node.id)):
        return False
    function = context.site.scope.node
    if not isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return False
    start, copy = context.site.statement.lineno, (node.lineno, node.col_offset)
    uses = [part for part in ast.walk(function) if isinstance(part, ast.Name) and part.id == node.id]
    if any(isinstance(use.ctx, ast.Store) and use.lineno >= start for use in uses):
        return False
    return any((use.lineno, use.col_offset) > copy for use in uses)
