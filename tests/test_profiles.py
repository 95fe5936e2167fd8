"""Importing what other profilers wrote. The Chrome traces are written by torch.profiler on the CPU; the tests add the
events that a GPU would add to them. The exports of Nsight Systems are made in its documented schema."""

from __future__ import annotations

import gzip
import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from synclint.cli import main
from synclint.profiles import read_profile
from synclint.profiles.calls import Call, Copy, matters, waits
from synclint.profiles.nesting import Range, enclosing
from synclint.profiles.places import Called, Places
from synclint.runtime.event import Event, Frame
from synclint.runtime.trace import Trace, TraceError, read
from synclint.waits.join import join
from synclint.waits.wait import waits_of

PROGRAM = """\
import torch
from torch.profiler import ProfilerActivity, profile


class Model(torch.nn.Module):
    def forward(self, x):
        y = x * 2
        return y.sum().item()


def twice(x):
    return x[0].item() + x[1].item()


def implicit(x):
    if x.sum() > 3:
        return 1
    return float(x[0])


def main():
    with profile(activities=[ProfilerActivity.CPU], with_stack=True) as found:
        x = torch.ones(3, requires_grad=True)
        Model()(x.detach())
        twice(x.detach())
        implicit(x.detach())
        x.cos().sum().backward()
    found.export_chrome_trace("profile.json")


main()
"""

READ, COPY = "aten::_local_scalar_dense", "Memcpy DtoH (Device -> Pageable)"


@pytest.fixture(scope="module")
def profiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("profiled")
    (folder / "program.py").write_text(PROGRAM)
    subprocess.run([sys.executable, "program.py"], cwd=folder, check=True, capture_output=True)
    return folder


