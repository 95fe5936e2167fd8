from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from synclint.discover import DEFAULT_EXCLUDE, DiscoverError, discover


def build(root: Path, *files: str) -> None:
    for name in files:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("x = 1\n")


def found(root: Path, *paths: str, **options: object) -> list[str]:
    """What discovery finds, as POSIX paths relative to ``root``."""
    arguments = {"root": root, **options}
    files = discover([root / path for path in paths or ("",)], **arguments)  # type: ignore[arg-type]
    return [file.relative_to(root).as_posix() for file in files]


def test_python_files_below_a_directory_in_order(tmp_path: Path) -> None:
    build(tmp_path, "b.py", "a.pyi", "c/b.py", "c/a.txt", "c.py", "d/e/f.py", "README", "g.ipynb", "é.py", "x.pyc")
    assert found(tmp_path) == ["a.pyi", "b.py", "c.py", "c/b.py", "d/e/f.py", "é.py"]


def test_overlapping_paths_give_each_file_once(tmp_path: Path) -> None:
    build(tmp_path, "a/b.py", "a/c/d.py")
    assert found(tmp_path, "a/c/d.py", "", "a", "a/c/d.py", "a/../a/c") == ["a/b.py", "a/c/d.py"]


def test_paths_come_back_as_they_were_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build(tmp_path, "a/b.py", "c.py")
    monkeypatch.chdir(tmp_path)
    assert discover(["."]) == [Path("a/b.py"), Path("c.py")]
    assert discover(["./a", tmp_path / "c.py"]) == [Path("a/b.py"), tmp_path / "c.py"]
    monkeypatch.chdir(tmp_path / "a")
    assert discover([".."]) == [Path("../a/b.py"), Path("../c.py")]


def test_directories_that_hold_no_source_of_the_project_are_left_out(tmp_path: Path) -> None:
    build(
        tmp_path, "a.py", *(f"{name}/x.py" for name in DEFAULT_EXCLUDE), *(f"p/{name}/x.py" for name in DEFAULT_EXCLUDE)
    )
    assert found(tmp_path) == ["a.py"]
    assert "venv/x.py" in found(tmp_path, exclude=())


@pytest.mark.parametrize("named", ["build/generated.py", "script", "ignored.py", "a.txt"])
def test_a_named_file_is_linted_whatever_its_name(tmp_path: Path, named: str) -> None:
    build(tmp_path, "build/generated.py", "script", "ignored.py", "a.txt", ".git/config")
    (tmp_path / ".gitignore").write_text("ignored.py\n")
    assert found(tmp_path, named) == [named]


@pytest.mark.parametrize(
    ("pattern", "hidden"),
    [
        ("gen", True),
        ("gen/", True),
        ("/a/gen", True),
        ("a/gen/x.py", True),
        ("*.py", True),
        ("x.*", True),
        ("a/**/x.py", True),
        ("/gen", False),
        ("/x.py", False),
        ("x.py/", False),
        ("b", False),
    ],
)
def test_force_exclude_applies_to_named_paths(tmp_path: Path, pattern: str, hidden: bool) -> None:
    build(tmp_path, "a/gen/x.py")
    for exclude, extend in (((pattern,), ()), ((), (pattern,))):
        options = {"exclude": exclude, "extend_exclude": extend}
        assert found(tmp_path, "a/gen/x.py", **options) == ["a/gen/x.py"]
        assert found(tmp_path, "a/gen/x.py", force_exclude=True, **options) == ([] if hidden else ["a/gen/x.py"])
        assert found(tmp_path, **options) == ([] if hidden else ["a/gen/x.py"])


def test_force_exclude_leaves_what_git_ignores(tmp_path: Path) -> None:
    build(tmp_path, "a.py", ".git/config")
    (tmp_path / ".gitignore").write_text("a.py\n")
    assert found(tmp_path, "a.py", force_exclude=True) == ["a.py"]


def test_a_named_directory_is_searched_even_if_it_is_excluded(tmp_path: Path) -> None:
    build(tmp_path, "build/lib/a.py", "build/lib/skip/b.py", "build/lib/_x.py", ".git/config")
    (tmp_path / ".gitignore").write_text("/build*/\nlib\nskip\n_*.py\n")
    assert found(tmp_path) == []
    assert found(tmp_path, "build/lib") == ["build/lib/a.py"]
    assert found(tmp_path, "build", extend_exclude=["build/lib"]) == []
    assert found(tmp_path, "build/lib", extend_exclude=["build"], force_exclude=True) == []


