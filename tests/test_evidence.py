"""The table of facts and the simulated device, held to what is recorded in ``fixtures/evidence``."""

from __future__ import annotations

import dataclasses
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from synclint.facts import all_facts
from synclint.runtime.evidence.__main__ import main
from synclint.runtime.evidence.compare import compare, hold_facts, hold_simulated, measured
from synclint.runtime.evidence.records import Control, Evidence, EvidenceError, Row, Seen, Stage, read
from synclint.runtime.evidence.snippets import Snippet, all_snippets, digest, disputed

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FOLDER = Path(__file__).parent.parent / "fixtures" / "evidence"
FILES = sorted(FOLDER.glob("*.json"))
MOST_DISAGREEMENTS = 20
SNIPPETS = all_snippets()


# ---------------------------------------------------------------------- the files that are there


def excused(file: str) -> dict[str, str]:
    """The rows of a file that may disagree, with the reason."""
    listed = tomllib.loads((FOLDER / "disagreements.toml").read_text(encoding="utf-8")).get("disagreement", [])
    assert all(entry.keys() == {"file", "row", "reason"} and len(entry["reason"]) > 20 for entry in listed)
    assert {entry["file"] for entry in listed} <= {path.name for path in FILES}
    assert len(listed) <= MOST_DISAGREEMENTS
    return {entry["row"]: entry["reason"] for entry in listed if entry["file"] == file}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_facts_and_simulated_device_agree_with_the_evidence(path: Path) -> None:
    evidence = read(path)
    found = [*hold_facts(all_facts(), SNIPPETS, evidence), *hold_simulated(evidence)]
    known = excused(path.name)
    assert not [one for one in found if one.row not in known]
    assert known.keys() <= {one.row for one in found}, "an entry of disagreements.toml no longer applies"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_evidence_is_whole(path: Path) -> None:
    evidence = read(path)
    assert evidence.controls
    assert all(control.answered for control in evidence.controls)
    assert {f"fact:{fact.id}" for fact in all_facts()} <= {row.id for row in evidence.rows}, "run it again"
    assert {row.id for row in evidence.rows if row.origin == "disputed"} == {row.id for row in disputed()}
    assert evidence.backend != "cuda" or evidence.cycles_per_second > 0


def test_a_fact_calls_itself_measured_only_if_a_gpu_was_asked(capsys: pytest.CaptureFixture[str]) -> None:
    by_gpu = measured(map(read, FILES))
    claimed = {fact.id for fact in all_facts() if any(evidence.kind == "gpu" for evidence in fact.evidence)}
    assert claimed <= by_gpu
    rows = sum(len(one.rows) for one in map(read, FILES) if one.backend == "cuda")
    with capsys.disabled():
        print(f"\n{rows} rows have GPU evidence; {len(by_gpu)} of {len(all_facts())} facts were measured")


def test_the_simulated_device_still_says_what_was_recorded(tmp_path: Path) -> None:
    """On the release at hand: all rows and, of the operators, a sample: all would take longer than a test may."""
    torch = pytest.importorskip("torch")
    release = torch.__version__.partition("+")[0]
    recorded = FOLDER / f"simulated-torch-{release}.json"
    if not recorded.exists():
        pytest.skip(f"there is no {recorded.name}")
    before, now = read(recorded), rerun(tmp_path)
    assert compare(before, now) == []
    errors = {(row.id, row.sha256): row.error for row in before.rows}
    again = [row for row in now.rows if (row.id, row.sha256) in errors]  # an example may be new since
    assert {row.id: row.error for row in again} == {row.id: errors[row.id, row.sha256] for row in again}
    assert len(again) > 100
    sampling = now.stages[-1]
    assert now.samples.keys() <= before.samples.keys()
    assert len(now.samples) > 10 or "expecttest" in sampling.reason


