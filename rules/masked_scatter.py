"""SYN303: a mask is copied to the device for `masked_scatter_`, although it is at hand on the host."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from synclint.lint import Applicability, Context, Edit, Fix, Invalid, Kind, Place, Report, Rule, Site, Valid, Value

if TYPE_CHECKING:
    from synclint.lint.scalars.bindings import Bindings

_SINCE = (2, 9)
_LONGEST_CHAIN = 8
"""Names, copies and views between the mask that is used and the one on the host."""

_HELP = (
    "from torch 2.9 on, indexing with a CPU mask finds the positions on the host and copies them from pinned memory "
    "without waiting"
)
_STAYS = (
    "it stays as it is: before torch 2.9, indexing with a CPU mask waits for the copy of the positions, and "
    "`masked_scatter_` does not wait in forward"
)
_REASON = (
    "indexing raises where the source has rows to spare, a flat source no longer fits, and a source of one row is "
    "repeated"
)


class MaskedScatter(Rule):
    """
    ## What it does

    Finds `x.masked_scatter_(mask, source)` where `mask` is a copy on the device of a mask on the host that the same
    function has at hand, directly or through names, `.unsqueeze(-1)`, `[..., None]`, `.expand_as(x)`.

    ## Why it waits

    `masked_scatter_` does not wait in its forward: `masked_scatter_cuda` sums up the mask on the device. What it costs
    is around it: the mask is copied to the device (a wait of its own where that copy blocks), two buffers are kept for
    it, one on either side, and the backward calls `masked_select`, whose result has as many elements as the mask has
    true ones, a number that the host waits for.

    From torch 2.9 on, `x[mask_cpu] = source` needs none of that: `nonzero` runs on the host, and the positions go to
    the device from pinned memory without a wait. Before 2.9 that copy blocks, so the line is right as it is.

    ## Example

        mask = mask_cpu.to(x.device, non_blocking=True)
        x.masked_scatter_(mask.unsqueeze(-1), source)

    ## Use instead

        x[mask_cpu] = source

    ## Fix safety

    Always unsafe, and offered for a target of torch 2.9 or later only. The two agree where `source` has one row for
    each true element of the mask. Elsewhere they differ: rows to spare are ignored by `masked_scatter_` and raise when
    indexing, a source of one row is repeated by indexing and raises otherwise, a flat source fits `masked_scatter_`
    alone, and too few rows raise on the host rather than fail on the device. A name for the copy that nothing else uses
    goes with it.

    ## When it is fine

    Where the mask is made on the device, or is needed there anyway. The rule says nothing then.

    ## Evidence

    Facts: `masked-scatter`, `host-mask-assignment`, `host-mask-assignment-asynchronous`. Read in source and probed, not
    yet measured on a GPU. vLLM made this change in #34246.
    """

    code = "SYN303"
    name = "masked-scatter"
    facts = frozenset({"masked-scatter"})

    VALID = (
        Valid(
            code="""
            import torch

            class Merge(torch.nn.Module):
                def forward(self, x: torch.Tensor, ids: torch.Tensor, source: torch.Tensor):
                    mask = ids == 7
                    x.masked_scatter_(mask.unsqueeze(-1), source)
                    return x
            """,
            run=(
                "Merge()(torch.zeros(3, 2, device='cuda'), torch.tensor([7, 1, 7], device='cuda'), "
                "torch.ones(2, 2, device='cuda'))"
            ),
            note="the mask is made on the device",
        ),
        Valid(
            code="""
            import torch

            class Merge(torch.nn.Module):
                def forward(self, x: torch.Tensor, mask: torch.Tensor, source: torch.Tensor):
                    x.masked_scatter_(mask.unsqueeze(-1).expand_as(x), source)
                    return x
            """,
            run=(
                "Merge()(torch.zeros(2, 2, device='cuda'), torch.tensor([True, False], device='cuda'), "
                "torch.ones(1, 2, device='cuda'))"
            ),
            note="whether the caller has the mask on the host is not in sight",
        ),
        Valid(
            code="""
            import torch

            class Merge(torch.nn.Module):
                def forward(self, x: torch.Tensor, mask_cpu: torch.Tensor, source: torch.Tensor):
                    mask = mask_cpu.pin_memory().to(x.device, non_blocking=True)
                    mask = mask & (x[:, 0] > 0)
                    x.masked_scatter_(mask.unsqueeze(-1), source)
                    return x
            """,
            run=(
                "Merge()(torch.ones(2, 2, device='cuda'), torch.tensor([True, False]), torch.ones(1, 2, device='cuda'))"
            ),
            note="the mask is changed on the device",
        ),
    )
    INVALID = (
        Invalid(
            code="""
            import torch

            class Merge(torch.nn.Module):
                def forward(self, x: torch.Tensor, mask_cpu: torch.Tensor, source: torch.Tensor):
                    mask = mask_cpu.to(x.device, non_blocking=True)
                    x.masked_scatter_(mask.unsqueeze(-1), source.to(x.dtype))
                    return x
            """,
            run=(
                "Merge()(torch.zeros(3, 2, device='cuda'), torch.tensor([True, False, True]), "
                "torch.arange(4, device='cuda').view(2, 2))"
            ),
            lines=(6,),
            at=(5,),
            event="pageable",
            fixed="""
            import torch

            class Merge(torch.nn.Module):
                def forward(self, x: torch.Tensor, mask_cpu: torch.Tensor, source: torch.Tensor):
                    x[mask_cpu] = source.to(x.dtype)
                    return x
            """,
            level=Applicability.UNSAFE,
            settings=(("target-torch", "2.9"),),
            note="the copy of the mask goes, too",
        ),
        Invalid(
            code="""
            import torch

            class Merge(torch.nn.Module):
                def forward(self, x: torch.Tensor, mask_cpu: torch.Tensor, source: torch.Tensor):
                    mask = mask_cpu.pin_memory().to(x.device, non_blocking=True)[..., None]
                    count = mask.sum()
                    x.masked_scatter_(mask=mask.expand_as(x), source=source)
                    return x, count
            """,
            run=(
                "Merge()(torch.zeros(3, 2, device='cuda'), torch.tensor([True, False, True]), "
                "torch.ones(2, 2, device='cuda'))"
            ),
            lines=(7,),
            event="none",
            fixed="""
            import torch

            class Merge(torch.nn.Module):
                def forward(self, x: torch.Tensor, mask_cpu: torch.Tensor, source: torch.Tensor):
                    mask = mask_cpu.pin_memory().to(x.device, non_blocking=True)[..., None]
                    count = mask.sum()
                    x[mask_cpu] = source
                    return x, count
            """,
            level=Applicability.UNSAFE,
            note="without a target, the newest torch is meant; the copy stays where it is used for something else",
        ),
        Invalid(
            code="""
            import torch

            def fill(rows: int, flags: list[bool], source: torch.Tensor):
                x = torch.zeros(rows, 2, device="cuda")
                chosen = torch.tensor(flags)
                x.masked_scatter_(chosen.unsqueeze(-1).cuda(), source)
                return x
            """,
            run="fill(2, [True, False], torch.ones(1, 2, device='cuda'))",
            lines=(6,),
            event="sync",
            fixed="""
            import torch

            def fill(rows: int, flags: list[bool], source: torch.Tensor):
                x = torch.zeros(rows, 2, device="cuda")
                chosen = torch.tensor(flags)
                x[chosen] = source
                return x
            """,
            level=Applicability.UNSAFE,
            note="the mask is copied where it is used",
        ),
        Invalid(
            code="""
            import torch

            class Merge(torch.nn.Module):
                def forward(self, x: torch.Tensor, mask_cpu: torch.Tensor, source: torch.Tensor):
                    mask = mask_cpu.to(x.device)
                    x.masked_scatter_(mask.unsqueeze(-1), source)
                    return x
            """,
            run=(
                "Merge()(torch.zeros(3, 2, device='cuda'), torch.tensor([True, False, True]), "
                "torch.ones(2, 2, device='cuda'))"
            ),
            lines=(6,),
            at=(5,),
            event="sync",
            settings=(("target-torch", "2.8"),),
            note="before torch 2.9 it stays, and the help says why",
        ),
        Invalid(
            code="""
            import torch

            class Merge(torch.nn.Module):
                def forward(self, x: torch.Tensor, mask_cpu: torch.Tensor, source: torch.Tensor):
                    mask = mask_cpu.to(x.device)
                    return x.masked_scatter_(mask.unsqueeze(-1), source)
            """,
            run=(
                "Merge()(torch.zeros(3, 2, device='cuda'), torch.tensor([True, False, True]), "
                "torch.ones(2, 2, device='cuda'))"
            ),
            lines=(6,),
            at=(5,),
            event="sync",
            note="the result is used: an assignment has none",
        ),
    )

    def judge(self, site: Site, context: Context) -> Report | None:
        mask = site.arguments.get("mask") or _argument(site.node, 0, "mask")
        copied = None if mask is None else _follow(mask, site, context)
        if copied is None:
            return None
        message = f"`masked_scatter_` uses a copy of `{context.text(copied.host)}` on the device"
        target = context.settings.target_torch
        if target is not None and target < _SINCE:
            return Report(f"{message}: torch 2.9 could index with the mask on the host", _STAYS)
        message += ": indexing with the mask on the host saves that copy, its buffer, and the wait in backward"
        return Report(message, _HELP, _index_fix(copied, site, context))


@dataclass(slots=True)
class _Copied:
    """``host`` is the mask on the host; ``names`` are what the copy and its views were assigned to, with where."""

    host: ast.expr
    names: list[tuple[str, ast.Assign]] = field(default_factory=list)


def _follow(mask: ast.expr, site: Site, context: Context) -> _Copied | None:
    """The mask on the host that a mask on the device was copied from, None if none is at hand."""
    from synclint.lint.scalars.bindings import Bindings
    from synclint.lint.scalars.values import values_in

    function = site.scope.node
    if not isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return None
    bindings = Bindings(function, context.flow.record)
    values = values_in(context.flow, site.scope)
    names: list[tuple[str, ast.Assign]] = []
    moved = False
    node = mask
    for _ in range(_LONGEST_CHAIN):
        inner = _viewed(node)
        if inner is None and not moved:
            inner = _moved(node, values)
            moved = inner is not None
        if inner is None and not moved and isinstance(node, ast.Name):
            assigned = _only_assignment(node.id, function, bindings)
            if assigned is None:
                return None
            names.append((node.id, assigned))
            inner = assigned.value
        if inner is None:
            break
        node = inner
    value = values.get(node)
    if not moved or value is None or value.place is not Place.CPU or not isinstance(node, (ast.Name, ast.Attribute)):
        return None
    if isinstance(node, ast.Name) and len(bindings.values(node.id)) != 1:
        return None
    texts = {ast.unparse(node), *(name for name, _ in names)}
    return None if _is_written(texts, function) else _Copied(node, names)


def _is_written(texts: set[str], function: ast.AST) -> bool:
    """Whether one of these expressions is written in place."""
    for node in ast.walk(function):
        target: ast.expr | None = None
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store):
            target = node.value
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr.endswith("_"):
            target = node.func.value
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            target = node
        if target is not None and ast.unparse(target) in texts:
            return True
    return False


def _viewed(node: ast.expr) -> ast.expr | None:
    """What ``.unsqueeze(-1)``, ``[..., None]``, ``[:, None]``, ``.expand_as(x)`` and the like are applied to."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        if node.func.attr in ("expand_as", "expand", "contiguous", "pin_memory"):
            return node.func.value
        last = [ast.unparse(argument) for argument in [*node.args, *(keyword.value for keyword in node.keywords)]]
        return node.func.value if node.func.attr == "unsqueeze" and last == ["-1"] else None
    if isinstance(node, ast.Subscript) and ast.unparse(node.slice).strip("()") in ("..., None", ":, None"):
        return node.value
    return None


