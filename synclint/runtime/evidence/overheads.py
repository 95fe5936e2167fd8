"""Stage 4: what a training loop costs with each set of sources, against without."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

import torch

from synclint.runtime.tracer import Tracer

if TYPE_CHECKING:
    from collections.abc import Callable

_STEPS = 100
_ROUNDS = 3


def variants() -> dict[str, Callable[[], AbstractContextManager[object]]]:
    """What runs beside the loop."""
    return {
        "nothing": nullcontext,
        "default": lambda: Tracer("cuda"),
        "pageable": lambda: Tracer("cuda", pageable=True),
        "stall times": lambda: Tracer("cuda", stall_times=True),
    }


def training_loop() -> Callable[[], None]:
    """A small network that reads its loss each step: the more waits, the more a tracer costs."""
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Linear(256, 256), torch.nn.ReLU(), torch.nn.Linear(256, 16)).cuda()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01)
    data, target = torch.randn(64, 256), torch.randn(64, 16)

    def loop() -> None:
        for _ in range(_STEPS):
            loss = torch.nn.functional.mse_loss(network(data.cuda()), target.cuda())
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            loss.item()

    return loop


def measure(over: Callable[[], bool]) -> dict[str, list[float]]:
    """Seconds a step, by variant, one for each round; the variants take turns. Ends early when ``over()``."""
    loop = training_loop()
    loop()
    found: dict[str, list[float]] = {name: [] for name in variants()}
    for _ in range(_ROUNDS):
        for name, beside in variants().items():
            if over():
                return found
            with beside():
                began = time.perf_counter()
                loop()
                found[name].append((time.perf_counter() - began) / _STEPS)
    return found
