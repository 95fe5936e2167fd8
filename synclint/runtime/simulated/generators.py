"""``torch.Generator(device="cuda")``. Random numbers of the device come from the host's generators.

The default generator is the host's, too: a seed for one is a seed for both, and a program draws the numbers that it
would draw on the CPU.
"""

from __future__ import annotations

from typing import Any

import torch

from synclint.runtime.simulated.aliases import CPU, CUDA

_Real: Any = torch.Generator


class _Meta(type(_Real)):  # type: ignore[misc]
    def __instancecheck__(cls, value: object) -> bool:
        return isinstance(value, _Real)


class Generator(_Real, metaclass=_Meta):  # type: ignore[misc]
    """A generator of the host that says it is on the device; for other devices, a real one."""

    _on = CPU

    def __new__(cls, device: Any = "cpu") -> Any:
        if torch.device(device).type != "cuda":
            return _Real(device)
        made = super().__new__(cls, "cpu")
        made._on = CUDA
        return made

    def __init__(self, device: Any = "cpu") -> None:
        """The real constructor refuses the device."""

    @property
    def device(self) -> torch.device:
        return self._on


def seed_all(seed: int) -> None:
    torch.default_generator.manual_seed(int(seed))


def get_state(device: Any = "cuda") -> torch.Tensor:
    return torch.default_generator.get_state()


def set_state(state: torch.Tensor, device: Any = "cuda") -> None:
    torch.default_generator.set_state(state)
