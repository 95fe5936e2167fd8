"""The grammar of ``synclint trace``, whose command has options of its own."""

from __future__ import annotations

import argparse
from pathlib import Path

_USAGE = """\
synclint trace [OPTIONS] [--] COMMAND ...
       synclint trace show PATHS ...
       synclint trace merge PATHS ... -o FILE
       synclint trace import PROFILE -o FILE"""

_EPILOG = """\
COMMAND is `script.py ...`, `-m module ...`, `pytest ...`, `torchrun ...` or any other that runs Python; options of
synclint stand before it. Scripts and modules are run by the Python that runs synclint, if torch is installed there,
else by that of the active environment. PATHS are traces, or folders of them. PROFILE is a Chrome trace of
torch.profiler or an SQLite export of Nsight Systems.

exit status: the command's, or 2 where it could not be traced"""

_ACTIONS = ("show", "merge", "import")


def parse_trace(words: list[str], description: str) -> argparse.Namespace:
    """The options, with ``command``, ``action`` and, to run one, the ``words`` of a command."""
    action = words.pop(0) if words and words[0] in _ACTIONS else "run"
    parser = argparse.ArgumentParser(
        prog="synclint trace" if action == "run" else f"synclint trace {action}",
        usage=_USAGE if action == "run" else None,
        description=description.capitalize() + "." if action == "run" else None,
        epilog=_EPILOG if action == "run" else None,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    if action == "run":
        _options(parser)
        end = next((at for at, word in enumerate(words) if word in ("--", "-m", "-c")), len(words))
        options = parser.parse_args(words[:end])
        options.words += words[end:]
        if options.words[:1] == ["--"]:
            del options.words[0]
        if not options.words:
            parser.error("no command to run")
        _prove_together(parser, options)
    else:
        one = action == "import"
        add("paths", nargs=None if one else "+", metavar="PROFILE" if one else "PATHS")
        if action == "show":
            _format(parser)
        else:
            add("-o", "--output", metavar="FILE", required=True, help="where to write the trace")
        if one:
            _roots(parser)
        options = parser.parse_args(words)
    options.command, options.action = "trace", action
    return options


def _options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("words", nargs=argparse.REMAINDER, metavar="COMMAND", help=argparse.SUPPRESS)
    text = "cuda, simulated (a CUDA device that is not there), or auto: cuda where there is a GPU (default: auto)"
    add("--backend", choices=("auto", "cuda", "simulated"), default="auto", help=text)
    text = "a folder for one trace of each process, or a file (.jsonl) for one of all (default: synclint-trace)"
    add("-o", "--output", metavar="PATH", default="synclint-trace", help=text)
    _roots(parser)
    add("--pageable", action="store_true", help="report copies that are asynchronous in name only, too")
    text = "measure how long the host stands, for the first 30 seconds (a GPU; slows the command down)"
    add("--stall-times", action="store_true", help=text)
    text = (
        "prove whether this line makes the host wait: from the third time on, it runs while the device sleeps (a GPU; "
    )
    text += "may be given several times)"
    add("--prove", action="append", type=_line, metavar="PATH:LINE", default=[], help=text)
    add("--races", action="store_true", help="report memory that is used before its copy has run (simulated)")
    text = "record which lines are executed (default: from Python 3.12 on; below, it slows the command down)"
    add("--lines", action=argparse.BooleanOptionalAction, default=None, help=text)
    _format(parser)


def _roots(parser: argparse.ArgumentParser) -> None:
    text = "a folder of your own code (default: the working directory); may be given several times"
    parser.add_argument("--root", action="append", metavar="DIR", help=text)


def _format(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--output-format", choices=("full", "json"), default="full", help="(default: full)")


def _line(text: str) -> tuple[Path, int]:
    """A line that holds a statement."""
    from synclint.runtime.statements import statements_of

    path, _, number = text.rpartition(":")
    if not (path and number.isdecimal()):
        raise argparse.ArgumentTypeError(f"expected PATH:LINE, not {text!r}")
    try:
        found = statements_of(Path(path).read_bytes(), path)
    except (OSError, SyntaxError, ValueError) as error:
        raise argparse.ArgumentTypeError(f"{path}: cannot be read: {error}") from None
    if not any(one.first <= int(number) <= one.last for one in found):
        raise argparse.ArgumentTypeError(f"{text}: there is no statement in this line")
    return Path(path), int(number)


def _prove_together(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    if options.prove and options.backend == "simulated":
        parser.error("--prove needs a GPU: on the simulated device, nothing takes time")
    if options.prove and options.stall_times:
        parser.error("--prove makes the device sleep: stall times must be measured in a run without it")
