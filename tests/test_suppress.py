from __future__ import annotations

import tokenize
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synclint.finding import Applicability, Confidence, Direction, Finding, Heat
from synclint.source import Source
from synclint.suppress import Suppressions

KNOWN = {"SYN101": "blocking-transfer", "SYN201": "scalar-read", "SYN202": "tensor-condition"}


def read(text: str) -> Source:
    return Source.decode(text.encode(), "m.py")


def finding(line: int, code: str = "SYN201", header: tuple[int, int] | None = None) -> Finding:
    return Finding(
        code,
        KNOWN[code],
        "waits",
        "m.py",
        line,
        1,
        line,
        2,
        Direction.D2H,
        Heat.HOT,
        Confidence.CERTAIN,
        header or (line, line),
    )


def judge(text: str, *findings: Finding) -> tuple[list[bool], list[Finding]]:
    suppressions = Suppressions(read(text), KNOWN)
    covered = [suppressions.covers(finding) for finding in findings]
    return covered, suppressions.unused()


def fixed(text: str, *findings: Finding) -> str:
    """The text after the fixes of all unused suppressions, again until nothing changes."""
    for _ in range(5):
        data = read(text).data
        edits = sorted((edit.start, edit.end) for f in judge(text, *findings)[1] if f.fix for edit in f.fix.edits)
        for start, end in reversed(edits):
            data = data[:start] + data[end:]
        if data.decode() == text:
            return text
        text = data.decode()
    raise AssertionError("does not converge")


# ---------------------------------------------------------------------- what is covered

CALL = "f(\n    x.item(),\n    y,\n)\n"


@pytest.mark.parametrize(
    "text",
    [
        "x.item()  # synclint: ignore[SYN201] wanted\n",
        "x.item()  # synclint: ignore[SYN101,SYN201]",
        "x.item()  # synclint: ignore[ scalar-read , SYN101 ] once",
        "x.item()  # synclint:ignore [syn201]",
        "x.item()  #synclint: Ignore[Scalar-Read]",
        "x.item()  # synclint: ignore",
        "x.item()  # synclint: ignore it is read once",
        "x.item()  # synclint: ignore - see #123: scalar-read is wanted",
        "x.item()  # type: ignore  # synclint: ignore[SYN201] why  # noqa: F401",
        "x.item()  # noqa: SYN201",
        "x.item()  # NOQA:F401,SYN201 why",
        "x.item()  # noqa : F401 syn201",
        "x.item()  # noqa",
        "x.item()  # noqa: some words",
        "x.item()  # é # noqa",
    ],
)
def test_a_comment_on_the_line_suppresses(text: str) -> None:
    assert judge(text, finding(1))[0] == [True]


@pytest.mark.parametrize(
    "text",
    [
        "x.item()  # synclint: ignore[SYN202]",
        "x.item()  # synclint: ignore[SYN2]",
        "x.item()  # synclint: ignore[]",
        "x.item()  # synclint: ignore[SYN201",
        "x.item()  # synclint: ignore SYN201",
        "x.item()  # synclint: ignore(SYN201)",
        "x.item()  # synclint: ignore: scalar-read",
        "x.item()  # synclint: ignroe[SYN201]",
        "x.item()  # the `# synclint: ignore[SYN201]` comment",
        "x.item()  # noqa: SYN202",
        "x.item()  # noqa: F401",
        "x.item()  # noqable",
        "x.item()  # ruff: noqa",
        "x.item(); y = '# synclint: ignore[SYN201]'",
        "x.item(); y = '# noqa'",
        "x.item()\n# synclint: ignore[SYN201]",
        "x.item()\ny = 1  # synclint: ignore[SYN201]",
        "# synclint: ignore[SYN201]\n\nx.item()",
        "y = 1  # synclint: ignore[SYN201]\nx.item()",
    ],
)
def test_what_does_not_suppress(text: str) -> None:
    line = next(number for number, line in enumerate(text.splitlines(), 1) if "x.item()" in line)
    assert judge(text, finding(line))[0] == [False]


