"""The command line, over an engine of two toy rules: ``wait()`` has a safe fix, ``hold()`` an unsafe one."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import synclint
from synclint import pages, run
from synclint.cli import main
from synclint.finding import Applicability, Confidence, Direction, Finding, Fix, Heat
from synclint.pages import HEADINGS, docstring, sections
from synclint.source import Source

ROOT = Path(synclint.__file__).parents[1]


class Wait:
    code, name, facts = "SYN201", "scalar-read", frozenset({"scalar-read"})


class Hold:
    code, name, facts = "SYN303", "masked-scatter", frozenset({"masked-scatter"})


def findings_in(source: Source, rule: type[Wait] | type[Hold]) -> Iterator[Finding]:
    word, level = (b"wait()", Applicability.SAFE) if rule is Wait else (b"hold()", Applicability.UNSAFE)
    start = source.data.find(word)
    while start >= 0:
        (line, column), end = source.position(start), source.position(start + len(word))
        fix = Fix(level, "go", (source.edit(start, start + len(word), "go()"),))
        text = source.line_text(line)
        heat = Heat.COLD if "cold" in text else Heat.HOT
        confidence = Confidence.POSSIBLE if "possible" in text else Confidence.CERTAIN
        yield Finding(
            rule.code, rule.name, "it waits", source.path, line, column, *end,
            Direction.D2H, heat, confidence, (line, line), fix=fix,
        )  # fmt: skip
        start = source.data.find(word, start + 1)


def toy_check(source: Source, settings: Any, rules: Any, place: Any = None) -> list[Finding]:
    source.tree  # noqa: B018
    if b"crash" in source.data:
        raise RuntimeError("the engine broke")
    return [finding for rule in rules for finding in findings_in(source, rule)]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(run, "check_source", toy_check)
    for module in (run, pages):
        monkeypatch.setattr(module, "load_rules", lambda: (Wait, Hold))
    for name in ("FORCE_COLOR", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    run.linter.cache_clear()
    yield tmp_path
    run.linter.cache_clear()


def write(files: dict[str, str]) -> None:
    for name, text in files.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(text.encode())


def codes(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    """Run a check; what is reported, as ``path:line:CODE``."""
    main([*arguments, "--output-format=json"])
    return [f"{one['path']}:{one['line']}:{one['code']}" for one in json.loads(capsys.readouterr().out)]


# ---------------------------------------------------------------------- what is linted


def test_check_is_the_default_command(capsys: pytest.CaptureFixture[str]) -> None:
    write({"src/a.py": "wait()\n", "b.py": "hold()\n"})
    everything = ["b.py:1:SYN303", "src/a.py:1:SYN201"]
    assert codes(capsys) == everything
    assert codes(capsys, "check") == everything
    assert codes(capsys, "src") == codes(capsys, "check", "src") == ["src/a.py:1:SYN201"]
    assert codes(capsys, "src/a.py", "src", "./src/a.py") == ["src/a.py:1:SYN201"]


def test_a_folder_of_a_commands_name(capsys: pytest.CaptureFixture[str]) -> None:
    write({"rule/a.py": "wait()\n"})
    assert codes(capsys, "./rule") == ["rule/a.py:1:SYN201"]


def test_options_may_stand_between_paths(capsys: pytest.CaptureFixture[str]) -> None:
    write({"a.py": "wait()\n", "b.py": "wait()\n"})
    assert codes(capsys, "a.py", "--exit-zero", "b.py") == ["a.py:1:SYN201", "b.py:1:SYN201"]


@pytest.mark.parametrize("paths", [["one", "two/a.py"], ["."]])
def test_settings_are_those_nearest_to_each_file(capsys: pytest.CaptureFixture[str], paths: list[str]) -> None:
    write(
        {
            "one/pyproject.toml": '[tool.synclint]\nignore = ["SYN2"]\n',
            "one/in/a.py": "wait()\nhold()\n",
            "two/pyproject.toml": '[tool.synclint]\nignore = ["SYN3"]\n',
            "two/a.py": "wait()\nhold()\n",
        }
    )
    assert codes(capsys, *paths) == ["one/in/a.py:2:SYN303", "two/a.py:1:SYN201"]


def test_excluded_files(capsys: pytest.CaptureFixture[str]) -> None:
    write({"pyproject.toml": '[tool.synclint]\nextend-exclude = ["gen"]\n', "gen/a.py": "wait()\n", "b.py": "wait()\n"})
    assert codes(capsys) == ["b.py:1:SYN201"]
    assert codes(capsys, "gen/a.py", "b.py") == ["b.py:1:SYN201", "gen/a.py:1:SYN201"]
    assert codes(capsys, "gen/a.py", "b.py", "--force-exclude") == ["b.py:1:SYN201"]


def test_nothing_to_lint_is_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert "no Python files" in capsys.readouterr().err


# ---------------------------------------------------------------------- selection and cut-offs


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], ["SYN201", "SYN303"]),
        (["--select", "SYN2"], ["SYN201"]),
        (["--select=SYN201,SYN303"], ["SYN201", "SYN303"]),
        (["--select=SYN201", "--select=SYN303"], ["SYN201", "SYN303"]),
        (["--select", "scalar-read"], ["SYN201"]),
        (["--ignore", "scalar-read"], ["SYN303"]),
        (["--ignore", "ALL"], []),
        (["--select", "SYN2", "--extend-select", "SYN3"], ["SYN201", "SYN303"]),
        (["--select", "SYN", "--ignore", "SYN2"], ["SYN303"]),
        (["--select", "SYN201", "--ignore", "SYN2"], ["SYN201"]),
        (["--select", "SYN201", "--ignore", "SYN201"], []),
        (["--ignore", "SYN", "--extend-select", "SYN3"], ["SYN303"]),
        (["--per-file-ignores", "a.py:SYN2"], ["SYN303"]),
        (["--per-file-ignores", "a.py:SYN2,*.py:SYN3"], []),
        (["--per-file-ignores", "b.py:ALL"], ["SYN201", "SYN303"]),
        (["--per-file-ignores", "!b.py:SYN2"], ["SYN303"]),
    ],
)
def test_selection(capsys: pytest.CaptureFixture[str], arguments: list[str], expected: list[str]) -> None:
    write({"a.py": "wait(); hold()\n"})
    assert [one.split(":")[2] for one in codes(capsys, "a.py", *arguments)] == expected


@pytest.mark.parametrize(
    ("table", "arguments", "expected"),
    [
        ('select = ["SYN2"]', [], ["SYN201"]),
        ('select = ["SYN2"]', ["--select=SYN3"], ["SYN303"]),
        ('ignore = ["SYN2"]', ["--select=SYN201"], ["SYN201"]),
        ('ignore = ["SYN2"]', ["--ignore=SYN3"], []),
        ('ignore = ["SYN2"]', ["--extend-select=SYN201"], ["SYN201", "SYN303"]),
        ('per-file-ignores = { "src/" = ["SYN2"] }', [], ["SYN303"]),
        ('per-file-ignores = { "src/" = ["SYN2"] }', ["--per-file-ignores=src/:SYN3"], ["SYN201"]),
    ],
)
def test_the_command_line_and_the_configuration(
    capsys: pytest.CaptureFixture[str], table: str, arguments: list[str], expected: list[str]
) -> None:
    write({"pyproject.toml": f"[tool.synclint]\n{table}\n", "src/a.py": "wait(); hold()\n"})
    assert [one.split(":")[2] for one in codes(capsys, "src", *arguments)] == expected


@pytest.mark.parametrize(
    ("arguments", "lines"),
    [
        ([], [1]),
        (["--heat=cold"], [1, 2]),
        (["--confidence=possible"], [1, 3]),
        (["--heat=cold", "--confidence=possible"], [1, 2, 3, 4]),
    ],
)
def test_cut_offs(capsys: pytest.CaptureFixture[str], arguments: list[str], lines: list[int]) -> None:
    write({"a.py": "wait()\nwait() # cold\nwait() # possible\nwait() # cold, possible\n"})
    assert codes(capsys, *arguments) == [f"a.py:{line}:SYN201" for line in lines]


# ---------------------------------------------------------------------- suppressions


def test_suppressed_findings_are_silent_and_their_comments_used(capsys: pytest.CaptureFixture[str]) -> None:
    write({"a.py": "wait()  # synclint: ignore[SYN201] once per run\nwait()  # noqa: SYN201\nwait()\n"})
    assert codes(capsys) == ["a.py:3:SYN201"]


def test_suppressions_are_judged_before_selection_and_cut_offs(capsys: pytest.CaptureFixture[str]) -> None:
    write({"a.py": "wait()  # synclint: ignore[SYN201] cold\n"})
    assert codes(capsys, "--select=SYN303,SYN902") == []
    write({"a.py": "go()  # synclint: ignore[SYN201] why\n"})
    assert codes(capsys, "--select=SYN303,SYN902") == ["a.py:1:SYN902"]
    assert codes(capsys, "--select=SYN303") == []


def test_fix_removes_unused_suppressions() -> None:
    write({"a.py": "go()  # synclint: ignore[SYN201] why\n"})
    assert main(["--fix"]) == 0
    assert Path("a.py").read_text() == "go()\n"


# ---------------------------------------------------------------------- trouble


def test_an_unreadable_file_is_a_finding_and_the_rest_is_linted(capsys: pytest.CaptureFixture[str]) -> None:
    write({"a.py": "x = (\n", "b.py": "wait()\n"})
    Path("c.py").write_bytes(b"x = '\xff'\n")
    assert main(["--output-format=concise"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("a.py:1:5: SYN901 cannot be parsed")
    assert lines[1].startswith("b.py:1:1: SYN201")
    assert lines[2].startswith("c.py:1:6: SYN901 cannot be decoded")


def test_unreadable_files_are_reported_unless_ignored(capsys: pytest.CaptureFixture[str]) -> None:
    write({"a.py": "x = (\n"})
    assert codes(capsys, "--select=SYN201") == ["a.py:1:SYN901"]
    assert codes(capsys, "--ignore=SYN901") == []


def test_a_missing_path_among_others_is_a_finding(capsys: pytest.CaptureFixture[str]) -> None:
    write({"b.py": "wait()\n"})
    assert codes(capsys, "nowhere.py", "b.py") == ["b.py:1:SYN201", "nowhere.py:1:SYN901"]


def test_nothing_readable_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["nowhere.py"]) == 2
    assert "nowhere.py" in capsys.readouterr().out


def test_a_crash_in_one_file_leaves_the_others(capsys: pytest.CaptureFixture[str]) -> None:
    write({"a.py": "crash\n", "b.py": "wait()\n"})
    assert main(["--output-format=concise"]) == 2
    out, err = capsys.readouterr()
    assert out.startswith("b.py:1:1: SYN201")
    assert "a.py: not checked, because of an error in synclint" in err
    assert "RuntimeError: the engine broke" in err
    assert main(["--fix"]) == 2
    assert Path("b.py").read_text() == "go()\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--select", "SYN999"], "--select: unknown rule `SYN999`"),
        (["--ignore", "scalar-raed"], "--ignore: unknown rule `scalar-raed`; did you mean `scalar-read`?"),
        (["--per-file-ignores", "a:SYN8"], "--per-file-ignores: unknown rule `SYN8`"),
        (["--per-file-ignores", "SYN8"], "expected PATTERN:RULE"),
        (["--target-torch", "new"], "--target-torch: expected a version"),
        (["--jobs", "0"], "expected a number above 0"),
        (["--heat", "warmish"], "invalid choice"),
        (["--output-format", "xml"], "invalid choice"),
        (["--fixx"], "unrecognized arguments"),
        (["-", "a.py"], "stdin and files"),
        (["--stdin-filename", "b.py", "a.py"], "stdin and files"),
        (["rule", "SYN999"], "no rule `SYN999`"),
        (["rule", "scalar-reads"], "did you mean `scalar-read`?"),
    ],
)
def test_usage_errors(capsys: pytest.CaptureFixture[str], arguments: list[str], message: str) -> None:
    write({"a.py": "wait()\n"})
    try:
        status: Any = main(arguments)
    except SystemExit as leaving:
        status = leaving.code
    out, err = capsys.readouterr()
    assert status == 2
    assert message in err
    assert not out


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("selct = []", "pyproject.toml:2: tool.synclint.selct: unknown key; did you mean `select`?"),
        ('heat = "hot"\nignore = ["SYN202"]', "pyproject.toml:3: tool.synclint.ignore: unknown rule `SYN202`"),
    ],
)
def test_configuration_errors(capsys: pytest.CaptureFixture[str], table: str, message: str) -> None:
    write({"pyproject.toml": f"[tool.synclint]\n{table}\n", "a.py": "wait()\n"})
    assert main([]) == 2
    assert f"synclint: error: {message}" in capsys.readouterr().err


# ---------------------------------------------------------------------- exit status and counts


@pytest.mark.parametrize(
    ("text", "arguments", "status", "said"),
    [
        ("go()\n", [], 0, "No findings."),
        ("wait()\n", [], 1, "Found 1 finding (1 fixable with --fix)."),
        ("hold()\n", [], 1, "Found 1 finding (1 fixable with --unsafe-fixes)."),
        ("wait()\nhold()\n", [], 1, "Found 2 findings (1 fixable with --fix, 1 more with --unsafe-fixes)."),
        ("wait()\nhold()\n", ["--unsafe-fixes"], 1, "Found 2 findings (2 fixable with --fix)."),
        ("wait()\n", ["--exit-zero"], 0, "Found 1 finding (1 fixable with --fix)."),
        ("wait()\n", ["--fix"], 0, "Fixed 1 finding, none left."),
        ("wait()\n", ["--fix", "--exit-non-zero-on-fix"], 1, "Fixed 1 finding, none left."),
        ("wait()\n", ["--fix", "--exit-non-zero-on-fix", "--exit-zero"], 0, "Fixed 1 finding, none left."),
        ("go()\n", ["--fix", "--exit-non-zero-on-fix"], 0, "No findings."),
        ("wait()\nhold()\n", ["--fix"], 1, "Fixed 1 finding, 1 left (1 fixable with --unsafe-fixes)."),
        ("wait()\nhold()\n", ["--fix", "--unsafe-fixes"], 0, "Fixed 2 findings, none left."),
        ("wait()\nhold()\n", ["--diff"], 1, "Would fix 1 finding in 1 file (1 more with --unsafe-fixes)."),
        ("wait()\nhold()\n", ["--diff", "--unsafe-fixes"], 1, "Would fix 2 findings in 1 file."),
        ("hold()\n", ["--diff"], 0, "Would change nothing (1 more with --unsafe-fixes)."),
        ("wait()\n", ["--diff", "--exit-zero"], 0, "Would fix 1 finding in 1 file."),
        ("wait()\n", ["--no-cache", "--jobs=1"], 1, "Found 1 finding (1 fixable with --fix)."),
    ],
)
@pytest.mark.parametrize("output_format", ["full", "concise", "json"])
def test_exit_status_and_counts(
    capsys: pytest.CaptureFixture[str], text: str, arguments: list[str], status: int, said: str, output_format: str
) -> None:
    write({"a.py": text})
    assert main([*arguments, f"--output-format={output_format}"]) == status
    assert capsys.readouterr().err.splitlines() == [said]


def test_statistics_replace_the_findings(capsys: pytest.CaptureFixture[str]) -> None:
    write({"a.py": "wait()\nwait()\nhold()\n"})
    assert main(["--statistics"]) == 1
    assert capsys.readouterr().out == "2  SYN201  [*]  scalar-read\n1  SYN303  [ ]  masked-scatter\n"


# ---------------------------------------------------------------------- fixing


def test_fix_writes_and_reports_the_rest(capsys: pytest.CaptureFixture[str]) -> None:
    write({"a.py": "wait()\r\nhold()", "b.py": "hold()\n"})
    assert main(["--fix", "--output-format=concise"]) == 1
    assert capsys.readouterr().out == "a.py:2:1: SYN303 it waits\nb.py:1:1: SYN303 it waits\n"
    assert Path("a.py").read_bytes() == b"go()\r\nhold()"


def test_fix_keeps_encoding_and_byte_order_mark() -> None:
    Path("a.py").write_bytes(b"# coding: latin-1\nx = '\xe9'; wait()\n")
    Path("b.py").write_bytes(b"\xef\xbb\xbfwait()\n")
    assert main(["--fix"]) == 0
    assert Path("a.py").read_bytes() == b"# coding: latin-1\nx = '\xe9'; go()\n"
    assert Path("b.py").read_bytes() == b"\xef\xbb\xbfgo()\n"


def test_diff_shows_and_writes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    write({"a.py": "wait()\nhold()\n", "b.py": "x = (\n"})
    assert main(["--diff", "--fix"]) == 1
    out, err = capsys.readouterr()
    assert out == "--- a.py\n+++ a.py\n@@ -1,2 +1,2 @@\n-wait()\n+go()\n hold()\n"
    assert err.startswith("b.py:1:5: SYN901")
    assert Path("a.py").read_text() == "wait()\nhold()\n"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may write everything")
def test_a_file_that_cannot_be_written_is_an_error_and_its_findings_stay(capsys: pytest.CaptureFixture[str]) -> None:
    write({"a.py": "wait()\n"})
    Path("a.py").chmod(0o444)
    assert main(["--fix", "--output-format=concise"]) == 2
    out, err = capsys.readouterr()
    assert out.startswith("a.py:1:1: SYN201")
    assert "a.py: not written" in err


def test_a_file_that_changes_meanwhile_is_not_written(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def check_and_touch(source: Source, settings: Any, rules: Any, place: Any = None) -> list[Finding]:
        Path("a.py").write_text("edited()\n")
        return toy_check(source, settings, rules)

    write({"a.py": "wait()\n"})
    monkeypatch.setattr(run, "check_source", check_and_touch)
    assert main(["--fix"]) == 2
    assert "a.py: not written: it has changed" in capsys.readouterr().err
    assert Path("a.py").read_text() == "edited()\n"


def test_fixes_that_do_not_settle_are_reported(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def grow(source: Source, settings: Any, rules: Any, place: Any = None) -> list[Finding]:
        fix = Fix(Applicability.SAFE, "grow", (source.edit(0, 0, "x = 1\n"),))
        place = (1, 1, 1, 1, Direction.D2H, Heat.HOT, Confidence.CERTAIN, (1, 1))
        return [Finding("SYN201", "scalar-read", "it grows", source.path, *place, fix=fix)]

    write({"a.py": "y = 2\n"})
    monkeypatch.setattr(run, "check_source", grow)
    assert main(["--fix"]) == 1
    assert "a.py: fixes of SYN201 still change the file" in capsys.readouterr().err


# ---------------------------------------------------------------------- stdin


class Stdin:
    def __init__(self, raw: bytes) -> None:
        self.buffer = io.BytesIO(raw)


@pytest.mark.parametrize(
    ("arguments", "out", "path"),
    [
        (["-"], "", "-"),
        (["--stdin-filename", "src/a.py"], "", "src/a.py"),
        (["-", "--stdin-filename", "src/a.py", "--fix"], "go()\r\nhold()\r\n", "src/a.py"),
    ],
)
def test_stdin(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    out: str,
    path: str,
) -> None:
    monkeypatch.setattr(sys, "stdin", Stdin(b"wait()\r\nhold()\r\n"))
    assert main([*arguments, "--output-format=concise"]) == 1
    captured = capsys.readouterr()
    reported = captured.err if "--fix" in arguments else captured.out
    assert f"{path}:2:1: SYN303 it waits" in reported
    assert out in captured.out
    assert ("SYN201" in reported) == ("--fix" not in arguments)


def test_stdin_shows_its_own_text(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    write({"a.py": "on_disk()\n"})
    monkeypatch.setattr(sys, "stdin", Stdin(b"x = 1; wait()\n"))
    assert main(["--stdin-filename", "a.py"]) == 1
    assert "1 | x = 1; wait()" in capsys.readouterr().out


@pytest.mark.parametrize("raw", [b"x = (\n", b"x = '\xff'\n"])
def test_unreadable_stdin_comes_back_unchanged(
    capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch, raw: bytes
) -> None:
    monkeypatch.setattr(sys, "stdin", Stdin(raw))
    assert main(["-", "--fix", "--output-format=concise"]) == 1
    out, err = capfdbinary.readouterr()
    assert out == raw
    assert b"-:1:" in err


def test_an_excluded_stdin_file_is_passed_through(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write({"pyproject.toml": '[tool.synclint]\nexclude = ["a.py"]\n', "a.py": "wait()\n"})
    monkeypatch.setattr(sys, "stdin", Stdin(b"wait()\n"))
    assert main(["--stdin-filename=a.py", "--fix", "--force-exclude"]) == 0
    assert capsys.readouterr().out == "wait()\n"


# ---------------------------------------------------------------------- the other commands


def test_rule_lists_synclints_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rule", "unreadable-file"]) == 0
    assert capsys.readouterr().out.startswith("# unreadable-file (SYN901)\n\n## What it does\n")


def test_helper_writes_the_module_and_names_it(capsys: pytest.CaptureFixture[str]) -> None:
    write({"pyproject.toml": '[project]\nname = "mine"\n', "mine/__init__.py": ""})
    assert main(["helper", "mine/h2d.py"]) == 0
    assert capsys.readouterr().out == (
        "mine/h2d.py: written\n"
        "pyproject.toml: written\n"
        "fixes now call `mine.h2d.async_tensor_h2d` (h2d-helper in pyproject.toml)\n"
    )
    write({"mine/h2d.py": "taken = 1\n"})
    assert main(["helper", "mine/h2d.py"]) == 2
    assert "is there already" in capsys.readouterr().err
    assert main(["helper", "mine/h2d.py", "--force"]) == 0


def test_new_writes_a_rule_that_can_be_loaded(capsys: pytest.CaptureFixture[str]) -> None:
    write({"rules/__init__.py": ""})
    assert main(["new", "SYN204", "slow-thing"]) == 0
    assert capsys.readouterr().out.startswith("rules/slow_thing.py: fill in")
    namespace: dict[str, Any] = {"__name__": "rules.slow_thing"}
    exec(compile(Path("rules/slow_thing.py").read_text(), "slow_thing.py", "exec"), namespace)
    rule = namespace["SlowThing"]()
    assert (rule.code, rule.name) == ("SYN204", "slow-thing")
    assert tuple(sections(docstring(rule)))[1:] == HEADINGS


@pytest.mark.parametrize(
    ("code", "name", "message"),
    [
        ("SYN201", "slow-thing", "`SYN201` is taken by SYN201 scalar-read"),
        ("SYN204", "scalar-read", "`scalar-read` is taken by SYN201 scalar-read"),
        ("SYN902", "slow-thing", "`SYN902` is taken"),
        ("SYN20", "slow-thing", "three capital letters and three digits"),
        ("syn204", "slow-thing", "three capital letters and three digits"),
        ("SYN204", "SlowThing", "lower-case words"),
        ("SYN204", "class", "lower-case words"),
        ("SYN204", "old-thing", "is there already"),
    ],
)
def test_new_refuses(capsys: pytest.CaptureFixture[str], code: str, name: str, message: str) -> None:
    write({"rules/__init__.py": "", "rules/old_thing.py": "kept = 1\n"})
    assert main(["new", code, name]) == 2
    assert message in capsys.readouterr().err
    assert Path("rules/old_thing.py").read_text() == "kept = 1\n"
    assert len(list(Path("rules").iterdir())) == 2


def test_new_needs_a_package_of_rules(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["new", "SYN204", "slow-thing"]) == 2
    assert "rules is not a package" in capsys.readouterr().err


# ---------------------------------------------------------------------- the whole program, with its own engine

READS = """\
import torch


