"""Rules, the engine that runs them, and what a rule may use.

Rules import from here at their top, and where they judge from the modules of this package that analyse one shape of
code (``transfers``, ``host_data``, ``scalars``, ``conditions``, ``clamp``), which a clean file does not need; from
nowhere else in synclint.
"""

from synclint.finding import Applicability, Confidence, Edit, Fix, Heat
from synclint.flow.site import Site
from synclint.flow.values import Dtype, Kind, Place, Value
from synclint.lint.context import Context
from synclint.lint.rule import Invalid, Report, Rule, Valid

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
    "Site",
    "Valid",
    "Value",
]