def _moved(node: ast.expr, values: Mapping[ast.expr, Value]) -> ast.expr | None:
    """What ``.to(device)``, ``.cuda()`` and ``async_tensor_h2d(...)`` copy; None also where the dtype may change."""
    if not isinstance(node, ast.Call):
        return None
    called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    keywords = {keyword.arg for keyword in node.keywords}
    if called == "async_tensor_h2d" and node.args and not keywords & {"dtype", "out", None}:
        return node.args[0]
    if not isinstance(node.func, ast.Attribute) or not keywords <= {"device", "non_blocking", "copy"}:
        return None
    kinds = {value.kind for value in map(values.get, node.args) if value is not None}
    if called == "cuda" or (called == "to" and not kinds & {Kind.DTYPE, Kind.TENSOR}):
        return node.func.value
    return None


def _only_assignment(name: str, function: ast.AST, bindings: Bindings) -> ast.Assign | None:
    """The statement ``name = ...`` where that is all that binds the name."""
    values = bindings.values(name)
    if len(values) != 1 or not bindings.is_local(name):
        return None
    for node in ast.walk(function):
        if isinstance(node, ast.Assign) and node.value is values[0] and len(node.targets) == 1:
            return node if isinstance(node.targets[0], ast.Name) else None
    return None


def _argument(call: ast.expr, position: int, name: str) -> ast.expr | None:
    """An argument of a call, None where it is not given or hidden behind a star."""
    if not isinstance(call, ast.Call) or any(isinstance(argument, ast.Starred) for argument in call.args):
        return None
    if position < len(call.args):
        return call.args[position]
    return next((keyword.value for keyword in call.keywords if keyword.arg == name), None)