@pytest.mark.parametrize("comment", ["# synclint: ignore[SYN201] why", "# noqa: SYN201", "# noqa"])
@pytest.mark.parametrize("line", [1, 2, 3, 4])
def test_a_comment_on_any_line_of_the_header_suppresses(comment: str, line: int) -> None:
    lines = CALL.splitlines()
    lines[line - 1] += f"  {comment}"
    (covered,), unused = judge("\n".join(lines), finding(2, header=(1, 4)))
    assert covered
    assert not unused


@pytest.mark.parametrize("comment", ["# synclint: ignore[SYN201] why", "# noqa: SYN201", "# noqa"])
@pytest.mark.parametrize("between", ["", "# more words\n", "  # synclint: ignore[SYN101]\n"])
def test_a_comment_alone_above_the_statement_suppresses(comment: str, between: str) -> None:
    text = f"{comment}\n{between}{CALL}"
    first = 2 + bool(between)
    assert judge(text, finding(first + 1, header=(first, first + 3)))[0] == [True]
    assert judge(text, finding(first + 1, header=(first + 1, first + 3)))[0] == [False]


def test_codes_decide_which_of_several_findings_is_suppressed() -> None:
    covered, unused = judge("x.item()  # synclint: ignore[SYN201]", finding(1), finding(1, "SYN202"))
    assert covered == [True, False]
    assert not unused


@pytest.mark.parametrize(
    ("comment", "codes"),
    [
        ("# synclint: ignore-file[SYN201] why", {"SYN201"}),
        ("# synclint: ignore-file[scalar-read, tensor-condition]", {"SYN201", "SYN202"}),
        ("# synclint: ignore-file generated", {"SYN101", "SYN201", "SYN202"}),
    ],
)
@pytest.mark.parametrize("template", ["'''text'''\n{}\nx = 1\ny = 2\n", "def f():\n    x = 1\n    y = 2\n{}"])
def test_a_file_can_be_ignored(comment: str, codes: set[str], template: str) -> None:
    findings = [finding(line, code) for line in (2, 3) for code in KNOWN]
    covered, unused = judge(template.format(comment), *findings)
    assert covered == [finding.code in codes for finding in findings]
    assert not unused


BLOCKS = """\
a = 1
# synclint: disable[SYN201, SYN202] start-up
b = 2
# synclint: enable[SYN202]
c = 3
# synclint: enable
d = 4
# synclint: disable
e = 5
# synclint: enable[scalar-read]
f = 6
"""


def test_blocks_reach_from_disable_to_enable() -> None:
    text = BLOCKS
    findings = [finding(line, code) for line in (1, 3, 5, 7, 9, 11) for code in KNOWN]
    covered, unused = judge(text, *findings)
    assert {(f.line, f.code) for f, hit in zip(findings, covered, strict=True) if hit} == {
        (3, "SYN201"),
        (3, "SYN202"),
        (5, "SYN201"),
        (9, "SYN101"),
        (9, "SYN201"),
        (9, "SYN202"),
        (11, "SYN101"),
        (11, "SYN202"),
    }
    assert not unused