@pytest.fixture
def document(profiled: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((profiled / "profile.json").read_text())
    return found


def add(document: dict[str, Any], operator: dict[str, Any], *calls: str, copy: str | None = None) -> None:
    """Let an operator make calls of the runtime of 1 ms each; ``copy`` is what the first of them copied."""
    for number, name in enumerate(calls):
        correlation = len(document["traceEvents"])
        common = {"ph": "X", "dur": 1000, "ts": operator["ts"] + operator["dur"] * (number + 1) / 10}
        where = {"pid": operator["pid"], "tid": operator["tid"], "args": {"correlation": correlation}}
        document["traceEvents"].append({**common, **where, "cat": "cuda_runtime", "name": name})
        if copy is not None and number == 0:
            moved = {**common, "pid": 0, "tid": 7, "cat": "gpu_memcpy", "name": copy, "args": where["args"]}
            document["traceEvents"].append(moved)


def operators(document: dict[str, Any], name: str) -> list[dict[str, Any]]:
    found = [one for one in document["traceEvents"] if one.get("cat") == "cpu_op" and one["name"] == name]
    return sorted(found, key=lambda one: one["ts"])


def imported(folder: Path, document: dict[str, Any]) -> Trace:
    path = folder / "gpu.json"
    path.write_text(json.dumps(document))
    return read_profile(path, (str(folder),))


# ---------------------------------------------------------------------- torch.profiler


def test_a_call_in_a_function_is_at_the_only_line_that_makes_it(profiled: Path, document: dict[str, Any]) -> None:
    add(document, operators(document, READ)[0], "cudaMemcpyAsync", "cudaStreamSynchronize", copy=COPY)
    (event,) = imported(profiled, document).events
    assert event.project == event.user == Frame(str(profiled / "program.py"), 8, "forward")
    assert not event.in_function
    assert (event.operation, event.cause, event.direction.value) == (READ, "scalar-read", "d2h")
    assert event.stall == pytest.approx(0.002)


def test_where_several_lines_or_calls_may_wait_the_function_is_named(profiled: Path, document: dict[str, Any]) -> None:
    reads = operators(document, READ)
    for read_ in reads[1:5]:
        add(document, read_, "cudaMemcpyAsync", "cudaStreamSynchronize", copy=COPY)
    found = [
        (wait.frame, wait.event.in_function, wait.event.count) for wait in waits_of(imported(profiled, document).events)
    ]
    path = str(profiled / "program.py")
    assert found == [
        (Frame(path, 12, "twice"), False, 2),  # both on one line
        (Frame(path, 15, "implicit"), True, 2),
    ]


def test_a_wait_in_backward_is_at_the_line_that_calls_it(profiled: Path, document: dict[str, Any]) -> None:
    (sin,) = operators(document, "aten::sin")
    engine = [one for one in document["traceEvents"] if one.get("cat") == "cpu_op" and "engine" in one["name"]]
    for one in (sin, *(one for one in document["traceEvents"] if one.get("cat") == "cpu_op")):
        if any(e["ts"] <= one["ts"] <= e["ts"] + e["dur"] for e in engine):
            one["tid"] = 99  # on a GPU, a thread of the engine
    add(document, sin, "cudaStreamSynchronize")
    (event,) = imported(profiled, document).events
    assert event.frame is not None
    assert (event.frame.line, event.frame.function) == (27, "main")
    assert (event.backward, event.operation, event.cause) == (True, "aten::sin", "library-internal")


def test_the_wait_of_the_profiler_itself_is_left_out(profiled: Path, document: dict[str, Any]) -> None:
    stop = next(one for one in document["traceEvents"] if "profiler.py" in one["name"] and "stop_trace" in one["name"])
    add(document, stop, "cudaDeviceSynchronize")
    assert imported(profiled, document).events == []
    document["traceEvents"] = [one for one in document["traceEvents"] if one.get("cat") != "python_function"]
    assert imported(profiled, document).events == []
    add(document, operators(document, READ)[0], "cudaDeviceSynchronize")
    assert len(imported(profiled, document).events) == 1


def test_without_stacks_the_operator_is_named(profiled: Path, document: dict[str, Any]) -> None:
    document["traceEvents"] = [one for one in document["traceEvents"] if one.get("cat") != "python_function"]
    add(document, operators(document, READ)[0], "cudaMemcpyAsync", "cudaStreamSynchronize", copy=COPY)
    (event,) = imported(profiled, document).events
    assert (event.frame, event.operation) == (None, READ)


def test_compressed_profiles_and_the_command(
    profiled: Path, document: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    add(document, operators(document, READ)[0], "cudaMemcpyAsync", "cudaStreamSynchronize", copy=COPY)
    monkeypatch.chdir(profiled)
    Path("gpu.json.gz").write_bytes(gzip.compress(json.dumps(document).encode()))
    assert main(["trace", "import", "gpu.json.gz", "-o", "t.jsonl"]) == 0
    assert "program.py:8 in forward: " in capsys.readouterr().out
    assert read(Path("t.jsonl")).backend == "torch.profiler"


def test_a_wait_somewhere_in_a_function_is_the_only_finding_there(
    profiled: Path, document: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from synclint.finding import Confidence, Direction, Finding, Heat

    def finding(line: int, code: str = "SYN202") -> Finding:
        where = ("program.py", line, 1, line, 9)
        return Finding(code, "n", "m", *where, Direction.D2H, Heat.HOT, Confidence.CERTAIN, (line, line))

    monkeypatch.chdir(profiled)
    add(document, operators(document, READ)[3], "cudaMemcpyAsync", "cudaStreamSynchronize", copy=COPY)
    trace = imported(profiled, document)
    condition, elsewhere, second = finding(16), finding(12), finding(18)
    joined = join(trace, [condition, elsewhere], ["program.py"])
    assert [joined.seen[one].state for one in (condition, elsewhere)] == ["waited", "unknown"]
    joined = join(trace, [condition, second], ["program.py"])
    assert {seen.state for seen in joined.seen.values()} == {"unknown"}
    assert len(joined.unreported) == 1


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "p.json:1: not a Chrome trace"),
        (b"{\n\n nope", "p.json:3: not a Chrome trace"),
        (b"\x1f\x8bnope", "p.json:1: not a Chrome trace"),
        (b"\xff\xfe\x00", "p.json:1: not a Chrome trace"),
        (b'{"a": 1}', "p.json:1: not a Chrome trace: no list of traceEvents"),
        (b"3", "p.json:1: not a Chrome trace: no list of traceEvents"),
        (b"[3]", "p.json:1: traceEvents[0] is not an object"),
        (b'[{"ph": "X", "cat": "cpu_op", "name": "x"}]', "p.json:1: traceEvents[0]: KeyError('ts')"),
        (b'[{"ph": "X", "cat": "cpu_op", "name": "x", "ts": "soon"}]', "p.json:1: traceEvents[0]: ValueError"),
        (b"SQLite format 3\0nope", "p.json:1: not an export of Nsight Systems"),
    ],
)
def test_what_is_no_profile_is_refused(tmp_path: Path, data: bytes, said: str) -> None:
    path = tmp_path / "p.json"
    path.write_bytes(data)
    with pytest.raises(TraceError) as raised:
        read_profile(path, ())
    assert said in str(raised.value)


