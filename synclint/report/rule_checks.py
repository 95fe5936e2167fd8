"""What came of executing the rules' examples (``synclint verify --rules``), as text and as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from synclint.report.terminal import Style, visible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from synclint.verify.examples.check import Checked


def render(checked: Sequence[Checked], *, style: Style) -> str:
    """The examples that do not keep their word, with what happened instead, and the sum."""
    lines = []
    for one in checked:
        lines += [f"{style.bold(one.name)}: {visible(failure)}" for failure in one.failures]
    failed = sum(1 for one in checked if one.failures)
    runs = sum(one.runs for one in checked)
    said = f"{failed} do not keep their word" if failed else "all keep their word"
    lines.append(f"{len(checked)} examples, executed with {runs} inputs: {said}.")
    return "".join(f"{line}\n" for line in lines)


def render_json(checked: Sequence[Checked]) -> str:
    """An array with one object per example."""
    return json.dumps([asdict(one) for one in checked], indent=2, ensure_ascii=False) + "\n"
