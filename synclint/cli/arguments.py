"""The grammar of the command line: Ruff's, where Ruff has one."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from synclint import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

COMMANDS = {
    "check": "lint files and folders; the default: `synclint src` is `synclint check src`",
    "rule": "print the page of a rule, or list all rules",
    "trace": "run a command and list the lines that make the host wait",
    "new": "begin a new rule",
    "helper": "write async_tensor_h2d into your package, so that fixes can use it without a dependency",
}

_EPILOG = """\
commands:
{commands}

`synclint COMMAND --help` says more. A file or folder of a command's name is written ./check.

exit status: 0 nothing found (with --fix: nothing left), 1 findings, 2 an error"""


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The options, with ``command``. Leaves with status 2, and a message, when they make no sense."""
    words = list(arguments)
    command = words.pop(0) if words and words[0] in COMMANDS else "check"
    if command == "trace":
        return _parse_trace(words)
    parser = argparse.ArgumentParser(
        prog="synclint" if command == "check" else f"synclint {command}",
        usage="synclint [check] [OPTIONS] [PATHS ...]" if command == "check" else None,
        description=None if command == "check" else COMMANDS[command],
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    _OPTIONS[command](parser)
    options = parser.parse_intermixed_args(words)
    options.command = command
    if command == "check":
        _check_together(parser, options)
    return options


def _check_options(parser: argparse.ArgumentParser) -> None:
    parser.description = "Finds the lines of PyTorch code that make the host wait for the GPU, and fixes them."
    listed = "\n".join(f"  {name:8}{text}" for name, text in COMMANDS.items())
    parser.epilog = _EPILOG.format(commands=listed)
    add = parser.add_argument
    add("paths", nargs="*", metavar="PATHS", help="files and folders (default: the working directory); - is stdin")
    add("--version", action="version", version=f"synclint {__version__}")

    add = parser.add_argument_group("fixing").add_argument
    add("--fix", action="store_true", help="apply the safe fixes; report what is left")
    add("--unsafe-fixes", action="store_true", help="let --fix and --diff apply unsafe fixes, too")
    add("--diff", action="store_true", help="show what --fix would change, and write nothing")

    add = parser.add_argument_group("what is reported").add_argument
    for flag, text in (
        ("--select", "report these alone: codes, prefixes, names or ALL, separated by commas"),
        ("--ignore", "do not report these"),
        ("--extend-select", "report these, too"),
    ):
        add(flag, action="extend", type=_words, metavar="RULES", default=[], help=text)
    text = "do not report the rule in files of this pattern; several are separated by commas"
    add("--per-file-ignores", action="extend", type=_pairs, metavar="PATTERN:RULE", default=[], help=text)
    add("--confidence", choices=("possible", "likely", "certain"), help="how sure a finding must be (default: likely)")
    add("--heat", choices=("cold", "warm", "hot"), help="how often its line must run (default: warm)")
    add("--target-torch", metavar="VERSION", help="the oldest torch to support: 2.9, or a range (default: the newest)")

    add = parser.add_argument_group("output").add_argument
    add("--output-format", choices=("full", "concise", "json"), default="full", help="(default: full)")
    add("--statistics", action="store_true", help="count the findings of each rule instead of showing them")
    text = "what `synclint trace` wrote: show what waited first, with its count, and drop what ran without waiting"
    add("--trace", action="append", default=[], metavar="PATH", help=text)
    add("--show-idle", action="store_true", help="with --trace, do not drop what ran without waiting")
    add("--exit-zero", action="store_true", help="exit with 0 even when there are findings")
    add("--exit-non-zero-on-fix", action="store_true", help="exit with 1 when something was fixed, even if all was")

    add = parser.add_argument_group("files").add_argument
    add("--stdin-filename", metavar="PATH", help="read stdin, and take it for this file")
    add("--force-exclude", action="store_true", help="leave out excluded files even when they are named")
    add("--no-cache", action="store_true", help="accepted for scripts that say so; there is no cache yet")
    add("-j", "--jobs", type=_positive, metavar="N", help="processes (default: the processors, one for few files)")


_TRACE_USAGE = """\
synclint trace [OPTIONS] [--] COMMAND ...
       synclint trace show PATHS ...
       synclint trace merge PATHS ... -o FILE
       synclint trace import PROFILE -o FILE"""

_TRACE_EPILOG = """\
COMMAND is `script.py ...`, `-m module ...`, `pytest ...`, `torchrun ...` or any other that runs Python; options of
synclint stand before it. PATHS are traces, or folders of them. PROFILE is a Chrome trace of torch.profiler or an SQLite
export of Nsight Systems.

exit status: the command's, or 2 where it could not be traced"""

_TRACE_ACTIONS = ("show", "merge", "import")


def _parse_trace(words: list[str]) -> argparse.Namespace:
    action = words.pop(0) if words and words[0] in _TRACE_ACTIONS else "run"
    parser = argparse.ArgumentParser(
        prog="synclint trace" if action == "run" else f"synclint trace {action}",
        usage=_TRACE_USAGE if action == "run" else None,
        description=COMMANDS["trace"].capitalize() + "." if action == "run" else None,
        epilog=_TRACE_EPILOG if action == "run" else None,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    if action == "run":
        _trace_options(parser)
        end = words.index("--") if "--" in words else None
        options = parser.parse_args(words if end is None else words[:end])
        if end is not None:
            options.words += words[end:]
        if options.words[:1] == ["--"]:
            del options.words[0]
        if not options.words:
            parser.error("no command to run")
    else:
        one = action == "import"
        add("paths", nargs=None if one else "+", metavar="PROFILE" if one else "PATHS")
        if action == "show":
            _trace_format(parser)
        else:
            add("-o", "--output", metavar="FILE", required=True, help="where to write the trace")
        if one:
            _trace_roots(parser)
        options = parser.parse_args(words)
    options.command, options.action = "trace", action
    return options


def _trace_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("words", nargs=argparse.REMAINDER, metavar="COMMAND", help=argparse.SUPPRESS)
    text = "cuda, simulated (a CUDA device that is not there), or auto: cuda where there is a GPU (default: auto)"
    add("--backend", choices=("auto", "cuda", "simulated"), default="auto", help=text)
    text = "a folder for one trace of each process, or a file (.jsonl) for one of all (default: synclint-trace)"
    add("-o", "--output", metavar="PATH", default="synclint-trace", help=text)
    _trace_roots(parser)
    add("--pageable", action="store_true", help="report copies that are asynchronous in name only, too")
    text = "measure how long the host stands, for the first 30 seconds (a GPU; slows the command down)"
    add("--stall-times", action="store_true", help=text)
    add("--races", action="store_true", help="report memory that is used before its copy has run (simulated)")
    text = "record which lines are executed (default: from Python 3.12 on; below, it slows the command down)"
    add("--lines", action=argparse.BooleanOptionalAction, default=None, help=text)
    _trace_format(parser)


def _trace_roots(parser: argparse.ArgumentParser) -> None:
    text = "a folder of your own code (default: the working directory); may be given several times"
    parser.add_argument("--root", action="append", metavar="DIR", help=text)


def _trace_format(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--output-format", choices=("full", "json"), default="full", help="(default: full)")


def _rule_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("rule", nargs="?", metavar="RULE", help="a code or a name (default: list all)")


def _new_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("code", metavar="CODE", help="such as SYN204")
    parser.add_argument("name", metavar="NAME", help="names the problem, such as scalar-read")
    parser.add_argument("--into", metavar="FOLDER", default="rules", help="the package of rules (default: rules)")


def _helper_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", metavar="PATH", help="the new module in your package, such as src/mine/h2d.py")
    parser.add_argument("--force", action="store_true", help="replace a file that is there, whatever it holds")


_OPTIONS = {"check": _check_options, "rule": _rule_options, "new": _new_options, "helper": _helper_options}


def _check_together(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    stdin = "-" in options.paths or options.stdin_filename is not None
    if stdin and [path for path in options.paths if path != "-"]:
        parser.error("stdin and files cannot be linted together")
    options.stdin = stdin
    if options.trace and (stdin or options.fix or options.diff):
        parser.error("--trace speaks of files as they were traced: it goes with neither stdin, --fix nor --diff")
    if options.show_idle and not options.trace:
        parser.error("--show-idle goes with --trace")


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _pairs(text: str) -> list[tuple[str, str]]:
    pairs = []
    for pair in _words(text):
        pattern, colon, selector = pair.rpartition(":")
        if not (colon and pattern and selector):
            raise argparse.ArgumentTypeError(f"expected PATTERN:RULE, not {pair!r}")
        pairs.append((pattern, selector))
    return pairs


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a number above 0, not {text!r}")
    return int(text)