# ---------------------------------------------------------------------- Nsight Systems

SCHEMA = """
CREATE TABLE StringIds (id INTEGER NOT NULL PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE CUPTI_ACTIVITY_KIND_RUNTIME (start INTEGER NOT NULL, end INTEGER NOT NULL, eventClass INTEGER NOT NULL,
    globalTid INTEGER, correlationId INTEGER, nameId INTEGER NOT NULL, returnValue INTEGER NOT NULL,
    callchainId INTEGER);
CREATE TABLE CUPTI_ACTIVITY_KIND_MEMCPY (start INTEGER NOT NULL, end INTEGER NOT NULL, deviceId INTEGER NOT NULL,
    streamId INTEGER NOT NULL, correlationId INTEGER, globalPid INTEGER, bytes INTEGER NOT NULL,
    copyKind INTEGER NOT NULL, srcKind INTEGER, dstKind INTEGER);
CREATE TABLE NVTX_EVENTS (start INTEGER NOT NULL, end INTEGER, eventType INTEGER NOT NULL, text TEXT,
    globalTid INTEGER, textId INTEGER);
CREATE TABLE CUDA_CALLCHAINS (id INTEGER NOT NULL, symbol INTEGER NOT NULL, module INTEGER NOT NULL,
    unresolved INTEGER, originalIP INTEGER, stackDepth INTEGER NOT NULL, PRIMARY KEY (id, stackDepth));
"""

PID, TID = 41 * 0x1000000, 41 * 0x1000000 + 42
MILLISECOND = 1_000_000

Export = Callable[..., Path]


