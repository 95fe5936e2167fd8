"""How many findings each rule has (``--statistics``)."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING

from synclint.report.concise import applicable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from synclint.finding import Finding


def render(findings: Sequence[Finding], *, as_json: bool, unsafe_fixes: bool) -> str:
    """The counts, highest first; ``[*]`` where ``--fix`` would fix all of them, ``[-]`` where some."""
    counts = Counter((finding.code, finding.name) for finding in findings)
    fixable = Counter(finding.code for finding in findings if applicable(finding, unsafe_fixes=unsafe_fixes))
    rows = sorted(counts.items(), key=lambda row: (-row[1], row[0]))
    if as_json:
        listed = [
            {"code": code, "name": name, "count": count, "fixable": fixable[code]} for (code, name), count in rows
        ]
        return json.dumps(listed, indent=2) + "\n"
    wide = max((len(str(count)) for _, count in rows), default=0)
    lines = []
    for (code, name), count in rows:
        mark = "[*]" if fixable[code] == count else "[-]" if fixable[code] else "[ ]"
        lines.append(f"{count:>{wide}}  {code}  {mark}  {name}\n")
    return "".join(lines)
