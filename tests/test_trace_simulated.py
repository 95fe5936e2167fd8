"""``synclint trace`` with the real torch, on the simulated device: the processes of a training script."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from synclint.runtime.launch import Launched, launch
from synclint.runtime.trace import Trace

torch = pytest.importorskip("torch")

TRAINS = """\
import torch
from torch.utils.data import DataLoader, Dataset


class Data(Dataset):
    def __len__(self):
        return 4

    def __getitem__(self, index):
        return torch.full((2,), float(index), device="cuda").sum().item()


def main():
    model = torch.nn.Linear(1, 1).to("cuda")
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    for batch in DataLoader(Data(), batch_size=2, num_workers=2):
        loss = model(batch.float()[:, None].to("cuda")).sum()
        loss.backward()
        optimizer.step()
        print(loss.item())
    if len(batch) > 5:
        print(loss.item())


if __name__ == "__main__":
    main()
"""

DISTRIBUTED = """\
import os
import torch


for _ in range(int(os.environ["RANK"]) + 1):
    torch.ones(3, device="cuda").sum().item()
"""


def counts(trace: Trace) -> dict[int, int]:
    return {event.frame.line: event.count for event in trace.events if event.frame}


def run(folder: Path, program: str, *words: str, lines: bool = False) -> Launched:
    (folder / "main.py").write_text(program)
    with (folder / "said").open("wb") as said:
        done = launch(
            [*words, "main.py"], cwd=folder, out=folder / "out", backend="simulated", lines=lines, output=said
        )
    assert done.status == 0, (folder / "said").read_text()
    return done


def test_a_training_script_and_its_workers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    done = run(tmp_path, TRAINS, lines=True)
    trace = done.trace()
    assert len(done.traces) == 3
    assert len({process["pid"] for process in trace.processes}) == 3
    # the weights and the bias, a batch at a time, an element at a time, in two workers
    assert counts(trace) == {14: 2, 17: 2, 20: 2, 10: 4}
    assert trace.not_simulated == {}
    assert trace.knows_lines
    (ran,) = trace.ran.values()
    assert 20 in ran
    assert 10 in ran
    assert 22 not in ran

    whole = tmp_path / "whole.jsonl"
    trace.write(whole)
    command = [sys.executable, "-m", "synclint", "check", "--select=SYN201", "--confidence=possible", "--heat=cold"]
    command += [f"--trace={whole}", "--output-format=json", "main.py"]
    checked = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    found = {one["line"]: (one["trace"]["state"], one["trace"]["count"]) for one in json.loads(checked.stdout)}
    assert found[10] == ("waited", 4)
    assert found.get(22, ("not-executed", 0)) == ("not-executed", 0)


def test_every_rank_writes_a_trace(tmp_path: Path) -> None:
    done = run(
        tmp_path, DISTRIBUTED, sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"
    )
    trace = done.trace()
    assert counts(trace) == {6: 3}
    assert sorted(process["rank"] for process in trace.processes if "rank" in process) == ["0", "1"]
