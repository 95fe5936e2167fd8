"""Joining abstract values where control flow meets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from synclint.finding import Confidence
from synclint.flow.origins import element_of as element_origin
from synclint.flow.origins import mixed
from synclint.flow.places import place_of_name
from synclint.flow.values import Kind, Place, Value

UNKNOWN = Value()
HOST = Value(Kind.HOST)
LIKELY_HOST = Value(Kind.HOST, certainty=Confidence.LIKELY)
NONE = Value(Kind.NONE)
#: A list or tuple that surely has no elements.
EMPTY = Value(Kind.SEQUENCE, items=(), length=0, const=())
OBJECT = Value(Kind.OBJECT)
#: ``slice(start, stop)``, as an index.
SLICE = Value(Kind.OBJECT, ref="slice")
#: What call sites pass that do not agree on which side of the bus it is.
DISAGREED = Value(Kind.UNKNOWN, Place.EITHER)

# A value that could not be computed because it is being computed further up the stack.
PENDING = Value()


def join(first: Value, second: Value) -> Value:
    """What is known whichever of the two it is. Returns ``first`` itself when nothing is lost."""
    if first is second or second is PENDING:
        return first
    if first is PENDING:
        return second
    if first.kind is not second.kind:
        return _join_kinds(first, second)
    kind = first.kind
    if kind is Kind.TENSOR or kind is Kind.MODULE or kind is Kind.DEVICE:
        return _join_placed(first, second)
    if kind is Kind.HOST:
        same = first.place is second.place
        if first.const != second.const or not same:
            place = _device_of_either(first, second)
            if place is not None:
                return first.replace(const=None, dtype=None, place=place, sure=Confidence.LIKELY)
        if same and first.dtype is second.dtype and (first.const is None or _same_constant(first, second)):
            return first
        return first.replace(
            const=None,
            dtype=first.dtype if first.dtype is second.dtype else None,
            place=first.place if same else Place.UNKNOWN,
        )
    if kind is Kind.SEQUENCE or kind is Kind.MAPPING:
        return _join_containers(first, second)
    if kind is Kind.UNKNOWN:
        same = first.place is second.place and first.origin == second.origin and first.dtype is second.dtype
        return first if same else blend(first, second)
    if kind in (Kind.EXTERNAL, Kind.FUNCTION, Kind.CLASS, Kind.INSTANCE):
        return first if first.ref == second.ref else UNKNOWN
    return first


def blend(first: Value, second: Value) -> Value:
    """Something unknown that depends on two values."""
    if first.origin is None and second.origin is None:
        return UNKNOWN
    origin = mixed(first.origin, second.origin)
    same = origin is first.origin and first.kind is Kind.UNKNOWN and first.place is Place.UNKNOWN
    return first if same and first.dtype is None else Value(origin=origin)


_NOT_ALWAYS = (Place.CPU, Place.EITHER)  # places of what may be in host memory


def join_all(values: Iterable[Value]) -> Value:
    """The join of any number of values; UNKNOWN for none."""
    result: Value | None = None
    for value in values:
        result = value if result is None else join(result, value)
    return UNKNOWN if result is None else result


def join_told(values: Sequence[Value]) -> Value:
    """What several call sites pass, by those that say most about where it is; those that know nothing about it speak
    against nobody."""
    placed = [value for value in values if value.place is not Place.UNKNOWN]
    if not placed:
        return join_all(values)
    rest = [value for value in values if value.kind not in (Kind.TENSOR, Kind.DEVICE)]
    best = min(Confidence.LIKELY, max(value.sure for value in placed))
    telling = [value for value in placed if value.sure >= best]
    return join_all([*telling, *(value for value in rest if value not in placed)])


def join_writers(values: Mapping[str, Value]) -> Value:
    """What an attribute holds, by what the methods of its class assign. What the constructor leaves in host memory and
    another method puts on the accelerator is there by the time that it matters."""
    result = join_all(values.values())
    if result.place is not Place.EITHER:
        return result
    later = join_all(value for writer, value in values.items() if writer.rpartition(".")[2] not in ("", "__init__"))
    if not later.place.on_accelerator:
        return result
    return later.replace(sure=min(later.sure, Confidence.LIKELY))


def _join_kinds(first: Value, second: Value) -> Value:
    if first.kind is Kind.NONE or second.kind is Kind.NONE:
        other = second if first.kind is Kind.NONE else first
        return other if other.optional or other.kind is Kind.UNKNOWN else other.replace(optional=True)
    if {first.kind, second.kind} == {Kind.DEVICE, Kind.HOST}:  # `device = f"npu:{device}"` on one path
        device, name = (first, second) if first.kind is Kind.DEVICE else (second, first)
        place = _device_named(name)
        sure = min(device.sure, Confidence.LIKELY)
        named = device.replace(certainty=min(device.certainty, Confidence.LIKELY), sure=sure)
        return named if place is None else _join_placed(named, named.replace(place=place))
    tensor, other = (first, second) if first.kind is Kind.TENSOR else (second, first)
    if tensor.kind is not Kind.TENSOR:
        return blend(first, second)
    # A number on the other path (`total = 0`) does not make the tensor less of one; anything else may.
    limit = Confidence.LIKELY if other.kind is Kind.HOST else Confidence.POSSIBLE
    if tensor.certainty <= limit and not tensor.fresh:
        return tensor
    return tensor.replace(certainty=min(tensor.certainty, limit), fresh=False)


def _join_place(first: Value, second: Value) -> tuple[Place, Confidence]:
    sure = min(first.sure, second.sure)
    if first.place is second.place:
        return first.place, sure
    if first.place is Place.UNKNOWN or second.place is Place.UNKNOWN:
        return (second.place if first.place is Place.UNKNOWN else first.place), Confidence.POSSIBLE
    if first.place not in _NOT_ALWAYS and second.place not in _NOT_ALWAYS:
        return Place.ACCELERATOR, sure  # `mps` on one path is the accelerator of another machine
    return Place.EITHER, sure


def _device_named(value: Value) -> Place | None:
    """The place of a string that names a device, as far as that is known; None if it names none."""
    if value.place is not Place.UNKNOWN:
        return value.place
    if not isinstance(value.const, str):
        return None
    name = value.const.partition(":")[0]
    return place_of_name(name) if name in _DEVICES else None


def _device_of_either(first: Value, second: Value) -> Place | None:
    """The place of two strings that name devices: `cuda` or `cpu`, as the case may be, is the accelerator if any."""
    one = _device_named(first)
    two = None if one is None else _device_named(second)
    if one is None or two is None:
        return None
    return one if one is two else Place.ACCELERATOR


_DEVICES = frozenset(("cuda", "hip", "cpu", "mps", "xpu", "npu", "hpu", "mlu", "musa"))


def _join_placed(first: Value, second: Value) -> Value:
    place, sure = _join_place(first, second)
    if first.kind is Kind.DEVICE and place is Place.EITHER:  # the accelerator, if there is one
        place, sure = Place.ACCELERATOR, min(sure, Confidence.LIKELY)
    certainty = min(first.certainty, second.certainty)
    if (
        first.place is place
        and first.sure is sure
        and first.certainty is certainty
        and first.pinned is second.pinned
        and first.dense is second.dense
        and first.leaf is second.leaf
        and first.rank == second.rank
        and first.length == second.length
        and first.dtype is second.dtype
        and first.fresh == second.fresh
        and first.optional >= second.optional
        and first.const == second.const
        and first.ref == second.ref
        and first.origin == second.origin
        and first.element is second.element
        and first.items is second.items
    ):
        return first
    element: Value | None = None
    if first.kind is Kind.MODULE:  # a container of modules
        one, two = element_of(first), element_of(second)
        element = one or two if one is None or two is None else join(one, two)
    return first.replace(
        items=None,
        element=element,
        place=place,
        sure=sure,
        certainty=certainty,
        pinned=first.pinned if first.pinned is second.pinned else None,
        dense=first.dense if first.dense is second.dense else None,
        leaf=first.leaf if first.leaf is second.leaf else None,
        rank=first.rank if first.rank == second.rank else None,
        length=first.length if first.length == second.length else None,
        dtype=first.dtype if first.dtype is second.dtype else None,
        fresh=first.fresh and second.fresh,
        optional=first.optional or second.optional,
        const=first.const if first.const == second.const else None,
        ref=first.ref if first.ref == second.ref else None,
        origin=first.origin if first.origin == second.origin else None,
        why=first.why if first.place is not Place.UNKNOWN else second.why,
    )


def _join_containers(first: Value, second: Value) -> Value:
    a, b = first.items, second.items
    if a is not None and b is not None and len(a) == len(b):
        items = tuple(map(join, a, b))
        if all(map(_identical, items, a)) and first.optional >= second.optional:
            return first
        return first.replace(items=items, optional=first.optional or second.optional, fresh=False, const=None)
    one, two = element_of(first), element_of(second)
    # An empty container adds nothing.
    element = one or two if one is None or two is None else join(one, two)
    if a is None and element is first.element and first.length == second.length and first.optional >= second.optional:
        return first
    return first.replace(
        items=None,
        element=element,
        length=first.length if first.length == second.length else None,
        optional=first.optional or second.optional,
        fresh=False,
        const=None,
    )


def element_of(container: Value) -> Value | None:
    """The join of a container's elements; None when it is known to have none (or nothing is known)."""
    if container.items is None:
        return container.element
    return join_all(container.items) if container.items else None


