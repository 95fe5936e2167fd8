"""What really waited: a tracer with two back ends, and blocks that forbid or allow waits.

``torch`` is imported where a back end starts, never by importing this package.
"""

from __future__ import annotations

from synclint.runtime.event import Event, Frame
from synclint.runtime.scope import SyncError, allow_sync, no_sync
from synclint.runtime.tracer import Tracer

__all__ = ["Event", "Frame", "SyncError", "Tracer", "allow_sync", "no_sync"]
