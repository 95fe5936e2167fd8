"""SYN102: a tensor is made on the device out of host data, or on the host out of device tensors."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from synclint.lint import (
    Applicability,
    Context,
    Edit,
    Fix,
    Invalid,
    Kind,
    Place,
    Report,
    Rule,
    Site,
    Valid,
    Value,
)

if TYPE_CHECKING:
    import libcst as cst

    from synclint.lint import host_data, transfers

_FILL = "fill it on the device: the number travels with the kernel"
_STAGE = "make it with `{}`, which stages the data in pinned memory and only queues the copy"
_SEND = "send it with `{}`, which stages the data in pinned memory and only queues the copy"
_CONFIGURED = (("h2d-helper", "synclint.h2d:async_tensor_h2d"),)
_KNOWN = frozenset({"data", "dtype", "device", "requires_grad", "pin_memory"})


class TensorFromHostData(Rule):
    """
    ## What it does

    Finds tensors that are made on the device out of what the host has: numbers, lists, arrays. These are
    `torch.tensor(data, device=device)`, `torch.as_tensor`, `torch.asarray`, `x.new_tensor(data)`,
    `torch.cuda.LongTensor(data)`, the same under a default device, and the forms in two steps:
    `torch.tensor(data).to(device)`, `torch.from_numpy(array).cuda()`, `torch.LongTensor(data).cuda()`. Also lists that
    hold device tensors, `torch.tensor([loss_a, loss_b])`: there the host reads every element.

    ## Why it waits

    The tensor is made in pageable host memory and then copied (`internal_new_from_data`). The copy ends in
    `cudaMemcpyAsync` and `cudaStreamSynchronize`: the host stands still until everything queued on the stream
    before has run, be it for one number. `pin_memory=True` does not help. A device tensor inside a list is read with
    `aten::item` (`recursive_store`), one wait for each.

    ## Example

    ## Use instead

    ## Fix safety

    **One number** becomes `torch.full((), number, ...)`, a flat list of equal literals `torch.full((n,), number, ...)`,
    and `new_tensor` becomes `new_full`; `dtype`, `device` and `requires_grad` stay. It is safe for exact Python
    numbers: literals, `len(...)`, `bool(...)`, and `int(...)` without a floating dtype. It is unsafe where the number
    may be a NumPy scalar (`torch.tensor` keeps its dtype, `torch.full` does not), or so large that one of the two
    raises where the other does not: finite floats beyond float32, ints beyond 64 bits, and `torch.uint64`.
    Where both raise, the type of the error may differ.

    **Lists, tuples, arrays and other numbers** become `async_tensor_h2d(data, dtype=..., device=...)`, which builds the
    tensor as `torch.tensor` does, in pinned memory, and queues the copy: values, inferred dtype, default device,
    leafness and (on the CPU) shared memory are the same. It is safe when

    - the data surely is a list, tuple, number or array, or the tensor that a constructor has just made of it;
    - `torch.tensor(array)`, which always copies, surely goes to CUDA: on the CPU the helper would share the array's
      memory;
    - the helper is configured, or the project's own and surely does the same, or synclint stands in the project's
      dependencies. A helper that is not a copy of synclint's own must surely go to CUDA.

    Data that may be anything makes it unsafe: of a tensor, `torch.tensor` makes a detached copy. With `requires_grad=`
    there is no such fix, since what arrives would be no leaf. Two steps with two dtypes stay two steps: the helper is
    then given the tensor. A tensor that surely is pinned gets `non_blocking=True` instead (see SYN101).

    **Lists of device tensors** become `torch.stack`, always unsafe: it keeps the autograd graph and raises for
    an empty list, mixed shapes or devices. Without `device=` the constructor's result is on the host; one read then
    remains (`.cpu()`). There is no fix where the list also holds host data, or tensors that surely are not 0-d.

    All of this assumes that the function works on a single stream, as every fix that removes a wait: an asynchronous
    copy to the host, a reused pinned buffer, another stream, timing, capture or compilation in sight make it unsafe.

    ## When it is fine

    Once, at set-up: make such tensors in the constructor and keep them. An empty list copies nothing.
    `torch.LongTensor(n)` makes room for `n` elements and copies nothing; `torch.cuda.LongTensor(x)` is not reported
    where `x` may be such a size.

    ## Evidence

    Facts: `tensor-from-host-data`, `tensor-from-device-scalars`, and `blocking-h2d-copy` where a constructor is moved
    at once. Read in source and probed, not yet measured on a GPU. Equal results were seen on the CPU (numbers in all
    dtypes) and on a simulated device (the helper).
    """

    code = "SYN102"
    name = "tensor-from-host-data"
    facts = frozenset({"tensor-from-host-data", "tensor-from-device-scalars", "blocking-h2d-copy"})

    def judge(self, site: Site, context: Context) -> Report | None:
        from synclint.lint import host_data

        if site.fact.id == "blocking-h2d-copy":
            return _judge_moved(site, context)
        constructor = host_data.read(context, site.node)
        if site.fact.id == "tensor-from-device-scalars":
            return _judge_device_scalars(site, context, constructor)
        if site.operation.startswith("torch.cuda.") and (
            constructor is None or host_data.kind_of(context, constructor.data) is None
        ):
            return None  # a size, perhaps
        if constructor is None:
            return Report(_message(site, context), "send the data with `async_tensor_h2d`, or fill with `torch.full`")
        if isinstance(constructor.data, (ast.List, ast.Tuple)) and not constructor.data.elts:
            return None  # nothing is copied
        if _holds_device_tensors(context, site.node):
            return None  # one finding for each constructor; that one has both waits
        return _judge_made(site, context, constructor)

    VALID = (
        Valid(
            code="""
            import torch
            from synclint.h2d import async_tensor_h2d

            def isin(elements: torch.Tensor, ids: list[int]) -> torch.Tensor:
                return torch.isin(elements, async_tensor_h2d(ids, device=elements.device))
            """,
            run="isin(torch.arange(3, device='cuda'), [1])",
            note="staged in pinned memory",
        ),
        Valid(
            code="""
            import torch

            def isin(elements: torch.Tensor, ids: list[int]) -> torch.Tensor:
                wanted = torch.tensor(ids, pin_memory=True).to(device=elements.device, non_blocking=True)
                return torch.isin(elements, wanted)
            """,
            run="isin(torch.arange(3, device='cuda'), [1])",
            note="the same by hand",
        ),
        Valid(
            code="""
            import torch

            def start(count: int) -> torch.Tensor:
                zero = torch.full((), 0, device="cuda")
                return torch.cat([zero.view(1), torch.arange(count, device="cuda")])
            """,
            run="start(2)",
            note="numbers that travel with a kernel",
        ),
        Valid(
            code="""
            import torch

            def room(n: int, like: torch.Tensor) -> list[torch.Tensor]:
                return [torch.cuda.LongTensor(n).zero_(), torch.cuda.FloatTensor(2, n).zero_()]
            """,
            run="room(2, torch.zeros(2, device='cuda'))",
            note="a number is a size",
        ),
        Valid(
            code="""
            import numpy as np
            import torch

            def total(ids: list[int], array: np.ndarray) -> int:
                return int(torch.tensor(ids).sum() + torch.from_numpy(array).sum() + torch.LongTensor(ids).sum())
            """,
            run="total([1, 2], np.arange(3))",
            note="everything stays on the host",
        ),
        Valid(
            code="""
            import torch

            def nothing(x: torch.Tensor) -> torch.Tensor:
                return torch.cat([x, torch.tensor([], device="cuda"), torch.tensor([]).to("cuda")])
            """,
            run="nothing(torch.ones(2, device='cuda'))",
            note="no elements, no copy",
        ),
        Valid(
            code="""
            import torch

            def both(x: torch.Tensor) -> torch.Tensor:
                return torch.stack([x.sum(), x.max()])
            """,
            run="both(torch.ones(2, device='cuda'))",
            note="joined on the device",
        ),
    )

    INVALID = (
        Invalid(
            code="""
            import torch

            def isin(elements: torch.Tensor, ids: list[int]) -> torch.Tensor:
                wanted = torch.tensor(ids).to(device=elements.device)
                return torch.isin(elements, wanted)
            """,
            run="isin(torch.arange(3, device='cuda'), [1])",
            lines=(4,),
            event="sync",
            settings=_CONFIGURED,
            fixed="""
            import torch
            from synclint.h2d import async_tensor_h2d

            def isin(elements: torch.Tensor, ids: list[int]) -> torch.Tensor:
                wanted = async_tensor_h2d(ids, device=elements.device)
                return torch.isin(elements, wanted)
            """,
            level=Applicability.SAFE,
            note="a list, with the helper configured",
        ),
        Invalid(
            code="""
            import torch

            def chunks(x: torch.Tensor, lengths: list[int]) -> torch.Tensor:
                return x[torch.tensor(lengths, device="cuda").cumsum(0) - 1]
            """,
            run="chunks(torch.ones(4, device='cuda'), [1, 3])",
            lines=(4,),
            event="sync",
            fixed="""
            import torch
            from synclint.h2d import async_tensor_h2d

            def chunks(x: torch.Tensor, lengths: list[int]) -> torch.Tensor:
                return x[async_tensor_h2d(lengths, device="cuda").cumsum(0) - 1]
            """,
            level=Applicability.UNSAFE,
            note="the helper would make synclint a run-time dependency",
        ),
        Invalid(
            code="""
            import torch
            from torch import as_tensor

            def spellings(ids: list[int], x: torch.Tensor) -> list[torch.Tensor]:
                return [
                    torch.tensor(ids, dtype=torch.int32, device="cuda"),
                    torch.tensor(data=[n + 0.5 for n in ids], device="cuda:0"),
                    as_tensor(ids, dtype=torch.float16, device="cuda"),
                    torch.as_tensor(tuple(ids)).to("cuda"),
                    torch.tensor([[1, 2], [3, 4]], dtype=torch.int16, device="cpu").cuda(),
                    torch.LongTensor(ids).cuda(),
                    x.new_tensor([1, 2]),
                ]
            """,
            run="spellings([1, 2], torch.ones(2, device='cuda'))",
            lines=(6, 7, 8, 9, 10, 11, 12),
            event="sync",
            settings=_CONFIGURED,
            fixed="""
            import torch
            from synclint.h2d import async_tensor_h2d
            from torch import as_tensor

            def spellings(ids: list[int], x: torch.Tensor) -> list[torch.Tensor]:
                return [
                    async_tensor_h2d(ids, dtype=torch.int32, device="cuda"),
                    async_tensor_h2d([n + 0.5 for n in ids], device="cuda:0"),
                    async_tensor_h2d(ids, dtype=torch.float16, device="cuda"),
                    async_tensor_h2d(tuple(ids), device="cuda"),
                    async_tensor_h2d([[1, 2], [3, 4]], dtype=torch.int16, device="cuda"),
                    async_tensor_h2d(ids, dtype=torch.int64, device="cuda"),
                    async_tensor_h2d([1, 2], dtype=x.dtype, device=x.device),
                ]
            """,
            level=Applicability.SAFE,
            note="every spelling of a list",
        ),
        Invalid(
            code="""
            import torch

            def lengths(ids: list[int]) -> torch.Tensor:
                first = torch.cuda.FloatTensor(ids)
                return first + torch.cuda.LongTensor([n for n in ids])
            """,
            run="lengths([1, 2])",
            lines=(4, 5),
            event="sync",
            settings=_CONFIGURED,
            fixed="""
            import torch
            from synclint.h2d import async_tensor_h2d

            def lengths(ids: list[int]) -> torch.Tensor:
                first = async_tensor_h2d(ids, dtype=torch.float32, device="cuda")
                return first + async_tensor_h2d([n for n in ids], dtype=torch.int64, device="cuda")
            """,
            level=Applicability.SAFE,
            note="the legacy constructors of the device",
        ),
        Invalid(
            code="""
            import torch

            def table(rows: list[list[int]]) -> torch.Tensor:
                with torch.device("cuda"):
                    return torch.tensor(rows)
            """,
            run="table([[1], [2]])",
            lines=(5,),
            event="sync",
            settings=_CONFIGURED,
            fixed="""
            import torch
            from synclint.h2d import async_tensor_h2d

            def table(rows: list[list[int]]) -> torch.Tensor:
                with torch.device("cuda"):
                    return async_tensor_h2d(rows)
            """,
            level=Applicability.SAFE,
            note="the default device",
        ),
        Invalid(
            code="""
            import numpy as np
            import torch

            def arrays(array: np.ndarray, device: torch.device) -> list[torch.Tensor]:
                return [
                    torch.as_tensor(array, device=device),
                    torch.from_numpy(array).to(device),
                    torch.from_numpy(array).to(device, torch.float16),
                    torch.from_numpy(array[1:].copy()).to(device),
                    torch.tensor(np.cumsum(array), device="cuda"),
                ]
            """,
            run="arrays(np.arange(3), torch.device('cuda'))",
            lines=(6, 7, 8, 9, 10),
            event="sync",
            settings=_CONFIGURED,
            fixed="""
            import numpy as np
            import torch
            from synclint.h2d import async_tensor_h2d

            def arrays(array: np.ndarray, device: torch.device) -> list[torch.Tensor]:
                return [
                    async_tensor_h2d(array, device=device),
                    async_tensor_h2d(array, device=device),
                    async_tensor_h2d(torch.from_numpy(array), dtype=torch.float16, device=device),
                    async_tensor_h2d(torch.from_numpy(array[1:].copy()), device=device),
                    async_tensor_h2d(np.cumsum(array), device="cuda"),
                ]
            """,
            level=Applicability.SAFE,
            note="arrays; what is not surely one stays wrapped, and so does a second dtype",
        ),
        Invalid(
            code="""
            import numpy as np
            import torch

            def offsets(array: np.ndarray, device: torch.device) -> torch.Tensor:
                return torch.tensor(array, device=device)
            """,
            run="offsets(np.arange(3), torch.device('cuda'))",
            lines=(5,),
            event="sync",
            settings=_CONFIGURED,
            fixed="""
            import numpy as np
            import torch
            from synclint.h2d import async_tensor_h2d

            def offsets(array: np.ndarray, device: torch.device) -> torch.Tensor:
                return async_tensor_h2d(array, device=device)
            """,
            level=Applicability.UNSAFE,
            note="should the device be the CPU, the copy of the array would become a view of it",
        ),
        Invalid(
            code="""
            import torch

            def pad(x: torch.Tensor, ids: list[int]) -> list[torch.Tensor]:
                return [
                    torch.tensor(0, dtype=torch.int32, device=x.device),
                    torch.tensor(-1.5, device="cuda", requires_grad=True),
                    torch.as_tensor(True, device="cuda"),
                    torch.tensor([0, 0], device=x.device),
                    torch.tensor(len(ids), dtype=x.dtype, device=x.device),
                    torch.tensor([len(ids)]).to("cuda"),
                    torch.tensor(float("-inf")).cuda(),
                    x.new_tensor([0]),
                ]
            """,
            run="pad(torch.ones(2, device='cuda'), [7])",
            lines=(5, 6, 7, 8, 9, 10, 11, 12),
            event="sync",
            fixed="""
            import torch

            def pad(x: torch.Tensor, ids: list[int]) -> list[torch.Tensor]:
                return [
                    torch.full((), 0, dtype=torch.int32, device=x.device),
                    torch.full((), -1.5, device="cuda", requires_grad=True),
                    torch.full((), True, device="cuda"),
                    torch.full((2,), 0, device=x.device),
                    torch.full((), len(ids), dtype=x.dtype, device=x.device),
                    torch.full((1,), len(ids), device="cuda"),
                    torch.full((), float("-inf"), device="cuda"),
                    x.new_full((1,), 0),
                ]
            """,
            level=Applicability.SAFE,
            note="exact Python numbers",
        ),
        Invalid(
            code="""
            from torch import tensor

            def limit() -> object:
                return tensor(
                    65504,
                    device="cuda",
                )
            """,
            run="limit()",
            lines=(4,),
            event="sync",
            fixed="""
            from torch import full, tensor

            def limit() -> object:
                return full(
                    (),
                    65504,
                    device="cuda",
                )
            """,
            level=Applicability.SAFE,
            note="laid out as it was",
        ),
        Invalid(
            code="""
            import torch

            def thresholds(scale: float, text: str) -> list[torch.Tensor]:
                return [
                    torch.tensor(scale, device="cuda"),
                    torch.tensor(float(text), device="cuda"),
                    torch.tensor(int(text), dtype=torch.float32, device="cuda"),
                ]
            """,
            run="thresholds(0.5, '2')",
            lines=(5, 6, 7),
            event="sync",
            fixed="""
            import torch

            def thresholds(scale: float, text: str) -> list[torch.Tensor]:
                return [
                    torch.full((), scale, device="cuda"),
                    torch.full((), float(text), device="cuda"),
                    torch.full((), int(text), dtype=torch.float32, device="cuda"),
                ]
            """,
            level=Applicability.UNSAFE,
            note="what may be a NumPy scalar, or too large",
        ),
        Invalid(
            code="""
            import torch

            def thresholds(scale: float, text: str) -> list[torch.Tensor]:
                return [torch.tensor(scale, device="cuda"), torch.tensor(float(text)).to("cuda")]
            """,
            run="thresholds(0.5, '2')",
            lines=(4, 4),
            event="sync",
            settings=_CONFIGURED,
            fixed="""
            import torch
            from synclint.h2d import async_tensor_h2d

            def thresholds(scale: float, text: str) -> list[torch.Tensor]:
                return [async_tensor_h2d(scale, device="cuda"), async_tensor_h2d(float(text), device="cuda")]
            """,
            level=Applicability.SAFE,
            note="the helper treats every number as `torch.tensor` does",
        ),
        Invalid(
            code="""
            import torch

            def send(ids: list[int]) -> torch.Tensor:
                return torch.tensor(ids, pin_memory=True).to("cuda")
            """,
            run="send([1, 2])",
            lines=(4,),
            event="sync",
            fixed="""
            import torch

            def send(ids: list[int]) -> torch.Tensor:
                return torch.tensor(ids, pin_memory=True).to("cuda", non_blocking=True)
            """,
            level=Applicability.SAFE,
            note="pinned already: the flag is all that is missing",
        ),
        Invalid(
            code="""
            import torch

            def leaf(values: list[float]) -> torch.Tensor:
                return torch.tensor(values, device="cuda", requires_grad=True)
            """,
            run="leaf([1.0])",
            lines=(4,),
            event="sync",
            settings=_CONFIGURED,
            level=Applicability.SUGGESTION,
            note="a leaf that requires grad",
        ),
        Invalid(
            code="""
            import torch

            def moved(values: list[float]) -> torch.Tensor:
                return torch.tensor(values, requires_grad=True).cuda()
            """,
            run="moved([1.0])",
            lines=(4,),
            event="sync",
            settings=_CONFIGURED,
            level=Applicability.SUGGESTION,
            note="no leaf, but the copy of one",
        ),
        Invalid(
            code="""
            import torch

            def make(data) -> torch.Tensor:
                return torch.tensor(data, device="cuda")
            """,
            run="make([1, 2])",
            lines=(4,),
            event="sync",
            settings=_CONFIGURED,
            fixed="""
            import torch
            from synclint.h2d import async_tensor_h2d

            def make(data) -> torch.Tensor:
                return async_tensor_h2d(data, device="cuda")
            """,
            level=Applicability.UNSAFE,
            note="data that may be anything, a tensor included",
        ),
        Invalid(
            code="""
            import torch

            def make(data) -> torch.Tensor:
                first = torch.LongTensor(data).cuda()
                return first + torch.tensor(data).to("cuda", torch.int64)
            """,
            run="make([1, 2])",
            lines=(4, 5),
            event="sync",
            settings=_CONFIGURED,
            fixed="""
            import torch
            from synclint.h2d import async_tensor_h2d

            def make(data) -> torch.Tensor:
                first = async_tensor_h2d(torch.LongTensor(data), device="cuda")
                return first + async_tensor_h2d(
                    torch.tensor(data), dtype=torch.int64, device="cuda"
                )
            """,
            level=Applicability.SAFE,
            note="made as before, whatever the data is, and sent without waiting",
        ),
        Invalid(
            code="""
            import torch

            def again(count: int) -> torch.Tensor:
                steps = torch.ones(count)
                return torch.tensor(steps, device="cuda") + torch.as_tensor(steps, device="cuda")
            """,
            run="again(2)",
            lines=(5, 5),
            event="sync",
            settings=_CONFIGURED,
            fixed="""
            import torch
            from synclint.h2d import async_tensor_h2d

            def again(count: int) -> torch.Tensor:
                steps = torch.ones(count)
                return async_tensor_h2d(steps.detach(), device="cuda") + async_tensor_h2d(steps, device="cuda")
            """,
            level=Applicability.SAFE,
            note="a tensor as data: detached as before, or not, as before",
        ),
        Invalid(
            code="""
            import torch

            def make(ids: list[int], *where: str) -> torch.Tensor:
                return torch.tensor(ids).to("cuda", *where) + torch.tensor(ids).to("cuda", copy=True)
            """,
            run="make([1, 2])",
            lines=(4, 4),
            event="sync",
            settings=_CONFIGURED,
            note="what else is asked for is not for the helper to give",
        ),
        Invalid(
            code="""
            import torch

            def summary(x: torch.Tensor) -> torch.Tensor:
                return torch.tensor([x.sum(), x.max()], device="cuda")
            """,
            run="summary(torch.ones(2, device='cuda'))",
            lines=(4,),
            event="sync",
            fixed="""
            import torch

            def summary(x: torch.Tensor) -> torch.Tensor:
                return torch.stack([x.sum(), x.max()])
            """,
            level=Applicability.UNSAFE,
            note="a list of device tensors",
        ),
        Invalid(
            code="""
            import torch

            def summary(losses: list[torch.Tensor], x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
                on_host = torch.FloatTensor([loss.sum() for loss in losses])
                return on_host, torch.tensor([x.sum(), x.max()], dtype=torch.float64).to(x.device)
            """,
            run="summary([torch.ones((), device='cuda')], torch.ones(2, device='cuda'))",
            lines=(4, 5),
            left=1,
            event="sync",
            fixed="""
            import torch

            def summary(losses: list[torch.Tensor], x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
                on_host = torch.stack([loss.sum() for loss in losses]).to(torch.float32).cpu()
                return on_host, torch.stack([x.sum(), x.max()]).to(torch.float64).to(x.device)
            """,
            level=Applicability.UNSAFE,
            note="where the result belongs on the host, one read is left",
        ),
        Invalid(
            code="""
            import torch

            def bounds(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
                mixed = torch.tensor([0, x.sum()], device="cuda")
                return mixed, torch.tensor([torch.zeros(1, device="cuda"), torch.ones(1, device="cuda")], device="cuda")
            """,
            run="bounds(torch.ones(2, device='cuda'))",
            lines=(4, 5),
            event="sync",
            level=Applicability.SUGGESTION,
            note="numbers among the tensors, or tensors with dimensions of their own",
        ),
    )


def _message(site: Site, context: Context) -> str:
    where = _where(site.operands["target"])
    return (
        f"`{_written(context, site.node)}(...)` makes a tensor on {where} out of host data: "
        "the host waits until the stream has run up to the copy"
    )


def _where(target: Value) -> str:
    return "CUDA" if target.place is Place.CUDA else "the accelerator"


def _written(context: Context, node: ast.expr) -> str:
    """What is called, as it is written: ``torch.tensor``, ``x.new_tensor``."""
    function = node.func if isinstance(node, ast.Call) else node
    text = context.text(function)
    if len(text) > 40 or "\n" in text:
        return getattr(function, "attr", "a constructor")
    return text


# ---------------------------------------------------------------------- made on the device at once


def _judge_made(site: Site, context: Context, constructor: host_data.Constructor) -> Report:
    from synclint.lint import host_data, transfers

    message = _message(site, context)
    target, data = site.operands["target"], site.operands["data"]
    if set(constructor.given) - _KNOWN:
        return Report(message, "send the data with `async_tensor_h2d`")
    filled = host_data.filling(context, constructor.data, data)
    full = None if filled is None else _full_fix(context, constructor, filled)
    if full is not None and full.applicability is Applicability.SAFE:
        return Report(message, fix=full)
    if _requires_grad(constructor):
        words = "make the leaf itself from data that is sent without waiting: `async_tensor_h2d(...).requires_grad_()`"
        return Report(message, fix=full or Fix(Applicability.SUGGESTION, words))
    staged = _helper_fix(context, constructor, target, data)
    first, second = (staged, full) if staged is not None and (full is None or _is_safe(staged)) else (full, staged)
    help_ = transfers.helper_hint(context) if staged is None else ""
    return Report(message, help_, first, () if second is None else (second,))


def _is_safe(fix: Fix) -> bool:
    return fix.applicability is Applicability.SAFE


def _requires_grad(constructor: host_data.Constructor) -> bool:
    given = constructor.given.get("requires_grad")
    return given is not None and not (isinstance(given, ast.Constant) and given.value is False)


def _helper_fix(context: Context, constructor: host_data.Constructor, target: Value, data: Value) -> Fix | None:
    """The constructor's call replaced by one of the helper."""
    from synclint.lint import host_data, transfers

    given = dict(constructor.given)
    dtype = _dtype_text(context, constructor)
    if dtype is None:
        return None
    device = context.text(given["device"]) if "device" in given else None
    doubts = []
    if constructor.function == "new_tensor":
        receiver = constructor.call.func.value if isinstance(constructor.call.func, ast.Attribute) else None
        if receiver is None or not _is_plain(receiver):
            return None
        device = device or f"{context.text(receiver)}.device"
    elif constructor.function.startswith("torch.cuda."):
        device = '"cuda"'
    known = None if constructor.legacy_dtype is not None else data  # to inference, a torch.Size is a sequence
    kind = host_data.kind_of(context, constructor.data, known)
    suffix = ""
    aliases = constructor.function in ("torch.as_tensor", "torch.asarray")
    if kind is None:
        what = _short(context.text(constructor.data))
        doubts.append(f"{what} may be a list, an array or a tensor, and these are treated differently")
    if not aliases and kind in ("ndarray", "tensor") and not context.surely_on_cuda(target):
        written = _written(context, constructor.call)
        doubts.append(f"where the device is the host, `{written}` copies what the helper shares")
    if kind == "tensor" and not aliases:
        if not isinstance(constructor.data, (ast.Name, ast.Attribute, ast.Call, ast.Subscript)):
            return None
        suffix = ".detach()"
    if "pin_memory" in given and not _is_false(given["pin_memory"]):
        doubts.append("`pin_memory=True` raises here, since the tensor is made on the device")
    call = transfers.HelperCall(constructor.data, kind, dtype or None, device, None, suffix, _order_doubt(given))
    return transfers.through_helper(context, constructor.call, call, _STAGE, target=target, unsafe=doubts)


def _dtype_text(context: Context, constructor: host_data.Constructor) -> str | None:
    """The dtype to give to the helper, empty for none; None if it cannot be written."""
    if "dtype" in constructor.given:
        return context.text(constructor.given["dtype"])
    function = constructor.call.func
    if constructor.function == "new_tensor":
        receiver = function.value if isinstance(function, ast.Attribute) else None
        return f"{context.text(receiver)}.dtype" if receiver is not None and _is_plain(receiver) else None
    legacy = constructor.legacy_dtype
    if legacy is None:
        return ""
    torch = _torch(context, constructor)
    return f"{torch}.{legacy}" if torch and legacy else None


def _torch(context: Context, constructor: host_data.Constructor) -> str:
    """What torch is called where a constructor is called as its attribute; empty where it is not."""
    function = constructor.call.func
    if not isinstance(function, ast.Attribute):
        return ""
    text = context.text(function.value)
    return text.removesuffix(".cuda") if constructor.function.startswith("torch.cuda.") else text


def _order_doubt(given: dict[str, ast.expr]) -> str:
    from synclint.lint import transfers

    ordered = [given[name] for name in ("data", "dtype", "device") if name in given]
    written = [node for node in given.values() if node in ordered]
    return transfers.order_doubt(written, ordered)


def _is_plain(node: ast.expr) -> bool:
    """Whether an expression is a name or attributes of one, which may be written twice."""
    while isinstance(node, ast.Attribute):
        node = node.value
    return isinstance(node, ast.Name)


def _is_false(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is False


def _short(text: str) -> str:
    return f"`{text}`" if len(text) <= 40 and "\n" not in text else "the data"


# ---------------------------------------------------------------------- torch.full

_FILLED = frozenset({"torch.tensor", "torch.as_tensor", "torch.asarray", "new_tensor"})


def _full_fix(context: Context, constructor: host_data.Constructor, filled: host_data.Filling) -> Fix | None:
    call = _full_call(context, constructor, filled, None)
    if call is None:
        return None
    new, imports, doubts = call
    edits = [context.statement.replace(constructor.call, new), *imports]
    return context.fix(_FILL, edits, unsafe=doubts)


def _full_call(
    context: Context, constructor: host_data.Constructor, filled: host_data.Filling, device: str | None
) -> tuple[cst.Call, tuple[Edit, ...], list[str]] | None:
    """The call of ``torch.full`` (or ``new_full``) instead of the constructor's, its imports, and what it may change.

    ``device`` is added to the arguments.
    """
    import libcst as cst

    from synclint.lint import transfers

    node = context.statement.node(constructor.call)
    if constructor.function not in _FILLED or not isinstance(node, cst.Call):
        return None
    value = context.statement.node(filled.node)
    if value is None:
        return None
    imports: tuple[Edit, ...] = ()
    name = "new_full" if constructor.function == "new_tensor" else "full"
    function: cst.BaseExpression
    if isinstance(node.func, cst.Attribute):
        function = node.func.with_changes(attr=cst.Name(name))
    else:
        written, imports = context.name_for("torch", name)
        function = cst.parse_expression(written)
    tight = cst.AssignEqual(cst.SimpleWhitespace(""), cst.SimpleWhitespace(""))
    gap = transfers.gap(node)
    arguments = [cst.Arg(cst.parse_expression(str(filled.shape)), comma=cst.Comma(whitespace_after=gap))]
    for parameter, argument in zip(constructor.given, node.args, strict=True):
        if parameter == "data":
            argument = argument.with_changes(value=value)
        if argument.keyword is not None or parameter != "data":
            keyword = cst.Name("fill_value" if parameter == "data" else parameter)
            argument = argument.with_changes(keyword=keyword, equal=tight)
        arguments.append(argument)
    new = node.with_changes(func=function, args=arguments)
    if device is not None:
        new = new.with_changes(args=transfers.with_keyword(new, "device", device))
    doubt = "a NumPy scalar keeps its dtype in `torch.tensor`, not in `torch.full`"
    if filled.number is not None:
        doubt = filled.number.filling_doubt(_dtype_name(context, constructor))
    return new, imports, [doubt] if doubt else []


def _dtype_name(context: Context, constructor: host_data.Constructor) -> str | None:
    """The name of the dtype that is asked for, None if none is, empty if it is not known."""
    from synclint.lint import transfers

    given = constructor.given.get("dtype")
    if given is None or (isinstance(given, ast.Constant) and given.value is None):
        return "" if constructor.function == "new_tensor" else None
    return transfers.dtype_name(context, given)


# ---------------------------------------------------------------------- made on the host, then moved


def _judge_moved(site: Site, context: Context) -> Report | None:
    from synclint.lint import host_data, transfers

    receiver = site.arguments.get("self")
    constructor = host_data.read(context, receiver) if receiver is not None else None
    if constructor is None or _holds_device_tensors(context, constructor.call):
        return None
    if isinstance(constructor.data, (ast.List, ast.Tuple)) and not constructor.data.elts:
        return None  # nothing is copied
    source, target = site.operands["self"], site.operands["target"]
    message = (
        f"`{_written(context, constructor.call)}(...)` is copied from host memory to {_where(target)}: "
        "the host waits until the stream has run up to here"
    )
    transfer = transfers.read(site)
    if transfer is None:
        return Report(message, "send the data with `async_tensor_h2d`")
    if source.pinned is True and "memory_format" not in transfer.extra and target.place.on_accelerator:
        return Report(message, fix=transfers.flag_fix(context, transfer, source, target))
    if _requires_grad(constructor):
        words = "send the data with `async_tensor_h2d`; `.requires_grad_()` makes a leaf of what arrives"
        return Report(message, fix=Fix(Applicability.SUGGESTION, words))
    given = transfers.device_and_dtype(context, transfer)
    if given is None:
        return Report(message, "send the data with `async_tensor_h2d`, then change its layout on the device")
    device, dtype, doubt = given
    plain = dtype is None and not set(constructor.given) - _KNOWN
    filled = host_data.filling(context, constructor.data) if plain and "device" not in constructor.given else None
    full = None
    if filled is not None:
        call = _full_call(context, constructor, filled, device)
        if call is not None:
            new, imports, doubts = call
            edits = [context.statement.replace(transfer.call, new), *imports]
            full = context.fix(_FILL, edits, unsafe=[*doubts, *([doubt] if doubt else [])])
    if full is not None and _is_safe(full):
        return Report(message, fix=full)
    staged = _send_fix(context, constructor, transfer, given, site)
    first, second = (staged, full) if staged is not None and (full is None or _is_safe(staged)) else (full, staged)
    if first is None and context.h2d().helper is not None:
        first = transfers.pageable_flag_fix(context, transfer, source, target)
    help_ = transfers.helper_hint(context) if staged is None else ""
    return Report(message, help_, first, () if second is None else (second,))


def _send_fix(
    context: Context,
    constructor: host_data.Constructor,
    transfer: transfers.Transfer,
    given: tuple[str | None, str | None, str],
    site: Site,
) -> Fix | None:
    """The helper in the place of the move: given the data itself where that is the same, else the tensor."""
    from synclint.lint import host_data, transfers

    source, target = site.operands["self"], site.operands["target"]
    device, dtype, doubt = given
    doubts = [doubt]
    kind = host_data.kind_of(context, constructor.data)
    inner = _dtype_text(context, constructor)
    if dtype is None and inner is not None and kind is not None and _is_same_data(constructor, kind):
        call = transfers.HelperCall(constructor.data, kind, inner or None, device)
        message = _STAGE
        if constructor.function == "torch.tensor" and kind == "ndarray" and not context.surely_on_cuda(target):
            doubts.append("where the device is the host, `torch.tensor` copies what the helper shares")
        if target.optional and constructor.function not in ("torch.tensor", "torch.as_tensor", "torch.asarray"):
            doubts.append("the device may be None")
        if "pin_memory" in constructor.given and not _is_false(constructor.given["pin_memory"]):
            doubts.append("`pin_memory=True` raises where memory cannot be pinned")
    else:
        call = transfers.HelperCall(constructor.call, "tensor", dtype, device, order=transfers.order_of(transfer))
        message = _SEND
        if target.optional:
            doubts.append("the device may be None")
    return transfers.through_helper(context, transfer.call, call, message, target=target, source=source, unsafe=doubts)


def _is_same_data(constructor: host_data.Constructor, kind: str) -> bool:
    """Whether the helper makes of the data what the constructor makes of it."""
    given = constructor.given
    if set(given) - {"data", "dtype", "device", "pin_memory"}:
        return False
    if "device" in given and not (isinstance(given["device"], ast.Constant) and given["device"].value == "cpu"):
        return False
    if constructor.function == "torch.from_numpy":
        return kind == "ndarray"
    if constructor.legacy_dtype is not None:
        return kind in ("list", "tuple")
    if constructor.function == "new_tensor":
        return kind in ("list", "tuple", "scalar")
    return kind != "tensor"


# ---------------------------------------------------------------------- device tensors in a list


def _holds_device_tensors(context: Context, node: ast.expr) -> bool:
    return any(site.node is node and site.fact.id == "tensor-from-device-scalars" for site in context.sites)


def _judge_device_scalars(site: Site, context: Context, constructor: host_data.Constructor | None) -> Report:
    message = (
        f"`{_written(context, site.node)}(...)` reads the device tensors in its list one by one: "
        "the host waits once for each"
    )
    data = site.operands["data"]
    items = data.items if data.items is not None else (data.element,)
    if not all(item is not None and item.kind is Kind.TENSOR and item.place.on_accelerator for item in items):
        words = "join the device tensors with `torch.stack`, and the host data apart from them"
        return Report(message, fix=Fix(Applicability.SUGGESTION, words))
    if any(item is not None and item.rank for item in items):
        words = "join the tensors on the device with `torch.cat` (or `torch.stack`, for a new dimension)"
        return Report(message, fix=Fix(Applicability.SUGGESTION, words))
    words = "join the tensors on the device with `torch.stack`"
    fix = _stack_fix(context, constructor, site) if constructor is not None else None
    return Report(message, fix=fix or Fix(Applicability.SUGGESTION, words))


def _stack_fix(context: Context, constructor: host_data.Constructor, site: Site) -> Fix | None:
    torch = _torch(context, constructor)
    if not torch or constructor.function == "new_tensor" or set(constructor.given) - _KNOWN:
        return None
    if _requires_grad(constructor):
        return None
    doubts = [
        "it needs tensors of one shape on one device, and at least one of them",
        "it keeps the autograd graph, which the constructor cuts",
    ]
    text = f"{torch}.stack({context.text(constructor.data)})"
    dtype = _dtype_text(context, constructor)
    if dtype is None:
        dtype = f"{torch}.get_default_dtype()"
    if dtype:
        text += f".to({dtype})"
    copies = [other for other in context.sites if other.fact.id == "blocking-h2d-copy"]
    moved = any(other.arguments.get("self") is constructor.call for other in copies)
    target = site.operands.get("target")
    message = "join them on the device with `torch.stack`: nothing is read"
    if not moved and (target is None or not target.place.on_accelerator):
        text += ".cpu()" if target is None or "device" not in constructor.given else ""
        if "device" in constructor.given:
            text += f".to({context.text(constructor.given['device'])})"
        message = "join them on the device with `torch.stack`: one read instead of one for each"
    return context.fix(message, [context.statement.replace(constructor.call, text)], unsafe=doubts)
