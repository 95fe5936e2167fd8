"""Abstract values: what an expression is, where it lives, and why synclint thinks so."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from synclint.finding import Confidence

if TYPE_CHECKING:
    from collections.abc import Iterator

    from synclint.flow.origins import Origin


class Kind(Enum):
    """What a value is. OBJECT is anything that is surely neither a tensor nor listed here."""

    UNKNOWN = "unknown"
    TENSOR = "tensor"
    MODULE = "module"
    NDARRAY = "ndarray"
    HOST = "host value"
    SEQUENCE = "sequence"
    MAPPING = "mapping"
    DEVICE = "device"
    DTYPE = "dtype"
    NONE = "None"
    EXTERNAL = "external name"
    FUNCTION = "function"
    CLASS = "class"
    INSTANCE = "instance"
    OBJECT = "object"


class Place(Enum):
    """Where a tensor, module or device is.

    CUDA: surely CUDA or ROCm. ACCELERATOR: on the accelerator whenever one is used, the CPU (or MPS)
    otherwise. CPU: host memory. OTHER: meta, xpu, ... EITHER: CPU on one path, accelerator on another.
    """

    UNKNOWN = "unknown"
    CUDA = "cuda"
    ACCELERATOR = "accelerator"
    CPU = "cpu"
    OTHER = "other"
    EITHER = "either"

    @property
    def on_accelerator(self) -> bool:
        return self is Place.CUDA or self is Place.ACCELERATOR


class Dtype(Enum):
    """Dtype category; exact dtypes are kept in ``Value.const`` of a DTYPE value only."""

    BOOL = "bool"
    INT = "int"
    FLOAT = "float"
    COMPLEX = "complex"


class Why(NamedTuple):
    """A chain of steps, newest first; ``line`` is 1-based in ``path`` (empty: the file at hand)."""

    line: int
    text: str
    parent: Why | None = None
    path: str = ""

    def steps(self) -> Iterator[Why]:
        """Oldest first."""
        links = []
        link: Why | None = self
        while link is not None:
            links.append(link)
            link = link.parent
        return reversed(links)


class Value:
    """One abstract value. Treat as immutable; ``replace`` makes a changed copy.

    certainty: that ``kind`` is right. sure: that ``place`` is right. pinned, dense, leaf: True, False or
    None for unknown. rank: number of dimensions, None when unknown. length: known number of elements of a
    sequence or of a rank-1 tensor. fresh: its memory was made by the code at hand, which may have named it
    since. items: values of a tuple or list display; for other sequences and mappings ``element`` is the join of
    its values (of a tensor that may as well be a list of tensors: any tensor). const: the Python value of a literal.
    ref: the dotted name of an EXTERNAL, or the Symbol of a FUNCTION, CLASS or INSTANCE, or of a MODULE's class.
    optional: may also be None. origin: what decides the value (of a tensor or device: its place) where this file alone
    cannot tell.
    """

    __slots__ = (
        "certainty",
        "const",
        "dense",
        "dtype",
        "element",
        "fresh",
        "items",
        "kind",
        "leaf",
        "length",
        "optional",
        "origin",
        "pinned",
        "place",
        "rank",
        "ref",
        "sure",
        "why",
    )

    def __init__(
        self,
        kind: Kind = Kind.UNKNOWN,
        place: Place = Place.UNKNOWN,
        *,
        certainty: Confidence = Confidence.CERTAIN,
        sure: Confidence = Confidence.CERTAIN,
        pinned: bool | None = None,
        dense: bool | None = None,
        leaf: bool | None = None,
        rank: int | None = None,
        length: int | None = None,
        dtype: Dtype | None = None,
        fresh: bool = False,
        items: tuple[Value, ...] | None = None,
        element: Value | None = None,
        const: Any = None,
        ref: Any = None,
        optional: bool = False,
        origin: Origin | None = None,
        why: Why | None = None,
    ) -> None:
        self.kind = kind
        self.place = place
        self.certainty = certainty
        self.sure = sure
        self.pinned = pinned
        self.dense = dense
        self.leaf = leaf
        self.rank = rank
        self.length = length
        self.dtype = dtype
        self.fresh = fresh
        self.items = items
        self.element = element
        self.const = const
        self.ref = ref
        self.optional = optional
        self.origin = origin
        self.why = why

    def replace(self, **changes: Any) -> Value:
        """A copy with some fields changed. Spelled out: this is the hottest function of the inference."""
        new: Value = object.__new__(Value)
        new.certainty = self.certainty
        new.const = self.const
        new.dense = self.dense
        new.dtype = self.dtype
        new.element = self.element
        new.fresh = self.fresh
        new.items = self.items
        new.kind = self.kind
        new.leaf = self.leaf
        new.length = self.length
        new.optional = self.optional
        new.origin = self.origin
        new.pinned = self.pinned
        new.place = self.place
        new.rank = self.rank
        new.ref = self.ref
        new.sure = self.sure
        new.why = self.why
        for name, value in changes.items():
            setattr(new, name, value)
        return new

    def __reduce__(self) -> tuple[Any, ...]:
        fields: list[Any] = []
        for number, content in enumerate(_FIELDS(self)):
            if content is not _USUAL[number]:
                fields += (number, content)
        return _restored, (tuple(fields),)

    @property
    def confidence(self) -> Confidence:
        """That the value is what and where it is said to be."""
        return min(self.certainty, self.sure)


_SLOTS = Value.__slots__
_FIELDS = attrgetter(*_SLOTS)
_USUAL = _FIELDS(Value())
_BLANK = Value()


def _restored(fields: tuple[Any, ...]) -> Value:
    """A value that was pickled: the numbers of the fields that differ from the usual, each before its content."""
    value = _BLANK.replace()
    for index in range(0, len(fields), 2):
        setattr(value, _SLOTS[fields[index]], fields[index + 1])
    return value


#: The keyword arguments of a call.
Keywords = Mapping[str, Value]