def rerun(folder: Path) -> Evidence:
    """In a child process: what is simulated stays so until the process ends."""
    out = folder / "new.json"
    command = [sys.executable, "-W", "ignore", "-m", "synclint.runtime.evidence", str(out), "--backend=simulated"]
    done = subprocess.run([*command, "--every=60", "--seconds=600"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return read(out)


# ---------------------------------------------------------------------- what may be in a file


def evidence(**changes: Any) -> Evidence:
    waits = Seen(True, (0.05,), ("the device slept 0.050 s",))
    rows = [
        Row("fact:scalar-read", "fact", "sync", sha256("fact:scalar-read"), {"sleep": waits, "trace": waits}),
        Row(
            "disputed:multinomial", "disputed", "none", sha256("disputed:multinomial"), {"sleep": Seen(False, (1e-5,))}
        ),
    ]
    made = Evidence(
        "cuda", "a GPU", {"torch": "2.13.0+cu130"}, "python -m ...", "2026-01-01", digest(SNIPPETS), 1.7e9,
        [Control("sleep", True, waits)], rows, {"add#float32": {"trace": "..S", "simulated": "..S"}},
        {"tests": 3}, {"nothing": [0.25]}, [Stage("controls", 1.5, ("disputed:sort",), "no time was left")],
    )  # fmt: skip
    return dataclasses.replace(made, **changes)


def sha256(id: str) -> str:
    return next(snippet.sha256 for snippet in SNIPPETS if snippet.id == id)


def test_a_file_gives_back_what_was_written(tmp_path: Path) -> None:
    evidence().write(tmp_path / "a.json")
    assert read(tmp_path / "a.json") == evidence()
    assert len((tmp_path / "a.json").read_text().splitlines()) > 15, "an entry to a line"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"synclint-evidence": 1', '"synclint-evidence": 2', "not evidence of version 1"),
        ('"synclint-evidence": 1', "", "not JSON"),
        ('"backend": "cuda"', '"backend": "metal"', "backend: 'metal'"),
        ('"device": "a GPU"', '"device": 3', "device: 3 is not str"),
        ('"device"', '"divice"', "key 'd"),
        ('"waits":true', '"waits":1', "waits: 1 is not bool"),
        ('"host":[0.05]', '"host":["fast"]', "host[0]: 'fast' is not float"),
        ('"host":[0.05]', '"host":0.05', "host: 0.05 is not"),
        ('"origin":"fact"', '"origin":"rule"', "is none of a rule"),
        ('"id":"disputed:multinomial","origin":"disputed"', '"id":"fact:scalar-read","origin":"fact"', "is used twice"),
        ('"pageable":false', '"pageable":false,"sure":true', "unknown key 'sure'"),
        ('"torch":"2.13.0+cu130"', '"python":"3"', "'torch' is missing"),
    ],
)
def test_anything_else_is_refused(tmp_path: Path, old: str, new: str, said: str) -> None:
    path = tmp_path / "a.json"
    evidence().write(path)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(EvidenceError, match=re.escape(said)) as raised:
        read(path)
    assert str(raised.value).startswith(f"{path}: ")


def test_a_disagreement_is_found() -> None:
    assert hold_facts(all_facts(), SNIPPETS, evidence()) == []
    (wrong,) = hold_facts(all_facts(), SNIPPETS, seen("fact:scalar-read", sleep=Seen(False, (1e-5,))))
    assert wrong == ("fact:scalar-read", "sync / does not wait")


def seen(id: str, *, text: str | None = None, error: str = "", **columns: Seen) -> Evidence:
    """Evidence of one row alone."""
    origin: Any = id.partition(":")[0]
    return evidence(rows=[Row(id, origin, "unknown", text or sha256(id), dict(columns), error)], samples={})


def test_behaviour_counts_for_more_than_reports() -> None:
    found = seen("fact:scalar-read", trace=Seen(False), sleep=Seen(True))
    assert hold_facts(all_facts(), SNIPPETS, found) == []
    unsure = seen("fact:scalar-read", trace=Seen(False), sleep=Seen(None, reason="memory was allocated"))
    assert len(hold_facts(all_facts(), SNIPPETS, unsure)) == 1


def test_a_changed_snippet_is_no_evidence() -> None:
    (wrong,) = hold_facts(all_facts(), SNIPPETS, seen("fact:scalar-read", text="0" * 64, sleep=Seen(True)))
    assert "has changed" in wrong.said
    assert measured([seen("fact:scalar-read", sleep=Seen(True), error="RuntimeError: no")]) == set()
    assert measured([seen("fact:scalar-read", sleep=Seen(True))]) == {"scalar-read"}


