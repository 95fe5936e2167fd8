from __future__ import annotations

import io
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from synclint import pages, run
from synclint.finding import Applicability, Confidence, Direction, Edit, Finding, Fix, Heat, Step
from synclint.lint import Context, Invalid, Report, Rule, Site, Valid
from synclint.report import concise, counts, diff, full, json_array
from synclint.report.full import changed_lines
from synclint.report.terminal import Style, visible, wants_colour, width
from synclint.source import Source
from synclint.waits.join import Seen

PLAIN = Style(colour=False)
CODE = """\
import torch

def f(mask: torch.Tensor) -> int:
    n = int(mask.sum())
    return n
"""
SOURCE = Source("pkg/model.py", CODE.encode())
START = CODE.index("int(mask")
END = CODE.index("\n    return")


def finding(**changes: Any) -> Finding:
    values: dict[str, Any] = {
        "code": "SYN201",
        "name": "scalar-read",
        "message": "`int(...)` waits for the GPU",
        "path": "pkg/model.py",
        "line": 4,
        "column": 9,
        "end_line": 4,
        "end_column": 24,
        "direction": Direction.D2H,
        "heat": Heat.HOT,
        "confidence": Confidence.CERTAIN,
        "header": (4, 4),
    }
    return Finding(**(values | changes))


def fix(level: Applicability = Applicability.SAFE, reason: str = "", *edits: Edit) -> Fix:
    edits = edits or (SOURCE.edit(START, START + 3, "round"),)
    return Fix(level, "use `round`", edits, reason)


def page(one: Finding, source: Source | None = SOURCE, style: Style = PLAIN) -> str:
    return "".join(full.render([one], read=lambda path: source, style=style, unsafe_fixes=False))


def test_full_shows_place_chain_help_and_fix() -> None:
    one = finding(
        why=(Step("pkg/model.py", 3, "`mask` is a tensor"), Step("", 4, "`sum` keeps it on the GPU")),
        help="keep it on the device",
        fix=fix(Applicability.UNSAFE, "the type of the error differs"),
        alternatives=(Fix(Applicability.SUGGESTION, "move the read out of the loop"),),
    )
    assert page(one) == (
        "pkg/model.py:4:9: SYN201 `int(...)` waits for the GPU\n"
        "  |\n"
        "3 | def f(mask: torch.Tensor) -> int:\n"
        "4 |     n = int(mask.sum())\n"
        "  |         ^^^^^^^^^^^^^^^ device to host, hot, certain\n"
        "5 |     return n\n"
        "  |\n"
        "  = why: pkg/model.py:3: `mask` is a tensor\n"
        "         pkg/model.py:4: `sum` keeps it on the GPU\n"
        "  = help: keep it on the device\n"
        "  = unsafe fix: use `round`\n"
        "  = because: the type of the error differs\n"
        "  |\n"
        "4 -     n = int(mask.sum())\n"
        "4 +     n = round(mask.sum())\n"
        "  |\n"
        "  = or (suggestion): move the read out of the loop\n"
        "\n"
    )


def test_full_says_nothing_of_heat_for_findings_about_the_file_itself() -> None:
    one = finding(code="SYN901", name="unreadable-file", line=1, column=1, end_line=1, end_column=1)
    assert "  | ^\n" in page(one)
    assert "hot" not in page(one)


def test_full_without_the_source_is_still_a_report() -> None:
    assert page(finding(help="h"), None) == ("pkg/model.py:4:9: SYN201 `int(...)` waits for the GPU\n  = help: h\n\n")


@pytest.mark.parametrize(
    ("text", "flagged", "line", "carets"),
    [
        ("x = '日本' + item(y)", "item(y)", "1 | x = '日本' + item(y)", " " * 13 + "^" * 7),
        ("\tx = item(y)", "item(y)", "1 |     x = item(y)", " " * 8 + "^" * 7),
        ("x = item('é')", "item('é')", "1 | x = item('é')", " " * 4 + "^" * 9),
        ("x = '\x1b[31m'; item(y)", "item(y)", "1 | x = '␛[31m'; item(y)", " " * 13 + "^" * 7),
    ],
)
def test_carets_stand_under_what_is_flagged(text: str, flagged: str, line: str, carets: str) -> None:
    column = text.index(flagged) + 1
    one = finding(line=1, end_line=1, column=column, end_column=column + len(flagged))
    lines = page(one, Source("m.py", text.encode())).splitlines()
    assert lines[2] == line
    assert lines[3].startswith(f"  | {carets} device")


