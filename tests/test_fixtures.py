"""Real cases in our own words: what is found in ``fixtures/*/before.py``, and that fixing it gives ``after.py``.

``findings.txt`` is what ``synclint --output-format concise before.py`` prints in the folder, whose own settings count.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from synclint.cli import main

FIXTURES = Path(__file__).parent.parent / "fixtures"
CASES = sorted(path.parent.name for path in FIXTURES.glob("*/before.py"))


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of one fixture, as the working directory and with a project file of its own."""
    name = str(request.param)
    folder = tmp_path / name
    shutil.copytree(FIXTURES / name, folder)
    project = folder / "pyproject.toml"
    if not project.exists():
        project.write_text("[tool.synclint]\n", encoding="utf-8")
    monkeypatch.chdir(folder)
    return folder


def test_the_cases_are_there() -> None:
    assert {"vllm_42347_clamp", "vllm_34246", "vllm_34246_before_torch_2_9"} <= set(CASES)


def test_findings_are_those_written_down(case: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["--output-format=concise", "before.py"])
    assert capsys.readouterr().out == (case / "findings.txt").read_text(encoding="utf-8")


def test_fixing_gives_the_text_written_down(case: Path) -> None:
    main(["--fix", "--unsafe-fixes", "before.py"])
    assert (case / "before.py").read_bytes() == (case / "after.py").read_bytes()


def test_the_fixed_text_compiles(case: Path) -> None:
    compile((case / "after.py").read_bytes(), "after.py", "exec", dont_inherit=True)


def test_fixing_again_changes_nothing(case: Path) -> None:
    before = (case / "after.py").read_bytes()
    main(["--fix", "--unsafe-fixes", "after.py"])
    assert (case / "after.py").read_bytes() == before
