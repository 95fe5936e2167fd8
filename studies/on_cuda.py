"""A pytest plugin that runs the tests of a library as they are with everything on CUDA, and notes what they did.

    pytest -p studies.on_cuda --on cuda --notes gpytorch.cuda.jsonl test/

``--on cpu`` only notes outcomes: what the library's tests do without any of this. ``--on cuda`` traces, on the
simulated device where there is no GPU, from before the first import of the library to the end, and makes ``cuda`` the
default device, so that tests which name no device run there too.

The notes are JSON lines: ``{"started": TEST}`` before each test (so that one that takes the process down is known),
then ``{"test", "outcome", "seconds", "error", "where", "events"}``, events as
:meth:`synclint.runtime.event.Event.to_json` gives them, like ones joined. Those of imports and of collection are noted
under the test ``""``.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from synclint.runtime.frames import owner_of
from synclint.runtime.trace import aggregate
from synclint.runtime.tracer import Tracer

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

_LONGEST = 300  # characters of an error that are kept
_NAME = "synclint-study"


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("study")
    group.addoption("--on", choices=("cpu", "cuda"), default="cpu", help="the default device of the tests")
    group.addoption("--notes", metavar="FILE", help="append what the tests did, as JSON lines")


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    options = early_config.known_args_namespace
    if options.notes is not None:
        early_config.pluginmanager.register(_Study(options.notes, on_cuda=options.on == "cuda"), _NAME)


class _Study:
    """Runs the tracer for as long as the session lasts; it is on from the moment this is made."""

    def __init__(self, path: str | Path, *, on_cuda: bool) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self._error = self._where = ""
        self._worst = "passed"
        self._seconds = 0.0
        self._tracer: Tracer | None = None
        if on_cuda:
            import torch

            self._tracer = Tracer("auto", roots=(), pageable=True)
            self._tracer.__enter__()
            torch.set_default_device("cuda")

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        self._write({"test": "", "outcome": "", "events": self._events()})
        self._write({"started": item.nodeid})
        self._error = self._where = ""
        self._worst = "passed"
        self._seconds = 0.0
        try:
            return (yield)
        finally:
            note = {"test": item.nodeid, "outcome": self._worst, "seconds": round(self._seconds, 2)}
            if self._error:
                note |= {"error": self._error, "where": self._where}
            self._write(note | {"events": self._events()})

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        self._seconds += report.duration
        if report.outcome != "passed" and self._worst == "passed":
            self._worst = "xfailed" if hasattr(report, "wasxfail") else report.outcome
            if call.excinfo is not None:
                self._error, self._where = _said(call.excinfo)
        return report

    def pytest_unconfigure(self) -> None:
        if self._tracer is not None:
            import torch

            torch.set_default_device(None)
            self._tracer.__exit__(None, None, None)
        os.close(self._file)

    def _events(self) -> list[dict[str, Any]]:
        if self._tracer is None:
            return []
        events = self._tracer.trace.events
        noted = [event.to_json() for event in aggregate(events)]
        events.clear()
        return noted

    def _write(self, note: dict[str, Any]) -> None:
        if note.get("test") == "" and not note["events"]:
            return
        os.write(self._file, json.dumps(note, separators=(",", ":")).encode() + b"\n")


def _said(error: pytest.ExceptionInfo[BaseException]) -> tuple[str, str]:
    """The error in one line, and the innermost ``path:line`` outside torch that it went through."""
    text = " ".join(f"{error.typename}: {error.value}".split())
    ours = [entry for entry in error.traceback if owner_of(str(entry.path)) == "user"] or error.traceback
    return text[:_LONGEST], f"{ours[-1].path}:{ours[-1].lineno + 1}"
