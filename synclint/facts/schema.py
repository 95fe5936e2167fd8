"""What an entry of the tables in this folder may say, and the strict reader that refuses anything else.

Two kinds of tables. ``[[fact]]`` entries say where the host waits, under which conditions. ``[[result]]`` entries
say what functions, methods and attributes return; device inference runs on them. Every field that a program
reads is drawn from a closed vocabulary.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast, get_args

if TYPE_CHECKING:
    from collections.abc import Mapping

Direction = Literal["h2d", "d2h", "stream", "device", "none"]
Cause = Literal[
    "scalar-read",
    "blocking-copy",
    "pageable-copy",
    "data-dependent-size",
    "explicit-wait",
    "library-internal",
    "allocator",
    "conversion",
    "unordered-access",
    "none",
]
Event = Literal["sync", "pageable", "race", "host-cost", "none"]
EvidenceKind = Literal["source", "probe", "docs", "gpu"]

Kind = Literal["function", "method", "attribute"]
Returns = Literal[
    "tensor",
    "tensors",
    "mapping",
    "host",
    "sequence",
    "nested",
    "ndarray",
    "ndarrays",
    "device",
    "dtype",
    "none",
    "module",
    "object",
    "unknown",
]
Device = Literal["first", "all", "factory", "like", "cpu", "cuda", "argument", "none"]
Alias = Literal["fresh", "view", "same", "maybe"]
Rank = Literal[
    "same",
    "broadcast",
    "0",
    "1",
    "2",
    "plus-one",
    "minus-one",
    "reduce",
    "flat",
    "shape",
    "data",
    "loss",
    "unknown",
]
DtypeRule = Literal[
    "same",
    "promote",
    "accumulate",
    "bool",
    "int",
    "float",
    "complex",
    "argument",
    "argument-or-same",
    "unknown",
    "data",
]
Variant = Literal["", "dim", "flag", "alone", "bare", "index", "numbers"]

#: What takes part. ``self`` is the tensor that the operation is about (the receiver, or else the first argument),
#: ``target`` the device that a result goes to, ``data`` what a tensor is made of, ``range`` a pair of bounds; the rest
#: are arguments, by their names in PyTorch or by what they are for. Where there are several (indices in one
#: subscript), a fact holds if it holds for one of them.
OPERANDS = tuple("self source target data mask value index repeats lengths sorter output-size range".split())

#: What may be asked of an operand. dense: its elements fill one block of memory in the order of the other side of the
#: copy, so that no temporary is needed. host: not a tensor. scalar: a Python number. rank0, single, empty: no
#: dimension, one element, none. given: present and not None (of ``range``: its bounds differ). alone: no other operand
#: of its kind.
PROPERTIES = tuple("cuda cpu pinned dense bool rank0 single empty host scalar holds-cuda given alone".split())

#: What may be asked of the call: boolean arguments, and capture (a CUDA graph is being captured), requires-grad,
#: sorts (``isin``: so many elements that it sorts both sides).
FLAGS = ("non-blocking", "accumulate", "assume-unique", "unsafe", "capture", "requires-grad", "sorts")

#: Every predicate that a fact may ask: ``<operand>.<property>`` or a flag.
VOCABULARY: frozenset[str] = frozenset([f"{operand}.{name}" for operand in OPERANDS for name in PROPERTIES] + [*FLAGS])


class FactsError(ValueError):
    """A malformed table. The message starts with ``file.toml:line:``."""


class Condition(NamedTuple):
    """One predicate of the vocabulary and the answer it must get."""

    predicate: str
    expected: bool


class Evidence(NamedTuple):
    """Where a fact was seen: ``gpu`` measured, ``source`` read, ``probe`` run without a GPU, ``docs`` stated."""

    kind: EvidenceKind
    reference: str


@dataclass(frozen=True, slots=True)
class Fact:
    """What one operation makes the host do when all its conditions hold.

    ``operations`` are aten overloads (one without an overload stands for all of its name) or, where no operator waits,
    dotted Python names; ``spellings`` are the Python forms. ``when`` is a conjunction. ``since`` is the first
    torch release (major, minor) that behaves so, ``until`` the first that no longer does; None is unbounded. Where a
    fact whose event is none holds as well (an empty copy), nothing waits. ``debug_mode`` says that
    ``torch.cuda.set_sync_debug_mode`` sees the wait.
    ``rules`` are the codes of the rules that report it, for those who see it happen.
    ``snippet`` needs only ``torch`` in its namespace; what it does on a CUDA device is ``event`` and nothing else.
    """

    id: str
    operations: tuple[str, ...]
    spellings: tuple[str, ...]
    when: tuple[Condition, ...]
    direction: Direction
    cause: Cause
    event: Event
    alternative: str
    evidence: tuple[Evidence, ...]
    snippet: str
    since: tuple[int, int] | None = None
    until: tuple[int, int] | None = None
    rules: tuple[str, ...] = ()
    debug_mode: bool = True


@dataclass(frozen=True, slots=True)
class Result:
    """What a call or an attribute gives. "First" is the receiver, or the first tensor argument of a function.

    A keyword ``out=`` makes any result that tensor, ``inplace=True`` the first; ``dtype=`` decides its dtype.

    returns
        tensor; tensors (a tuple or list of them, perhaps nested: the rest of the row holds for each); mapping (of names
        to tensors, likewise); host (a Python number, bool or string); sequence (of host values, ``torch.Size``
        included); nested (a host number or nested lists of them); ndarray (its numbers included: they are of rank 0);
        ndarrays; device (or None); dtype; none; module; object (surely neither tensor nor array); unknown.
    device
        first; all (join of all tensor arguments, those inside lists included; CPU 0-d tensors do not decide; the
        default device if there are none); factory (``device=``, else that of tensor data, else the default device);
        like (``device=``, else that of the first); cpu; cuda; argument (where the arguments send it: ``Tensor.to`` and
        its kin); none (not a tensor).
    alias
        fresh (new memory); view (shares memory with the first, or with another tensor that is in use); same (the first
        itself); maybe (the first itself, a view of it, or a copy).
    rank
        same (as the first); broadcast (the highest among the tensor arguments); 0, 1, 2; plus-one, minus-one; reduce
        (0 when neither ``dim`` nor ``keepdim`` is given, else unknown); flat (1 when no ``dim`` is given, else
        unknown); shape (from the size arguments or list); data (of the literal given); loss (0 unless ``reduction`` is
        given); unknown.
    dtype
        same (as the first); promote (the highest category among the tensor and number arguments); accumulate (same,
        but int for bool); bool; int; float; complex; argument (``dtype=``, else float); argument-or-same; data (of the
        literal given); unknown. Complex arguments may give float results and the other way round (``abs``, ``exp``).
    dim
        position of the ``dim`` (NumPy: ``axis``) parameter in the call as written: for a function, its tensor is
        argument 0; for a method, the first argument after the receiver is. A bool there is another parameter. None
        when it is keyword-only or there is none.
    variant
        when the call gives something else than ``returns``. dim: a number as ``dim`` (here or by keyword) makes it a
        tuple of such values, and a tensor there makes it an elementwise operation (``max``). flag: a true flag makes
        it a tuple (``nonzero(as_tuple=True)``, ``unique(return_counts=True)``). alone: a single argument makes it a
        tuple (``where(condition)``). bare: without arguments it is a host value (``Tensor.type()``). index: with an
        argument it is a host value (``Tensor.size(0)``). numbers: without a tensor among the arguments it is a host
        value (``triton.cdiv``). Rank and dtype inside the tuples are unknown.
    """

    returns: Returns
    device: Device = "none"
    alias: Alias = "fresh"
    rank: Rank = "unknown"
    dtype: DtypeRule = "unknown"
    dim: int | None = None
    variant: Variant = ""


class Entry(NamedTuple):
    """One ``[[result]]`` entry: the names of one owner (a module, ``Tensor``, ``ndarray``) that share a row.

    ``line`` is where the entry starts.
    """

    line: int
    owner: str
    kind: Kind
    names: tuple[str, ...]
    result: Result


_FACT_KEYS = frozenset(Fact.__dataclass_fields__)
_RESULT_KEYS = frozenset(("of", "kind", "names", *Result.__dataclass_fields__))
_DIRECTIONS = frozenset(get_args(Direction))
_CAUSES = frozenset(get_args(Cause))
_EVENTS = frozenset(get_args(Event))
_EVIDENCE = frozenset(get_args(EvidenceKind))
_KINDS = frozenset(get_args(Kind))
_RETURNS = frozenset(get_args(Returns))
_DEVICES = frozenset(get_args(Device))
_ALIASES = frozenset(get_args(Alias))
_RANKS = frozenset(get_args(Rank))
_DTYPES = frozenset(get_args(DtypeRule))
_VARIANTS = frozenset(get_args(Variant))
_WITHOUT_TENSOR = frozenset(("host", "sequence", "nested", "device", "dtype", "none", "object"))


class _Malformed(Exception):
    """What is wrong with an entry; the reader adds where."""


def read_facts(text: str, file: str, start: int = 1) -> tuple[Fact, ...]:
    """The facts in the TOML ``text``, which starts in the line ``start`` of the file that errors name.

    Raises FactsError.
    """
    facts: list[Fact] = []
    seen: set[str] = set()
    for line, entry in _entries(text, file, start, "fact"):
        try:
            fact = _fact(entry)
            if fact.id in seen:
                raise _Malformed(f"id {fact.id!r} is already used")
        except _Malformed as error:
            raise FactsError(f"{file}:{line}: {error}") from None
        seen.add(fact.id)
        facts.append(fact)
    return tuple(facts)


def read_results(text: str, file: str, start: int = 1) -> tuple[Entry, ...]:
    """The result entries in the TOML ``text``, as :func:`read_facts` reads facts. Raises FactsError."""
    entries: list[Entry] = []
    seen: set[tuple[str, str, str]] = set()
    for line, raw in _entries(text, file, start, "result"):
        try:
            entry = _result(line, raw)
            keys = [(entry.owner, entry.kind, name) for name in entry.names]
            for key in keys:
                if key in seen:
                    raise _Malformed(f"{key[0]}.{key[2]} is already entered as {key[1]}")
                seen.add(key)
        except _Malformed as error:
            raise FactsError(f"{file}:{line}: {error}") from None
        entries.append(entry)
    return tuple(entries)


def _entries(text: str, file: str, start: int, table: str) -> list[tuple[int, Mapping[str, Any]]]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        at = re.search(r"\(at line (\d+)", str(error))
        line = int(at[1]) if at else text.count("\n") + 1
        raise FactsError(f"{file}:{start + line - 1}: {error}") from None
    header = f"[[{table}]]"
    lines = [number for number, line in enumerate(text.splitlines(), start) if line.strip() == header]
    for key in document:
        if key != table:
            raise FactsError(f"{file}:{start}: unknown table {key!r}, only {header} entries are allowed")
    found = document.get(table, [])
    if not isinstance(found, list) or len(found) != len(lines):
        raise FactsError(f"{file}:{start}: entries must be written as {header}, alone on a line")
    return list(zip(lines, found, strict=True))


def _fact(entry: Mapping[str, Any]) -> Fact:
    _check_keys(entry, _FACT_KEYS)
    name = _text(entry, "id")
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name):
        raise _Malformed(f"id {name!r} is not kebab-case")
    fact = Fact(
        id=name,
        operations=_texts(entry, "operations"),
        spellings=_texts(entry, "spellings"),
        when=tuple(_condition(text) for text in _texts(entry, "when", empty=True)),
        direction=cast(Direction, _choice(entry, "direction", _DIRECTIONS)),
        cause=cast(Cause, _choice(entry, "cause", _CAUSES)),
        event=cast(Event, _choice(entry, "event", _EVENTS)),
        alternative=_text(entry, "alternative"),
        evidence=_evidence(entry),
        snippet=_text(entry, "snippet"),
        since=_version(entry, "since"),
        until=_version(entry, "until"),
        rules=_texts(entry, "rules") if "rules" in entry else (),
        debug_mode=_flag(entry, "debug_mode", default=True),
    )
    for operation in fact.operations:
        if not re.fullmatch(r"aten::\w+(\.\w+)?|torch(\.\w+)+", operation):
            raise _Malformed(f"operation {operation!r} is neither an aten overload nor a name in torch")
    if "debug_mode" in entry and fact.event != "sync":
        raise _Malformed("'debug_mode' is for waits, event \"sync\", alone")
    predicates = [condition.predicate for condition in fact.when]
    if len(set(predicates)) != len(predicates):
        raise _Malformed("'when' asks a predicate twice")
    if (fact.event == "none") != (fact.cause == "none"):
        raise _Malformed('event and cause are "none" together or not at all')
    if (fact.event in ("sync", "pageable", "race")) != (fact.direction != "none"):
        raise _Malformed(f"event {fact.event!r} does not go with direction {fact.direction!r}")
    if fact.since is not None and fact.until is not None and fact.since >= fact.until:
        raise _Malformed("'since' is not before 'until'")
    try:
        compile(fact.snippet, "snippet", "exec")
    except SyntaxError as error:
        raise _Malformed(f"snippet: {error.msg} in its line {error.lineno}") from None
    return fact


def _result(line: int, entry: Mapping[str, Any]) -> Entry:
    _check_keys(entry, _RESULT_KEYS)
    result = Result(
        returns=cast(Returns, _choice(entry, "returns", _RETURNS)),
        device=cast(Device, _choice(entry, "device", _DEVICES, "none")),
        alias=cast(Alias, _choice(entry, "alias", _ALIASES, "fresh")),
        rank=cast(Rank, _choice(entry, "rank", _RANKS, "unknown")),
        dtype=cast(DtypeRule, _choice(entry, "dtype", _DTYPES, "unknown")),
        dim=_dim(entry),
        variant=cast(Variant, _choice(entry, "variant", _VARIANTS, "")),
    )
    if result.returns in ("tensor", "tensors", "mapping") and result.device == "none":
        raise _Malformed(f"{result.returns!r} needs a device")
    if result.returns in _WITHOUT_TENSOR and result.device != "none":
        raise _Malformed(f"{result.returns!r} has no device")
    return Entry(
        line=line,
        owner=_text(entry, "of"),
        kind=cast(Kind, _choice(entry, "kind", _KINDS, "function")),
        names=tuple(_text(entry, "names").split()),
        result=result,
    )


def _check_keys(entry: Mapping[str, Any], allowed: frozenset[str]) -> None:
    for key in entry:
        if key not in allowed:
            raise _Malformed(f"unknown key {key!r}, one of: {', '.join(sorted(allowed))}")


def _text(entry: Mapping[str, Any], key: str) -> str:
    value = entry.get(key)
    if not isinstance(value, str) or not value.strip():
        raise _Malformed(f"{key!r} must be a text" if key in entry else f"{key!r} is missing")
    return value


def _texts(entry: Mapping[str, Any], key: str, *, empty: bool = False) -> tuple[str, ...]:
    if key not in entry:
        raise _Malformed(f"{key!r} is missing")
    value = entry[key]
    if not isinstance(value, list) or not all(isinstance(text, str) and text for text in value):
        raise _Malformed(f"{key!r} must be a list of texts")
    if not value and not empty:
        raise _Malformed(f"{key!r} is empty")
    if len(set(value)) != len(value):
        raise _Malformed(f"{key!r} names {next(text for text in value if value.count(text) > 1)!r} twice")
    return tuple(value)


def _choice(entry: Mapping[str, Any], key: str, allowed: frozenset[str], default: str | None = None) -> str:
    value = entry.get(key, default)
    if value is None:
        raise _Malformed(f"{key!r} is missing")
    if not isinstance(value, str) or value not in allowed:
        raise _Malformed(f"{key} = {value!r}, must be one of: {', '.join(sorted(filter(None, allowed)))}")
    return value


def _flag(entry: Mapping[str, Any], key: str, *, default: bool) -> bool:
    value = entry.get(key, default)
    if not isinstance(value, bool):
        raise _Malformed(f"{key!r} must be true or false")
    return value


def _condition(text: str) -> Condition:
    predicate = text.removeprefix("not ")
    if predicate not in VOCABULARY:
        raise _Malformed(f"unknown predicate {predicate!r}")
    return Condition(predicate, predicate is text)


def _version(entry: Mapping[str, Any], key: str) -> tuple[int, int] | None:
    if key not in entry:
        return None
    matched = re.fullmatch(r"(\d+)\.(\d+)", _text(entry, key))
    if matched is None:
        raise _Malformed(f'{key} = {entry[key]!r} is not a version such as "2.6"')
    return int(matched[1]), int(matched[2])


def _evidence(entry: Mapping[str, Any]) -> tuple[Evidence, ...]:
    raw = entry.get("evidence")
    if not isinstance(raw, list) or not raw or not all(isinstance(row, dict) for row in raw):
        raise _Malformed("'evidence' must be a list of {kind = ..., reference = ...}")
    rows = []
    for row in raw:
        _check_keys(row, frozenset(("kind", "reference")))
        kind = cast(EvidenceKind, _choice(row, "kind", _EVIDENCE))
        rows.append(Evidence(kind, _text(row, "reference")))
    return tuple(rows)


def _dim(entry: Mapping[str, Any]) -> int | None:
    value = entry.get("dim")
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise _Malformed("'dim' must be a position, 0 or more")
    return value
