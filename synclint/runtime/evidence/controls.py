"""Stage 1: every oracle must know a function that waits, and one that does not."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import torch

from synclint.runtime.evidence.records import Control

if TYPE_CHECKING:
    from synclint.runtime.evidence.oracles import Oracle


def controls(oracles: Iterable[Oracle]) -> list[Control]:
    """What each oracle says of a read of one number, and of an addition on the device."""
    tensor = torch.ones(16, device="cuda")
    tensor.add_(1.0)
    tensor[0].item()
    found = []
    for oracle in oracles:
        found.append(Control(oracle.name, True, oracle.see(lambda: tensor[0].item(), "")))
        found.append(Control(oracle.name, False, oracle.see(lambda: tensor.add_(1.0), "")))
    return found
