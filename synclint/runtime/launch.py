"""Runs a command under the tracer: in the user's interpreter, without changing their code.

The processes of the command find a ``sitecustomize`` of synclint on ``PYTHONPATH``, which starts a tracer in each one
that imports torch (see ``child.py``).
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from synclint.runtime.request import VARIABLE, Request
from synclint.runtime.signals import forwarded
from synclint.runtime.trace import Trace, merge, read

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import IO

    from synclint.runtime.tracer import BackendName

_STARTUP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "startup")

GRACE = 5.0
"""Seconds that a command has to end, once it was asked to, before it is killed."""


class LaunchError(RuntimeError):
    """A command that cannot be run; the message says why."""


@dataclass(frozen=True, slots=True)
class Launched:
    """What came of a traced command.

    ``status`` is its exit status, 128 and the signal's number where a signal ended it, and 2 where a process could not
    be traced as asked: ``failures`` then says why. ``traces`` are the files of its processes that imported torch,
    in the order in which they began. ``signals`` came to this process meanwhile, and were passed on.
    """

    status: int
    traces: tuple[Path, ...] = ()
    failures: tuple[str, ...] = ()
    timed_out: bool = False
    seconds: float = 0.0
    signals: tuple[int, ...] = ()

    def trace(self) -> Trace:
        """All processes in one trace, the costliest events first. Raises TraceError, OSError."""
        return merge(read(path) for path in self.traces)


def launch(
    command: Sequence[str],
    *,
    out: Path,
    cwd: Path | None = None,
    backend: BackendName = "auto",
    roots: Sequence[Path] | None = None,
    races: bool = False,
    pageable: bool = False,
    stall_times: bool = False,
    lines: bool | None = None,
    prove: Sequence[tuple[Path, int]] = (),
    env: Mapping[str, str] | None = None,
    timeout: float | None = None,
    output: IO[bytes] | int | None = None,
    relocate: tuple[Path, Path] | None = None,
) -> Launched:
    """Run a command (see :func:`words_of`) and trace every process of it that imports torch.

    ``out`` is the folder for the traces, made where it is missing. ``roots`` are the project's folders (default:
    ``cwd``, the working directory). ``lines``: record which lines were executed (None: where it costs nothing).
    ``prove`` names lines to be judged by the behavioural oracle (a GPU alone; the command runs with pauses then).
    ``env`` is the command's environment (default: this one's). ``output`` takes its stdout and stderr (default:
    this process's). ``relocate`` names a folder and a copy of it: what would be imported from the one is imported
    from the other, however it is installed. After ``timeout`` seconds the command and its children are ended. Signals
    that this process gets meanwhile are passed on. Raises LaunchError where the command cannot be started.
    """
    folder = Path.cwd() if cwd is None else cwd.absolute()
    environment = dict(os.environ if env is None else env)
    out = out.absolute()
    out.mkdir(parents=True, exist_ok=True)
    request = Request(
        out=str(out),
        run=f"trace-{time.time_ns():x}",
        backend=backend,
        roots=tuple(str(folder / root) for root in ([folder] if roots is None else roots)),
        races=races,
        pageable=pageable,
        stall_times=stall_times,
        lines=lines,
        prove=tuple((str(folder / path), line) for path, line in prove),
    )
    environment[VARIABLE] = request.to_text()
    if relocate is not None:
        environment["SYNCLINT_RELOCATE"] = os.pathsep.join(str(path.resolve()) for path in relocate)
    entries = [entry for entry in environment.get("PYTHONPATH", "").split(os.pathsep) if entry and entry != _STARTUP]
    environment["PYTHONPATH"] = os.pathsep.join([_STARTUP, *entries])
    done = _run(words_of(command, environment), folder, environment, timeout, output)
    failures = [path.read_text(encoding="utf-8") for path in sorted(out.glob(f"{request.run}-*.failed"))]
    return replace(
        done,
        status=2 if failures else done.status,
        traces=tuple(sorted(out.glob(f"{request.run}-*.jsonl"), key=lambda path: path.stem.rpartition("-")[2])),
        failures=tuple(dict.fromkeys(failures)),
    )


def words_of(command: Sequence[str], environment: Mapping[str, str]) -> list[str]:
    """The words to execute: ``script.py ...``, ``-m module ...`` and ``-c code`` are run by Python.

    That is the interpreter that runs synclint if torch is installed there, else that of the active environment. The
    programs that are installed beside it (``pytest``, ``torchrun``) come before those on the path, too.
    """
    if not command:
        raise LaunchError("no command to run")
    first = command[0]
    if first in ("-m", "-c") or first.endswith(".py"):
        return [_python(environment), *command]
    beside = Path(_python(environment)).parent / first
    if os.sep not in first and beside.exists():
        return [str(beside), *command[1:]]
    return list(command)


def _python(environment: Mapping[str, str]) -> str:
    if importlib.util.find_spec("torch") is not None:
        return sys.executable
    for variable in ("VIRTUAL_ENV", "CONDA_PREFIX"):
        folder = environment.get(variable)
        found = folder and shutil.which(
            "python", path=os.pathsep.join(f"{folder}{end}" for end in ("/bin", "/Scripts", ""))
        )
        if found:
            return found
    return shutil.which("python", path=environment.get("PATH")) or sys.executable


def _run(
    words: list[str],
    folder: Path,
    environment: Mapping[str, str],
    timeout: float | None,
    output: IO[bytes] | int | None,
) -> Launched:
    began = time.monotonic()
    alone = timeout is not None  # a session of its own, so that its children can be ended with it
    try:
        process = subprocess.Popen(
            words, cwd=folder, env=environment, stdout=output, stderr=output, start_new_session=alone
        )
    except OSError as error:
        raise LaunchError(f"{words[0]}: cannot be run: {error.strerror or error}") from error
    timed_out = False
    received: list[int] = []
    with forwarded(process, received, whole_group=alone) as end:
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            timed_out = True
            end(GRACE)
    status = process.returncode
    return Launched(
        128 - status if status < 0 else status,
        timed_out=timed_out,
        seconds=time.monotonic() - began,
        signals=tuple(received),
    )
