from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from synclint.config import ConfigError, Settings, load, read_target_torch
from synclint.discover import DEFAULT_EXCLUDE
from synclint.finding import Confidence, Heat


def project(folder: Path, text: str) -> Path:
    (folder / "pyproject.toml").write_text(text, encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("line", "field", "value"),
    [
        ('select = ["SYN1", "scalar-read"]', "select", ("SYN1", "scalar-read")),
        ('ignore = ["SYN7"]', "ignore", ("SYN7",)),
        ('extend-select = ["SYN701"]', "extend_select", ("SYN701",)),
        ('per-file-ignores = { "tests/*" = ["SYN2"] }', "per_file_ignores", (("tests/*", ("SYN2",)),)),
        ('exclude = ["third_party"]', "exclude", ("third_party",)),
        ('extend-exclude = ["gen"]', "extend_exclude", ("gen",)),
        ("force-exclude = true", "force_exclude", True),
        ("respect-gitignore = false", "respect_gitignore", False),
        ('confidence = "possible"', "confidence", Confidence.POSSIBLE),
        ('heat = "hot"', "heat", Heat.HOT),
        ('h2d-helper = "pkg.utils:to_gpu"', "h2d_helper", "pkg.utils:to_gpu"),
        ('target-torch = ">=2.9,<2.12"', "target_torch", (2, 9)),
    ],
)
def test_reads_a_key(tmp_path: Path, line: str, field: str, value: object) -> None:
    settings = load(project(tmp_path, f"[tool.synclint]\n{line}\n"))
    assert getattr(settings, field) == value
    assert getattr(settings, field) != getattr(Settings(), field)


def test_defaults_without_configuration(tmp_path: Path) -> None:
    settings = load(project(tmp_path, "[build-system]\nrequires = []\n"))
    assert settings == Settings(root=tmp_path)
    assert (settings.confidence, settings.heat) == (Confidence.LIKELY, Heat.WARM)
    assert settings.exclude == DEFAULT_EXCLUDE


@pytest.mark.parametrize(
    ("text", "line", "key", "message"),
    [
        ("[tool.synclint]\n\nselct = []", 3, "selct", "unknown key; did you mean `select`?"),
        ("[tool.synclint]\nextend_select = []", 2, "extend_select", "unknown key; did you mean `extend-select`?"),
        ("[tool.synclint]\nzzz = []", 2, "zzz", "unknown key"),
        ('[tool.synclint]\nheat = "hot"\nselect = "SYN1"', 3, "select", "expected a list of strings"),
        ("[tool.synclint]\nignore = [1]", 2, "ignore", "expected a list of strings"),
        ("[tool.synclint]\nforce-exclude = 1", 2, "force-exclude", "expected true or false"),
        ('[tool.synclint]\nheat = "tepid"', 2, "heat", """expected "cold", "warm" or "hot", not 'tepid'"""),
        ("[tool.synclint]\nconfidence = []", 2, "confidence", 'expected "possible", "likely" or "certain", not []'),
        (
            '[tool.synclint]\nh2d-helper = "pkg.h2d"',
            2,
            "h2d-helper",
            'expected a string such as "package.module:function"',
        ),
        ("[tool.synclint]\ntarget-torch = 2.9", 2, "target-torch", 'expected a version such as "2.9" or a range'),
        ("[tool.synclint]\nper-file-ignores = []", 2, "per-file-ignores", "expected a table of file patterns"),
        ('[tool.synclint.per-file-ignores]\n"a.py" = 3', 1, "per-file-ignores", "'a.py': expected a list of strings"),
        ("[tool]\nsynclint.selct = []", 2, "selct", "unknown key"),
        ("[tool]\nsynclint = { selct = [] }", 2, "selct", "unknown key"),
    ],
)
def test_refuses_with_place_and_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, line: int, key: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as caught:
        load(project(tmp_path, text))
    assert str(caught.value).startswith(f"pyproject.toml:{line}: tool.synclint.{key}: {message[:20]}")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("[tool.synclint]\nselect = [\n", "pyproject.toml:"),
        ("[tool]\nsynclint = 1\n", "pyproject.toml:2: tool.synclint: expected a table"),
    ],
)
def test_refuses_a_broken_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, start: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as caught:
        load(project(tmp_path, text))
    assert str(caught.value).startswith(start)


def test_a_broken_file_of_others_is_not_parsed(tmp_path: Path) -> None:
    assert load(project(tmp_path, "[tool.other\n")) == Settings(root=tmp_path)


def test_nearest_table_counts_and_others_are_passed_over(tmp_path: Path) -> None:
    project(tmp_path, '[tool.synclint]\nheat = "hot"\n[project]\nname = "outer"\ndependencies = ["outer-dep"]\n')
    inner = tmp_path / "inner"
    (inner / "src").mkdir(parents=True)
    project(inner, '[project]\nname = "inner"\ndependencies = ["Inner_Dep[extra]>=2"]\n')
    settings = load(inner / "src" / "not-there.py")
    assert settings.heat is Heat.HOT
    assert settings.root == tmp_path
    assert settings.dependencies == {"inner-dep"}


def test_root_without_configuration_is_the_repository(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / "a" / "b").mkdir(parents=True)
    assert load(tmp_path / "a" / "b").root == tmp_path


@pytest.mark.parametrize(
    ("requirement", "name"),
    [
        ("synclint", "synclint"),
        ("Foo.Bar_baz >= 1", "foo-bar-baz"),
        ("torch==2.9.*", "torch"),
        ("pkg @ file:///somewhere", "pkg"),
        ("synclint; sys_platform == 'linux'", None),
    ],
)
def test_dependencies_are_the_unconditional_ones(tmp_path: Path, requirement: str, name: str | None) -> None:
    text = (
        f"[project]\nname = 'x'\ndependencies = [\"{requirement}\"]\n[project.optional-dependencies]\na = ['extra']\n"
    )
    assert load(project(tmp_path, text)).dependencies == ({name} if name else set())


@pytest.mark.parametrize(
    ("text", "version"),
    [("2.9", (2, 9)), ("2.10.1", (2, 10)), (">=2.9,<2.12", (2, 9)), ("~=2.8", (2, 8)), ("==2.7.*", (2, 7))],
)
def test_target_torch_is_the_oldest(text: str, version: tuple[int, int]) -> None:
    assert read_target_torch(text) == version


@pytest.mark.parametrize("value", [2.9, "2", "new", "<2.12", ">=2.9;<3", ""])
def test_target_torch_refuses(value: Any) -> None:
    with pytest.raises(ValueError, match="expected a version"):
        read_target_torch(value)


def test_a_change_of_the_file_is_seen(tmp_path: Path) -> None:
    assert load(project(tmp_path, '[tool.synclint]\nheat = "hot"\n')).heat is Heat.HOT
    assert load(project(tmp_path, '[tool.synclint]\nheat = "cold" # longer\n')).heat is Heat.COLD
