"""``synclint trace``: run a command under the tracer, and show, merge or import traces."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from synclint.runtime.trace import TraceError
from synclint.waits.files import read_traces

if TYPE_CHECKING:
    from argparse import Namespace

    from synclint.runtime.trace import Trace

_NOTHING = """\
no Python process of the command imported torch (those of `python -I` and `-E`, and below Python 3.10, are not seen)"""
_IGNORED = "# written by synclint trace\n*\n"


def trace(options: Namespace) -> int:
    """Run the command; the exit status."""
    actions = {"run": _run, "show": _show, "merge": _merge, "import": _import}
    try:
        return actions[options.action](options)
    except TraceError as error:
        print(f"synclint: error: {error}", file=sys.stderr)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(f"synclint: error: {where}{error.strerror or error}", file=sys.stderr)
    return 2


def _run(options: Namespace) -> int:
    from tempfile import TemporaryDirectory

    from synclint.runtime.launch import LaunchError, launch

    output = Path(options.output)
    single = output.suffix in (".jsonl", ".json")
    as_json = options.output_format == "json"
    sys.stdout.flush()
    with TemporaryDirectory(prefix="synclint-trace-") as temporary:
        folder = Path(temporary) if single else _emptied(output)
        try:
            done = launch(
                options.words,
                out=folder,
                backend="cuda" if options.prove else options.backend,
                roots=[Path(root) for root in options.root] if options.root else None,
                races=options.races,
                pageable=options.pageable,
                stall_times=options.stall_times,
                lines=options.lines,
                prove=options.prove,
                output=sys.stderr.fileno() if as_json else None,  # stdout is for the report
            )
        except LaunchError as error:
            print(f"synclint: error: {error}", file=sys.stderr)
            return 2
        found = done.trace()
        if single:
            found.write(output)
    if not found.processes and not done.failures:
        print(f"synclint: warning: nothing was traced: {_NOTHING}", file=sys.stderr)
    elif found.processes:
        _print(found, as_json=as_json)
        print(f"Trace written to {options.output}; the command took {done.seconds:.1f} s.", file=sys.stderr)
    for reason in done.failures:
        print(f"synclint: error: a process was not traced: {reason}", file=sys.stderr)
    return done.status


def _emptied(folder: Path) -> Path:
    """The folder, made where it is missing (then git does not see it), without the traces of an earlier run."""
    if not folder.exists():
        folder.mkdir(parents=True)
        (folder / ".gitignore").write_text(_IGNORED, encoding="utf-8")
    for old in folder.glob("trace-*.jsonl"):
        old.unlink()
    return folder


def _show(options: Namespace) -> int:
    _print(read_traces(options.paths), as_json=options.output_format == "json")
    return 0


def _merge(options: Namespace) -> int:
    whole = read_traces(options.paths)
    whole.write(Path(options.output))
    print(f"{options.output}: {_count(len(whole.processes), 'process', 'es')}", file=sys.stderr)
    return 0


def _import(options: Namespace) -> int:
    from synclint.profiles import read_profile

    found = read_profile(Path(options.paths), tuple(options.root or [os.getcwd()]))
    found.write(Path(options.output))
    _print(found, as_json=False)
    return 0


def _print(found: Trace, *, as_json: bool) -> None:
    from synclint.report import waits as report
    from synclint.report.terminal import Style, wants_colour
    from synclint.waits.linted import Linted
    from synclint.waits.wait import waits_of

    waits, linted = waits_of(found.events), Linted()
    if as_json:
        sys.stdout.write(report.as_json(found, waits, linted))
    else:
        for part in report.render(found, waits, linted, style=Style(wants_colour(sys.stdout))):
            sys.stdout.write(part)
    sys.stdout.flush()
    lines = {wait.frame for wait in waits if not wait.event.allowed}
    counts = _count(sum(wait.event.count for wait in waits if not wait.event.allowed), "event")
    processes = _count(len(found.processes), "process", "es")
    said = f"{counts} at {_count(len(lines), 'line')}" if lines else "No waits"
    print(f"{said}, in {processes} on the back end {found.backend}.", file=sys.stderr)


def _count(number: int, noun: str, plural: str = "s") -> str:
    return f"{number} {noun}{plural * (number != 1)}"
