"""Storages on the device: copies in and out, which C++ would ask the driver for."""

from __future__ import annotations

from typing import Any

import torch

from synclint.runtime.simulated import state, waits
from synclint.runtime.simulated.aliases import as_cuda, storage_bytes
from synclint.runtime.simulated.patches import Patches


def patch(patches: Patches) -> None:
    storage: Any = torch.UntypedStorage
    host_clone = storage.clone

    def clone(self: torch.UntypedStorage) -> torch.UntypedStorage:
        return as_cuda(storage_bytes(self).clone()).untyped_storage() if _on_device(self) else host_clone(self)

    def cpu(self: torch.UntypedStorage) -> torch.UntypedStorage:
        if not _on_device(self):
            return self
        waits.wait(state.running(), "torch.UntypedStorage.cpu")
        return storage_bytes(self).clone().untyped_storage()

    def to(self: torch.UntypedStorage, *, device: Any, non_blocking: bool = False) -> torch.UntypedStorage:
        target = torch.device(device).type
        if target == "cpu":
            return cpu(self)
        if target != "cuda":
            raise state.running().refuse(f"copying a storage to {target}")
        if _on_device(self):
            return self
        waits.wait(state.running(), "torch.UntypedStorage.cuda")
        return as_cuda(torch.empty(0, dtype=torch.uint8, device="cpu").set_(self).clone()).untyped_storage()

    def cuda(self: torch.UntypedStorage, device: Any = None, non_blocking: bool = False) -> torch.UntypedStorage:
        return to(self, device="cuda", non_blocking=non_blocking)

    for replacement in (clone, cpu, to, cuda):
        patches.set(storage, replacement.__name__, replacement)


def _on_device(storage: torch.UntypedStorage) -> bool:
    return storage.device.type == "cuda"
