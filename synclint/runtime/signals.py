"""Signals that come while a command runs are the command's."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

_PASSED_ON = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2")


@contextlib.contextmanager
def forwarded(
    process: subprocess.Popen[bytes], received: list[int], *, whole_group: bool
) -> Iterator[Callable[[float], None]]:
    """While inside, pass signals of this process on to ``process``, and only add them to ``received`` here.

    ``whole_group``: the process leads a session of its own, all of which is meant. Gives a function that ends it:
    kindly, and by force after so many seconds. On leaving by an exception the process is ended, too. Other threads
    than the main one get no signals, and pass none on.
    """

    def send(number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            if whole_group and os.name == "posix":
                os.killpg(process.pid, number)
            elif process.poll() is None:
                process.send_signal(number)

    def passed_on(number: int, frame: object) -> None:
        received.append(number)
        if number != signal.SIGINT or whole_group or not _terminal_interrupts():
            send(number)

    def end(grace: float) -> None:
        send(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(grace)
        if whole_group or process.poll() is None:  # what is left of the group, too
            send(signal.SIGKILL if os.name == "posix" else signal.SIGTERM)
        process.wait()

    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        numbers = [getattr(signal, name) for name in _PASSED_ON if hasattr(signal, name)]
        before = {number: signal.signal(number, passed_on) for number in numbers}
    try:
        yield end
    except BaseException:
        end(1.0)
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


def _terminal_interrupts() -> bool:
    """Whether Ctrl-C reaches the command anyway: with this process, it stands in the foreground of a terminal."""
    try:
        return sys.__stdin__ is not None and os.tcgetpgrp(sys.__stdin__.fileno()) == os.getpgrp()
    except (AttributeError, OSError, ValueError):  # no terminal
        return False
