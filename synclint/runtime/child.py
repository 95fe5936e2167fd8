"""The tracer inside a process of a traced command: started when torch has been imported, closed when Python ends.

Each process writes a file of its own. A forked child begins one with its first event; what its parent has written
stays the parent's.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synclint.runtime.lines import CHEAP, line_recorder
from synclint.runtime.request import Request
from synclint.runtime.trace import Writer
from synclint.runtime.tracer import BackendError, Tracer

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import NoReturn

    from synclint.runtime.cuda.prove import Prover
    from synclint.runtime.event import Event
    from synclint.runtime.proof import Proof

FAILED = 2
"""The exit status of a process that cannot be traced as asked."""


def begin() -> None:
    """Trace this process, as its environment asks. Where that cannot be, say why and end it with ``FAILED``."""
    request = Request.from_environment(os.environ)
    session = Session(request)
    try:
        session.start()
    except BackendError as error:
        _refuse(request, str(error))
    except ImportError as error:  # in this interpreter, which need not be the one that synclint was installed for
        _refuse(request, f"the back end {request.backend!r} cannot be imported by {sys.executable}: {error}")
    atexit.register(session.close)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=session.after_fork)
    _before_worker_ends(session)


class Session:
    """One traced process. All methods but ``start`` and ``close`` may be called from any thread."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._tracer = Tracer(
            request.backend,
            roots=request.roots,
            races=request.races,
            pageable=request.pageable,
            stall_times=request.stall_times,
            sink=self._write,
            keep=False,
        )
        wanted = CHEAP if request.lines is None else request.lines
        self._lines = line_recorder(request.roots, self._ran) if wanted else None
        self._prover: Prover | None = None
        self._writer: Writer | None = None
        self._lock = threading.Lock()
        self._told: Counter[str] = Counter()
        self._closed = False

    def start(self) -> None:
        """Start the back end, and begin the file. Raises BackendError."""
        self._tracer.__enter__()
        if self._request.prove:
            self._prover = self._make_prover()
        self._open()
        if self._lines is not None:
            self._lines.start()
        if self._prover is not None:
            self._prover.start()

    def close(self) -> None:
        """Stop the back end, and write what is not written yet."""
        if self._closed:
            return
        self._closed = True
        if self._prover is not None:
            self._prover.stop()
        saw_all = self._lines.stop() if self._lines is not None else True
        try:
            self._tracer.__exit__()
        finally:
            self.flush()
            if self._writer is not None:
                if not saw_all:
                    self._writer.lines_lost()
                self._writer.close()

    def flush(self) -> None:
        """Write which operators were not simulated since the last time."""
        new = self._tracer.not_simulated - self._told
        if new:
            self._told += new
            (self._writer or self._open()).not_simulated(new)

    def after_fork(self) -> None:
        """In a forked child: leave the parent's file alone. Its lock may be held by a thread that is not here."""
        self._writer = None
        self._lock = threading.Lock()
        self._told = self._tracer.not_simulated
        if self._prover is not None:
            self._prover.after_fork()

    def _make_prover(self) -> Prover:
        if self._tracer.backend != "cuda":
            name = self._tracer.backend
            self._tracer.__exit__()
            raise BackendError(f"what lines do can be proved on a GPU alone, and the back end here is {name!r}")
        from synclint.runtime.cuda.prove import Prover

        return Prover(self._request.prove, self._proved, unwatched=self._tracer.unwatched)

    def _write(self, event: Event) -> None:
        (self._writer or self._open())(event)
        self.flush()

    def _ran(self, path: str, line: int) -> None:
        (self._writer or self._open()).ran(path, line)

    def _proved(self, proof: Proof) -> None:
        (self._writer or self._open()).proof(proof)

    def _open(self) -> Writer:
        with self._lock:
            if self._writer is None:
                path = _own_file(self._request, "jsonl")
                self._writer = Writer(path, self._tracer.backend, _process(lines=self._lines is not None))
            return self._writer


def _before_worker_ends(session: Session) -> None:
    """Workers of ``multiprocessing`` leave by ``os._exit``, but run its finalizers first: those made after the fork."""
    from multiprocessing import util

    def forked(session: Session) -> None:
        util.Finalize(session, session.flush, exitpriority=0)

    util.register_after_fork(session, forked)


def _own_file(request: Request, kind: str) -> Path:
    """A name for a file of this process. The time is part of it, because the system gives a pid again."""
    return Path(request.out, f"{request.run}-{os.getpid()}-{time.time_ns():x}.{kind}")


def _process(*, lines: bool) -> dict[str, Any]:
    torch = sys.modules.get("torch")
    known: Mapping[str, Any] = {
        "pid": os.getpid(),
        "parent": os.getppid(),
        "argv": sys.orig_argv,
        "python": sys.version.split()[0],
        "torch": getattr(torch, "__version__", None) and str(torch.__version__),  # type: ignore[union-attr]
        "rank": os.environ.get("RANK"),
        "lines": lines,
    }
    return {name: value for name, value in known.items() if value is not None}


def _refuse(request: Request, reason: str) -> NoReturn:
    """Not by an exception: the program may catch it, and a traceback would show the program's lines."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    print(f"synclint: error: {reason}", file=sys.stderr, flush=True)
    _own_file(request, "failed").write_text(reason, encoding="utf-8")
    os._exit(FAILED)
