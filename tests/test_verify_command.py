"""`synclint verify` from end to end, on the simulated device: the vLLM cases, and what it does to a user's tree."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from synclint.cli import main

pytest.importorskip("torch")

FIXTURES = Path(__file__).parent.parent / "fixtures"


def copy_of(name: str, folder: Path) -> Path:
    shutil.copytree(FIXTURES / name, folder / name)
    project = folder / name / "pyproject.toml"
    if not project.exists():
        project.write_text("[tool.synclint]\n", encoding="utf-8")
    return folder / name


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, Any]]:
    words = ["verify", "--backend=simulated", "--output-format=json", *arguments]
    status = main(words)
    captured = capsys.readouterr()
    return status, json.loads(captured.out or "{}") | {"stderr": captured.err}


def verdicts(report: dict[str, Any]) -> dict[int, str]:
    return {found["line"]: fix["verdict"] for fix in report["fixes"] for found in fix["findings"]}


CASES = {
    "vllm_39234": {43: "removed", 51: "removed", 60: "removed", 69: "removed", 75: "removed"},
    "vllm_40143": {
        30: "same results", 37: "same results", 41: "same results",
        59: "reduced", 64: "reduced", 66: "reduced", 92: "same results", 94: "same results",
        107: "reduced", 108: "reduced",
    },
    "vllm_42347_clamp": {14: "removed", 34: "removed", 42: "removed", 56: "removed"},
    "vllm_42347_isin_list": {
        10: "removed", 25: "removed", 29: "removed", 43: "removed", 44: "removed", 45: "removed", 51: "removed",
        52: "removed",
    },
    "vllm_34246": {20: "same results", 35: "same results"},
}  # fmt: skip


def test_proofs_need_a_gpu_and_nothing_is_run_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    monkeypatch.chdir(copy_of("vllm_42347_clamp", tmp_path))
    ran = tmp_path / "ran"
    command = ["-c", f"open({str(ran)!r}, 'w')"]
    assert main(["verify", "--prove", "--unsafe-fixes", "before.py", "--", *command]) == 2
    assert "the back end 'cuda' needs a GPU" in capsys.readouterr().err
    assert not ran.exists()
    with pytest.raises(SystemExit) as left:
        main(["verify", "--prove", "--backend=simulated", "before.py", "--", *command])
    assert left.value.code == 2
    assert "--prove needs a GPU" in capsys.readouterr().err


@pytest.mark.parametrize("name", CASES)
def test_a_case_waits_before_and_not_after(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = copy_of(name, tmp_path)
    monkeypatch.chdir(folder)
    before = {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    status, report = run(capsys, "--unsafe-fixes", "before.py", "--", "exercise.py")
    assert verdicts(report) == CASES[name], report
    assert (status, report["holds"], report["differences"]) == (0, True, []), report
    assert {path: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before
    fewer = sum(fix["before"]["count"] - fix["after"]["count"] for fix in report["fixes"])
    fewer += sum(line["before"] - line["after"] for line in report["elsewhere"])
    assert fewer > 0
    if name == "vllm_34246":  # it is the backward of `masked_scatter_` that waited
        assert [(line["path"], line["after"]) for line in report["elsewhere"]] == [("exercise.py", 0)]
