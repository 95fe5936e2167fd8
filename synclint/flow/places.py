"""Devices: what a device argument says about where a tensor ends up."""

from __future__ import annotations

from collections.abc import Iterable

from synclint.finding import Confidence
from synclint.flow.conventions import names_device
from synclint.flow.values import Kind, Place, Value

CPU_DEVICE = Value(Kind.DEVICE, Place.CPU)
CUDA_DEVICE = Value(Kind.DEVICE, Place.CUDA)

#: What a device is that was asked for by a name alone.
LIKELY_ACCELERATOR = Value(Kind.DEVICE, Place.ACCELERATOR, certainty=Confidence.LIKELY, sure=Confidence.LIKELY)


def place_of_name(text: str) -> Place:
    """The place a device string names: ``cuda:0``, ``cpu``, ``mps``."""
    head = text.partition(":")[0]
    if head in ("cuda", "hip"):
        return Place.CUDA
    return Place.CPU if head == "cpu" else Place.OTHER


def as_device(value: Value) -> Value | None:
    """``value`` read as a device argument: a device, a device string, an index; None if it cannot be one."""
    if value.optional:  # `"cuda" if here else None`: None is the default device
        device = as_device(value.replace(optional=False))
        return None if device is None else device.replace(sure=min(device.sure, Confidence.LIKELY), optional=True)
    if value.kind is Kind.DEVICE:
        return value
    if value.kind is Kind.HOST:
        if isinstance(value.const, str):
            return Value(Kind.DEVICE, place_of_name(value.const), why=value.why)
        if isinstance(value.const, int) and not isinstance(value.const, bool):
            return CUDA_DEVICE
        if value.place is not Place.UNKNOWN:  # an f-string such as f"cuda:{rank}"
            return Value(Kind.DEVICE, value.place, sure=value.sure, why=value.why)
        return Value(Kind.DEVICE, Place.UNKNOWN)
    if value.kind is Kind.EXTERNAL and names_device(value.ref.rpartition(".")[2]):
        return LIKELY_ACCELERATOR  # `from utils import device_type`
    return None


def combine(tensors: Iterable[Value]) -> Value | None:
    """Where the result of an operation on several tensors is.

    Operands of one operation share a device, CPU scalars (rank 0) aside: the best known decides. One that is on the
    accelerator by convention, next to one in host memory, may as well be there.
    Returns the deciding operand, None if there is no tensor.
    """
    best: Value | None = None
    in_memory: Value | None = None
    for tensor in tensors:
        if tensor.kind is not Kind.TENSOR:
            continue
        if best is None or _weight(tensor) > _weight(best):
            best = tensor
        if tensor.place is Place.CPU and tensor.rank and tensor.confidence is not Confidence.POSSIBLE:
            in_memory = tensor
    if best is not None and in_memory is not None and best.place.on_accelerator and best.sure is Confidence.LIKELY:
        return best.replace(sure=Confidence.POSSIBLE)
    return best


def _weight(tensor: Value) -> tuple[bool, bool, Confidence, bool]:
    decides = not is_host_scalar(tensor)
    return tensor.place is not Place.UNKNOWN and decides, decides, tensor.confidence, tensor.place.on_accelerator


def is_host_scalar(tensor: Value) -> bool:
    """Whether a tensor in host memory goes along with an operation wherever that is."""
    return tensor.place is Place.CPU and tensor.rank == 0
