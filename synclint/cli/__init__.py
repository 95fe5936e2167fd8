"""The command line. Nothing heavy is imported before it is known to be needed."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable, Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status: 0 clean, 1 findings, 2 an error."""
    from synclint.cli.arguments import parse

    options = parse(sys.argv[1:] if arguments is None else arguments)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a file name that is not text must not end the report
            stream.reconfigure(errors="backslashreplace")
    try:
        status = _command(options.command)(options)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader of a pipe has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 2
    except KeyboardInterrupt:
        print("synclint: interrupted", file=sys.stderr)
        return 2
    return status


def _command(name: str) -> Callable[[Namespace], int]:
    if name == "check":
        from synclint.cli.check import check

        return check
    if name == "trace":
        from synclint.cli.trace import trace

        return trace
    if name == "verify":
        from synclint.cli.verify import verify

        return verify
    if name == "explain":
        from synclint.cli.explain import explain

        return explain
    if name == "clean":
        from synclint.cli.clean import clean

        return clean
    from synclint.cli import commands

    command: Callable[[Namespace], int] = getattr(commands, name)
    return command
