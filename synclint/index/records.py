"""The records of one file: what every name means, without any ``ast`` node, so that they can be cached."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple


class Symbol(NamedTuple):
    """A class or function of the project: the file that defines it, and its dotted name there."""

    path: str
    qualname: str

    @property
    def name(self) -> str:
        return self.qualname.rpartition(".")[2]

    @property
    def owner(self) -> Symbol:
        """The class of a method."""
        return Symbol(self.path, self.qualname.rpartition(".")[0])


@dataclass(slots=True)
class FunctionRecord:
    """A function or method. ``qualname`` is dotted (``Model.forward``); ``decorators`` are dotted names.

    ``positional`` are the parameters that an argument without a name can reach, the receiver included.
    """

    qualname: str
    line: int
    parameters: tuple[str, ...]
    decorators: tuple[str, ...] = ()
    positional: int = 0

    @property
    def name(self) -> str:
        return self.qualname.rpartition(".")[2]

    @property
    def is_property(self) -> bool:
        return any(name.rpartition(".")[2] in ("property", "cached_property") for name in self.decorators)

    @property
    def has_receiver(self) -> bool:
        """Whether a call through an object passes it as the first parameter."""
        return "." in self.qualname and not any(name == "staticmethod" for name in self.decorators)


@dataclass(slots=True)
class ClassRecord:
    """A class: canonical dotted ``bases``, its methods by name, and where its attributes are assigned.

    ``attributes`` maps a name to the qualnames of the methods that assign ``self.name``; the empty string stands for
    the class body. ``fields`` are the annotated names of the body in order: what the constructor of a dataclass or
    NamedTuple takes.
    """

    qualname: str
    line: int
    bases: tuple[str, ...]
    decorators: tuple[str, ...] = ()
    methods: dict[str, FunctionRecord] = field(default_factory=dict)
    attributes: dict[str, list[str]] = field(default_factory=dict)
    fields: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.qualname.rpartition(".")[2]


@dataclass(slots=True)
class ModuleRecord:
    """One file of the project.

    ``path`` is relative to the project's root, with slashes; ``name`` the dotted name of the module. ``imports`` maps
    a local name to a canonical dotted name (``th`` -> ``torch``), ``stars`` are the modules whose names are all
    imported. ``classes`` go by their dotted names in the file (``Outer.Inner``). ``bound`` are the other names assigned
    at module level. ``kept_on_host`` are the names of data that the file keeps in host memory by a flag. ``exports`` is
    what ``__all__`` lists; None where there is none, or one that is put together in other ways than from literals.
    """

    path: str
    name: str = ""
    imports: dict[str, str] = field(default_factory=dict)
    stars: list[str] = field(default_factory=list)
    classes: dict[str, ClassRecord] = field(default_factory=dict)
    functions: dict[str, FunctionRecord] = field(default_factory=dict)
    bound: set[str] = field(default_factory=set)
    kept_on_host: frozenset[str] = frozenset()
    exports: set[str] | None = None

    @property
    def package(self) -> str:
        """What a relative import starts from."""
        is_package = self.path.endswith(("/__init__.py", "/__init__.pyi")) or self.path in ("__init__.py",)
        return self.name if is_package else self.name.rpartition(".")[0]

    def is_exported(self, name: str) -> bool:
        """Whether ``from module import *`` binds the name."""
        return not name.startswith("_") if self.exports is None else name in self.exports
