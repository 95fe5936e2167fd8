"""Functions within functions: they see what is around them when they are defined."""

from __future__ import annotations

from typing import TYPE_CHECKING

from synclint.flow.lattice import OBJECT
from synclint.flow.parameters import bind_conventions
from synclint.flow.site import FunctionNode, Scope

if TYPE_CHECKING:
    from synclint.flow.frame import Frame


def run_nested(frame: Frame, node: FunctionNode) -> None:
    """Interprets a nested function where it is defined and binds its name."""
    outer = frame.scope
    qualname = f"{outer.qualname}.<locals>.{node.name}" if outer.qualname else node.name
    scope = Scope(qualname, node, outer.owner, outer)
    inner = frame.module.frames(frame.module, scope, dict(frame.env), recording=frame.recording)
    inner.paths, inner.allowed, inner.default_device = set(frame.paths), frame.allowed, frame.default_device
    inner.region, inner.meant = frame.region, frame.meant
    inner.owner = None  # its first parameter is no receiver
    bind_conventions(inner, node)
    inner.owner, inner.receiver = frame.owner, frame.receiver
    inner.run_function(node)
    frame.sites.update(inner.sites)
    frame.env[node.name] = OBJECT
