"""SYN401: the program waits for the device by name."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from synclint.lint import Context, Invalid, Report, Rule, Valid

if TYPE_CHECKING:
    from synclint.lint import Site

_CLOCKS = frozenset(
    """
    perf_counter perf_counter_ns monotonic monotonic_ns process_time default_timer elapsed_time time_ns
    """.split()
)


class ExplicitSynchronize(Rule):
    """
    ## What it does

    Finds `torch.cuda.synchronize()`, `torch.accelerator.synchronize()`, and `synchronize()` of streams, events and what
    stands for the device (`get_accelerator()`, `getattr(torch, device_type)`), in code that runs often; calls, too, of
    functions that are there to wait by their names, such as `device_synchronize()`. Functions that measure time are no
    findings, nor is waiting for an event that was recorded elsewhere.

    ## Why it waits

    It is what it says: `cudaDeviceSynchronize` waits for all streams of the device, `cudaStreamSynchronize` and
    `cudaEventSynchronize` for one stream, or up to one point of it.

    ## Example

    ## Use instead

    - `stream.wait_stream(other)` and `stream.wait_event(event)`: the device waits, the host goes on.
    - `event.synchronize()` instead of all of the device or the stream: up to what is needed and no further; and later,
      after other work was queued.
    - Nothing, where it came in while looking for an error.

    ## Fix safety

    No fix is offered: a barrier is often what keeps an asynchronous copy or another library in order.

    ## When it is fine

    Before the host reads what was copied without waiting: there an event's `synchronize()` is the right thing, best
    when other work was queued since it was recorded, as where another function did that. Before memory is handed to
    something that does not know about streams. Mark it with `# synclint: ignore[explicit-synchronize]` and the reason.
    Functions that call a clock (`time.perf_counter`, `elapsed_time`) are left alone.

    ## Evidence

    Facts: `device-synchronize`, `stream-synchronize`, `event-synchronize`. Read in source, seen on the simulated
    device, not yet measured on a GPU.
    """

    code = "SYN401"
    name = "explicit-synchronize"
    facts = frozenset({"device-synchronize", "stream-synchronize", "event-synchronize"})

    VALID = (
        Valid(
            code="""
            import time

            import torch

            def measured(x: torch.Tensor) -> float:
                start = time.perf_counter()
                x @ x
                torch.cuda.synchronize()
                return time.perf_counter() - start
            """,
            run="measured(torch.ones(2, 2, device='cuda')) > 0",
            event="sync",
            note="time is measured",
        ),
        Valid(
            code="""
            import torch

            def ordered(x: torch.Tensor) -> torch.Tensor:
                side = torch.cuda.Stream()
                side.wait_stream(torch.cuda.current_stream())
                with torch.cuda.stream(side):
                    y = x + 1
                torch.cuda.current_stream().wait_stream(side)
                return y
            """,
            run="ordered(torch.ones(2, device='cuda'))",
            note="the device waits, the host does not",
        ),
        Valid(
            code="""
            import torch

            class Output:
                def __init__(self, x: torch.Tensor) -> None:
                    self.host = x.to("cpu", non_blocking=True)
                    self.event = torch.cuda.current_stream().record_event()

                def get(self) -> torch.Tensor:
                    self.event.synchronize()
                    self.event.record()
                    return self.host
            """,
            run="Output(torch.ones(2, device='cuda')).get()",
            event="sync",
            note="as late as can be, for what was recorded before",
        ),
    )
    INVALID = (
        Invalid(
            code="""
            import torch

            def forward(x: torch.Tensor) -> torch.Tensor:
                y = x * 2
                torch.cuda.synchronize()
                return y
            """,
            lines=(5,),
            event="sync",
            run="forward(torch.ones(2, device='cuda'))",
        ),
        Invalid(
            code="""
            import torch

            class Copier:
                def __init__(self) -> None:
                    self.stream = torch.cuda.Stream()
                    self.event = torch.cuda.Event()

                def copied(self, x: torch.Tensor):
                    with torch.cuda.stream(self.stream):
                        y = x + 1
                        self.event.record()
                    self.event.synchronize()
                    self.stream.synchronize()
                    torch.cuda.current_stream().synchronize()
                    return y
            """,
            lines=(12, 13, 14),
            event="sync",
            run="Copier().copied(torch.ones(2, device='cuda'))",
            note="streams and events",
        ),
    )

    def judge(self, site: Site, context: Context) -> Report | None:
        function = _function(site)
        if function is not None and _measures_time(function):
            return None
        if site.fact.id == "event-synchronize" and not _records(function, site.node):
            return None
        text = context.shown(site.node, "`synchronize()`")
        return Report(f"{text} makes the host wait for {_WAITED_FOR[site.fact.id]}", _HELP[site.fact.id])


_WAITED_FOR = {
    "device-synchronize": "everything that is queued on the device",
    "stream-synchronize": "everything that is queued on the stream",
    "event-synchronize": "the event",
}
_ORDER = "order the streams with `wait_stream` or `wait_event`, which the device waits for"
_HELP = {
    "device-synchronize": f"{_ORDER}; wait for one event where the host must read something",
    "stream-synchronize": f"{_ORDER}; wait for one event where the host must read something",
    "event-synchronize": f"{_ORDER}; where the host must read something, wait just before, after other work was queued",
}


def _function(site: Site) -> ast.AST | None:
    """The outermost function around a site."""
    scope = site.scope
    while scope.parent is not None and isinstance(scope.parent.node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        scope = scope.parent
    return scope.node


def _measures_time(function: ast.AST) -> bool:
    for node in ast.walk(function):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in _CLOCKS or (name == "time" and ast.unparse(node.func) in ("time", "time.time")):
                return True
    return False


def _records(function: ast.AST | None, wait: ast.expr) -> bool:
    """Whether the function that waits for an event has just recorded it."""
    if function is None or not isinstance(wait, ast.Call) or not isinstance(wait.func, ast.Attribute):
        return False
    event = ast.unparse(wait.func.value)
    for node in ast.walk(function):
        if getattr(node, "lineno", 0) > wait.lineno:
            continue  # what is recorded afterwards is for the next round
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            given = [ast.unparse(argument) for argument in node.args]
            if node.func.attr == "record" and ast.unparse(node.func.value) == event:
                return True
            if node.func.attr == "record_event" and event in given:
                return True
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == event:
            value = node.value
            if isinstance(value, ast.Call) and getattr(value.func, "attr", "") == "record_event":
                return True
    return False
