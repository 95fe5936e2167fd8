"""Files are replaced whole or not at all."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import pytest

from synclint.fix.write import WriteError, write_atomically

posix = pytest.mark.skipif(sys.platform == "win32", reason="POSIX modes and links")


def listing(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


def test_a_file_is_replaced_byte_for_byte(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_bytes(b"a\r\n")
    write_atomically(path, b"b\r\n\xe9", before=b"a\r\n")
    assert path.read_bytes() == b"b\r\n\xe9"
    assert listing(tmp_path) == ["a.py"]


@posix
@pytest.mark.parametrize("mode", [0o644, 0o755, 0o600, 0o2664])
def test_the_mode_stays(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "a.py"
    path.write_bytes(b"a")
    path.chmod(mode)
    write_atomically(str(path), b"b", before=b"a")
    assert stat.S_IMODE(path.stat().st_mode) == mode


@posix
def test_a_new_file_follows_the_umask(tmp_path: Path) -> None:
    path = tmp_path / "new.py"
    umask = os.umask(0o027)
    try:
        write_atomically(path, b"a")
    finally:
        os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert path.read_bytes() == b"a"


@posix
def test_a_link_stays_and_its_target_is_written(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    target, link = tmp_path / "inner" / "a.py", tmp_path / "link.py"
    target.write_bytes(b"a")
    link.symlink_to(Path("inner") / "a.py")
    write_atomically(link, b"b", before=b"a")
    assert link.is_symlink()
    assert target.read_bytes() == b"b"
    assert listing(tmp_path) == ["inner", "link.py"]


def test_a_change_of_somebody_else_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_bytes(b"changed")
    with pytest.raises(WriteError, match=r"a\.py: not written: it has changed since it was read"):
        write_atomically(path, b"b", before=b"a")
    assert path.read_bytes() == b"changed"
    assert listing(tmp_path) == ["a.py"]


def test_an_existing_file_is_not_created_over(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_bytes(b"")
    with pytest.raises(WriteError, match="already"):
        write_atomically(path, b"b")
    assert path.read_bytes() == b""


@pytest.mark.parametrize("name", ["missing.py", "nowhere/a.py", "folder"])
def test_what_is_not_a_file_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(WriteError) as caught:
        write_atomically(tmp_path / name, b"b", before=b"")
    assert caught.value.path == str(tmp_path / name)
    assert listing(tmp_path) == ["folder"]


@posix
def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(WriteError, match="not a regular file"):
        write_atomically(tmp_path / "pipe", b"b", before=b"")


@posix
def test_a_link_to_itself_is_refused(tmp_path: Path) -> None:
    link = tmp_path / "a.py"
    link.symlink_to("a.py")
    for before in (None, b""):
        with pytest.raises(WriteError):
            write_atomically(link, b"b", before=before)
    assert link.is_symlink()


@posix
def test_a_file_that_may_not_be_written_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.py"
    path.write_bytes(b"a")
    path.chmod(0o444)
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write anything
    with pytest.raises(WriteError, match="permission denied"):
        write_atomically(path, b"b", before=b"a")
    assert path.read_bytes() == b"a"


@pytest.mark.parametrize("call", ["fsync", "replace", "chmod"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_failure_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, error: BaseException
) -> None:
    path = tmp_path / "a.py"
    path.write_bytes(b"a")

    def fail(*arguments: object, **options: object) -> None:
        raise error

    monkeypatch.setattr(os, call, fail)
    with pytest.raises((WriteError, KeyboardInterrupt)):
        write_atomically(path, b"b", before=b"a")
    assert path.read_bytes() == b"a"
    assert listing(tmp_path) == ["a.py"]
