"""SYN202: a condition asks a device tensor for its truth value."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from synclint.lint import Applicability, Context, Invalid, Report, Rule, Site, Valid

if TYPE_CHECKING:
    from synclint.lint.conditions import Condition

_HELP = {
    "if": "choose on the device with `torch.where(condition, a, b)`, or decide from host data, once, before the loop",
    "ifexp": "choose on the device with `torch.where(condition, a, b)`, which computes both sides",
    "while": "run a fixed number of rounds and keep what is finished with `torch.where`, or read the condition every "
    "n-th round only",
    "assert": "`torch._assert_async(condition, message)` does not wait, but where it fails it aborts the CUDA context "
    "instead of raising; or check host data",
    "and": "join the conditions on the device with `torch.logical_and`, which computes both sides",
    "or": "join the conditions on the device with `torch.logical_or`, which computes both sides",
    "not": "negate on the device with `torch.logical_not`",
    "compare": "write `(a < b) & (b < c)`: a chained comparison asks for the truth of its first half",
    "comprehension": "compute the condition for all elements at once and read it with one `.tolist()`",
    "match": "decide from host data, once, before the loop",
}
_ASKING = {
    "ifexp": "the conditional expression",
    "compare": "the chained comparison",
    "comprehension": "the condition of the comprehension",
    "match": "the guard of the `case`",
}
_REPEATS = {"while": ", every round", "comprehension": ", for every element"}

_GUARD_HELP = (
    "`torch.where` keeps every value; clamping always costs less and also changes finite values next to the limit"
)
_IN_PLACE_HELP = (
    "no fix is offered: `clamp_()` writes into memory that others may see; assign `torch.where(condition, "
    "x.clamp(...), x)` if nobody relies on that"
)
_MASKED = frozenset({"masked_fill", "masked_fill_", "masked_scatter", "masked_scatter_", "where"})
_CLAMPS_IN_PLACE = frozenset({"clamp_", "clip_", "clamp_min_", "clamp_max_"})


class TensorCondition(Rule):
    """
    ## What it does

    Finds tensors on the device whose truth value Python asks for: in `if`, `while`, `assert`, `and`, `or`, `not`,
    conditional expressions, chained comparisons, conditions of comprehensions and guards of `case`. A condition is
    one finding, however many tensors it reads; the message says how many.

    ## Why it waits

    `bool(tensor)` needs the number itself. `aten::is_nonzero` calls `aten::item`, which copies one element to the host
    with `cudaMemcpyAsync` and then waits in `cudaStreamSynchronize` until everything queued before it on the stream
    has run. `a or b` does that once for each operand that Python comes to evaluate.

    ## Example

        if x.isinf().any() or x.isnan().any():
            x = torch.clamp(x, min=-limit, max=limit)

    ## Use instead

        x = torch.where(x.isinf().any() | x.isnan().any(), torch.clamp(x, min=-limit, max=limit), x)

    For other conditions there is no rewrite that keeps every promise: compute both outcomes and choose with
    `torch.where`, join conditions with `torch.logical_and` or `torch.logical_or`, check with
    `torch._assert_async` (which aborts the CUDA context instead of raising), or take the decision from host data
    outside the hot path. A guard such as `if mask.any(): x[mask] = 0` only skips work: without it, the masked operation
    does nothing when no element is set.

    ## Fix safety

    There is a fix for the clamp guard alone: an `if` without `else` whose body is one assignment `x = torch.clamp(x,
    ...)` (`clip`, `clamp_min`, `clamp_max` and the methods count), after any number of assignments of numbers. Terms of
    the test that need no tensor, such as `x.dtype == torch.float16 and ...`, stay an `if`.

    The `torch.where` form gives equal bits (NaN payloads and signed zeros included), dtype and shape. It is safe when

    - the test asks `x` itself for infinities or NaN, with `any` or `all`: such a test can be computed always;
    - `x` is surely a tensor, and tested for being `float16`, `bfloat16`, `float32` or `float64`, or known to be
      floating point: elsewhere `clamp` may change the dtype, or raise where it did not run before;
    - the bounds are Python numbers that fit the dtype; `torch.finfo(x.dtype).max - 1000` is one;
    - `x` was made in this function, by an operator or a function of torch that returns new memory, and no other name,
      container or callee got hold of it before the `if`, nor is it written in place afterwards: the original leaves `x`
      itself where the condition is false, `torch.where` makes a new tensor;
    - numbers that the body assigns are not used elsewhere, and no comment would be lost.

    Otherwise it is unsafe, and says why: above all where `x` is a parameter, which the original may return to its
    caller as it is. It is not offered where `x` surely has another name, where a bound may be a tensor (which changes
    dtype or shape), where nothing speaks for a floating dtype, and never for the in-place form `x.clamp_()`.

    The other fix, never applied by itself, clamps always. It is unsafe: it also changes finite values next to the
    limit. In fp16 with a limit of 64504 these are the magnitudes from 64544 to 65504.

    What the promise leaves out: the clamp now runs always, and a gradient of -0.0 that flows back through the guard
    arrives as 0.0. Every fix that removes a wait assumes that the function works on a single stream; other streams,
    asynchronous copies to the host, pinned buffers, timing, capture and compilation in sight make it unsafe.

    ## When it is fine

    Where the condition is read once per request rather than per step, where it saves much more work than a wait costs,
    or in checks that only run while debugging. Arrays, CPU tensors, and questions about shapes, dtypes and devices are
    no findings.

    ## Evidence

    Facts: `truth-value`. Read in source and probed, not yet measured on a GPU. The `torch.where` form was compared
    with the guard bit for bit on the CPU (`tests/test_tensor_condition.py`).
    """

    code = "SYN202"
    name = "tensor-condition"
    facts = frozenset({"truth-value"})

    VALID = (
        Valid(
            code="""
            import numpy as np

            def scale(values: np.ndarray) -> np.ndarray:
                if np.isinf(values).any() or values.max() > 100.0:
                    values = np.clip(values, -100.0, 100.0)
                return values
            """,
            run="scale(np.array([1.0, np.inf]))",
            note="an array is in host memory",
        ),
        Valid(
            code="""
            import torch

            def has_padding(lengths: list[int]) -> bool:
                lengths_cpu = torch.tensor(lengths)
                return bool(lengths) and (1 if (lengths_cpu > 3).any() else 0) == 1
            """,
            run="has_padding([1, 5])",
            note="the tensor is in host memory",
        ),
        Valid(
            code="""
            import torch

            class Block(torch.nn.Module):
                def forward(self, x: torch.Tensor, bias: torch.Tensor | None = None):
                    if x.shape[0] > 1 and x.dtype == torch.float32 and x.is_cuda and len(x):
                        x = x * 2
                    while x.dim() < 3:
                        x = x.unsqueeze(0)
                    return x if bias is None else x + bias
            """,
            run="Block()(torch.ones(2, device='cuda'))",
            note="shapes, dtypes, devices and identities are known on the host",
        ),
        Valid(
            code="""
            import torch

            class Block(torch.nn.Module):
                def forward(self, x: torch.Tensor):
                    x = x + 1
                    limit = torch.finfo(x.dtype).max - 1000
                    return torch.where(x.isinf().any() | x.isnan().any(), torch.clamp(x, min=-limit, max=limit), x)
            """,
            run="Block()(torch.tensor([1.0, float('inf')], device='cuda'))",
            note="the choice is made on the device",
        ),
        Valid(
            code="""
            import torch

            class Block(torch.nn.Module):
                def forward(self, x: torch.Tensor):
                    torch._assert_async((x > 0).all())
                    return torch.logical_and(x > 0, x < 1)
            """,
            run="Block()(torch.full((2,), 0.5, device='cuda'))",
            note="checked and joined on the device",
        ),
    )
    INVALID = (
        Invalid(
            code="""
            import torch

            class Block(torch.nn.Module):
                def forward(self, residual: torch.Tensor, x: torch.Tensor):
                    x = residual + x
                    if x.dtype == torch.float16 and (torch.isinf(x).any() or torch.isnan(x).any()):
                        limit = torch.finfo(x.dtype).max - 1000
                        x = torch.clamp(x, min=-limit, max=limit)
                    return x
            """,
            run="Block()(*2 * (torch.tensor([1.0, 65504.0], dtype=torch.float16, device='cuda'),))",
            lines=(6,),
            event="sync",
            fixed="""
            import torch

            class Block(torch.nn.Module):
                def forward(self, residual: torch.Tensor, x: torch.Tensor):
                    x = residual + x
                    if x.dtype == torch.float16:
                        limit = torch.finfo(x.dtype).max - 1000
                        x = torch.where(
                            torch.isinf(x).any() | torch.isnan(x).any(),
                            torch.clamp(x, min=-limit, max=limit),
                            x,
                        )
                    return x
            """,
            level=Applicability.SAFE,
            note="a fresh fp16 tensor: the term that needs no tensor stays an `if`",
        ),
        Invalid(
            code="""
            import torch as th

            class Block(th.nn.Module):
                def forward(self, x: th.Tensor, y: th.Tensor):
                    x = x * y
                    if x.dtype in (th.half, th.bfloat16):
                        if not th.isfinite(x).all():  # overflow
                            x = x.clip(-6e4, 6e4)
                    return x
            """,
            run="Block()(*2 * (th.tensor([2.0, 60000.0], dtype=th.float16, device='cuda'),))",
            lines=(7,),
            event="sync",
            fixed="""
            import torch as th

            class Block(th.nn.Module):
                def forward(self, x: th.Tensor, y: th.Tensor):
                    x = x * y
                    if x.dtype in (th.half, th.bfloat16):
                        x = th.where(~th.isfinite(x).all(), x.clip(-6e4, 6e4), x)
                    return x
            """,
            level=Applicability.UNSAFE,
            note="it would be safe, but the comment goes with the line that it is on",
        ),
        Invalid(
            code="""
            import torch

            def clamp_overflow(tensors: torch.Tensor, offset: float = 1000) -> torch.Tensor:
                # device code
                if tensors.isinf().any() or tensors.isnan().any():
                    limit = torch.finfo(tensors.dtype).max - offset
                    # keep away from the limit
                    tensors = torch.clamp(tensors, min=-limit, max=limit)
                return tensors
            """,
            run="clamp_overflow(torch.tensor([1.0, float('inf')], device='cuda'))",
            lines=(5,),
            event="sync",
            fixed="""
            import torch

            def clamp_overflow(tensors: torch.Tensor, offset: float = 1000) -> torch.Tensor:
                # device code
                limit = torch.finfo(tensors.dtype).max - offset
                # keep away from the limit
                tensors = torch.where(
                    tensors.isinf().any() | tensors.isnan().any(),
                    torch.clamp(tensors, min=-limit, max=limit),
                    tensors,
                )
                return tensors
            """,
            level=Applicability.UNSAFE,
            note="a parameter: the caller may get the very tensor back that it passed",
        ),
        Invalid(
            code="""
            import torch

            class Block(torch.nn.Module):
                def forward(self, x: torch.Tensor):
                    x = x + 1
                    kept = x
                    if x.dtype == torch.float16 and x.isinf().any():
                        x = torch.clamp(x, min=-60000, max=60000)
                    x += 1
                    return x, kept
            """,
            run="Block()(torch.ones(2, dtype=torch.float16, device='cuda'))",
            lines=(7,),
            event="sync",
            note="the tensor has another name: the guard keeps them one tensor, `torch.where` would not",
        ),
        Invalid(
            code="""
            import torch

            class Block(torch.nn.Module):
                def forward(self, x: torch.Tensor):
                    x = x + 1
                    if x.dtype == torch.float16 and x.isinf().any():
                        x.clamp_(min=-60000, max=60000)
                    return x
            """,
            run="Block()(torch.ones(2, dtype=torch.float16, device='cuda'))",
            lines=(6,),
            event="sync",
            note="in place: never rewritten",
        ),
        Invalid(
            code="""
            import torch

            class Block(torch.nn.Module):
                def forward(self, x: torch.Tensor, limit: torch.Tensor):
                    x = x + 1
                    if x.dtype == torch.float16 and x.isinf().any():
                        x = torch.clamp(x, min=-limit, max=limit)
                    return x
            """,
            run="Block()(torch.ones(2, dtype=torch.float16, device='cuda'), torch.full((), 10.0, device='cuda'))",
            lines=(6,),
            event="sync",
            note="bounds that are tensors change dtype and shape",
        ),
        Invalid(
            code="""
            import torch

            class Embedding(torch.nn.Module):
                def forward(self, ids: torch.Tensor):
                    ids = ids + 1
                    if (ids > 50).any():
                        ids = torch.clamp(ids, max=50)
                    return ids
            """,
            run="Embedding()(torch.tensor([1, 99], device='cuda'))",
            lines=(6,),
            event="sync",
            note="not a floating tensor, by anything that is said here",
        ),
        Invalid(
            code="""
            import torch

            class Decoder(torch.nn.Module):
                def forward(self, finished: torch.Tensor, missing: torch.Tensor, ids: torch.Tensor):
                    while not finished.all():
                        finished = finished | True
                    if missing.any():
                        ids[missing] = 0
                    assert (ids >= 0).all(), "negative id"
                    first = 1 if (ids > 3).any() else 0
                    both = (ids > 1).any() and (ids > 2).any()
                    inside = 0 < ids.sum() < 9
                    return [i for i in ids if i > 0], first, not ids.sum(), both, inside
            """,
            run=(
                "Decoder()(torch.zeros(2, dtype=torch.bool, device='cuda'), torch.zeros(2, dtype=torch.bool, "
                "device='cuda'), torch.ones(2, dtype=torch.int64, device='cuda'))"
            ),
            lines=(5, 7, 9, 10, 11, 12, 13, 13),
            event="sync",
            note="every other form is advice",
        ),
    )

    def judge(self, site: Site, context: Context) -> Report | None:
        from synclint.lint.clamp import clamp_always, clamp_guard, clamp_where, weigh
        from synclint.lint.conditions import condition_of

        condition = condition_of(context)
        if condition.spokesman is not site:
            return None
        message = _message(condition, context)
        guard = clamp_guard(condition, context)
        if guard is None:
            return Report(message, _help(condition, context))
        verdict = weigh(guard, context)
        if verdict.refusal:
            return Report(message, f"no fix is offered: {verdict.refusal}")
        fixes = clamp_where(guard, verdict.doubts, context), clamp_always(guard, verdict.doubts, context)
        return Report(message, _GUARD_HELP, fixes[0], tuple(fix for fix in fixes[1:] if fix is not None))


def _message(condition: Condition, context: Context) -> str:
    asking = context.site.context
    subject = _ASKING.get(asking, f"`{asking}`")
    on_cuda = all(context.surely_on_cuda(site.operands["self"]) for site in condition.sites)
    reads, repeats = condition.reads, _REPEATS.get(asking, "")
    kind, place = ("CUDA tensor", "") if on_cuda else ("tensor", " on the accelerator")
    if reads == 1:
        return f"{subject} reads a {kind}{place}: the host waits until the stream has run up to here{repeats}"
    return f"{subject} reads up to {reads} {kind}s{place}: the host waits for the stream at each of them{repeats}"


def _help(condition: Condition, context: Context) -> str:
    statement = context.site.statement
    if isinstance(statement, ast.If) and condition.root is statement.test:
        if _only_skips_work(statement, context):
            return "drop the guard: the masked operation does nothing when no element is set"
        if _clamps_in_place(statement):
            return _IN_PLACE_HELP
    return _HELP.get(context.site.context, _HELP["if"])


def _only_skips_work(statement: ast.If, context: Context) -> bool:
    """Whether all that ``if mask.any():`` guards is masked by ``mask``."""
    mask = _mask(statement.test, context)
    return mask != "" and not statement.orelse and all(_is_masked(part, mask, context) for part in statement.body)


def _mask(test: ast.expr, context: Context) -> str:
    """The text of ``mask`` in ``mask.any()`` and ``torch.any(mask)``, else empty."""
    if not (isinstance(test, ast.Call) and isinstance(test.func, ast.Attribute) and test.func.attr == "any"):
        return ""
    operands = [*test.args, *(keyword.value for keyword in test.keywords)] or [test.func.value]
    return context.text(operands[0]) if len(operands) == 1 else ""


def _is_masked(statement: ast.stmt, mask: str, context: Context) -> bool:
    """``x[mask] = v`` (and ``+=`` and the like), ``x = x.masked_fill(mask, v)`` and its relatives."""
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
        target, value = statement.targets[0], statement.value
    elif isinstance(statement, ast.AugAssign):
        target, value = statement.target, statement.value
    elif isinstance(statement, ast.Expr):
        target, value = None, statement.value
    else:
        return False
    if isinstance(target, ast.Subscript):
        computes = any(isinstance(node, (ast.Call, ast.Await)) for node in ast.walk(value))
        return context.text(target.slice) == mask and not computes
    if not (isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute) and value.args):
        return False
    return value.func.attr in _MASKED and context.text(value.args[0]) == mask


def _clamps_in_place(statement: ast.If) -> bool:
    last = statement.body[-1]
    call = last.value if isinstance(last, ast.Expr) else None
    return isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr in _CLAMPS_IN_PLACE
