"""What the evidence was taken on."""

from __future__ import annotations

import platform
import shutil
import subprocess

import torch

import synclint


def versions(*, cuda: bool) -> dict[str, str]:
    """Of everything that may change an answer."""
    found = {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "synclint": synclint.__version__,
        "system": f"{platform.system()} {platform.machine()}",
    }
    if cuda:
        found["cuda"] = torch.version.cuda or torch.version.hip or ""
        found["driver"] = _driver()
    return found


def name(*, cuda: bool) -> str:
    """The GPU, or what stands for one."""
    return torch.cuda.get_device_name() if cuda else "simulated CUDA device"


def _driver() -> str:
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return "unknown: there is no nvidia-smi"
    query = [tool, "--query-gpu=driver_version", "--format=csv,noheader"]
    result = subprocess.run(query, capture_output=True, text=True, timeout=30, check=False)
    lines = result.stdout.split()
    return lines[0] if result.returncode == 0 and lines else f"unknown: nvidia-smi ends with {result.returncode}"