def test_patterns_hold_below_their_root_alone(tmp_path: Path) -> None:
    build(tmp_path, "build/project/src/a.py", "build/other/b.py", "build/other/src/c.py")
    root = tmp_path / "build" / "project"
    files = discover([root, tmp_path / "build/other"], root=root, extend_exclude=["/src/a*"], force_exclude=True)
    assert [file.name for file in files] == ["b.py", "c.py"]


def test_paths_that_cannot_be_searched_are_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build(tmp_path, "a.py", "closed/b.py")
    (tmp_path / "broken.py").symlink_to("nowhere")
    for path, reason in (
        ("none", "no such file"),
        ("broken.py", "no such file"),
        ("a.py/b", "not a dir"),
        ("\0", "null"),
    ):
        with pytest.raises(DiscoverError, match=reason) as caught:
            discover([tmp_path / "a.py", path if path == "\0" else tmp_path / path])
        assert path in str(caught.value)

    listing = os.scandir

    def refuse(path: str) -> object:
        if os.fspath(path).endswith("closed"):
            raise PermissionError(13, "Permission denied")
        return listing(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert found(tmp_path) == ["a.py", "closed"]  # reading it will say why
    with pytest.raises(DiscoverError, match="closed: permission denied"):
        found(tmp_path, "closed")


def test_odd_entries_do_no_harm(tmp_path: Path) -> None:
    build(tmp_path, "dir.py/inner.py", "real/a.py", "other/b.py")
    (tmp_path / "real" / "loop").symlink_to(tmp_path)
    (tmp_path / "self.py").symlink_to("self.py")
    (tmp_path / "broken.py").symlink_to("nowhere.py")
    (tmp_path / "linked").symlink_to("real")
    (tmp_path / "again.py").symlink_to("real/a.py")
    os.mkfifo(tmp_path / "pipe.py")
    assert found(tmp_path) == ["dir.py/inner.py", "other/b.py", "real/a.py"]
    assert found(tmp_path, "dir.py") == ["dir.py/inner.py"]
    assert found(tmp_path, "linked") == ["linked/a.py"]
    (tmp_path / "other" / "one.py").symlink_to("../real/a.py")
    (tmp_path / "other" / "two.py").symlink_to("../real/a.py")
    assert found(tmp_path, "other") == ["other/b.py", "other/one.py"]


def test_directories_deeper_than_the_recursion_limit(tmp_path: Path) -> None:
    deepest = os.fspath(tmp_path)
    for _ in range(1200):
        deepest += "/d"
        os.mkdir(deepest)
    build(Path(deepest), "x.py")
    try:
        assert len(found(tmp_path)) == 1
    finally:  # shutil.rmtree, with which pytest cleans up, recurses
        os.remove(deepest + "/x.py")
        while deepest != os.fspath(tmp_path):
            os.rmdir(deepest)
            deepest = os.path.dirname(deepest)


# ---------------------------------------------------------------------- git


@pytest.mark.parametrize(
    ("ignore", "expected"),
    [
        ({}, ["a.py", "b/a.py", "b/c/a.py", "b/c/d.py"]),
        ({".gitignore": "a.py\n"}, ["b/c/d.py"]),
        ({".gitignore": "\ufeff/a.py\r\n# b\r\n\r\n"}, ["b/a.py", "b/c/a.py", "b/c/d.py"]),
        ({".gitignore": "a.py\n!b/a.py\n"}, ["b/a.py", "b/c/d.py"]),
        ({".gitignore": "b/\n!b/a.py\n"}, ["a.py"]),
        ({".gitignore": "*\n!*/\n!d.py\n"}, ["b/c/d.py"]),
        ({".gitignore": "a.py\n", "b/.gitignore": "!a.py\nc/*\n!/c/a.py"}, ["b/a.py", "b/c/a.py"]),
        ({".git/info/exclude": "a.py\n", "b/.gitignore": "!/a.py"}, ["b/a.py", "b/c/d.py"]),
        ({".gitignore": "b/**/a.py\n"}, ["a.py", "b/c/d.py"]),
        ({".gitignore": "b/**\n!b/a.py\n"}, ["a.py", "b/a.py"]),
        ({".gitignore": "\\a.py\n"}, ["b/c/d.py"]),
        ({".gitignore": "[\n!\n/\n**/c\n\\\n[z-a]"}, ["a.py", "b/a.py"]),
        ({"b/.git/config": "", ".gitignore": "c/\n"}, ["a.py", "b/a.py", "b/c/a.py", "b/c/d.py"]),
        ({"b/.git/info/exclude": "c/", ".gitignore": "a.py\n"}, ["b/a.py"]),
    ],
)
def test_what_git_ignores_is_left_out(tmp_path: Path, ignore: dict[str, str], expected: list[str]) -> None:
    build(tmp_path, "a.py", "b/a.py", "b/c/a.py", "b/c/d.py", ".git/config")
    for name, text in ignore.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(text.encode())
    assert found(tmp_path) == expected
    assert found(tmp_path, respect_gitignore=False) == ["a.py", "b/a.py", "b/c/a.py", "b/c/d.py"]


def test_ignore_files_above_count_up_to_the_repository(tmp_path: Path) -> None:
    build(tmp_path, "repository/a/b/x.py", "repository/a/b/y.py", "repository/a/b/z.py", "repository/.git/config")
    (tmp_path / ".gitignore").write_text("x.py\n")
    (tmp_path / "repository" / ".gitignore").write_text("y.py\na/b/z*\n")
    assert found(tmp_path, "repository/a/b") == ["repository/a/b/x.py"]
    (tmp_path / "repository" / "a" / ".gitignore").write_text("!y.py\n")
    assert found(tmp_path, "repository/a/b") == ["repository/a/b/x.py", "repository/a/b/y.py"]
    (tmp_path / "repository" / "a" / ".gitignore").unlink()
    shutil.rmtree(tmp_path / "repository" / ".git")
    assert len(found(tmp_path, "repository/a/b")) == 3
    assert found(tmp_path, "repository") == ["repository/a/b/x.py"]


NAMES = ["a", "b", "a.py", "b.py", "ab.py"]
FILES = [
    *NAMES[2:],
    *(f"{d}/{n}" for d in "ab" for n in NAMES[2:]),
    *(f"{d}/{e}/{n}" for d in "ab" for e in "ab" for n in NAMES[2:]),
]
SEGMENT = st.one_of(
    st.sampled_from(
        [*NAMES, "*", "**", "*.py", "a*", "*b", "?.py", "[ab]", "[!a].py", "[^b]*", "[a-b].py", "a.*", "\\a", "."]
    ),
    st.text("ab*?.!", min_size=1, max_size=4),
)
PATTERN = st.builds(
    lambda keep, root, segments, end: keep + root + "/".join(segments) + end,
    st.sampled_from(["", "", "", "!"]),
    st.sampled_from(["", "", "/"]),
    st.lists(SEGMENT, min_size=1, max_size=3),
    st.sampled_from(["", "", "/", " "]),
).filter(lambda pattern: not re.search(r"\*\*\*|[^*/]/(\*\*/)+ ?$", pattern))  # pathspec differs from git


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(PATTERN, max_size=5), st.lists(PATTERN, max_size=2))
@example(["a*", "!a/"], [])
@example(["*.py", "!a"], [])
def test_ignoring_agrees_with_git(patterns: list[str], nested: list[str]) -> None:
    with TemporaryDirectory() as directory:
        root = Path(directory)
        build(root, *FILES)
        (root / ".gitignore").write_text("\n".join(patterns))
        (root / "a" / ".gitignore").write_text("\n".join(nested))
        environment = {
            **os.environ,
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_SYSTEM": os.devnull,
            "HOME": directory,
        }
        environment.pop("XDG_CONFIG_HOME", None)
        for command in (["git", "init", "-q"], ["git", "ls-files", "-z", "--others", "--exclude-standard"]):
            output = subprocess.run(
                command, cwd=root, env=environment, capture_output=True, check=True, text=True
            ).stdout
        expected = sorted(name for name in output.split("\0") if name.endswith(".py"))
        assert sorted(found(root)) == expected


# ---------------------------------------------------------------------- cost


def test_pathspec_is_imported_for_uncommon_patterns_alone(tmp_path: Path) -> None:
    build(tmp_path, "a.py", "b/c.py", ".git/config")
    code = (
        "import sys; from synclint.discover import discover; files = discover(sys.argv[1:]);"
        "print(len(files), 'pathspec' in sys.modules, 'fnmatch' in sys.modules)"
    )

    def run(ignore: str) -> str:
        (tmp_path / ".gitignore").write_bytes(ignore.encode())
        command = [sys.executable, "-c", code, str(tmp_path)]
        return subprocess.run(command, capture_output=True, check=True, text=True).stdout.strip()

    assert run("build/\r\n*.py[cod]\n/dist\nshare/python-wheels/\n.env*\n!lib*\n").startswith("2 False")
    assert run("b/**/c.py\n").startswith("1 True")


def test_links_cost_nothing_where_there_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build(tmp_path, "a.py")
    monkeypatch.setattr("os.path.realpath", None)
    assert found(tmp_path) == ["a.py"]