@pytest.fixture
def export(tmp_path: Path) -> Export:
    """Makes one: ``calls`` are (name, correlation, call chain), ``copies`` (correlation, kind, source, target)."""

    def make(
        calls: list[tuple[str, int, int | None]],
        copies: list[tuple[int, int, int, int]] = [],  # noqa: B006
        ranges: list[tuple[str, int, int]] = [],  # noqa: B006
        chains: dict[int, list[tuple[str, str]]] = {},  # noqa: B006
        schema: str = SCHEMA,
    ) -> Path:
        path = tmp_path / "export.sqlite"
        database = sqlite3.connect(path)
        database.executescript(schema)
        strings: dict[str, int] = {}

        def string(text: str) -> int:
            if text not in strings:
                strings[text] = len(strings) + 1
                database.execute("INSERT INTO StringIds VALUES (?, ?)", (strings[text], text))
            return strings[text]

        for at, (name, correlation, chain) in enumerate(calls):
            start = 10 * at * MILLISECOND
            row = (start, start + MILLISECOND, 0, TID, correlation, string(name), 0, chain)
            database.execute("INSERT INTO CUPTI_ACTIVITY_KIND_RUNTIME VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
        for correlation, kind, source, target in copies:
            row = (0, 1, 0, 7, correlation, PID, 4, kind, source, target)
            database.execute("INSERT INTO CUPTI_ACTIVITY_KIND_MEMCPY VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
        for name, start, end in ranges:
            row = (start * MILLISECOND, end * MILLISECOND, 59, None, TID, string(name))
            database.execute("INSERT INTO NVTX_EVENTS VALUES (?, ?, ?, ?, ?, ?)", row)
        for chain, frames in chains.items():
            for depth, (symbol, module) in enumerate(frames):
                row = (chain, string(symbol), string(module), None, None, depth)
                database.execute("INSERT INTO CUDA_CALLCHAINS VALUES (?, ?, ?, ?, ?, ?)", row)
        database.commit()
        database.close()
        return path

    return make


def test_nsys_waits_are_named_by_operator_copy_and_frame(export: Export, tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text("")
    chain = [("libcudart", "/lib/libcudart.so"), ("forward", f"{tmp_path}/model.py:7"), ("main", "/opt/run.py:3")]
    path = export(
        [("cudaMemcpyAsync_v3020", 1, 5), ("cudaStreamSynchronize_v3020", 2, 5)],
        copies=[(1, 2, 2, 0)],
        ranges=[("aten::item, seq = 1", 0, 90), (f"{READ}, sizes = [[]]", 0, 80), ("mine", 0, 85)],
        chains={5: chain},
    )
    trace = read_profile(path, (str(tmp_path),))
    (event,) = trace.events
    assert (event.operation, event.cause, event.direction.value, event.detail) == (READ, "scalar-read", "d2h", "")
    assert event.project == Frame(str(tmp_path / "model.py"), 7, "forward")
    assert event.stall == pytest.approx(0.002)
    assert event.thread == 42
    assert trace.processes == [{"pid": 41, "profile": str(path)}]


@pytest.mark.parametrize(
    ("symbol", "module"),
    [
        ("forward", "/p/model.py:7"),
        ("forward (/p/model.py:7)", ""),
        ('File "/p/model.py", line 7, in forward', ""),
        ("/p/model.py(7): forward", "[python]"),
    ],
)
def test_python_frames_in_any_of_the_usual_spellings(export: Export, symbol: str, module: str) -> None:
    path = export([("cudaDeviceSynchronize", 1, 5)], chains={5: [(symbol, module), ("main", "/usr/bin/python3")]})
    (event,) = read_profile(path, ()).events
    assert event.user == Frame("/p/model.py", 7, "forward")


def test_an_export_with_few_tables_and_columns_is_read(export: Export) -> None:
    schema = SCHEMA.split("CREATE TABLE CUPTI_ACTIVITY_KIND_MEMCPY")[0]
    (event,) = read_profile(export([("cudaDeviceSynchronize_v3020", 1, None)], schema=schema), ()).events
    assert (event.operation, event.cause, event.frame) == ("cudaDeviceSynchronize_v3020", "explicit-wait", None)


def test_an_export_without_cuda_calls_is_refused(export: Export) -> None:
    schema = "CREATE TABLE StringIds (id INTEGER, value TEXT);"
    with pytest.raises(TraceError, match=r"export.sqlite:1: .* no CUPTI_ACTIVITY_KIND_RUNTIME.start"):
        read_profile(export([], schema=schema), ())


# ---------------------------------------------------------------------- calls


def called(*names: str, copy: Copy | None = None, operators: tuple[str, ...] = ()) -> list[Event]:
    from synclint.finding import Direction

    assert copy is None or isinstance(copy.direction, Direction)
    calls = [
        Call(name, (1, 2), float(at), 0.5, copy if "emcpy" in name else None, operators)
        for at, name in enumerate(names)
    ]
    return [event for _, event in waits(calls)]


def test_which_calls_wait() -> None:
    from synclint.finding import Direction

    def said(*events: Event) -> list[tuple[str, str, str]]:
        return [(event.cause, event.direction.value, event.kind) for event in events]

    pinned, pageable = Copy(Direction.H2D, False), Copy(Direction.D2H, True)
    assert said(*called("cudaMemcpyAsync", copy=pinned)) == []
    assert said(*called("cudaMemcpyAsync")) == []
    assert said(*called("cudaMemcpyAsync", copy=pageable)) == [("pageable-copy", "d2h", "pageable")]
    assert said(*called("cudaMemcpyAsync", "cudaStreamSynchronize", copy=pinned)) == [("blocking-copy", "h2d", "sync")]
    assert said(*called("cudaMemcpyAsync", "cudaStreamSynchronize")) == [("explicit-wait", "stream", "sync")]
    assert said(*called("cudaMemcpyAsync", "cudaDeviceSynchronize", copy=pageable)) == [
        ("pageable-copy", "d2h", "pageable"),
        ("explicit-wait", "device", "sync"),
    ]
    assert said(*called("cudaMemcpy", copy=pageable)) == [("blocking-copy", "d2h", "sync")]
    assert said(*called("cudaFree", "cudaMalloc", "cudaHostAlloc")) == [
        ("allocator", "device", "sync"),
        ("allocator", "none", "sync"),
        ("allocator", "none", "sync"),
    ]
    assert said(*called("cudaStreamSynchronize", operators=("aten::nonzero",))) == [
        ("data-dependent-size", "stream", "sync")
    ]
    assert said(*called("cudaStreamSynchronize", operators=("aten::linalg_inv",))) == [
        ("library-internal", "stream", "sync")
    ]


def test_a_transfer_is_named_as_the_tables_name_it() -> None:
    from synclint.finding import Direction

    chain = ("aten::to", "aten::_to_copy", "aten::copy_")
    copy = Copy(Direction.H2D, True)
    (event,) = called("cudaMemcpyAsync", "cudaStreamSynchronize", copy=copy, operators=chain)
    assert (event.operation, event.detail) == ("aten::_to_copy", "")
    chain = ("aten::index_put_", *chain)
    (event,) = called("cudaMemcpyAsync", "cudaStreamSynchronize", copy=copy, operators=chain)
    assert (event.operation, event.detail) == ("aten::_to_copy", "called by aten::index_put_")


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("cudaStreamSynchronize", True),
        ("cudaStreamSynchronize_v3020", True),
        ("cudaStreamSynchronize_ptsz_v7000", True),
        ("cuMemcpyDtoHAsync_v2", True),
        ("hipDeviceSynchronize", True),
        ("cudaStreamWaitEvent", False),
        ("cudaLaunchKernel", False),
        ("Synchronize", False),
    ],
)
def test_names_of_the_runtime(name: str, known: bool) -> None:
    assert matters(name) is known


def test_ranges_around_moments() -> None:
    ranges = [Range(0, 10, "a"), Range(1, 4, "b"), Range(2, 3, "c"), Range(5, 6, "d"), Range(20, 21, "e")]
    found = [[one.name for one in around] for around in enclosing(ranges, [0.5, 2.5, 3.5, 5.5, 15.0, 20.5])]
    assert found == [["a"], ["a", "b", "c"], ["a", "b"], ["a", "d"], [], ["e"]]


def test_frames_of_libraries_are_nobodys(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("def step():\n    return f()\n")
    stack = [
        Called("train.py", 1, "step", definition=True),
        Called("/x/site-packages/transformers/model.py", 9, "f"),
        Called("torch/nn/modules/module.py", 3, "_call_impl", definition=True),
        Called("contextlib.py", 3, "inner", definition=True),
        Called("", 0, "item"),
    ]
    place = Places((str(tmp_path),)).of(stack)
    assert place.user == Frame("/x/site-packages/transformers/model.py", 9, "f")
    assert place.project == Frame(str(tmp_path / "train.py"), 2, "step")
    assert not place.in_function
