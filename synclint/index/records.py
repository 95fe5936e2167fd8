"""The records of one file: what every name means, without any ``ast`` node, so that they can be cached."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class FunctionRecord:
    """A function or method. ``qualname`` is dotted (``Model.forward``); ``decorators`` are dotted names."""

    qualname: str
    line: int
    parameters: tuple[str, ...]
    decorators: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.qualname.rpartition(".")[2]


@dataclass(slots=True)
class ClassRecord:
    """A class: canonical dotted ``bases``, its methods by name, and where its attributes are assigned.

    ``attributes`` maps a name to the qualnames of the methods that assign ``self.name``; the empty
    string stands for the class body.
    """

    qualname: str
    line: int
    bases: tuple[str, ...]
    decorators: tuple[str, ...] = ()
    methods: dict[str, FunctionRecord] = field(default_factory=dict)
    attributes: dict[str, list[str]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.qualname.rpartition(".")[2]


@dataclass(slots=True)
class ModuleRecord:
    """One file. ``imports`` maps a local name to a canonical dotted name (``th`` -> ``torch``).

    ``bound`` are the other names assigned at module level.
    """

    path: str
    imports: dict[str, str] = field(default_factory=dict)
    classes: dict[str, ClassRecord] = field(default_factory=dict)
    functions: dict[str, FunctionRecord] = field(default_factory=dict)
    bound: set[str] = field(default_factory=set)
