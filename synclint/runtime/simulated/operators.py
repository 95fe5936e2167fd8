"""The operators of the device: which there are, what is known of each, and how they reach the dispatcher.

A kernel in Python goes on the CUDA key for each aten operator that torch has a CUDA kernel for. What stands above that
key (bindings, composite operators, autograd, autocast) is torch's own and sees a tensor on ``cuda:0``.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import torch

from synclint.runtime.simulated import compute, kernels, recurrent, run, sparse, state, views
from synclint.runtime.simulated.build import has_cuda
from synclint.runtime.simulated.operator import Operator
from synclint.runtime.simulated.unsupported import Unsupported

KERNELS = {**compute.KERNELS, **views.KERNELS, **kernels.KERNELS, **recurrent.KERNELS}

# Composite operators that CUDA implements itself, and whose pieces say less than the whole about waits.
_WHOLE = frozenset("_to_copy copy_ convolution convolution_backward multinomial repeat_interleave.Tensor".split())

# Other kinds of tensors of the device. In CUDA builds, real kernels would be called for them.
_OTHER_KEYS = ("SparseCsrCUDA", "QuantizedCUDA", "NestedTensorCUDA")

_Library: Any = torch.library.Library

_libraries: list[Any] = []


def register() -> None:
    """Once in a process, and for its life; without a simulation the kernels refuse to run."""
    if _libraries:
        return
    aten = _Library("aten", "IMPL")
    rest = _Library("_", "IMPL")
    _libraries.extend((aten, rest))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a kernel is overridden
        done = set()
        for name, kernel in [*_of_yaml(), *_of_dispatcher()]:
            if name not in done:
                done.add(name)
                _put(aten, name, "CUDA", kernel)
        for name in _sparse_names():
            _put(aten, name, "SparseCUDA", sparse.kernel(_overload(name)))
        for key in _OTHER_KEYS:
            for name in _dispatcher_names(key):
                _put(aten, name, key, run.refusing(f"aten::{name} for {key} tensors"))
        _fallbacks(rest)


def _put(library: Any, name: str, key: str, kernel: Callable[..., Any]) -> None:
    library.m.impl(name, key, kernel, False)


def _fallbacks(library: Any) -> None:
    """For what is registered later or elsewhere: operators of other libraries, custom ones."""
    dense: dict[Any, Callable[..., Any]] = {}
    thin: dict[Any, Callable[..., Any]] = {}

    def on_cuda(op: Any, *args: Any, **kwargs: Any) -> Any:
        if op not in dense:
            dense[op] = run.kernel(describe(op))
        return dense[op](*args, **kwargs)

    def on_sparse(op: Any, *args: Any, **kwargs: Any) -> Any:
        if op not in thin:
            thin[op] = sparse.kernel(op)
        return thin[op](*args, **kwargs)

    library.fallback(on_cuda, "CUDA")
    library.fallback(on_sparse, "SparseCUDA")
    for key in _OTHER_KEYS:
        library.fallback(_refusing_all(key), key)


def _refusing_all(key: str) -> Callable[..., Any]:
    def refuse(op: Any, *args: Any, **kwargs: Any) -> Any:
        raise state.running().refuse(f"{op._schema.name} for {key} tensors")

    return refuse


def describe(op: Any) -> Operator:
    """What the kernels need to know of an overload."""
    return Operator.of(op, KERNELS)


def _of_yaml() -> Iterator[tuple[str, Callable[..., Any]]]:
    """The operators that torch's list gives a CUDA kernel and that can be computed here; a CPU build knows no other."""
    for entry in _native_functions():
        if any(key.startswith("CompositeImplicit") for key in entry.keys):
            continue
        if not ("CUDA" in entry.keys or entry.delegates or entry.name in _WHOLE):
            continue
        if "CPU" in entry.keys or entry.delegates or entry.name in KERNELS or _composite(entry.keys):
            op = _overload(entry.name)
            if op is not None:
                yield entry.name, run.kernel(describe(op))


def _of_dispatcher() -> Iterator[tuple[str, Callable[..., Any]]]:
    """The operators with a real CUDA kernel, which would call the driver: those of CUDA builds."""
    if not has_cuda():
        return
    for name in _dispatcher_names("CUDA"):
        op = _overload(name)
        if op is None:
            continue
        has = torch._C._dispatch_has_kernel_for_dispatch_key
        if name in KERNELS or any(has(f"aten::{name}", key) for key in ("CPU", "CompositeExplicitAutograd")):
            yield name, run.kernel(describe(op))
        else:
            yield name, run.refusing(f"aten::{name}")


def _dispatcher_names(key: str) -> list[str]:
    if not has_cuda():
        return []
    names = [name for name in torch._C._dispatch_get_all_op_names() if name.startswith("aten::")]
    return [name.removeprefix("aten::") for name in names if torch._C._dispatch_has_kernel_for_dispatch_key(name, key)]


def _sparse_names() -> Iterator[str]:
    names = [entry.name for entry in _native_functions() if "SparseCUDA" in entry.keys]
    for name in sorted({*names, *_dispatcher_names("SparseCUDA")}):
        if _overload(name) is not None:
            yield name


def _composite(keys: frozenset[str]) -> bool:
    return any(key.startswith("Composite") for key in keys)


def _overload(name: str) -> Any:
    base, _, overload = name.partition(".")
    return getattr(getattr(torch.ops.aten, base, None), overload or "default", None)


class _Entry(NamedTuple):
    """An operator in torch's list: its keys of dispatch, and whether a structured kernel stands behind it."""

    name: str
    keys: frozenset[str]
    delegates: bool


def _native_functions() -> list[_Entry]:
    """Reads only the lines that matter of ``native_functions.yaml``, which the wheel of torch ships."""
    torchgen = find_spec("torchgen")
    if torchgen is None or torchgen.origin is None:
        raise Unsupported("the package torchgen is missing")
    file = Path(torchgen.origin).parent / "packaged" / "ATen" / "native" / "native_functions.yaml"
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise Unsupported(f"{file.name} cannot be read: {error}") from error
    found = []
    for block in re.split(r"^- func: ", text, flags=re.MULTILINE)[1:]:
        name = re.match(r"[\w.]+", block)
        if name is None:
            raise Unsupported(f"{file.name} has an entry without a name: {block[:40]!r}")
        listed = re.search(r"^  dispatch:.*\n((?:    .*\n|\s*#.*\n)*)", block, re.MULTILINE)
        lines = re.findall(r"^    ([\w, ]+):", listed[1], re.MULTILINE) if listed else []
        keys = frozenset(key.strip() for line in lines for key in line.split(","))
        found.append(_Entry(name[0], keys, "\n  structured_delegate:" in block))
    return found