def f(n: int) -> list[float]:
    x = torch.ones(3, device="cuda").sum()
    return [x.item() for _ in range(n)]
"""


def synclint_run(*arguments: str, seed: str = "0") -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": seed}
    command = [sys.executable, "-m", "synclint", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_results_do_not_depend_on_jobs_or_hash_seed() -> None:
    write(
        {f"p{number % 7}/m{number}.py": READS * (number % 3) + "x = (\n" * (number % 11 == 0) for number in range(90)}
    )
    first = synclint_run("--jobs=1", "--output-format=json", "--unsafe-fixes")
    assert first.returncode == 1
    assert len(json.loads(first.stdout)) > 50
    for jobs, seed in (("2", "1"), ("3", "2")):
        again = synclint_run(f"--jobs={jobs}", "--output-format=json", "--unsafe-fixes", seed=seed)
        assert (again.stdout, again.stderr, again.returncode) == (first.stdout, first.stderr, first.returncode)


def test_a_closed_pipe_is_no_traceback() -> None:
    write({f"m{number}.py": READS for number in range(300)})
    script = f"{sys.executable} -m synclint | head -n 1"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(["sh", "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert done.stdout
    assert "Traceback" not in done.stderr


LEAVING = """
import atexit, sys
import synclint.__main__ as entry

class Loud:
    def __del__(self):
        print("freed")

kept = Loud()

def main():
    atexit.register(print, "handlers run")
    {body}

entry.main = main
entry.run()
"""


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("return 0", 0),
        ("return 1", 1),
        ("sys.exit(2)", 2),
        ("sys.exit()", 0),
        ("sys.exit('words')", 1),
        ("1 / 0", 1),
    ],
)
def test_leaving_keeps_the_status_and_what_is_to_be_done_then(body: str, status: int) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", LEAVING.format(body=body)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == status
    assert done.stdout == "handlers run\n"  # and what is in memory is not freed
    assert ("ZeroDivisionError" in done.stderr) == ("/" in body)
