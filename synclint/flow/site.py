"""Sites: places where the host may wait, with everything a rule needs to judge them."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from synclint.finding import Confidence, Heat
from synclint.flow.regions import Region

if TYPE_CHECKING:
    from synclint.facts import Fact
    from synclint.flow.values import Value

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(eq=False, slots=True)
class Scope:
    """A function (or the module, or a class body) that was interpreted.

    ``qualname`` is dotted (``Model.forward``), empty for the module. ``node`` is None for the module.
    ``owner`` is the class a method belongs to. ``stays_cold``: not even a loop over data makes a part of it hot.
    """

    qualname: str
    node: FunctionNode | ast.ClassDef | None
    owner: ast.ClassDef | None
    parent: Scope | None
    heat: Heat = Heat.WARM
    stays_cold: bool = False

    def heat_within(self, region: Region | None) -> Heat:
        """The heat of a part of the scope."""
        if region is None or (self.stays_cold and not region.firm):
            return self.heat
        return region.heat if region.heat is Heat.HOT else min(self.heat, region.heat)

    @property
    def name(self) -> str:
        """The function's own name; empty for the module."""
        return self.qualname.rpartition(".")[2]

    @property
    def outermost(self) -> Scope:
        """The function, class or module that this is nested in."""
        scope = self
        while scope.parent is not None and scope.parent.node is not None:
            scope = scope.parent
        return scope


@dataclass(eq=False, slots=True)
class Site:
    """One operation that waits (or costs) when its fact's conditions hold.

    ``node`` is the expression that users see flagged, ``statement`` the simple statement or compound whose
    header holds it. ``operands`` names the values that the fact's conditions speak of (``self``, ``target``,
    ``data``, ``mask``, ``value``); ``arguments`` the expressions they came from. ``flags`` are call flags
    that are known: ``non_blocking``, ``dtype``, ... ``context`` says, for a condition, what asks for
    the truth value: if, while, assert, and, or, not, ifexp, compare, comprehension, builtin. ``region`` is the part of
    the function that it is in, where that does not run as often as the function.
    """

    node: ast.expr
    statement: ast.stmt
    scope: Scope
    operation: str
    fact: Fact
    operands: dict[str, Value]
    arguments: dict[str, ast.expr] = field(default_factory=dict)
    flags: dict[str, bool | None] = field(default_factory=dict)
    context: str = ""
    confidence: Confidence = Confidence.LIKELY
    region: Region | None = None

    @property
    def heat(self) -> Heat:
        return self.scope.heat_within(self.region)