def element_value(container: Value) -> Value:
    """What iterating over a value gives."""
    return item_value(container, None)


def item_value(container: Value, index: int | str | None) -> Value:
    """The item at an index, where that is known, of what a value holds, or else of what iterating over it gives.

    A key (empty, if it is not known) asks for something in what is not known.
    """
    items = container.items
    if isinstance(index, int) and items is not None and -len(items) <= index < len(items):
        return items[index]
    kind = container.kind
    if kind is Kind.TENSOR:
        rank = None if container.rank is None or container.rank == 0 else container.rank - 1
        certainty = container.certainty
        if container.element is not None:  # a tensor, or a list of tensors
            certainty = max(certainty, Confidence.LIKELY)
        return container.replace(rank=rank, fresh=False, length=None, leaf=None, certainty=certainty, element=None)
    if kind is Kind.SEQUENCE:
        return element_of(container) or UNKNOWN
    held = element_of(container) if kind is Kind.MODULE else None
    if held is not None:  # of a container of modules
        return held
    if kind in (Kind.HOST, Kind.MAPPING):
        return HOST
    if kind is Kind.NDARRAY:
        return container.replace(rank=container.rank - 1) if container.rank else container
    origin = element_origin(container.origin, index)
    if kind is Kind.UNKNOWN and container.place.on_accelerator:
        return container.replace(origin=origin)
    return UNKNOWN if origin is None else Value(origin=origin)


def _identical(first: Value, second: Value) -> bool:
    return first is second


def _same_constant(first: Value, second: Value) -> bool:
    return type(first.const) is type(second.const) and first.const == second.const
