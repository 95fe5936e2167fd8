"""Which classes of a project are ``nn.Module``\\ s."""

from __future__ import annotations

import re

from synclint.index.project import Project
from synclint.index.records import Symbol

_MODULE_NAME = re.compile(r"(?:Module|Model|Layer|PreTrainedModel|ForCausalLM|ForConditionalGeneration|Metric)$")


def is_nn_module(project: Project, symbol: Symbol) -> bool:
    """Whether a class derives from ``nn.Module``, as far as can be told: by the names of the bases from outside."""
    return any(base.startswith("torch.nn.") or _MODULE_NAME.search(base) for base in project.outside(symbol))