@pytest.mark.parametrize("column", [1, 150, 5000, 9990])
def test_long_lines_are_cut_around_what_is_flagged(column: int) -> None:
    text = "a" * (column - 1) + "B" * 10 + "c" * (10_000 - column - 9)
    one = finding(line=1, end_line=1, column=column, end_column=column + 10)
    lines = page(one, Source("m.py", text.encode())).splitlines()
    assert len(lines[2]) <= 4 + full.LONGEST_LINE + 1
    assert [lines[2][at] for at, mark in enumerate(lines[3].split(" device")[0]) if mark == "^"] == ["B"] * 10


def test_a_long_span_is_shown_by_its_ends() -> None:
    text = "f(\n" + "".join(f"    a{number},\n" for number in range(20)) + ")\n"
    one = finding(line=1, column=1, end_line=22, end_column=2)
    shown = page(one, Source("m.py", text.encode()))
    assert "a1," in shown
    assert "..." in shown
    assert "a10" not in shown
    assert shown.count("^ device to host") == 1
    assert shown.index("22 | )") < shown.index("^ device")


@pytest.mark.parametrize(("columns", "rows"), [(50, 1), (80, 2), (98, 2), (150, 2)])
def test_the_label_moves_below_where_there_is_no_room(columns: int, rows: int) -> None:
    one = finding(line=1, end_line=1, column=1, end_column=columns + 1)
    lines = page(one, Source("m.py", b"x" * columns)).splitlines()
    marks = lines[3 : 3 + rows]
    assert marks[0].startswith("  | " + "^" * columns)
    assert marks[-1].endswith(" device to host, hot, certain")
    assert len(marks[-1]) <= full.WIDTH


def test_prose_is_wrapped() -> None:
    one = finding(help="word " * 60, why=(Step("", 1, "step " * 60),))
    lines = page(one).splitlines()
    assert max(map(len, lines)) <= full.WIDTH
    assert sum("word" in line for line in lines) > 2


@pytest.mark.parametrize(
    ("text", "edits", "expected"),
    [
        ("a = 1\nb = 2\n", [(4, 5, "3")], ["- 1 a = 1", "+ 1 a = 3"]),
        ("a = 1\nb = 2\n", [(0, 0, "import c\n")], ["+ 1 import c"]),
        (
            "a = 1\nb = 2\n",
            [(0, 0, "import c\n"), (10, 11, "c")],
            ["+ 1 import c", "  2 a = 1", "- 2 b = 2", "+ 3 b = c"],
        ),
        ("a\nb\nc\nd\n", [(0, 1, "A"), (6, 7, "D")], ["- 1 a", "+ 1 A", "  2 b", "  3 c", "- 4 d", "+ 4 D"]),
        ("a\nb\nc\nd\ne\n", [(0, 1, "A"), (8, 9, "E")], ["- 1 a", "+ 1 A", "...", "- 5 e", "+ 5 E"]),
        ("a\nb\n", [(0, 1, "A"), (2, 3, "B")], ["- 1 a", "- 2 b", "+ 1 A", "+ 2 B"]),
        ("a = 1; b = 2\n", [(4, 5, "3"), (11, 12, "4")], ["- 1 a = 1; b = 2", "+ 1 a = 3; b = 4"]),
        ("a = 1\nb = 2\nc = 3\n", [(6, 12, "")], ["- 2 b = 2"]),
        ("a = 1\r\nb = 2", [(11, 12, "3")], ["- 2 b = 2", "+ 2 b = 3"]),
        ("a = f(\n  1,\n)\n", [(4, 13, "2")], ["- 1 a = f(", "- 2   1,", "- 3 )", "+ 1 a = 2"]),
    ],
)
def test_changed_lines(text: str, edits: list[tuple[int, int, str]], expected: list[str]) -> None:
    source = Source("m.py", text.encode())
    changed = changed_lines(source, [source.edit(*edit) for edit in edits])
    assert [f"{mark} {number} {line}" if number else mark for mark, number, line in changed] == expected


@pytest.mark.parametrize(
    ("level", "unsafe_fixes", "mark"),
    [
        (Applicability.SAFE, False, "[*] "),
        (Applicability.SAFE, True, "[*] "),
        (Applicability.UNSAFE, False, ""),
        (Applicability.UNSAFE, True, "[*] "),
        (Applicability.SUGGESTION, True, ""),
    ],
)
def test_concise_marks_what_fix_would_apply(level: Applicability, unsafe_fixes: bool, mark: str) -> None:
    said = concise.render([finding(fix=fix(level))], style=PLAIN, unsafe_fixes=unsafe_fixes)
    assert said == f"pkg/model.py:4:9: SYN201 {mark}`int(...)` waits for the GPU\n"


