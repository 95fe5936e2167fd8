"""``synclint clean``: what synclint keeps of a project goes, and nothing else."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from synclint import cache
from synclint.cli import main
from synclint.discover import DEFAULT_EXCLUDE

READS = """\
import torch


def f() -> float:
    return torch.ones(3, device="cuda").sum().item()
"""


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "project"
    (root / "package").mkdir(parents=True)
    (root / "pyproject.toml").touch()
    (root / "package" / "reads.py").write_text(READS)
    monkeypatch.chdir(root)
    return root


def store(folder: Path) -> Path:
    """The store in a folder."""
    [found] = cache.stores(folder)
    return found


def kept(root: Path) -> Path:
    """The folder that a run keeps."""
    main(["check", "--exit-zero", str(root)])
    assert store(root / cache.FOLDER).is_file()
    return root / cache.FOLDER


def test_the_folder_is_not_searched_for_code() -> None:
    assert cache.FOLDER in DEFAULT_EXCLUDE


def everything(root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*"))


@pytest.mark.parametrize("path", [None, ".", "package", "package/reads.py"])
def test_the_cache_goes_and_the_project_stays(
    project: Path, path: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    before = everything(project)
    kept(project)
    capsys.readouterr()
    assert main(["clean"] if path is None else ["clean", path]) == 0
    assert everything(project) == before
    assert capsys.readouterr() == (f"{cache.FOLDER}: removed\n", "")


def test_where_nothing_is_kept_nothing_is_removed(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = everything(project)
    assert main(["clean"]) == 0
    assert capsys.readouterr() == ("", "Nothing to remove.\n")
    assert everything(project) == before


def test_projects_below_a_folder_are_cleaned_those_beside_it_are_not(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("below", "beside"):
        (project / name).mkdir()
        (project / name / "pyproject.toml").touch()
        (project / name / "reads.py").write_text(READS)
    below, beside = kept(project / "below"), kept(project / "beside")
    capsys.readouterr()
    assert main(["clean", "below", "below/reads.py"]) == 0
    assert capsys.readouterr().out == f"below/{cache.FOLDER}: removed\n"
    assert not below.exists()
    assert beside.exists()
    assert main(["clean", "."]) == 0
    assert capsys.readouterr().out == f"beside/{cache.FOLDER}: removed\n"


def test_installed_packages_and_the_like_are_not_searched(project: Path) -> None:
    (project / ".venv" / "other").mkdir(parents=True)
    (project / ".venv" / "other" / "pyproject.toml").touch()
    (project / ".venv" / "other" / "reads.py").write_text(READS)
    folder = kept(project / ".venv" / "other")
    main(["clean"])
    assert folder.exists()


def test_a_folder_without_a_store_is_left_alone(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / cache.FOLDER).mkdir()
    (project / cache.FOLDER / "notes.txt").write_text("mine")
    before = everything(project)
    assert main(["clean"]) == 0
    assert everything(project) == before
    out, error = capsys.readouterr()
    assert out == ""
    assert error.startswith(f"synclint: warning: {cache.FOLDER} is left alone")


@pytest.mark.parametrize("name", ["notes.txt", "folder"])
def test_what_synclint_did_not_make_stays(project: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    folder = kept(project)
    (folder / "notes.txt").write_text("mine") if name == "notes.txt" else (folder / name).mkdir()
    capsys.readouterr()
    assert main(["clean"]) == 0
    assert sorted(os.listdir(folder)) == [".gitignore", name]
    assert capsys.readouterr().out.endswith(f"did not make: {name}\n")


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege")
def test_a_link_is_left_alone(project: Path, tmp_path: Path) -> None:
    elsewhere = kept(project).rename(tmp_path / "elsewhere")
    (project / cache.FOLDER).symlink_to(elsewhere)
    assert main(["clean"]) == 0
    assert store(elsewhere).is_file()
    assert (project / cache.FOLDER).is_symlink()


def test_a_damaged_store_goes_too(project: Path) -> None:
    folder = kept(project)
    damaged = store(folder)
    damaged.write_bytes(b"no database")
    damaged.with_name(f"{damaged.name}-journal").touch()
    assert main(["clean"]) == 0
    assert not folder.exists()


def test_a_path_that_does_not_exist_is_an_error(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = kept(project)
    capsys.readouterr()
    assert main(["clean", ".", "no_such"]) == 2
    assert capsys.readouterr() == ("", "synclint: error: no_such: no such file or directory\n")
    assert folder.exists()


def test_what_cannot_be_removed_is_an_error(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(path: str) -> None:
        raise PermissionError(13, "Permission denied", path)

    kept(project)
    capsys.readouterr()
    monkeypatch.setattr(os, "remove", refuse)
    assert main(["clean"]) == 2
    expected = f"synclint: error: {cache.FOLDER} cannot be removed: Permission denied\n"
    assert capsys.readouterr() == ("", expected)
