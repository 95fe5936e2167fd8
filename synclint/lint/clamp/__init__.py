"""The clamp guard, ``if x.isinf().any(): x = torch.clamp(x, ...)``: what it is, and how it can go without a wait."""

from synclint.lint.clamp.guard import ClampGuard, clamp_guard
from synclint.lint.clamp.promise import Verdict, weigh
from synclint.lint.clamp.rewrite import clamp_always, clamp_where

__all__ = ["ClampGuard", "Verdict", "clamp_always", "clamp_guard", "clamp_where", "weigh"]
