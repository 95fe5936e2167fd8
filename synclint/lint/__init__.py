"""Rules, the engine that runs them, and what a rule may use.

Rules import from here, and from the modules of this package that analyse one shape of code (``transfers``,
``host_data``, ``scalars``, ``conditions``, ``clamp``); from nowhere else in synclint.
"""

from synclint.finding import Applicability, Confidence, Edit, Fix, Heat
from synclint.flow.site import Site
from synclint.flow.values import Dtype, Kind, Place, Value
from synclint.lint.context import Context
from synclint.lint.rule import Invalid, Report, Rule, Valid
from synclint.lint.scalars import ScalarRead, batch_of, cached_fix, in_loop, read_in_loop, read_of

__all__ = [
    "Applicability",
    "Confidence",
    "Context",
    "Dtype",
    "Edit",
    "Fix",
    "Heat",
    "Invalid",
    "Kind",
    "Place",
    "Report",
    "Rule",
    "ScalarRead",
    "Site",
    "Valid",
    "Value",
    "batch_of",
    "cached_fix",
    "in_loop",
    "read_in_loop",
    "read_of",
]
