"""Beliefs in words: what a value is, how sure that is, what a condition of a fact asks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from synclint.finding import Confidence
from synclint.flow.values import Dtype, Kind, Place, Value

if TYPE_CHECKING:
    from synclint.facts import Condition

_PLACES = {
    Place.CUDA: "on CUDA",
    Place.ACCELERATOR: "on the accelerator",
    Place.CPU: "in host memory",
    Place.OTHER: "on another device",
    Place.EITHER: "in host memory or on the accelerator",
    Place.UNKNOWN: "where is not known",
}
_DEVICES = {
    Place.CUDA: "CUDA",
    Place.ACCELERATOR: "the accelerator",
    Place.CPU: "the CPU",
    Place.OTHER: "neither CUDA nor the CPU",
    Place.EITHER: "the CPU or the accelerator",
    Place.UNKNOWN: "not known which",
}
_SHOWN_ITEMS = 4


def kind_in_words(value: Value) -> str:
    """What a value is believed to be, without how sure that is."""
    words = _kind(value)
    return f"{words}; or None" if value.optional and value.kind is not Kind.NONE else words


def _kind(value: Value) -> str:
    kind = value.kind
    if kind is Kind.TENSOR:
        return _tensor(value)
    if kind is Kind.HOST:
        return _host(value)
    if kind is Kind.SEQUENCE:
        return _sequence(value)
    if kind is Kind.MAPPING:
        return f"mapping; its values: {kind_in_words(value.element)}" if value.element else "mapping"
    if kind is Kind.DEVICE:
        return f"device: {_DEVICES[value.place]}"
    if kind is Kind.DTYPE:
        return f"dtype {value.const}" if value.const else "dtype"
    if kind is Kind.MODULE:
        return f"module `{value.ref.name}`" if value.ref is not None else "module (nn.Module)"
    if kind is Kind.INSTANCE:
        return f"instance of `{value.ref.name}`"
    if kind in (Kind.FUNCTION, Kind.CLASS):
        return f"{kind.value} `{value.ref.qualname}`"
    if kind is Kind.EXTERNAL:
        return f"`{value.ref}`"
    if kind is Kind.NDARRAY:
        rank = "" if value.rank is None else f" of rank {value.rank}"
        return f"NumPy array{rank}, in host memory"
    if kind is Kind.UNKNOWN:
        where = {Place.CPU: "in host memory", Place.ACCELERATOR: "on the accelerator"}.get(value.place)
        return "unknown" + (f"; if it is a tensor, {where}" if where is not None else "")
    return {Kind.NONE: "None", Kind.OBJECT: "neither tensor nor array"}[kind]


def _tensor(value: Value) -> str:
    head = f"{value.dtype.value} tensor" if value.dtype is not None else "tensor"
    if value.rank is not None:
        head += f" of rank {value.rank}"
    if value.dtype is Dtype.BOOL and value.rank != 0:
        head += " (a mask)"
    place = _PLACES[value.place]
    if value.place is Place.CPU and value.pinned is not None:
        place += ", pinned" if value.pinned else ", not pinned"
    return f"{head}, {place}"


def _host(value: Value) -> str:
    if isinstance(value.const, str):
        return "string"
    if value.place is not Place.UNKNOWN:
        return f"string that names {_DEVICES[value.place]}"
    return f"host value: {value.dtype.value}" if value.dtype is not None else "host value"


def _sequence(value: Value) -> str:
    if value.items is not None:
        shown = ", ".join(_kind(item) for item in value.items[:_SHOWN_ITEMS])
        more = ", ..." if len(value.items) > _SHOWN_ITEMS else ""
        return f"sequence of {len(value.items)}: ({shown}{more})" if value.items else "empty sequence"
    return f"sequence; each: {kind_in_words(value.element)}" if value.element else "sequence"


def certainty_in_words(value: Value) -> str:
    """How sure a belief is; empty where nothing is believed."""
    kind = value.kind
    if kind is Kind.UNKNOWN:
        return ""
    if kind in (Kind.SEQUENCE, Kind.MAPPING) and value.items is None and value.element is not None:
        return certainty_in_words(value.element)
    if kind not in (Kind.TENSOR, Kind.DEVICE) or value.place is Place.UNKNOWN or value.certainty is value.sure:
        return level(value.confidence if kind in (Kind.TENSOR, Kind.DEVICE) else value.certainty)
    return f"{level(value.certainty)}, its place {level(value.sure)}"


def level(confidence: Confidence) -> str:
    return confidence.name.lower()


_PROPERTIES = {
    "cuda": ("is on the accelerator", "is not on the accelerator"),
    "cpu": ("is in host memory", "is not in host memory"),
    "pinned": ("is in pinned memory", "is not in pinned memory"),
    "dense": ("is laid out in memory as the other side of the copy", "is laid out otherwise than the copy"),
    "bool": ("is bool", "is not bool"),
    "rank0": ("has no dimension", "has a dimension"),
    "single": ("has one element", "does not have just one element"),
    "empty": ("is empty", "has elements"),
    "host": ("is host data", "is not host data"),
    "scalar": ("is a Python number", "is not a Python number"),
    "holds-cuda": ("holds tensors of the accelerator", "holds no tensor of the accelerator"),
    "given": ("is given", "is not given"),
    "alone": ("is the only one", "is one of several"),
}
_FLAGS = {
    "non-blocking": ("`non_blocking` is true", "`non_blocking` is not true"),
    "accumulate": ("`accumulate` is true", "`accumulate` is not true"),
    "assume-unique": ("`assume_unique` is true", "`assume_unique` is not true"),
    "unsafe": ("`unsafe` is true", "`unsafe` is not true"),
    "capture": ("a CUDA graph is being captured", "no CUDA graph is being captured"),
    "requires-grad": ("gradients are required", "no gradients are required"),
    "sorts": ("there is enough to sort", "there is little to sort"),
}


def condition_in_words(condition: Condition, subject: str) -> str:
    """What a condition demands; ``subject`` is the text of the operand that it is about, if it is in the source."""
    operand, dot, name = condition.predicate.partition(".")
    if not dot:
        return _FLAGS[operand][not condition.expected]
    return f"{f'`{subject}`' if subject else f'the {operand}'} {_PROPERTIES[name][not condition.expected]}"
