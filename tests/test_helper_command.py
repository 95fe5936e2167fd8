"""``synclint helper``: the module that is written, and the one line of pyproject.toml that changes."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import synclint
from synclint.config import load
from synclint.fix import helper
from synclint.fix.helper import HelperError, install, module_text
from synclint.fix.write import WriteError, write_atomically
from synclint.lint import h2d
from synclint.lint.h2d import resolve
from synclint.source import Source

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

LINE = 'h2d-helper = "pkg.h2d:async_tensor_h2d"'


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A project with one package; the path of the module to be."""
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "pkg"\n')
    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg" / "__init__.py").touch()
    (tmp_path / "pkg" / "model.py").write_text("import torch\n")
    return tmp_path / "pkg" / "h2d.py"


def test_what_is_written_makes_fixes_safe(package: Path) -> None:
    installed = install(package)
    root = package.parent.parent
    assert installed.setting == "pkg.h2d:async_tensor_h2d"
    assert installed.written == (package, root / "pyproject.toml")
    settings = load(root)
    assert settings.h2d_helper == installed.setting
    h2d._parsed.cache_clear()
    found = resolve(Source.read(package.parent / "model.py"), settings).helper
    assert found is not None
    assert (found.dotted, found.promise("tensor")[0].value) == ("pkg.h2d.async_tensor_h2d", "safe")


def test_the_module_says_where_it_comes_from_and_is_the_helper(package: Path) -> None:
    install(package)
    text = package.read_text()
    assert text.startswith(f"# async_tensor_h2d: written by `synclint helper` of synclint {synclint.__version__}, ")
    assert "# Permission is hereby granted, free of charge" in text
    own = h2d.OWN_FILE.read_text()
    assert text.endswith(own)
    assert ast.dump(ast.parse(text)) == ast.dump(ast.parse(own))


def test_the_notice_is_the_licence() -> None:
    licence = Path(synclint.__file__).parent.parent / "LICENSE"
    if not licence.is_file():
        pytest.skip("installed without its repository")
    assert licence.read_text() == helper.LICENCE


def test_the_module_works_in_its_package(package: Path) -> None:
    pytest.importorskip("torch")
    install(package)
    program = "from pkg.h2d import async_tensor_h2d; print(async_tensor_h2d([1, 2]).tolist())"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=package.parent.parent, env=environment, capture_output=True, text=True
    )
    assert done.stdout.strip() == "[1, 2]", done.stderr


def test_a_second_run_changes_nothing(package: Path) -> None:
    install(package)
    assert install(package).written == ()
    package.write_text(ast.unparse(ast.parse(package.read_text())))  # as a formatter might
    assert install(package).written == ()
    assert install(package, force=True).written == (package,)


def test_an_earlier_version_is_renewed(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    earlier = package.parent / "earlier.py"
    earlier.write_text(h2d.OWN_FILE.read_text().replace("source.numel()", "source.numel() > 1"))
    with monkeypatch.context() as patch:
        patch.setattr(helper, "OWN_FILE", earlier)
        patch.setattr(helper, "__version__", "0.0.1")
        text = module_text()
    for newline in ("\n", "\r\n"):
        package.write_bytes(text.replace("\n", newline).encode())
        assert package in install(package).written
        assert package.read_text() == module_text()


@pytest.mark.parametrize("change", [("numel() > 1", "numel() > 2"), ("# MIT License", "# Mine")])
def test_a_changed_copy_is_kept(change: tuple[str, str], package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    earlier = package.parent / "earlier.py"
    earlier.write_text(h2d.OWN_FILE.read_text().replace("source.numel()", "source.numel() > 1"))
    with monkeypatch.context() as patch:
        patch.setattr(helper, "OWN_FILE", earlier)
        text = module_text()
    assert change[0] in text
    package.write_text(text.replace(*change))
    assert_refused(package, "was changed since")
    install(package, force=True)
    assert package.read_text() == module_text()


def assert_refused(path: Path, words: str) -> None:
    root = path.parent.parent
    files = {file: file.read_bytes() for file in root.rglob("*") if file.is_file()}
    with pytest.raises(HelperError, match=words):
        install(path)
    assert {file: file.read_bytes() for file in root.rglob("*") if file.is_file()} == files


@pytest.mark.parametrize("text", ["x = 1\n", "", "def broken(:\n", "# async_tensor_h2d: written by hand\n"])
def test_another_file_is_not_overwritten(text: str, package: Path) -> None:
    package.write_text(text)
    assert_refused(package, "is not the helper; --force")
    assert package in install(package, force=True).written


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("pkg/h2d", "must end in .py"),
        ("pkg", "must end in .py"),
        ("pkg/none/h2d.py", "not a folder"),
        ("pkg/h2d-copy.py", "cannot be imported"),
        ("pkg/class.py", "cannot be imported"),
        ("plain/h2d.py", "cannot be imported"),
    ],
)
def test_a_path_that_is_no_module_is_refused(name: str, words: str, package: Path) -> None:
    root = package.parent.parent
    (root / "plain").mkdir()
    with pytest.raises(HelperError, match=words):
        install(root / name)
    assert not list(root.rglob("h2d*"))
    assert "synclint" not in (root / "pyproject.toml").read_text()


