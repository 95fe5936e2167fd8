"""``python -m synclint``, and the ``synclint`` command."""

from __future__ import annotations

import atexit
import gc
import os
import sys

from synclint.cli import main


def run() -> None:
    """Runs the command line and leaves with its exit status.

    Nothing is collected (where code of others runs, that is changed), and nothing freed at the end: of what is learnt
    of a project, nothing is garbage, and freeing it object by object takes a twentieth of a run.
    """
    gc.disable()
    status = 1  # of whatever ends in a traceback

    def leave() -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)

    atexit.register(leave)  # the first to be registered is called last
    try:
        status = main()
    except SystemExit as error:
        status = 0 if error.code is None else error.code if isinstance(error.code, int) else 1
        raise
    sys.exit(status)


if __name__ == "__main__":
    run()
