"""What a rule may ask about the code around a site, and how it builds a fix."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from synclint.finding import Applicability, Confidence, Edit, Fix
from synclint.flow.values import Kind, Place, Value

if TYPE_CHECKING:
    import ast

    import libcst as cst

    from synclint.config import Settings
    from synclint.flow.module import ModuleFlow
    from synclint.flow.site import Site
    from synclint.lint.file import FileFacts
    from synclint.lint.h2d import Resolution
    from synclint.lint.statement import Statement
    from synclint.source import Source

_LONGEST = 40
"""The longest expression that a message shows."""


@dataclass(slots=True)
class Context:
    """One site and its surroundings, as a rule sees them.

    ``sites`` are all sites of the file, in source order.
    """

    site: Site
    sites: tuple[Site, ...]
    source: Source
    settings: Settings
    statement: Statement
    file: FileFacts

    @property
    def node(self) -> cst.BaseExpression | None:
        """The LibCST node of ``site.node``; None where the statement cannot be taken apart: no edits there."""
        return self.statement.node(self.site.node) if self.statement.parse() is not None else None

    @property
    def flow(self) -> ModuleFlow:
        """The interpreted file: its tree, names, classes and functions."""
        return self.file.flow

    def barriers(self) -> tuple[str, ...]:
        """Reasons, in words, why removing this wait might lose an ordering that the program relies on."""
        return self.file.barriers(self.site.scope)

    def statement_of(self, statement: ast.stmt) -> Statement:
        """Another statement of the file."""
        return self.file.statement(statement)

    def h2d(self) -> Resolution:
        """The ``async_tensor_h2d`` that a fix may call."""
        return self.file.h2d()

    def name_for(self, module: str, name: str) -> tuple[str, tuple[Edit, ...]]:
        """The name to write for ``module.name`` here, and the edits that import it."""
        from synclint.lint.imports import import_edit

        written, edit = import_edit(self.source, module, name)
        return written, () if edit is None else (edit,)

    def text(self, node: ast.expr | ast.stmt) -> str:
        """The source text of an expression or statement."""
        start, end = self.source.span(node)
        return self.source.data[start:end].decode("utf-8")

    def shown(self, node: ast.expr | None, otherwise: str) -> str:
        """The text of an expression in backticks where it is short and on one line, else ``otherwise``."""
        text = self.written(node, "")
        return f"`{text}`" if text else otherwise

    def written(self, node: ast.expr | None, otherwise: str) -> str:
        """The text of an expression to build on, such as ``x`` in ``x.fill_(0)``; as ``shown``, without backticks."""
        text = "" if node is None else self.text(node)
        return text if 0 < len(text) <= _LONGEST and "\n" not in text and "`" not in text else otherwise

    def tensor_at(self, value: Value) -> str:
        """What to call a tensor that has no short text."""
        return "a CUDA tensor" if self.surely_on_cuda(value) else "a tensor on the accelerator"

    def fix(
        self,
        message: str,
        edits: Iterable[Edit | None],
        *,
        unsafe: Iterable[str] = (),
        removes_wait: bool = True,
    ) -> Fix | None:
        """A fix at the level that its edits can keep; None if an edit is missing.

        ``unsafe`` are the reasons why the rule cannot promise equal results. Barriers, and comments that an edit would
        drop, are added here. ``removes_wait``: False for a rewrite that changes no ordering.
        """
        found = list(edits)
        if not found or any(edit is None for edit in found):
            return None
        complete = tuple(edit for edit in found if edit is not None)
        reasons = list(unsafe)
        if removes_wait:
            reasons += self.barriers()
        if any(self.statement.loses_comment(edit.start, edit.end) for edit in complete if edit.end > edit.start):
            reasons.append("a comment would be lost")
        level = Applicability.UNSAFE if reasons else Applicability.SAFE
        return Fix(level, message, complete, "; ".join(reasons[:3]))

    def surely_on_cuda(self, value: Value) -> bool:
        """Whether a device or tensor is CUDA (or ROCm) for certain: not the CPU, not MPS."""
        return value.place is Place.CUDA and value.confidence is Confidence.CERTAIN

    def surely_tensor(self, value: Value) -> bool:
        return value.kind is Kind.TENSOR and value.certainty is Confidence.CERTAIN