# ---------------------------------------------------------------------- what is unused


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("x = 1  # synclint: ignore[SYN201] why\ny\n", "x = 1\ny\n"),
        ("x = 1 \t # synclint: ignore \r\ny\r\n", "x = 1\r\ny\r\n"),
        ("x = 1  # synclint: ignore", "x = 1"),
        ("é = 'ü'  # synclint: ignore[SYN201] naïve\rz\r", "é = 'ü'\rz\r"),
        ("if x:\n    # synclint: ignore[SYN201]\n    y\n", "if x:\n    y\n"),
        ("x\n  # synclint: ignore", "x\n"),
        ("# synclint: ignore-file\nx\n", "x\n"),
        ("# synclint: disable\nx\n# synclint: enable\n", "x\n"),
        ("x  # synclint: ignore[SYN201] why  # noqa: F401\n", "x  # noqa: F401\n"),
        ("x  # type: ignore  # synclint: ignore[SYN201] see #12\n", "x  # type: ignore\n"),
        (
            "x  # type: ignore  # synclint: ignore[SYN201] y  # pragma: no cover\n",
            "x  # type: ignore  # pragma: no cover\n",
        ),
        ("    # synclint: ignore  # TODO: later\n", "    # TODO: later\n"),
        ("x  # noqa: SYN201\n", "x\n"),
        ("x  # noqa: SYN201, SYN202 why\n", "x\n"),
        ("x  # noqa: F401,SYN201\n", "x  # noqa: F401\n"),
        ("x  # noqa: SYN201 F401,SYN202 , E501 why\n", "x  # noqa: F401 , E501 why\n"),
        ("x  # noqa: F401\n", "x  # noqa: F401\n"),
        ("x  # noqa\n", "x  # noqa\n"),
        ("x  # synclint: ignore[SYN201, SYN999]\n", "x  # synclint: ignore[SYN999]\n"),
    ],
)
def test_an_unused_suppression_is_removed(before: str, after: str) -> None:
    assert fixed(before) == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("x  # synclint: ignore[SYN201, SYN202] why\n", "x  # synclint: ignore[SYN201] why\n"),
        ("x  # synclint: ignore[SYN202, scalar-read]\n", "x  # synclint: ignore[scalar-read]\n"),
        ("x  # synclint: ignore[ SYN101,SYN202 , SYN201 ] why\n", "x  # synclint: ignore[ SYN201 ] why\n"),
        ("x  # synclint: ignore[SYN101, SYN201, SYN202]\n", "x  # synclint: ignore[SYN201]\n"),
        ("x  # synclint: ignore[SYN201, scalar-read]\n", "x  # synclint: ignore[SYN201, scalar-read]\n"),
        ("x  # synclint: ignore[SYN201]  # noqa: SYN202\n", "x  # synclint: ignore[SYN201]\n"),
    ],
)
def test_unused_codes_leave_the_list_and_the_reason_stays(before: str, after: str) -> None:
    assert fixed(before, finding(1)) == after


def test_blocks_lose_what_they_do_not_need() -> None:
    assert fixed(BLOCKS, finding(3, "SYN202")) == (
        "a = 1\n# synclint: disable[SYN202] start-up\nb = 2\n# synclint: enable[SYN202]\nc = 3\nd = 4\ne = 5\nf = 6\n"
    )


def test_an_unused_suppression_is_a_finding() -> None:
    ((found),) = judge("\né = 1  # ü  # synclint: ignore[SYN201, SYN202] why # é: x\n")[1]
    assert (found.code, found.name, found.path) == ("SYN902", "unused-suppression", "m.py")
    assert found.message == "unused suppression: no SYN201 (scalar-read) and SYN202 (tensor-condition) here"
    assert (found.line, found.column, found.end_line, found.end_column) == (2, 13, 2, 51)
    assert found.header == (2, 2)
    assert (found.direction, found.confidence) == (Direction.NONE, Confidence.CERTAIN)
    assert found.fix is not None
    assert found.fix.applicability is Applicability.SAFE
    assert [(edit.begin, edit.finish, edit.text) for edit in found.fix.edits] == [((2, 11), (2, 51), "")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("# synclint: ignore\n", "unused suppression: nothing to ignore here"),
        ("# synclint: ignore-file[SYN201]\n", "unused suppression: no SYN201 (scalar-read) in this file"),
        ("# synclint: disable\n", "unused suppression: nothing to ignore in this block"),
        ("# synclint: enable\n", "unused suppression: it ends no block"),
        ("# synclint: enable[SYN201]\n", "unused suppression: SYN201 (scalar-read) is not disabled here"),
        ("# synclint: ignore[SYN2011]\n", "unknown code `SYN2011` in a suppression; did you mean `SYN201`?"),
        (
            "# synclint: ignore[scaler-read]\n",
            "unknown rule `scaler-read` in a suppression; did you mean `scalar-read`?",
        ),
        ("# synclint: ignore[everything]\n", "unknown rule `everything` in a suppression"),
        ("# synclint: ignroe[SYN201]\n", "expected one of {}, not `ignroe`; did you mean `ignore`?"),
        ("# synclint: [SYN201]\n", "expected one of {}"),
        ("# synclint:\n", "expected one of {}"),
        ("# synclint: ignore[]\n", "the brackets after `ignore` name no code"),
        ("# synclint: ignore[SYN201 why\n", "the bracket after `ignore` is not closed"),
        ("# synclint: ignore SYN201\n", "write `ignore[CODE, ...] reason`, with the codes in brackets"),
        ("# synclint: ignore SYN999 why\n", "write `ignore[CODE, ...] reason`, with the codes in brackets"),
        ("# synclint: disable=scalar-read\n", "write `disable[CODE, ...] reason`, with the codes in brackets"),
        ("# synclint: ignore scalar-read\n", "write `ignore[CODE, ...] reason`, with the codes in brackets"),
        ("x  # synclint: ignore-file\n", "`ignore-file` must stand on an unindented line of its own"),
        ("if x:\n  # synclint: ignore-file\n  y", "`ignore-file` must stand on an unindented line of its own"),
        ("x  # synclint: disable[SYN201]\n", "`disable` must stand on a line of its own"),
    ],
)
def test_messages(text: str, message: str) -> None:
    (found,) = judge(text)[1]
    assert found.code == "SYN902"
    assert found.message.removeprefix("malformed suppression: ") == message.format(
        "ignore, ignore-file, disable, enable"
    )
    assert (found.fix is None) == (not found.message.startswith("unused"))