def test_facts_of_other_releases_are_not_held() -> None:
    old = seen("fact:host-mask-assignment", sleep=Seen(False))  # waited until 2.9
    assert hold_facts(all_facts(), SNIPPETS, old) == []
    old.versions["torch"] = "2.8.0"
    assert len(hold_facts(all_facts(), SNIPPETS, old)) == 1


def test_the_simulated_device_is_held_to_the_gpu_of_the_same_file() -> None:
    agreeing = seen("fact:scalar-read", sleep=Seen(True), simulated=Seen(True))
    assert hold_simulated(agreeing) == []
    assert hold_simulated(seen("fact:scalar-read", sleep=Seen(True), simulated=Seen(False))) == [
        ("fact:scalar-read", "waits / simulated: does not wait")
    ]
    (wrong,) = hold_simulated(evidence(rows=[], samples={"add#int64": {"trace": ".SE.", "simulated": ".ESS"}}))
    assert wrong == ("samples:add#int64", "1 of 4 samples, 3: ./S"), "where one raised, there is nothing to compare"


def test_a_simulated_answer_is_no_measurement() -> None:
    alone = dataclasses.replace(seen("fact:scalar-read", simulated=Seen(True)), backend="simulated")
    assert measured([alone]) == set()
    assert hold_facts(all_facts(), SNIPPETS, alone) == []


def test_two_files_are_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, other = tmp_path / "a.json", tmp_path / "b.json"
    evidence().write(one)
    evidence().write(other)
    assert main(["--diff", str(one), str(other)]) == 0
    changed = evidence(samples={"add#float32": {"trace": "..."}})
    changed.rows[0] = dataclasses.replace(changed.rows[0], seen={"sleep": Seen(False)}, value=[1])
    changed.write(other)
    capsys.readouterr()
    assert main(["--diff", str(one), str(other)]) == 1
    said = capsys.readouterr()
    assert said.out.splitlines() == [
        "fact:scalar-read: waits / does not wait",
        "samples:add#float32: 1 of 3 samples, 2: S/.",
    ]
    assert said.err == "2 differences in 2 rows and 1 operators\n"


# ---------------------------------------------------------------------- what runs


def test_the_disputed_run_first_and_all_facts_and_examples_run() -> None:
    origins = [snippet.origin for snippet in SNIPPETS]
    assert origins == sorted(origins, key=["disputed", "fact", "rule"].index)
    ids = [snippet.id for snippet in SNIPPETS]
    assert len(set(ids)) == len(ids)
    assert {f"fact:{fact.id}" for fact in all_facts()} <= set(ids)
    assert {"rule:SYN101/invalid-0/before", "rule:SYN101/invalid-0/fixed", "rule:SYN101/valid-0"} <= set(ids)
    assert {one.expected for one in SNIPPETS} <= {"sync", "pageable", "race", "host-cost", "none", "unknown"}


def test_the_hash_is_of_the_texts() -> None:
    changed = dataclasses.replace(SNIPPETS[0], run="pass")
    assert digest([changed, *SNIPPETS[1:]]) != digest(SNIPPETS)
    assert digest(SNIPPETS[::-1]) == digest(SNIPPETS)


@pytest.mark.parametrize("row", disputed(), ids=lambda row: row.id)
def test_disputed_rows_run(row: Snippet) -> None:
    """On the CPU in place of CUDA."""
    torch = pytest.importorskip("torch")

    def on_cpu(code: str) -> str:
        return code.replace("'cuda'", "'cpu'").replace('"cuda"', '"cpu"').replace(".pin_memory()", "")

    here = dataclasses.replace(row, setup=on_cpu(row.setup), run=on_cpu(row.run))
    space: dict[str, Any] = {"torch": torch}
    run = here.prepare(space)
    run()
    run()
    if row.value:
        json.dumps(eval(on_cpu(row.value), space))


def test_without_torchs_gpu_the_command_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    assert main([str(tmp_path / "a.json"), "--backend=cuda"]) == 2
    assert "torch sees no GPU" in capsys.readouterr().err
    assert main([]) == 2
    assert main([str(tmp_path / "a.json"), "--stages=rows,nothing"]) == 2
    assert "there is no stage nothing" in capsys.readouterr().err
    assert main(["--diff", str(tmp_path / "no.json"), str(tmp_path / "no.json")]) == 2
