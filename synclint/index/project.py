"""What a name means across the files of a project: imports, re-exports, star imports, classes and their bases."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from synclint.index.names import canonical
from synclint.index.packages import Packages
from synclint.index.records import ClassRecord, FunctionRecord, ModuleRecord, Symbol


class Variable(NamedTuple):
    """A name assigned at the top level of a file."""

    path: str
    name: str


class Method(NamedTuple):
    """A method, as a class has it by itself or from a base."""

    symbol: Symbol
    record: FunctionRecord


class Class(NamedTuple):
    """A class with its record."""

    symbol: Symbol
    record: ClassRecord


class Project:
    """The files of a project. ``load`` gives the record of one, None where there is none (it cannot be parsed).

    All answers are functions of the records alone, whoever asks first.
    """

    def __init__(self, packages: Packages, load: Callable[[str], ModuleRecord | None]) -> None:
        self.packages = packages
        self.record = load
        self._found: dict[tuple[str, str], Symbol | Variable | None] = {}
        self._ancestries: dict[Symbol, tuple[Class, ...]] = {}
        self._outside: dict[Symbol, tuple[str, ...]] = {}

    # Names

    def find(self, dotted: str, near: str) -> Symbol | Variable | None:
        """What an absolute dotted name means in the file ``near``; None when it is not of the project."""
        if not self.knows(dotted):
            return None
        key = (dotted, near)
        if key not in self._found:
            self._found[key] = self._find(dotted, near, frozenset())
        return self._found[key]

    def member(self, path: str, dotted: str) -> Symbol | Variable | None:
        """What a dotted name means at the top level of a file, as written there."""
        return self._member(path, dotted.split("."), frozenset())

    def knows(self, dotted: str) -> bool:
        """Whether a dotted name may be of the project, by how it begins."""
        return dotted.partition(".")[0] in self.packages.tops or dotted.startswith(".")

    def _find(self, dotted: str, near: str, asked: frozenset[tuple[str, str]]) -> Symbol | Variable | None:
        relative = dotted.lstrip(".")
        dots = dotted[: len(dotted) - len(relative)]
        parts = relative.split(".")
        for end in range(len(parts) - 1, 0, -1):
            path = self.packages.find(dots + ".".join(parts[:end]), near)
            if path is not None:
                return self._member(path, parts[end:], asked)
        return None

    def _member(self, path: str, parts: list[str], asked: frozenset[tuple[str, str]]) -> Symbol | Variable | None:
        """The member ``a.b`` of a module; ``asked`` is what imports have led through on the way here."""
        record = self.record(path)
        name, rest = parts[0], parts[1:]
        if record is None or (path, name) in asked:
            return None
        asked |= {(path, name)}
        if name in record.classes:
            return self._inside(Symbol(path, name), record.classes[name], rest)
        if name in record.functions:
            return None if rest else Symbol(path, name)
        if name in record.imports:
            return self._find(".".join([record.imports[name], *rest]), path, asked)
        if name in record.bound:
            return None if rest else Variable(path, name)
        for star in reversed(record.stars):
            module = self.packages.find(star, path)
            starred = None if module is None else self.record(module)
            if module is None or starred is None or not starred.is_exported(name):
                continue
            found = self._member(module, parts, asked)
            if found is not None:
                return found
        return None

    def _inside(self, symbol: Symbol, record: ClassRecord, rest: list[str]) -> Symbol | None:
        if not rest:
            return symbol
        method = self.method(symbol, rest[0])
        return method.symbol if method is not None and len(rest) == 1 else None

    # Classes

    def class_record(self, symbol: Symbol) -> ClassRecord | None:
        record = self.record(symbol.path)
        return None if record is None else record.classes.get(symbol.qualname)

    def function_record(self, symbol: Symbol) -> FunctionRecord | None:
        record = self.record(symbol.path)
        if record is None:
            return None
        owner, _, name = symbol.qualname.rpartition(".")
        if not owner:
            return record.functions.get(name)
        known = record.classes.get(owner)
        return None if known is None else known.methods.get(name)

    def ancestry(self, symbol: Symbol) -> tuple[Class, ...]:
        """The class and its bases as far as they are of the project, in the order in which attributes are looked up."""
        found = self._ancestries.get(symbol)
        if found is None:
            found = self._ancestries[symbol] = tuple(self._linearised(symbol, frozenset()))
        return found

    def outside(self, symbol: Symbol) -> tuple[str, ...]:
        """The dotted names of the bases, of its own or inherited, that are not of the project."""
        found = self._outside.get(symbol)
        if found is None:
            names = [
                canonical(base)
                for at, record in self.ancestry(symbol)
                for base in record.bases
                if self.base(at.path, base) is None
            ]
            found = self._outside[symbol] = tuple(dict.fromkeys(names))
        return found

    def _linearised(self, symbol: Symbol, above: frozenset[Symbol]) -> list[Class]:
        """The method resolution order; ``above`` are the classes that are being looked at, against cycles."""
        record = self.class_record(symbol)
        if record is None or symbol in above:
            return []
        above |= {symbol}
        orders = []
        for base in record.bases:
            known = self.base(symbol.path, base)
            order = [] if known is None else self._linearised(known, above)
            if order:
                orders.append(order)
        direct = [order[0] for order in orders]
        return [
            Class(symbol, record),
            *(_merged([*orders, direct]) if len(orders) > 1 else orders[0] if orders else ()),
        ]

    def base(self, path: str, dotted: str) -> Symbol | None:
        """The class of the project that a class statement in a file names."""
        record = self.record(path)
        if record is not None and dotted in record.classes:
            return Symbol(path, dotted)
        found = self.find(dotted, path)
        return found if isinstance(found, Symbol) else None

    def method(self, symbol: Symbol, name: str) -> Method | None:
        """The method ``name`` of a class, inherited ones included."""
        return _method(self.ancestry(symbol), name)

    def inherited(self, symbol: Symbol, name: str) -> Method | None:
        """The method ``name`` that a class has from its bases, which ``super()`` calls."""
        return _method(self.ancestry(symbol)[1:], name)

    def items(self, symbol: Symbol) -> tuple[str, ...]:
        """The attributes that the items of an instance are, if it is a tuple with named fields."""
        record = self.class_record(symbol)
        return record.fields if record is not None and "typing.NamedTuple" in record.bases else ()


def _method(ancestry: tuple[Class, ...], name: str) -> Method | None:
    for at, record in ancestry:
        if name in record.methods:
            return Method(Symbol(at.path, f"{at.qualname}.{name}"), record.methods[name])
    return None


def _merged(orders: list[list[Class]]) -> list[Class]:
    """C3: each class before its bases, and bases in the order in which they are written, as far as that can be."""
    found: list[Class] = []
    orders = [list(order) for order in orders]
    while orders := [order for order in orders if order]:
        later = {known.symbol for order in orders for known in order[1:]}
        best = next((order[0] for order in orders if order[0].symbol not in later), orders[0][0])
        found.append(best)
        orders = [[known for known in order if known.symbol != best.symbol] for order in orders]
    return found