def test_concise_does_not_mark_a_fix_without_edits() -> None:
    one = finding(fix=Fix(Applicability.SAFE, "by hand"))
    assert "[*]" not in concise.render([one], style=PLAIN, unsafe_fixes=True)


def test_json_is_the_documented_shape() -> None:
    one = finding(why=(Step("", 3, "why"),), fix=fix(Applicability.UNSAFE, "reason"))
    bare = finding(heat=Heat.COLD, confidence=Confidence.POSSIBLE, direction=Direction.NONE)
    assert json.loads(json_array.render([one, bare])) == [
        {
            "code": "SYN201",
            "name": "scalar-read",
            "message": "`int(...)` waits for the GPU",
            "path": "pkg/model.py",
            "line": 4,
            "column": 9,
            "end_line": 4,
            "end_column": 24,
            "direction": "d2h",
            "heat": "hot",
            "confidence": "certain",
            "why": [{"path": "pkg/model.py", "line": 3, "text": "why"}],
            "url": None,
            "fix": {
                "applicability": "unsafe",
                "message": "use `round`",
                "edits": [
                    {
                        "path": "pkg/model.py",
                        "start": {"line": 4, "column": 9},
                        "end": {"line": 4, "column": 12},
                        "text": "round",
                    }
                ],
            },
            "trace": None,
        },
        {
            "code": "SYN201",
            "name": "scalar-read",
            "message": "`int(...)` waits for the GPU",
            "path": "pkg/model.py",
            "line": 4,
            "column": 9,
            "end_line": 4,
            "end_column": 24,
            "direction": "none",
            "heat": "cold",
            "confidence": "possible",
            "why": [],
            "url": None,
            "fix": None,
            "trace": None,
        },
    ]
    assert json.loads(json_array.render([])) == []


@pytest.mark.parametrize(
    ("seen", "said", "as_json"),
    [
        (Seen("waited", 1), "waited 1 time", ["waited", 1, None, []]),
        (Seen("waited", 3, 1.5, ("log",)), "waited 3 times, 1.5 s in all, allowed: log", ["waited", 3, 1.5, ["log"]]),
        (Seen("idle"), "ran without waiting", ["idle", 0, None, []]),
        (Seen("not-executed"), "not executed", ["not-executed", 0, None, []]),
        (Seen("unknown"), "not seen to wait", ["unknown", 0, None, []]),
    ],
)
def test_what_a_trace_says_is_in_every_report(seen: Seen, said: str, as_json: list[object]) -> None:
    one = finding()
    assert concise.render([one], style=PLAIN, unsafe_fixes=False, seen={one: seen}).endswith(f" ({said})\n")
    shown = "".join(full.render([one], read=lambda _: SOURCE, style=PLAIN, unsafe_fixes=False, seen={one: seen}))
    assert f"  = trace: {said}\n" in shown
    (listed,) = json.loads(json_array.render([one], {one: seen}))
    assert list(listed["trace"].values()) == as_json
    assert list(listed["trace"]) == ["state", "count", "stall", "allowed"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, ""),
        (0.0, "0 us"),
        (2.5e-6, "2.5 us"),
        (9.999e-4, "1 ms"),
        (0.25, "250 ms"),
        (1.5, "1.5 s"),
        (5e3, "5000 s"),
    ],
)
def test_durations_have_a_unit_that_suits_them(seconds: float | None, text: str) -> None:
    assert concise.duration(seconds) == text


def test_statistics_count_by_rule() -> None:
    findings = [finding(), finding(fix=fix()), finding(code="SYN101", name="blocking-transfer", fix=fix())]
    assert counts.render(findings, as_json=False, unsafe_fixes=False) == (
        "2  SYN201  [-]  scalar-read\n1  SYN101  [*]  blocking-transfer\n"
    )
    assert json.loads(counts.render(findings, as_json=True, unsafe_fixes=False)) == [
        {"code": "SYN201", "name": "scalar-read", "count": 2, "fixable": 1},
        {"code": "SYN101", "name": "blocking-transfer", "count": 1, "fixable": 1},
    ]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"a\nb\nc\n", b"a\nB\nc\n"),
        (b"a\nb", b"a\nB"),
        (b"a\nb", b"a\nb\n"),
        (b"a\r\nb\r\n", b"a\r\nB\r\n"),
        (b"", b"a\n"),
        ("x = 'é\x0c日'\ny = 1\n".encode(), "x = 'é\x0c日'\ny = 2\n".encode()),
    ],
)
def test_git_can_apply_the_diff(tmp_path: Path, before: bytes, after: bytes) -> None:
    (tmp_path / "m.py").write_bytes(before)
    text = diff.unified("m.py", before, after, style=PLAIN)
    subprocess.run(["git", "apply", "-p0"], input=text.encode(), cwd=tmp_path, check=True)
    assert (tmp_path / "m.py").read_bytes() == after


