"""A CUDA device without hardware: kernels on the CUDA dispatch key compute on the CPU, and say where the host waits."""

from __future__ import annotations

from synclint.runtime.simulated.backend import SimulatedBackend
from synclint.runtime.simulated.state import NotSimulatedError

__all__ = ["NotSimulatedError", "SimulatedBackend"]
