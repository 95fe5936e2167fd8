"""What is kept on disk of a project: several processes, damage, other versions, folders that cannot be written."""

from __future__ import annotations

import os
import pickle
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from projects import lint, write

import synclint.version
from synclint import cache
from synclint.flow.pickled import dump, load
from synclint.index.records import ModuleRecord
from synclint.index.store import Entry, Known, Stamp, Store

FILES = {
    "pkg/__init__.py": "",
    "pkg/made.py": "import torch\ndef make():\n    return torch.zeros(1, device='cuda')\n",
    "pkg/read.py": "import torch\nfrom .made import make\ndef read():\n    return make().item()\n",
    "pkg/calls.py": "import torch\nfrom .passed import show\ndef call():\n    show(torch.zeros(1, device='cuda'))\n",
    "pkg/passed.py": "import torch\ndef show(thing):\n    return thing.item()\n",
    "pkg/owner.py": "import torch\nclass A:\n    def __init__(self):\n        self.one = torch.ones(1,device='cuda')\n",
    "pkg/both.py": "import torch\ndef both(thing):\n    return thing.item()\n",
    "pkg/host.py": "import torch\nfrom .both import both\ndef host():\n    return both(torch.zeros(1))\n",
    "pkg/waits.py": "import torch\nfrom .both import both\ndef f():\n    return both(torch.ones(1, device='cuda'))\n",
    "pkg/owned.py": "import torch\ndef use(what):\n    return what.one.item()\n",
}
EXPECTED = {"pkg/read.py": 4, "pkg/passed.py": 3, "pkg/owned.py": 3, "pkg/waits.py": 4}


def lines(root: Path) -> dict[str, int]:
    """The line of the one finding of each file that has one."""
    found = lint(root, cache=True)
    return {path: one.line for path, findings in found.items() for one in findings}


def entry(path: str, content: bytes = b"", calls: tuple[str, ...] = ()) -> Entry:
    return Entry(path, Known(Stamp(1, 2), b"digest", "module"), content, content, b"", calls, [("x", "A")], calls[:1])


def test_entries_come_back(tmp_path: Path) -> None:
    store = Store(tmp_path / "db", "1")
    store.change([entry("a.py", b"1", ("f", "g")), entry("b.py", b"2", ("f",))], [])
    store.close()
    store = Store(tmp_path / "db", "1")
    assert store.files() == {path: Known(Stamp(1, 2), b"digest", "module") for path in ("a.py", "b.py")}
    assert store.record("a.py") == b"1"
    assert store.summary("c.py") is None
    assert store.callers("f") == ["a.py", "b.py"]
    assert store.owners("x") == [("a.py", "A"), ("b.py", "A")]
    assert store.waiting() == {"f"}
    store.change([entry("b.py", b"3")], ["a.py"], [("b.py", Stamp(5, 6))])
    assert store.files().keys() == {"b.py"}
    assert store.record("b.py") == b"3"
    assert store.callers("f") == []
    assert store.waiting() == set()


def test_another_version_has_no_entries(tmp_path: Path) -> None:
    store = Store(tmp_path / "db", "1")
    store.change([entry("a.py")], [])
    store.close()
    assert Store(tmp_path / "db", "2").files() == {}


def test_a_store_of_the_same_version_is_not_emptied_by_who_opens_it_meanwhile(tmp_path: Path) -> None:
    first = Store(tmp_path / "db", "1")
    first.change([entry("a.py")], [])
    connection = sqlite3.connect(tmp_path / "db", isolation_level=None)
    Store._make(connection, "1")  # as a process does that looked before the first one had made it
    assert first.files().keys() == {"a.py"}