def test_all_suppressions_of_a_finding_count_as_used() -> None:
    text = "# synclint: ignore-file[SYN201]\n# synclint: disable\nx  # synclint: ignore[SYN201]  # noqa: SYN201\n"
    covered, unused = judge(text, finding(3))
    assert covered == [True]
    assert not unused


@pytest.mark.parametrize(
    ("text", "remaining"),
    [
        ("x  # synclint: ignore[SYN201]  # noqa: SYN902\n", []),
        ("x  # synclint: ignore[SYN201, unused-suppression]\n", []),
        ("# synclint: ignore-file[SYN902]\nx  # synclint: ignroe\ny  # noqa: SYN101\n", []),
        ("# synclint: disable[SYN902]\nx  # synclint: ignore[SYN999]\n# synclint: enable\ny  # noqa: SYN101\n", [4]),
        ("# synclint: ignore-file\nx  # synclint: ignore\n", [1, 2]),
        ("x = 1\ny  # synclint: ignore[SYN902] why\n", [2]),
    ],
)
def test_unused_suppressions_can_be_suppressed_by_name(text: str, remaining: list[int]) -> None:
    assert [found.line for found in judge(text)[1]] == remaining


# ---------------------------------------------------------------------- robustness and cost


@pytest.mark.parametrize(
    ("text", "reads"),
    [
        ("x.item()  # a comment\ny = 1\n", False),
        ("x.item()\ny = 1  # noqa\n# noqa: F401\n", False),
        ("# about sync\nx.item()\ny = 1  # noqa: F401\n", True),
        ("x.item()  # noqa\n", True),
        ("y = 'synclint: ignore'\nx.item()\n", True),
        ("y = 1  # noqa: E501, SYN201\nx.item()\n", True),
    ],
)
def test_the_file_is_tokenized_only_where_a_comment_may_matter(
    text: str, reads: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    original = tokenize.generate_tokens

    def record(readline: Callable[[], str]) -> Iterator[tokenize.TokenInfo]:
        calls.append(readline)
        return original(readline)

    monkeypatch.setattr(tokenize, "generate_tokens", record)
    line = next(number for number, line in enumerate(text.splitlines(), 1) if "x.item()" in line)
    judge(text, finding(line))
    assert bool(calls) == reads


PIECES = [
    "# ",
    "#",
    "synclint:",
    " ignore",
    "[",
    "]",
    "SYN201",
    ", ",
    "scalar-read",
    " noqa",
    ": ",
    "F401",
    "é",
    "-file",
    "\n",
]


@given(
    st.lists(st.sampled_from([*PIECES, " disable", " enable", "x", "  ", "\r\n", "# synclint: ignore[", "# noqa: "])),
    st.booleans(),
)
def test_fixes_change_comments_alone_and_converge(pieces: list[str], used: bool) -> None:
    text = "".join(pieces)
    findings = [finding(1)] if used else []
    after = fixed(text, *findings)
    assert not [found for found in judge(after, *findings)[1] if found.fix]

    def code(text: str) -> list[str]:
        lines = [line.split("#")[0].rstrip() for line in text.replace("\r\n", "\n").split("\n")]
        return [line for line in lines if line]

    assert code(after) == code(text)
