"""Writing files so that nobody ever sees half of one, and no change of somebody else is lost."""

from __future__ import annotations

import contextlib
import os
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class WriteError(Exception):
    """A file that was not written; it is as it was. ``path`` is the path that was given, ``reason`` a short clause."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(path, reason)
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.path}: not written: {self.reason}"


def write_atomically(path: Path | str, data: bytes, *, before: bytes | None = None) -> None:
    """Replace a file's bytes, or create it.

    ``before`` is what the file held when it was read: it must still hold that. None means that there must be no
    such file yet. A symbolic link stays one, its target is written; mode, and owner where permitted, stay (a new file
    gets what the umask gives). Hard links to the file keep the old bytes. Raises :class:`WriteError`.
    """
    shown = os.fspath(path)
    target = os.path.realpath(shown)
    try:
        held = _check(shown, target, before)
        _replace(target, data, held)
    except OSError as error:
        raise WriteError(shown, (error.strerror or str(error)).lower()) from error


def _check(shown: str, target: str, before: bytes | None) -> os.stat_result | None:
    """The state of the file to be replaced, None if there is none."""
    if before is None:
        if os.path.lexists(target):
            raise WriteError(shown, "there is a file of that name already")
        return None
    held = os.stat(target)
    if not stat.S_ISREG(held.st_mode):
        raise WriteError(shown, "not a regular file")
    if not os.access(target, os.W_OK):
        raise WriteError(shown, "permission denied")
    with open(target, "rb") as file:
        if file.read() != before:
            raise WriteError(shown, "it has changed since it was read")
    return held


def _replace(target: str, data: bytes, held: os.stat_result | None) -> None:
    folder, name = os.path.split(target)
    temporary = os.path.join(folder, f".{name[:100]}.{os.urandom(6).hex()}.tmp")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    descriptor = os.open(temporary, flags, 0o666 if held is None else 0o600)
    try:
        with open(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if held is not None:
            if hasattr(os, "chown"):
                with contextlib.suppress(OSError):
                    os.chown(temporary, held.st_uid, held.st_gid)
            os.chmod(temporary, stat.S_IMODE(held.st_mode))  # after chown, which clears set-user-id bits
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    with contextlib.suppress(OSError):  # so that the new name survives a crash; not every system can
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