def _index_fix(copied: _Copied, site: Site, context: Context) -> Fix | None:
    statement, call = site.statement, site.node
    source = _argument(call, 1, "source")
    if not isinstance(statement, ast.Expr) or statement.value is not call or not isinstance(call, ast.Call):
        return None
    if context.node is None or source is None or not isinstance(call.func, ast.Attribute):
        return None
    receiver = call.func.value
    if context.flow.external(ast.unparse(call.func)) == "torch.Tensor.masked_scatter_":
        return None
    text = context.text(source)
    if "\n" in text or isinstance(source, (ast.NamedExpr, ast.Yield, ast.YieldFrom)):
        text = f"({text})"
    start, end = context.source.span(call)
    assignment = f"{context.text(receiver)}[{context.text(copied.host)}] = {text}"
    edits: list[Edit | None] = [context.statement.edit(start, end, assignment)]
    edits += _deletions(copied, site, context)
    return context.fix("Index with the mask on the host", edits, unsafe=[_REASON])


def _deletions(copied: _Copied, site: Site, context: Context) -> list[Edit]:
    """The edits that remove the names of the copy which nothing but this call uses."""
    function = site.scope.node
    assert function is not None
    found = []
    for name, assigned in copied.names:
        uses = [node for node in ast.walk(function) if isinstance(node, ast.Name) and node.id == name]
        edit = context.statement_of(assigned).delete()
        if len(uses) > 2 or edit is None or not _has_company(assigned, function):
            break
        found.append(edit)
    return found


def _has_company(statement: ast.stmt, function: ast.AST) -> bool:
    """Whether the block that a statement stands in has another one."""
    for node in ast.walk(function):
        for _, block in ast.iter_fields(node):
            if isinstance(block, list) and any(part is statement for part in block):
                return len(block) > 1
    return False
