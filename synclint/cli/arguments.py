"""The grammar of the command line: Ruff's, where Ruff has one."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, NamedTuple

from synclint import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

COMMANDS = {
    "check": "lint files and folders; the default: `synclint src` is `synclint check src`",
    "verify": "prove that fixes remove their waits, by running a command before and after them",
    "explain": "say what synclint believes about a line, and why it reports it or does not",
    "rule": "print the page of a rule, or list all rules",
    "trace": "run a command and list the lines that make the host wait",
    "new": "begin a new rule",
    "helper": "write async_tensor_h2d into your package, so that fixes can use it without a dependency",
    "clean": "remove what synclint keeps of a project in its cache folder; the next run learns it again",
}

_EPILOG = """\
commands:
{commands}

`synclint COMMAND --help` says more. A file or folder of a command's name is written ./check.

exit status: 0 nothing found (with --fix: nothing left), 1 findings, 2 an error"""

_VERIFY_EPILOG = """\
The command (`script.py ...`, `-m module ...`, `pytest ...`, or any other) runs in a copy of the project, at least twice
as it is and once with the fixes. Your own files are not touched, unless you say --apply.

exit status: 0 every fix whose lines ran removed its wait, and nothing else changed; 1 otherwise, also if none ran; 2 an
error, or a command that does not do the same twice"""


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The options, with ``command``. Leaves with status 2, and a message, when they make no sense."""
    words = list(arguments)
    command = words.pop(0) if words and words[0] in COMMANDS else "check"
    if command == "trace":
        from synclint.cli.trace_arguments import parse_trace

        return parse_trace(words, COMMANDS[command])
    run: list[str] = []
    if command in _RUNNING and "--" in words:
        at = words.index("--")
        words, run = words[:at], words[at + 1 :]
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
    options.run = run
    if command in _TOGETHER:
        _TOGETHER[command](parser, options)
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

    _selection_options(parser)

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
    _file_options(add)


def _selection_options(parser: argparse.ArgumentParser) -> None:
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
    add("--target-torch", metavar="VERSION", help="the oldest torch to support: 2.9, or a range (default: 2.14)")


def _cache_option(add: Callable[..., object]) -> None:
    add("--no-cache", action="store_true", help="do not keep on disk what is learnt of the project")


def _file_options(add: Callable[..., object]) -> None:
    _cache_option(add)
    add("--force-exclude", action="store_true", help="leave out excluded files even when they are named")
    add("-j", "--jobs", type=_positive, metavar="N", help="processes (default: the processors, one for few files)")


def _verify_options(parser: argparse.ArgumentParser) -> None:
    parser.usage = (
        "synclint verify [OPTIONS] [PATHS ...] -- COMMAND ...\n       synclint verify [OPTIONS] --rules [RULES ...]"
    )
    parser.epilog = _VERIFY_EPILOG
    add = parser.add_argument
    add("paths", nargs="*", metavar="PATHS", help="files and folders with the fixes (default: the working directory)")
    add("--unsafe-fixes", action="store_true", help="verify the unsafe fixes, too")
    add(
        "--apply",
        action="store_true",
        help="then write the proven fixes into the files; without it, nothing is written",
    )
    add("--rules", action="store_true", help="execute the examples of synclint's own rules instead of a command")
    _runtime_options(add)
    text = "then prove, in one more run, that the fixed lines do not wait: they run while the device sleeps (a GPU)"
    add("--prove", action="store_true", help=text)
    add("--timeout", type=float, metavar="SECONDS", help="end a run of the command after so long")
    add("--output-format", choices=("text", "json"), default="text", help="(default: text)")
    _selection_options(parser)
    _file_options(parser.add_argument_group("files").add_argument)
    parser.set_defaults(stdin=False, fix=False, diff=False)


def _runtime_options(add: Callable[..., object]) -> None:
    text = "the GPU, or a simulated CUDA device (default: the GPU if there is one)"
    add("--backend", choices=("auto", "cuda", "simulated"), default="auto", help=text)


