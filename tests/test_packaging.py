from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tarfile
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

import synclint
from synclint.run import rule_names

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "synclint"


def build(target: str, source: Path, folder: Path) -> Path:
    command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(folder)]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    (archive,) = folder.iterdir()
    return archive


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("wheel", ROOT, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("sdist", ROOT, tmp_path_factory.mktemp("sdist"))


@pytest.fixture(scope="module")
def unpacked(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(sdist) as archive:
        if hasattr(tarfile, "data_filter"):
            archive.extractall(folder, filter="data")
        else:
            archive.extractall(folder)
    (top,) = folder.iterdir()
    return top


@pytest.fixture(scope="module")
def site(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def shipped() -> set[str]:
    """Every file of the package, those behind the link included."""
    paths = [*PACKAGE.rglob("*"), *(PACKAGE / "rules").rglob("*")]  # below Python 3.13, rglob leaves out the link
    kept = [path for path in paths if path.is_file() and "__pycache__" not in path.parts]
    return {path.relative_to(ROOT).as_posix() for path in kept}


def test_the_link_is_one_and_leads_to_the_rules() -> None:
    assert (PACKAGE / "rules").samefile(ROOT / "rules") or not (ROOT / "rules").exists()
    assert "synclint/rules/__init__.py" in shipped()


def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        entries = archive.infolist()
    names = {entry.filename for entry in entries if ".dist-info/" not in entry.filename}
    assert names == shipped()
    assert not [entry.filename for entry in entries if (entry.external_attr >> 16) & 0o170000 == 0o120000]
    assert any(entry.filename.endswith(".dist-info/licenses/LICENSE") for entry in entries)


def test_the_sdist_builds_the_same_wheel(unpacked: Path, wheel: Path, tmp_path: Path) -> None:
    assert (unpacked / "synclint" / "rules").is_dir()
    assert not (unpacked / "synclint" / "rules").is_symlink()
    with zipfile.ZipFile(build("wheel", unpacked, tmp_path)) as again, zipfile.ZipFile(wheel) as first:
        assert {entry.filename: entry.CRC for entry in again.infolist()} == {
            entry.filename: entry.CRC for entry in first.infolist()
        }


def test_the_installed_package_finds_its_rules(site: Path, tmp_path: Path) -> None:
    script = "import synclint, synclint.lint.engine as e; print(synclint.__file__, *(r.code for r in e.load_rules()))"
    environment = {**os.environ, "PYTHONPATH": str(site)}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env=environment, check=True, capture_output=True, text=True
    )
    file, *codes = done.stdout.split()
    assert Path(file).is_relative_to(site)
    assert len(codes) == len(list((ROOT / "synclint" / "rules").glob("*.py"))) - 1


def test_the_metadata(site: Path) -> None:
    (folder,) = site.glob("*.dist-info")
    metadata = Parser().parsestr((folder / "METADATA").read_text(encoding="utf-8"))
    assert metadata["Version"] == synclint.__version__
    assert metadata["License-Expression"] == "MIT"
    assert metadata["Requires-Python"] == ">=3.10"
    required = [line for line in metadata.get_all("Requires-Dist", []) if "extra ==" not in line]
    assert {re.split(r"[^a-z]", line)[0] for line in required} == {"libcst", "pathspec", "tomli"}
    for line in required:
        assert not re.search(r"<|==|~=", line.split(";")[0]), f"{line}: an upper cap"
    entry_points = (folder / "entry_points.txt").read_text(encoding="utf-8")
    assert "[console_scripts]\nsynclint = synclint.__main__:run" in entry_points
    named = entry_points.partition("[synclint.rules]\n")[2].partition("\n[")[0]
    assert named.strip() == "synclint = synclint.rules"  # what lint/packages.py takes for granted


def test_the_hooks_run_command_lines_that_parse() -> None:
    from synclint.cli.arguments import parse

    text = (ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8")
    hooks = [
        dict(re.findall(r"^[- ] (\w+): (.+)$", part, re.MULTILINE)) for part in re.split(r"(?m)^(?=- )", text) if part
    ]
    assert [hook["id"] for hook in hooks] == ["synclint", "synclint-fix"]
    for hook in hooks:
        program, *arguments = shlex.split(hook["entry"])
        options = parse([*arguments, "a.py", "b.py"])
        assert program == "synclint"
        assert options.force_exclude
        assert options.fix == (hook["id"] == "synclint-fix")
        assert not options.unsafe_fixes
        assert hook["require_serial"] == "true"


def test_the_first_example_of_the_readme_is_what_is_printed() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    example, *_ = re.findall(r"^```text\n(.*?)^```$", readme, re.MULTILINE | re.DOTALL)
    file = example.split(":")[0]
    command = [sys.executable, "-m", "synclint", file]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert example in done.stdout


def test_the_table_of_the_readme_names_every_rule() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (SYN\d+) \| `([a-z0-9-]+)` \|", readme, re.MULTILINE)
    assert rows == sorted(rule_names().items())


def test_ci_runs_the_test_command_of_the_readme() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"^ *(pip install .*pytest.*)$", readme, re.MULTILINE)
    assert command in (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