def test_no_diff_where_nothing_changes() -> None:
    assert diff.unified("m.py", b"a\n", b"a\n", style=PLAIN) == ""


@pytest.mark.parametrize(
    ("variables", "terminal", "expected"),
    [
        ({}, True, True),
        ({}, False, False),
        ({"NO_COLOR": "1"}, True, False),
        ({"NO_COLOR": ""}, True, True),
        ({"FORCE_COLOR": "1"}, False, True),
        ({"NO_COLOR": "1", "FORCE_COLOR": "1"}, True, False),
        ({"TERM": "dumb"}, True, False),
    ],
)
def test_colour(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], terminal: bool, expected: bool) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    stream = io.StringIO()
    stream.isatty = lambda: terminal  # type: ignore[method-assign]
    assert wants_colour(stream) is expected


def test_colour_changes_nothing_but_colour() -> None:
    import re

    one = finding(why=(Step("", 3, "why"),), help="help " * 40, fix=fix())
    coloured = page(one, style=Style(colour=True))
    assert "\x1b[" in coloured
    unpainted = re.sub(r"\x1b\[[0-9;]*m", "", coloured)
    assert [line.rstrip() for line in unpainted.splitlines()] == page(one).splitlines()


@pytest.mark.parametrize(
    ("text", "shown", "columns"),
    [
        ("plain", "plain", 5),
        ("a\tb", "a    b", 6),
        ("\x07\x7f", "␇␡", 2),
        ("\u202eabc", "\ufffdabc", 4),
        ("日", "日", 2),
        ("e\u0301", "e\u0301", 1),
    ],
)
def test_visible_text_and_its_width(text: str, shown: str, columns: int) -> None:
    assert visible(text) == shown
    assert width(shown) == columns


class Toy(Rule):
    """## What it does

    Reports waits. And more.

    ## Fix safety

    None.
    """

    code = "SYN999"
    name = "toy-wait"
    facts = frozenset()
    INVALID = (
        Invalid(code="f()\n", run="f()", lines=(1,), event="sync", fixed="g()\n", level=Applicability.SAFE),
        Invalid(code="h()\n", run="h()", lines=(1,), event="sync", note="no way out"),
    )
    VALID = (Valid(code="g()\n", run="g()", note="does not wait"),)

    def judge(self, site: Site, context: Context) -> Report | None:
        return None


class Told(Toy):
    """Told at length.

    ## Example

        if x:
            f()
    """

    code = "SYN998"
    name = "told-wait"


@pytest.fixture
def toy_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (run, pages):
        monkeypatch.setattr(module, "load_rules", lambda: (Told(), Toy()))


@pytest.mark.usefixtures("toy_rules")
def test_a_page_is_the_docstring_and_the_examples() -> None:
    assert pages.page("toy-wait") == pages.page("syn999")
    assert pages.page("SYN999") == (
        "# toy-wait (SYN999)\n\n"
        "## What it does\n\nReports waits. And more.\n\n"
        "## Example\n\n```python\nf()\n```\n\n"
        "## Use instead\n\n```python\ng()\n```\n\n"
        "## Fix safety\n\nNone.\n\n"
        "## Evidence\n\nNo GPU has confirmed this yet; the simulated device runs the examples.\n\n"
        "## Reported: no way out (no fix)\n\n```python\nh()\n```\n\n"
        "## Not reported: does not wait\n\n```python\ng()\n```\n"
    )


@pytest.mark.usefixtures("toy_rules")
def test_a_page_with_its_own_example_shows_all_of_the_others() -> None:
    page = pages.page("SYN998")
    assert "## Example\n\n    if x:\n        f()\n\n" in page
    assert "## Reported: safe fix\n\n```python\nf()\n```\n\nbecomes\n\n```python\ng()\n```" in page


@pytest.mark.usefixtures("toy_rules")
def test_the_listing() -> None:
    lines = pages.listing().splitlines()
    assert [line[:6] for line in lines if line.startswith("SYN")] == ["SYN901", "SYN902", "SYN998", "SYN999"]
    assert lines[-1] == "SYN999  toy-wait            Reports waits. [safe]"
    assert max(map(len, lines)) <= 100
