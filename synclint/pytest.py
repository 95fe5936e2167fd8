"""The pytest plugin: tests in which the host must not wait, and what each test waited for.

Loaded by itself where synclint is installed (or with ``-p synclint.pytest``), it does nothing until asked:

- ``@pytest.mark.no_sync`` (``no_sync(pageable=True)``): the test fails when the host waits during its call;
- ``sync_events``: a fixture, the list of events since the test began;
- ``--sync-check=warn`` lists what each test waited for, ``error`` fails those tests. Waits in a test's own file do not
  count here: a test may read results;
- ``--sync-backend=simulated`` runs the whole session on the simulated CUDA device, ``cuda`` on the GPU.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import pytest

from synclint.runtime.codes import named
from synclint.runtime.event import Event
from synclint.runtime.frames import real_path
from synclint.runtime.scope import SyncError, no_sync
from synclint.runtime.tracer import BackendError, Tracer, running

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from synclint.runtime.tracer import BackendName

_tracer = pytest.StashKey[Tracer]()
_waits = pytest.StashKey[Sequence[Event]]()

LISTED = 5
"""Lines that are listed for a test."""


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("synclint", "where the host waits for the GPU (synclint)")
    text = "list what each test waits for (warn), or fail the tests that wait outside of their own file (error)"
    group.addoption("--sync-check", choices=("warn", "error"), help=text)
    text = "where tests that use CUDA run: the GPU, or a simulated device (auto: the GPU if there is one)"
    group.addoption("--sync-backend", choices=("auto", "cuda", "simulated"), help=text)


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Before anything of the project is imported, which may look for a GPU while it is."""
    _begin(early_config)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "no_sync(pageable=False): the host must not wait for the GPU in this test")
    _begin(config)  # a worker of xdist has loaded the plugin after the first conftest files


def pytest_unconfigure(config: pytest.Config) -> None:
    tracer = config.stash.get(_tracer, None)
    if tracer is not None:
        del config.stash[_tracer]
        tracer.__exit__()


def _begin(config: pytest.Config) -> None:
    """Start the tracer of the session, if one is asked for and does not run."""
    options = config.known_args_namespace
    wanted = getattr(options, "sync_backend", None) or getattr(options, "sync_check", None)
    if not wanted or _tracer in config.stash or running() is not None:
        return
    tracer = Tracer(_backend(config), roots=(str(config.rootpath),))
    try:
        tracer.__enter__()
    except BackendError as error:
        raise pytest.UsageError(f"synclint: {error}") from None
    config.stash[_tracer] = tracer


def _backend(config: pytest.Config) -> BackendName:
    name: BackendName | None = getattr(config.known_args_namespace, "sync_backend", None)
    return name or "auto"


# ---------------------------------------------------------------------- one test


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Forbid waits, or note them, innermost: inside pytest's own capture of warnings."""
    marker = item.get_closest_marker("no_sync")
    tracer = item.config.stash.get(_tracer, None)
    begin = len(tracer.trace.events) if tracer is not None else 0
    try:
        with _forbidden(item, marker):
            result = yield
    finally:
        if tracer is not None:
            item.stash[_waits] = [event for event in tracer.trace.events[begin:] if _counts(event, item)]
    if item.config.getoption("sync_check") == "error" and marker is None and item.stash.get(_waits, None):
        raise SyncError(item.stash[_waits], "in this test, outside of its own file")
    return result


def _forbidden(item: pytest.Item, marker: pytest.Mark | None) -> no_sync | nullcontext[None]:
    if marker is None:
        return nullcontext()
    return no_sync(backend=_backend(item.config), **marker.kwargs)


def _counts(event: Event, item: pytest.Item) -> bool:
    return event.kind == "sync" and not event.allowed and (event.frame is None or not _is_own(event.frame.path, item))


def _is_own(path: str, item: pytest.Item) -> bool:
    """Whether a file is the test's own. A doctest's is none: it may stand in the file that it tests."""
    if isinstance(item, pytest.DoctestItem):
        return path.startswith("<doctest")
    return path == real_path(str(item.path))


@pytest.fixture
def sync_events(request: pytest.FixtureRequest) -> Iterator[Sequence[Event]]:
    """The events since the test began, its own file's included; the sequence grows as the test goes on."""
    tracer = request.config.stash.get(_tracer, None)
    if tracer is not None:
        yield _Since(tracer.trace.events)
        return
    with Tracer(_backend(request.config), roots=(str(request.config.rootpath),)) as trace:
        yield trace.events


class _Since(Sequence[Event]):
    """What is appended to a list from now on."""

    def __init__(self, events: Sequence[Event]) -> None:
        self._events = events
        self._begin = len(events)

    def __len__(self) -> int:
        return len(self._events) - self._begin

    def __getitem__(self, at: Any) -> Any:
        return self._events[self._begin :][at]

    def __repr__(self) -> str:
        return repr(self._events[self._begin :])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    """The waits travel with the report: from a worker of xdist, too."""
    report = yield
    waits = item.stash.get(_waits, None)
    if call.when == "call" and waits and item.config.getoption("sync_check"):
        report.synclint = Counter(f"{event}{named(event)}" for event in waits).most_common()
    return report


# ---------------------------------------------------------------------- all tests


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """List the tests that waited, the most often first."""
    if not config.getoption("sync_check") or config.getoption("collectonly"):
        return
    reports = [one for some in terminalreporter.stats.values() for one in some if hasattr(one, "synclint")]
    counted = [(sum(count for _, count in report.synclint), report) for report in reports]
    counted.sort(key=lambda one: (-one[0], one[1].nodeid))
    terminalreporter.section("host waits")
    if not counted:
        terminalreporter.line("no test waited for the device outside of its own file")
    for total, report in counted:
        terminalreporter.line(f"{report.nodeid}: {total} wait{'s' * (total != 1)}")
        for text, count in report.synclint[:LISTED]:
            terminalreporter.line(f"    {count} x {text}")
        if len(report.synclint) > LISTED:
            terminalreporter.line(f"    and {len(report.synclint) - LISTED} more lines")
