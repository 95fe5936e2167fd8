"""What C++ asks of a CUDA device before any kernel runs: a device guard, and accelerator hooks.

Both are found by symbol in torch's own libraries, which a CPU build has, too. Wrong addresses crash: the self-test
tries unknown builds in a child process first.
"""

from __future__ import annotations

import ctypes
import re
from pathlib import Path
from typing import Any

import torch

from synclint.runtime.simulated.unsupported import Unsupported

_ROOT = Path(torch.__file__).parent
_CUDA = 1  # c10::DeviceType::CUDA

_guard_kept: list[object] = []


def install_guard() -> None:
    """Puts torch's own guard that does nothing in the place of the CUDA guard. Stays: tensors may outlive a run.

    Raises Unsupported where torch keeps the guard it has, because a GPU is present.
    """
    registry = (ctypes.c_void_p * 21).in_dll(_library("libc10.so"), "_ZN3c104impl26device_guard_impl_registryE")
    ensure: Any = getattr(torch._C, "_ensureCUDADeviceGuardSet", None)
    if ensure is None:
        raise Unsupported("torch._C._ensureCUDADeviceGuardSet is missing")
    before = registry[_CUDA]
    if before:  # a CUDA build; ours, from an earlier call
        if _guard_kept:
            return
        ensure()
        if registry[_CUDA] == before:
            raise Unsupported("torch keeps its CUDA device guard")
        _guard_kept.append(registry)
        return
    # torch replaces only a guard that counts no devices: here is one for that moment, all of whose methods return 0.
    zero = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p)(lambda this: 0)
    table = (ctypes.c_void_p * 64)(*([ctypes.cast(zero, ctypes.c_void_p).value] * 64))
    guard = (ctypes.c_void_p * 1)(ctypes.addressof(table))
    registry[_CUDA] = ctypes.addressof(guard)
    ensure()
    if registry[_CUDA] == ctypes.addressof(guard):
        registry[_CUDA] = None
        raise Unsupported("torch._C._ensureCUDADeviceGuardSet did not install a guard")
    _guard_kept.append(registry)


class Hooks:
    """A second table of virtual methods for the process's ``CUDAHooksInterface``, which says that there is a device.

    The numbers of the methods are read from the header in the wheel, for they move between releases.
    """

    _SIZE = 96  # more than the interface has
    _NEEDED = ("isBuilt", "hasPrimaryContext")

    def __init__(self) -> None:
        slots = _slots()
        missing = [name for name in self._NEEDED if name not in slots]
        if missing:
            raise Unsupported(f"AcceleratorHooksInterface.h has no {' or '.join(missing)}")
        get = _library("libtorch_cpu.so")._ZN2at6detail12getCUDAHooksEv
        get.restype = ctypes.c_void_p
        self._table = ctypes.c_void_p.from_address(get())
        self._before = self._table.value
        assert self._before is not None
        # Two words before the methods belong to the table: the offset to the top, and the type information.
        entries = (ctypes.c_void_p * (self._SIZE + 2)).from_address(self._before - 16)
        self._copy = (ctypes.c_void_p * (self._SIZE + 2))(*list(entries))
        self._zero = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p, ctypes.c_int64)(lambda this, index: 0)
        for name, function in self._answers().items():
            if name in slots:
                self._copy[slots[name] + 2] = function

    def _answers(self) -> dict[str, int | None]:
        one = ctypes.cast(ctypes.pythonapi.Py_IsInitialized, ctypes.c_void_p).value  # a C function that returns 1
        zero = ctypes.cast(self._zero, ctypes.c_void_p).value
        allocator = ctypes.cast(_library("libc10.so")._ZN3c1015GetCPUAllocatorEv, ctypes.c_void_p).value
        return {
            **dict.fromkeys(("isBuilt", "isAvailable", "hasPrimaryContext", "init", "deviceCount"), one),
            **dict.fromkeys(("setCurrentDevice", "getCurrentDevice", "exchangeDevice", "maybeExchangeDevice"), zero),
            "getPinnedMemoryAllocator": allocator,
        }

    def enable(self) -> None:
        """Raises Unsupported where torch does not take CUDA for its accelerator then."""
        self._table.value = ctypes.addressof(self._copy) + 16
        accelerator = torch._C._accelerator_getAccelerator()
        if accelerator != torch.device("cuda"):
            self.disable()
            raise Unsupported(f"torch's accelerator stays {accelerator}")

    def disable(self) -> None:
        self._table.value = self._before


def _slots() -> dict[str, int]:
    header = _ROOT / "include" / "ATen" / "detail" / "AcceleratorHooksInterface.h"
    try:
        text = header.read_text(encoding="utf-8")
    except OSError as error:
        raise Unsupported(f"{header.name} cannot be read: {error}") from error
    names = re.findall(r"^\s*virtual\s[^;{]*?(~?\w+)\s*\(", text, re.MULTILINE)
    if not names or not names[0].startswith("~") or len(set(names)) != len(names):
        raise Unsupported(f"the methods in {header.name} cannot be told apart")
    return {name: at + 1 for at, name in enumerate(names)}  # the destructor takes two


def _library(name: str) -> Any:
    try:
        return ctypes.CDLL(str(_ROOT / "lib" / name))
    except OSError as error:
        raise Unsupported(f"{name} cannot be loaded: {error}") from error
