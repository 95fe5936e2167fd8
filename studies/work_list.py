"""The waiting lines of libraries that no rule reports, by operation: ``python -m studies.work_list [--lines]``."""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from typing import Any

from studies.lines import LINES


def unreported() -> dict[tuple[str, str, str], list[dict[str, Any]]]:
    """By operation, cause and direction, the lines that the host waited at and the linter is silent about."""
    found = defaultdict(list)
    for path in sorted(LINES.glob("*.jsonl")):
        for text in path.read_text(encoding="utf-8").splitlines():
            line = json.loads(text)
            if not line["reported"] and line["kind"] == "sync":
                found[line["operation"], line["cause"], line["direction"]].append(line)
    return found


def places(lines: list[dict[str, Any]]) -> int:
    return len({(line["path"], line["line"]) for line in lines})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", action="store_true", help="show the lines, too")
    options = parser.parse_args()
    work = {key: (places(lines), lines) for key, lines in unreported().items()}
    for (operation, cause, direction), (count, lines) in sorted(work.items(), key=lambda one: (-one[1][0], one[0])):
        rules = " ".join(sorted({rule for line in lines for rule in line["rules"]})) or "no rule"
        print(f"{count:4} {operation} ({cause}, {direction}; {rules})")
        for line in lines if options.lines else ():
            print(f"       {line['path']}:{line['line']}: {line['source']}  ({line['count']})")


if __name__ == "__main__":
    main()