def test_a_locked_store_is_left_to_who_holds_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path / "db", "1")
    store.change([entry("a.py")], [])
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda path, timeout, **rest: connect(path, timeout=0.1, **rest))
    holder = connect(tmp_path / "db", isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    with pytest.raises(sqlite3.OperationalError):
        Store(tmp_path / "db", "2")
    holder.execute("COMMIT")
    assert store.files().keys() == {"a.py"}


def test_processes_write_at_once(tmp_path: Path) -> None:
    code = (
        "import sys; from synclint.index.store import *\n"
        "for n in range(40):\n"
        "    store = Store(sys.argv[1], 'v')\n"
        "    path = f'{sys.argv[2]}-{n}.py'\n"
        "    store.change([Entry(path, Known(Stamp(1, 2), b'', ''), b'', b'', b'', ['f'], [])], [])\n"
        "    store.close()\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "db")]
    processes = [subprocess.Popen([*command, name]) for name in ("one", "two")]
    assert [process.wait(60) for process in processes] == [0, 0]
    store = Store(tmp_path / "db", "v")
    assert len(store.files()) == len(store.callers("f")) == 80


def store_in(root: Path) -> Path:
    """Where this synclint keeps what it learns of a project."""
    return cache.store_of(root / cache.FOLDER, synclint.version.version())


def damage(path: Path, where: Callable[[int], range]) -> None:
    data = bytearray(path.read_bytes())
    for at in where(len(data)):
        data[at] ^= 0xFF
    path.write_bytes(data)


@pytest.mark.parametrize(
    "where",
    [
        lambda size: range(64),
        lambda size: range(100, 4096),
        lambda size: range(4096, size),
        lambda size: range(size // 2, size),
        lambda size: range(size - 4096, size),
        lambda size: range(0, size, 997),
    ],
    ids=["header", "first page", "all but the first page", "second half", "last page", "here and there"],
)
def test_a_damaged_database_changes_no_finding(tmp_path: Path, where: Callable[[int], range]) -> None:
    write(tmp_path, FILES)
    assert lines(tmp_path) == EXPECTED
    damage(store_in(tmp_path), where)
    forget_answers(tmp_path)
    assert lines(tmp_path) == EXPECTED
    assert lines(tmp_path) == EXPECTED


def forget_answers(root: Path) -> None:
    """A change that no finding depends on, so that what was read of the project is asked for again."""
    file = root / "pkg" / "__init__.py"
    file.write_text(file.read_text() + "# changed\n")


def test_no_database_at_all(tmp_path: Path) -> None:
    write(tmp_path, FILES)
    (tmp_path / ".synclint_cache").mkdir()
    store_in(tmp_path).write_bytes(b"this is no database, whatever it is called" * 100)
    assert lines(tmp_path) == EXPECTED
    store_in(tmp_path).write_bytes(b"")
    assert lines(tmp_path) == EXPECTED


@pytest.mark.parametrize("column", ["record", "summary", "edges", "heats"])
@pytest.mark.parametrize("damaged", [b"", b"\x80\x05junk", dump("no record")[:-3], dump(ModuleRecord("x"))[5:]])
def test_a_damaged_entry_is_read_again(tmp_path: Path, column: str, damaged: bytes) -> None:
    write(tmp_path, FILES)
    assert lines(tmp_path) == EXPECTED
    connection = sqlite3.connect(store_in(tmp_path))
    if column == "heats":
        connection.execute("UPDATE heats SET heats = ?", (damaged,))
    else:
        connection.execute(f"UPDATE files SET {column} = ?", (damaged,))
    connection.commit()
    connection.close()
    forget_answers(tmp_path)
    assert lines(tmp_path) == EXPECTED


class Evil:
    def __reduce__(self) -> tuple[object, ...]:
        return os.system, ("exit 7",)


def test_nothing_but_plain_data_is_loaded() -> None:
    record = ModuleRecord("a.py", "a", {"th": "torch"}, ["b"])
    assert load(dump(record)) == record
    for data in (Evil(), os.path.join, sys.modules["os"].__dict__["system"], Path("x"), [{"a": Evil()}]):
        with pytest.raises(pickle.UnpicklingError, match="has no place here"):
            load(dump(data))


def test_every_changed_bit_is_noticed(tmp_path: Path) -> None:
    store = Store(tmp_path / "db", "1")
    store.change([entry("a.py", dump(ModuleRecord("a.py", "a", {"th": "torch"})))], [])
    store.keep([("a.py", b"key", b"answer")])
    connection = sqlite3.connect(tmp_path / "db", isolation_level=None)
    [(data,)] = connection.execute("SELECT record FROM files")
    for at in range(len(data)):
        changed = bytes([*data[:at], data[at] ^ 4, *data[at + 1 :]])
        connection.execute("UPDATE files SET record = ?, summary = ?, edges = ?", [changed] * 3)
        connection.execute("UPDATE answers SET answer = ?", [changed])
        for read in (
            lambda: store.record("a.py"),
            lambda: store.summary("a.py"),
            store.edges,
            lambda: store.answer("a.py", b"key"),
        ):
            with pytest.raises(sqlite3.DatabaseError, match="damaged"):
                read()


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    write(tmp_path, FILES)
    (tmp_path / ".synclint_cache").write_text("a file is in the way")
    assert lines(tmp_path) == EXPECTED


def test_a_store_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, FILES)
    assert lines(tmp_path) == EXPECTED
    forget_answers(tmp_path)
    opened = Store._open

    def read_only(store: Store, version: str) -> sqlite3.Connection:
        connection = opened(store, version)
        if ".synclint_cache" in store.path:
            connection.execute("PRAGMA query_only = ON")
        return connection

    monkeypatch.setattr(Store, "_open", read_only)
    assert lines(tmp_path) == EXPECTED


def test_two_runs_at_once(tmp_path: Path) -> None:
    write(tmp_path, FILES)
    command = [sys.executable, "-m", "synclint", "--heat", "cold", "--output-format", "concise", "."]
    runs = [
        subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    outputs = [run.communicate(timeout=120) for run in runs]
    assert len({output for output, _ in outputs}) == 1
    assert outputs[0][0].count("SYN201") == 3


def test_the_version_tells_the_release_of_python(monkeypatch: pytest.MonkeyPatch) -> None:
    version = synclint.version.version.__wrapped__
    before = version()
    monkeypatch.setattr(sys, "version_info", (3, 99, 0))
    assert version() != before


def test_versions_that_run_at_once_do_not_share_a_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, FILES)
    folder = tmp_path / cache.FOLDER
    other = ["a" * 32, "b" * 32]
    for version in other:
        monkeypatch.setattr("synclint.project.version", lambda version=version: version)
        monkeypatch.setattr("synclint.linking.version", lambda version=version: version)
        assert lines(tmp_path) == EXPECTED
    assert [store.name for store in cache.stores(folder)] == [f"project-{version[:16]}.db" for version in other]
    long_ago = store_in(tmp_path).parent / f"project-{other[0][:16]}.db"
    os.utime(long_ago, (0, 0))
    monkeypatch.undo()
    assert lines(tmp_path) == EXPECTED
    assert sorted(cache.stores(folder)) == sorted([folder / f"project-{other[1][:16]}.db", store_in(tmp_path)])
