"""What synclint costs on a folder, as ratios to parsing alone, all measured in one run on one machine.

    python benchmarks/compare.py FOLDER [--repeat 5] [--sample 200]

Processor time (user and system) of: ``ast.parse`` of every file, with the garbage collector off; the whole of
``synclint --jobs 1 FOLDER`` in a new process, start-up and report included, first as a first run in the project (cold:
``--no-cache``), then as a later one (warm: nothing has changed); ``libcst.parse_module`` of every file, or of a sample,
scaled by length to the whole. FOLDER should be the root of a project, since all of it is read; its cache stays there.
Then the wall time of ``synclint --help`` and of a clean file. The measurements take turns, so that other load on the
machine meets them alike; each figure is a median.
"""

from __future__ import annotations

import argparse
import ast
import gc
import os
import random
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from statistics import median

from synclint.discover import discover
from synclint.source import Source, SourceError

CLEAN = "import torch\n\n\ndef total(x: torch.Tensor) -> torch.Tensor:\n    return x.sum()\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--repeat", type=int, default=5, help="times each measurement is taken")
    parser.add_argument("--sample", type=int, default=200, help="files that LibCST parses")
    options = parser.parse_args()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # else every start compiles synclint anew

    sources = readable(options.folder)
    size = sum(len(source.data) for source in sources)
    lines = sum(len(source.lines) for source in sources)
    print(f"{len(sources)} files, {lines} lines, {size / 1e6:.1f} MB, Python {sys.version.split()[0]}")

    texts = [source.data.decode() for source in sources]
    sample = random.Random(0).sample(texts, min(options.sample, len(texts)))
    scale = sum(map(len, texts)) / sum(map(len, sample))
    arguments = ["check", str(options.folder), "--jobs=1", "--exit-zero", "--output-format=concise"]
    run(arguments)  # fills the cache
    gc.disable()
    times: dict[str, list[float]] = {"ast.parse": [], "synclint, cold": [], "synclint, warm": [], "LibCST parse": []}
    for _ in range(options.repeat):
        times["ast.parse"].append(processor_time(lambda: parse(texts)))
        times["synclint, cold"].append(child_time([*arguments, "--no-cache"]))
        times["synclint, warm"].append(child_time(arguments))
        times["LibCST parse"].append(scale * processor_time(lambda: parse_with_libcst(sample)))
    base = median(times["ast.parse"])
    print(f"\n{'processor time':16} {'median s':>9} {'least':>9} {'ratio':>7}")
    for name, taken in times.items():
        sampled = f"   ({len(sample)} files, scaled)" if name.startswith("LibCST") and scale > 1 else ""
        print(f"{name:16} {median(taken):9.3f} {min(taken):9.3f} {median(taken) / base:7.2f}{sampled}")

    print(f"\n{'wall time':16} {'median s':>9} {'least':>9}")
    with tempfile.TemporaryDirectory() as folder:
        clean = Path(folder, "clean.py")
        clean.write_text(CLEAN, encoding="utf-8")
        for name, command in (("synclint --help", ["--help"]), ("a clean file", [str(clean)])):
            taken = [wall_time(command) for _ in range(1 + 4 * options.repeat)][1:]
            print(f"{name:16} {median(taken):9.3f} {min(taken):9.3f}")


def readable(folder: Path) -> list[Source]:
    """The files that synclint would lint, less those that cannot be parsed."""
    sources = []
    for path in discover([folder]):
        try:
            source = Source.read(path)
            source.tree  # noqa: B018 - raises where there is none
        except SourceError:
            continue
        source.drop_tree()
        sources.append(source)
    if not sources:
        sys.exit(f"{folder}: no Python file that can be parsed")
    return sources


def parse(texts: list[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for text in texts:
            ast.parse(text)


def parse_with_libcst(texts: list[str]) -> None:
    import libcst

    for text in texts:
        libcst.parse_module(text)


def processor_time(action: Callable[[], None]) -> float:
    start = time.process_time()
    action()
    return time.process_time() - start


def child_time(arguments: list[str]) -> float:
    before = os.times()
    run(arguments)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def wall_time(arguments: list[str]) -> float:
    start = time.perf_counter()
    run(arguments)
    return time.perf_counter() - start


def run(arguments: list[str]) -> None:
    command = [sys.executable, "-m", "synclint", *arguments]
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr}")


if __name__ == "__main__":
    main()
