"""What all judgements of one file share: its statements, its barriers, the helper it may call."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from synclint.config import Settings
    from synclint.flow.barriers import Barriers
    from synclint.flow.module import ModuleFlow
    from synclint.flow.site import Scope
    from synclint.lint.h2d import Resolution
    from synclint.lint.statement import Statement
    from synclint.source import Source


class FileFacts:
    """Computed when first asked for: most files have no finding, most findings no fix."""

    def __init__(self, source: Source, flow: ModuleFlow, settings: Settings) -> None:
        self.source = source
        self.flow = flow
        self.settings = settings
        self._statements: dict[ast.stmt, Statement] = {}
        self._barriers: Barriers | None = None
        self._h2d: Resolution | None = None

    def statement(self, statement: ast.stmt) -> Statement:
        from synclint.lint.statement import Statement

        known = self._statements.get(statement)
        if known is None:
            known = self._statements[statement] = Statement(self.source, statement)
        return known

    def barriers(self, scope: Scope) -> tuple[str, ...]:
        from synclint.flow.barriers import Barriers

        if self._barriers is None:
            self._barriers = Barriers(self.flow.tree, self.source.data)
        outermost = scope.outermost
        function = None if isinstance(outermost.node, ast.ClassDef) else outermost.node
        return self._barriers.around(function, outermost.owner)

    def h2d(self) -> Resolution:
        from synclint.lint.h2d import resolve

        if self._h2d is None:
            self._h2d = resolve(self.source, self.settings)
        return self._h2d
