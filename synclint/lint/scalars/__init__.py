"""Tensors read as Python scalars: what the reads have in common, and the two fixes that batch them.

Shared by the rules about device tensors (each read waits) and CPU tensors (each read costs a conversion).
"""

from synclint.lint.scalars.batch import Batch, batch_of
from synclint.lint.scalars.cached import cached_fix
from synclint.lint.scalars.loops import in_loop, read_in_loop
from synclint.lint.scalars.reads import ScalarRead, read_of

__all__ = ["Batch", "ScalarRead", "batch_of", "cached_fix", "in_loop", "read_in_loop", "read_of"]
