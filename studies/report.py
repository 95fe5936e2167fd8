"""What a library's tests did on CUDA, from the notes of two runs: counts, failures with reasons, waiting lines.

    python -m studies.report gpytorch --suite "unit tests" --cpu cpu.jsonl --cuda cuda.jsonl

Run it from the root of the repository where the tests ran: it reads the installed library. Writes
``studies/results/LIBRARY-VERSION.json``, and the waiting lines of the library to
``fixtures/waiting_lines/LIBRARY-VERSION.jsonl``. The reasons for failures are looked up in ``studies/reasons.toml``; a
failure without one is printed, and the exit status is 1.
"""

from __future__ import annotations

import argparse
import json
import platform
import re
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from studies.lines import LINES, WaitingLine, as_json, place, version_of, waiting_lines
from synclint.runtime.event import Event

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

HERE = Path(__file__).parent
RESULTS = HERE / "results"
_MACHINE = re.compile(r"(?<![\w.])(?:/[\w.+-]+)*/site-packages/|(?<![\w.])/(?:[\w.+-]+/)+|(?<=\b0x)[0-9a-f]{6,}")


Notes = dict[str, dict[str, Any]]
"""The last note on each test."""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why tests of ``library`` (empty: of any) fail: ``cause`` in a word, ``text`` in full.

    It explains those in whose error, name and innermost line outside torch the patterns are found.
    """

    library: str
    cause: str
    text: str
    error: re.Pattern[str] = re.compile("")
    test: re.Pattern[str] = re.compile("")
    where: re.Pattern[str] = re.compile("")

    def explains(self, library: str, test: str, error: str, where: str) -> bool:
        found = self.error.search(error) and self.test.search(test) and self.where.search(where)
        return self.library in ("", library) and found is not None


UNEXPLAINED = Reason("", "unexplained", "")


def reasons(path: Path = HERE / "reasons.toml") -> list[Reason]:
    entries = tomllib.loads(path.read_text(encoding="utf-8"))["reason"]
    return [
        Reason(
            entry.get("library", ""),
            entry["cause"],
            entry["text"],
            *(re.compile(entry.get(name, "")) for name in ("error", "test", "where")),
        )
        for entry in entries
    ]


def read(path: Path) -> tuple[Notes, list[Event]]:
    """The last note on each test, and the events of those. A test without a note took the process down."""
    tests: Notes = {}
    outside = []
    for line in path.read_text(encoding="utf-8").splitlines():
        note = json.loads(line)
        if "started" in note:
            tests[note["started"]] = {"outcome": "crashed", "error": "the process ended inside the test", "events": []}
        elif note["test"]:
            tests[note["test"]] = note
        else:
            outside += note["events"]
    noted = [*outside, *(event for test in tests.values() for event in test["events"])]
    return tests, [Event.from_json(event) for event in noted]


def outcomes(tests: Notes) -> dict[str, int]:
    return dict(sorted(Counter(str(note["outcome"]) for note in tests.values()).items()))


def passed(tests: Notes) -> set[str]:
    return {test for test, note in tests.items() if note["outcome"] == "passed"}


def without_machine(text: str) -> str:
    """The text without folders and addresses, which differ from machine to machine."""
    return _MACHINE.sub("", text)


def failures(library: str, cpu: Notes, cuda: Notes, known: list[Reason]) -> list[dict[str, Any]]:
    """The tests that fail on CUDA and do not on the CPU, by the first reason that fits, with the first one's error."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for test, note in sorted(cuda.items()):
        before = cpu[test]["outcome"] if test in cpu else "passed"
        if note["outcome"] not in ("failed", "crashed") or before != "passed":
            continue
        error, where = without_machine(note.get("error", "")), note.get("where", "")
        reason = next((one for one in known if one.explains(library, test, error, where)), UNEXPLAINED)
        entry = {"cause": reason.cause, "reason": reason.text, "error": error, "tests": []}
        found.setdefault((reason.cause, reason.text), entry)["tests"].append(test)
    return [found[key] for key in sorted(found)]


def by_cause(failed: list[dict[str, Any]]) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for entry in failed:
        counts[entry["cause"]] += len(entry["tests"])
    return dict(sorted(counts.items()))


def events_by_place(events: list[Event], package: str) -> dict[str, dict[str, int]]:
    """How many waits (and copies that are asynchronous in name only) the library, other packages and tests caused."""
    counts: dict[str, Counter[str]] = {}
    for event in events:
        where = place(event.user.path) if event.user is not None else None
        owner = "tests" if where is None or not where.package else "other packages"
        if where is not None and where.package == package:
            owner = "library"
        counts.setdefault(owner, Counter())[event.kind] += event.count
    return {owner: dict(sorted(kinds.items())) for owner, kinds in sorted(counts.items())}


def lines_summary(lines: list[WaitingLine]) -> dict[str, int]:
    places = {(line.path, line.line) for line in lines if line.kind == "sync"}
    reported = {(line.path, line.line) for line in lines if line.kind == "sync" and line.reported}
    no_rule = {(line.path, line.line) for line in lines if line.kind == "sync" and not line.reported and not line.rules}
    return {"waiting": len(places), "reported": len(reported), "not reported, and no rule speaks of it": len(no_rule)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("library", help="the name of its package, as it is imported")
    parser.add_argument("--suite", required=True, help="what was run, in words")
    parser.add_argument("--cpu", type=Path, help="notes of a run on the CPU (none: the tests compare by themselves)")
    parser.add_argument("--cuda", type=Path, required=True, help="notes of a run on CUDA")
    options = parser.parse_args()
    library, version = options.library, version_of(options.library)
    cpu = read(options.cpu)[0] if options.cpu is not None else {}
    cuda, events = read(options.cuda)
    lines = waiting_lines(events, library)
    failed = failures(library, cpu, cuda, reasons())
    result = {
        "library": library,
        "version": version,
        "tests": options.suite,
        "torch": torch.__version__,
        "python": platform.python_version(),
        **({"cpu": outcomes({test: note for test, note in cpu.items() if test in cuda})} if cpu else {}),
        "cuda": outcomes(cuda),
        **({"passed on both": len(passed(cpu) & passed(cuda))} if cpu else {}),
        "events": events_by_place(events, library),
        "lines": lines_summary(lines),
        "failures by cause": by_cause(failed),
        "failures": failed,
    }
    RESULTS.mkdir(exist_ok=True)
    LINES.mkdir(exist_ok=True)
    text = json.dumps(result, indent=1, ensure_ascii=False) + "\n"
    (RESULTS / f"{library}-{version}.json").write_text(text, encoding="utf-8")
    text = "".join(as_json(line) + "\n" for line in lines)
    (LINES / f"{library}-{version}.jsonl").write_text(text, encoding="utf-8")
    unexplained = [entry for entry in failed if entry["cause"] == UNEXPLAINED.cause]
    for entry in unexplained:
        for test in entry["tests"]:
            print(f"{test}: no reason is known for: {without_machine(cuda[test].get('error', ''))}")
    return 1 if unexplained else 0


if __name__ == "__main__":
    sys.exit(main())