_EXPLAIN_EPILOG = """\
Every expression of the statement is listed with what it is believed to be, how sure that is, and the chain of steps
that leads there; then the operations that may wait, the facts that hold of them, and what the rules and your settings
make of them.

exit status: 0 something was explained, 2 the file cannot be read, or holds no expression there"""


def _explain_options(parser: argparse.ArgumentParser) -> None:
    parser.usage = "synclint explain [OPTIONS] PATH:LINE[:COLUMN] | PATH:FIRST-LAST"
    parser.epilog = _EXPLAIN_EPILOG
    add = parser.add_argument
    text = "a line; with a column, the expressions there alone; or a range of lines"
    add("place", type=_place, metavar="PATH:LINE", help=text)
    add("--output-format", choices=("text", "json"), default="text", help="(default: text)")
    _selection_options(parser)
    _cache_option(add)
    parser.set_defaults(force_exclude=False)


def _rule_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("rule", nargs="?", metavar="RULE", help="a code or a name (default: list all)")


def _new_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("code", metavar="CODE", help="such as SYN204")
    parser.add_argument("name", metavar="NAME", help="names the problem, such as scalar-read")
    parser.add_argument("--into", metavar="FOLDER", default="rules", help="the package of rules (default: rules)")


def _helper_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", metavar="PATH", help="the new module in your package, such as src/mine/h2d.py")
    parser.add_argument("--force", action="store_true", help="replace a file that is there, whatever it holds")


_CLEAN_EPILOG = """\
What goes is the folder .synclint_cache in the root of the projects that the paths are in, and of those below a path
that is a folder. Nothing else is touched.

exit status: 0 nothing of synclint's is left, 2 a path does not exist, or something could not be removed"""


def _clean_options(parser: argparse.ArgumentParser) -> None:
    parser.epilog = _CLEAN_EPILOG
    parser.add_argument("paths", nargs="*", metavar="PATHS", help="files and folders (default: the working directory)")


_OPTIONS = {
    "check": _check_options,
    "verify": _verify_options,
    "explain": _explain_options,
    "rule": _rule_options,
    "new": _new_options,
    "helper": _helper_options,
    "clean": _clean_options,
}

_RUNNING = ("verify",)
"""Commands that run another one, which stands after ``--``."""


def _check_together(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    stdin = "-" in options.paths or options.stdin_filename is not None
    if stdin and [path for path in options.paths if path != "-"]:
        parser.error("stdin and files cannot be linted together")
    options.stdin = stdin
    if options.trace and (stdin or options.fix or options.diff):
        parser.error("--trace speaks of files as they were traced: it goes with neither stdin, --fix nor --diff")
    if options.show_idle and not options.trace:
        parser.error("--show-idle goes with --trace")


def _verify_together(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    if options.rules:
        if options.run or options.apply or options.prove:
            parser.error("--rules runs no command, and there is nothing to --apply or to --prove")
    elif not options.run:
        parser.error("which command? It stands after --, as in: synclint verify src -- pytest tests")
    elif options.prove and options.backend == "simulated":
        parser.error("--prove needs a GPU: on the simulated device, nothing takes time")


_TOGETHER = {"check": _check_together, "verify": _verify_together}


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


class Place(NamedTuple):
    """Lines ``first`` to ``last`` of a file (1-based), or one column of a line."""

    path: str
    first: int
    last: int
    column: int | None


def _place(text: str) -> Place:
    import re

    found = re.fullmatch(r"(?P<path>.+?):(?P<first>[0-9]+)(?:-(?P<last>[0-9]+)|:(?P<column>[0-9]+))?", text)
    if found is None:
        raise argparse.ArgumentTypeError(f"expected PATH:LINE, PATH:LINE:COLUMN or PATH:FIRST-LAST, not {text!r}")
    first = int(found["first"])
    column = None if found["column"] is None else int(found["column"])
    last = int(found["last"] or first)
    if last < first:
        raise argparse.ArgumentTypeError(f"{text}: the range ends before it starts")
    return Place(found["path"], first, last, column)


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a number above 0, not {text!r}")
    return int(text)
