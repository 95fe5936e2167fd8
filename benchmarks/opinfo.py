"""How many operators the simulated device gets right, by PyTorch's own samples of each operator.

    python benchmarks/opinfo.py [--dtype float32] [--every 1] [--skip 0] [--json]

Each sample runs on the CPU and on the simulated device, with the same random numbers; results and gradients must be
equal within rounding, and results on the device where an argument is. An operator is right if all its samples are.
Where the values depend on random numbers, or are what was in memory before, only shapes, dtypes and devices count.
Samples on which the CPU fails are not counted. ``--every 10`` takes every tenth operator. Exit status 1 if an operator
is wrong. Needs the package expecttest, as PyTorch's own tests do.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch.testing._internal.common_methods_invocations import op_db
from torch.utils._pytree import tree_flatten, tree_map

from synclint.runtime import Tracer

UNINITIALISED = ("empty", "new_empty")
HOST_ARGUMENTS = ("tensor_split",)
"""Operators that want their other tensors on the host, on a GPU, too."""


class Outcome(NamedTuple):
    """Samples and gradients compared for one operator, and what was wrong or not simulated, if anything."""

    name: str
    samples: int
    gradients: int
    wrong: list[str]
    not_simulated: str = ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--every", type=int, default=1, help="take every n-th operator")
    parser.add_argument("--skip", type=int, default=0, help="leave out the first n operators, to share the work")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    dtype = getattr(torch, options.dtype)
    begun = time.perf_counter()
    with Tracer("simulated", roots=()):
        operators = [op for op in op_db if dtype in op.supported_dtypes("cuda")][options.skip :: options.every]
        outcomes = [judge(op, dtype) for op in operators]
    compared = [one for one in outcomes if one.samples]
    wrong = [one for one in compared if one.wrong]
    summary = {
        "torch": torch.__version__,
        "dtype": options.dtype,
        "operators": len(outcomes),
        "right": len(compared) - len(wrong),
        "not comparable": [one.name for one in outcomes if not (one.samples or one.wrong or one.not_simulated)],
        "not simulated": {one.name: one.not_simulated for one in outcomes if one.not_simulated},
        "wrong": {one.name: one.wrong for one in outcomes if one.wrong},
        "samples": sum(one.samples for one in outcomes),
        "gradients": sum(one.gradients for one in outcomes),
        "seconds": round(time.perf_counter() - begun, 1),
    }
    print(json.dumps(summary) if options.json else "\n".join(f"{key}: {value}" for key, value in summary.items()))
    sys.exit(bool(wrong))


def judge(op: Any, dtype: torch.dtype) -> Outcome:
    name = f"{op.name}.{op.variant_test_name}" if op.variant_test_name else op.name
    grad = dtype.is_floating_point and op.supports_autograd
    samples = gradients = 0
    wrong: list[str] = []
    torch.manual_seed(0)
    try:
        found = list(op.sample_inputs("cpu", dtype, requires_grad=grad))
    except Exception as error:  # what an operator's samples may raise is not known
        return Outcome(name, 0, 0, [] if isinstance(error, (RuntimeError, NotImplementedError)) else [repr(error)])
    for at, sample in enumerate(found):
        call = (sample.input, sample.args, sample.kwargs)
        ours = tree_map(to_device, call)  # before the CPU runs: the operator may write to its arguments
        if op.name in HOST_ARGUMENTS:
            ours = (ours[0], *call[1:])
        try:
            expected = run(op, call)
        except Exception:  # not a question to the simulated device
            continue
        samples += 1
        try:
            got = run(op, ours)
            compare_kind(got, expected, any(one.dim() for one in tensors(ours)) or "device" in sample.kwargs)
            if op.name.startswith(UNINITIALISED):
                continue
            try:
                compare_values(got, expected)
                gradients += same_gradients(got, ours, expected, call) if grad else 0
            except AssertionError:
                if not random(op, call):
                    raise
        except NotImplementedError as error:
            return Outcome(name, 0, 0, [], str(error).splitlines()[0][:160])
        except Exception as error:  # whatever it is, the operator is wrong
            wrong.append(
                f"sample {at}: {type(error).__name__}: {str(error).splitlines()[0][:160] if str(error) else ''}"
            )
    return Outcome(name, samples, gradients, wrong)


def random(op: Any, call: Any) -> bool:
    """Whether the values depend on the state of the generator."""
    try:
        one, other = (list(tensors(run(op, tree_map(copied, call), seed))) for seed in (1, 2))
    except Exception:  # it cannot be run again
        return False
    return any(
        not a.is_sparse and not torch.equal(a.nan_to_num(), b.nan_to_num()) for a, b in zip(one, other, strict=True)
    )


def copied(value: Any) -> Any:
    return value.detach().clone() if isinstance(value, torch.Tensor) else value


def run(op: Any, call: Any, seed: int = 1) -> Any:
    torch.manual_seed(seed)
    source, args, kwargs = call
    return op(source, *args, **kwargs)


def to_device(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return moved(value.detach()).requires_grad_(value.requires_grad)
    if isinstance(value, torch.device) or value == "cpu":
        return torch.device("cuda")
    return value


def moved(tensor: torch.Tensor) -> torch.Tensor:
    """A copy on the device; of a part of a storage, in a copy of the whole, which ``as_strided`` may reach."""
    if tensor.layout is not torch.strided or tensor.is_conj() or tensor.is_neg():
        return tensor.clone().to("cuda")
    storage = tensor.untyped_storage()
    whole = torch.empty(0, dtype=tensor.dtype).set_(storage, 0, (storage.nbytes() // tensor.element_size(),), (1,))
    return whole.clone().to("cuda").as_strided(tensor.shape, tensor.stride(), tensor.storage_offset())


def tensors(value: Any) -> Iterator[torch.Tensor]:
    return (one for one in tree_flatten(value)[0] if isinstance(one, torch.Tensor))


def compare_kind(got: Any, expected: Any, placed: bool) -> None:
    """Raises AssertionError where shapes or dtypes differ, or a result is not on the device although ``placed``."""
    pairs = list(zip(tree_flatten(got)[0], tree_flatten(expected)[0], strict=True))
    for ours, theirs in pairs:
        if not isinstance(theirs, torch.Tensor):
            assert ours == theirs or ours != ours, f"{ours} is not {theirs}"
            continue
        assert ours.is_cuda or not placed, "a result is not on the device"
        assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype), "a result has another shape or dtype"


def compare_values(got: Any, expected: Any) -> None:
    """Raises AssertionError where values differ by more than rounding."""
    for ours, theirs in zip(tensors(got), tensors(expected), strict=True):
        close(ours.detach(), theirs.detach())


def close(ours: torch.Tensor, theirs: torch.Tensor) -> None:
    """Equal within rounding: the CPU has fused kernels (attention) where the device takes several steps."""
    narrow = theirs.dtype in (torch.float32, torch.complex64)
    bounds: dict[str, float] = {"rtol": 1e-4, "atol": 1e-4} if narrow else {}
    torch.testing.assert_close(ours.cpu(), theirs.cpu(), equal_nan=True, check_stride=False, **bounds)


def same_gradients(got: Any, ours: Any, expected: Any, theirs: Any) -> int:
    """The number of gradients compared."""
    mine, reference = gradients_of(got, ours), gradients_of(expected, theirs)
    for one, other in zip(mine, reference, strict=True):
        assert (one is None) == (other is None), "a gradient is missing"
        if one is not None and other is not None:
            close(one, other)
    return sum(one is not None for one in reference)


def gradients_of(results: Any, inputs: Any) -> tuple[torch.Tensor | None, ...]:
    out = [one for one in tensors(results) if one.requires_grad and not one.is_complex()]
    into = [one for one in tensors(inputs) if one.requires_grad]
    if not out or not into:
        return ()
    total = torch.stack([one.to_dense().sum() if one.is_sparse else one.sum() for one in out]).sum()
    return torch.autograd.grad(total, into, allow_unused=True)


if __name__ == "__main__":
    main()
