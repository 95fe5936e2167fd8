"""What tracing costs on a training loop, as ratios to the same loop without it, all in one run.

    python benchmarks/runtime_overhead.py [--backend simulated] [--widths 256 1024] [--steps 20] [--repeat 5]

A loop is a perceptron of three layers with AdamW, batch 64, in float32 and under autocast to bfloat16. ``simulated``
is compared with plain CPU, since that is where it computes; ``cuda`` with the GPU itself. The two take turns; each
figure is a median of the time of a step.
"""

from __future__ import annotations

import argparse
import time
from contextlib import AbstractContextManager, nullcontext
from statistics import median
from typing import Any

import torch

from synclint.runtime import Tracer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backend", choices=("simulated", "cuda"), default="simulated")
    parser.add_argument("--widths", type=int, nargs="+", default=[256, 1024])
    parser.add_argument("--steps", type=int, default=20, help="steps of a loop")
    parser.add_argument("--repeat", type=int, default=5, help="times each loop is run")
    options = parser.parse_args()
    torch.set_num_threads(1)  # threads that wait for each other are not what is measured
    plain = "cpu" if options.backend == "simulated" else "cuda"
    modes: dict[str, dict[str, Any]] = {"traced": {}}
    if options.backend == "simulated":
        modes["traced with races"] = {"races": True}

    print(f"torch {torch.__version__}, back end {options.backend}, plain is {plain}")
    print(f"{'loop':24} {'plain ms':>10}" + "".join(f" {name:>18} {'ratio':>6}" for name in modes))
    for width in options.widths:
        for mixed in (False, True):
            taken: dict[str, list[float]] = {name: [] for name in ("plain", *modes)}
            for _ in range(options.repeat):
                taken["plain"].append(train(plain, width, mixed, options.steps))
                for name, settings in modes.items():
                    with Tracer(options.backend, roots=(), **settings):
                        taken[name].append(train("cuda", width, mixed, options.steps))
            base = median(taken["plain"])
            name = f"{width} wide, autocast" if mixed else f"{width} wide"
            row = f"{name:24} {base * 1e3:10.2f}"
            for name in modes:
                row += f" {median(taken[name]) * 1e3:18.2f} {median(taken[name]) / base:6.2f}"
            print(row)


def train(device: str, width: int, mixed: bool, steps: int) -> float:
    """Seconds of processor time for a step (on a GPU: of wall time), after a warm-up."""
    torch.manual_seed(0)
    layers = [torch.nn.Linear(width, width), torch.nn.ReLU(), torch.nn.Linear(width, width), torch.nn.ReLU()]
    model = torch.nn.Sequential(*layers, torch.nn.Linear(width, 10)).to(device)
    optimizer = torch.optim.AdamW(model.parameters(), foreach=True)
    batch = torch.randn(64, width, device=device)
    target = torch.zeros(64, dtype=torch.long, device=device)
    real = torch.cuda.is_available() and torch.cuda.get_device_name() != "simulated CUDA device"
    clock = time.perf_counter if real else time.process_time

    def step() -> None:
        cast: AbstractContextManager[Any] = torch.autocast(device, torch.bfloat16) if mixed else nullcontext()
        with cast:
            loss = torch.nn.functional.cross_entropy(model(batch), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    for _ in range(3):
        step()
    if real:
        torch.cuda.synchronize()
    begun = clock()
    for _ in range(steps):
        step()
    if real:
        torch.cuda.synchronize()
    return (clock() - begun) / steps


if __name__ == "__main__":
    main()