@pytest.mark.parametrize(("name", "module"), [("src/pkg/h2d.py", "pkg.h2d"), ("h2d.py", "h2d"), ("src/h2d.py", "h2d")])
def test_where_a_module_may_stand(name: str, module: str, package: Path) -> None:
    path = package.parent.parent / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if "pkg" in name:
        (path.parent / "__init__.py").touch()
    assert install(path).setting == f"{module}:async_tensor_h2d"


def test_relative_paths_start_at_the_working_directory(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(package.parent)
    assert install("h2d.py").module == package


# ---------------------------------------------------------------------- pyproject.toml


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", f"[tool.synclint]\n{LINE}\n"),
        ("[project]\nname = 'a'\n", f"[project]\nname = 'a'\n\n[tool.synclint]\n{LINE}\n"),
        ("[project]\nname = 'a'", f"[project]\nname = 'a'\n\n[tool.synclint]\n{LINE}\n"),
        ("[project]\r\nname = 'a'\r\n", f"[project]\r\nname = 'a'\r\n\r\n[tool.synclint]\r\n{LINE}\r\n"),
        ("[tool.synclint]\nselect = []\n[b]\n", f"[tool.synclint]\n{LINE}\nselect = []\n[b]\n"),
        ("[tool.synclint]", f"[tool.synclint]\n{LINE}\n"),
        (
            " [ tool . 'synclint' ] # ours\r\nheat = 'hot'\r\n",
            f" [ tool . 'synclint' ] # ours\r\n{LINE}\r\nheat = 'hot'\r\n",
        ),
        ("[tool.synclint]\nh2d-helper = 'a:b' # why\n", f"[tool.synclint]\n{LINE} # why\n"),
        ('[tool.synclint]\n  \'h2d-helper\'="a\\"b"\n[c]\n', f"[tool.synclint]\n  'h2d-helper'={LINE[13:]}\n[c]\n"),
        (f"[tool.synclint]\n{LINE}", f"[tool.synclint]\n{LINE}"),
        (f"[tool.synclint]\n{LINE}".replace('"', "'"), f"[tool.synclint]\n{LINE}".replace('"', "'")),
        ("a = '''\n[tool.synclint]\n'''\n", f"a = '''\n[tool.synclint]\n'''\n\n[tool.synclint]\n{LINE}\n"),
        (
            'a = """\n[tool.synclint]\nh2d-helper = "x:y"\n"""\n[tool.synclint]\nh2d-helper = "x:y"\n',
            f'a = """\n[tool.synclint]\nh2d-helper = "x:y"\n"""\n[tool.synclint]\n{LINE}\n',
        ),
        ("[other]\nh2d-helper = 'a:b'\n[tool.synclint]\n", f"[other]\nh2d-helper = 'a:b'\n[tool.synclint]\n{LINE}\n"),
        (
            "[tool.synclint.per-file-ignores]\n'a.py' = ['ALL']\n",
            f"[tool.synclint.per-file-ignores]\n'a.py' = ['ALL']\n\n[tool.synclint]\n{LINE}\n",
        ),
        ("[tool]\nsynclint.h2d-helper = 'a:b'\n", f"[tool]\nsynclint.{LINE}\n"),
        ("[tool]\nsynclint = {h2d-helper = 'a:b'}\n", f"[tool]\nsynclint = {{{LINE}}}\n"),
        ("[tool]\nsynclint = {heat = 'hot'}\n", None),
        ("[tool.synclint]\nh2d-helper = '''\na:b'''\n", None),
        ("[tool]\nsynclint = 1\n", None),
        ("tool = 1\n", None),
        ("[tool.synclint\n", None),
        ("# \udcff\n", None),
    ],
)
def test_one_line_changes_and_the_rest_stays(before: str, after: str | None, package: Path) -> None:
    path = package.parent.parent / "pyproject.toml"
    path.write_bytes(before.encode(errors="surrogateescape"))
    if after is None:
        assert_refused(package, "pyproject.toml")
        return
    install(package)
    assert path.read_bytes().decode() == after
    assert tomllib.loads(after)["tool"]["synclint"]["h2d-helper"] == "pkg.h2d:async_tensor_h2d"


def test_the_file_that_configures_synclint_is_preferred_to_a_nearer_one(package: Path) -> None:
    root = package.parent.parent
    (root / "pyproject.toml").write_text("[tool.synclint]\nheat = 'hot'\n")
    (package.parent / "pyproject.toml").write_text("[tool.other]\n")
    assert install(package).pyproject == root / "pyproject.toml"
    assert (package.parent / "pyproject.toml").read_text() == "[tool.other]\n"


def test_without_a_pyproject_nothing_is_written(package: Path) -> None:
    (package.parent.parent / "pyproject.toml").unlink()
    if any((folder / "pyproject.toml").exists() for folder in package.parents):
        pytest.skip("the temporary folder lies in a project")
    assert_refused(package, "there is no pyproject.toml above")


def test_a_pyproject_that_cannot_be_written_says_what_was(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, data: bytes, *, before: bytes | None) -> None:
        if path.suffix == ".toml":
            raise WriteError(str(path), "permission denied")
        write_atomically(path, data, before=before)

    monkeypatch.setattr(helper, "write_atomically", refuse)
    with pytest.raises(HelperError, match=r"permission denied.*h2d\.py was written"):
        install(package)
    assert package.is_file()
