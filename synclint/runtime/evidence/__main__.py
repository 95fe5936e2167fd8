"""``python -m synclint.runtime.evidence OUT``, and ``--diff A B``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from synclint.runtime.evidence.compare import compare
from synclint.runtime.evidence.records import EvidenceError, read

_SECONDS = 480.0


def main(arguments: list[str] | None = None) -> int:
    """0: done, or the files agree. 1: a control failed, or they differ. 2: it could not be done."""
    options = _parser().parse_args(arguments)
    try:
        if options.diff:
            return _diff(*options.diff)
        return _measure(options)
    except (OSError, EvidenceError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m synclint.runtime.evidence",
        description="Ask a GPU, or the simulated device, about every fact, every rule example and torch's own samples.",
    )
    parser.add_argument("out", nargs="?", type=Path, metavar="OUT", help="the file to write, as each stage ends")
    parser.add_argument("--backend", choices=("auto", "cuda", "simulated"), default="auto")
    parser.add_argument("--seconds", type=float, default=_SECONDS, help="the time for all (default: %(default)g)")
    parser.add_argument("--stages", default="", help="some of: controls, rows, samples, runtime (default: all)")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="sample every Nth operator only")
    parser.add_argument("--update", action="store_true", help="keep the stages of OUT that are not asked for")
    parser.add_argument("--diff", nargs=2, type=Path, metavar=("A", "B"), help="compare two files instead")
    return parser


def _measure(options: argparse.Namespace) -> int:
    try:
        import torch
    except ImportError as error:
        print(f"error: torch cannot be imported: {error}", file=sys.stderr)
        return 2
    from synclint.runtime.evidence.stages import STAGES, Aborted, Run
    from synclint.runtime.tracer import BackendError

    cuda = torch.cuda.is_available() if options.backend == "auto" else options.backend == "cuda"
    stages = tuple(options.stages.split(",")) if options.stages else STAGES if cuda else STAGES[:-1]
    if options.out is None or options.every < 1 or not set(stages) <= set(STAGES):
        wrong = sorted(set(stages) - set(STAGES))
        print(
            f"error: {'there is no stage ' + wrong[0] if wrong else 'OUT or a positive N is missing'}", file=sys.stderr
        )
        return 2
    if cuda and not torch.cuda.is_available():
        print("error: torch sees no GPU", file=sys.stderr)
        return 2
    try:
        Run(
            options.out, cuda=cuda, seconds=options.seconds, stages=stages, update=options.update, every=options.every
        ).measure()
    except Aborted as error:
        print(f"aborted: {error}", file=sys.stderr)
        return 1
    except BackendError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _diff(one: Path, other: Path) -> int:
    first, second = read(one), read(other)
    differences = compare(first, second)
    for row, said in differences:
        print(f"{row}: {said}")
    rows = {row.id for row in first.rows} & {row.id for row in second.rows}
    samples = first.samples.keys() & second.samples.keys()
    print(f"{len(differences)} differences in {len(rows)} rows and {len(samples)} operators", file=sys.stderr)
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
