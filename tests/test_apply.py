"""Fixes are applied wholly or not at all, together where they get along, and until nothing is left to fix."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from synclint.finding import Applicability, Confidence, Direction, Edit, Finding, Fix, Heat
from synclint.fix.apply import apply, plan
from synclint.fix.converge import converge
from synclint.source import Source


def source_of(text: str, path: str = "a.py") -> Source:
    return Source(path, text.encode())


def fix(source: Source, *edits: tuple[str, str], level: Applicability = Applicability.SAFE) -> Fix:
    """A fix that replaces the first occurrence of each text; ``|`` marks a place to insert at."""
    made: list[Edit] = []
    for old, new in edits:
        before, bar, after = old.partition("|")
        start = source.data.index((before + after).encode())
        if bar:
            start += len(before.encode())
            made.append(source.edit(start, start, new))
        else:
            made.append(source.edit(start, start + len(old.encode()), new))
    return Fix(level, "message", tuple(made))


def finding(source: Source, offered: Fix | None, code: str = "SYN201") -> Finding:
    return Finding(
        code=code,
        name="scalar-read",
        message="waits",
        path=source.path,
        line=1,
        column=1,
        end_line=1,
        end_column=2,
        direction=Direction.D2H,
        heat=Heat.HOT,
        confidence=Confidence.CERTAIN,
        header=(1, 1),
        fix=offered,
    )


ONE = "import torch\n\ndef f(x, y):\n    a = x.item()\n    b = y.item()\n    return a + b\n"


def test_disjoint_fixes_are_applied_together() -> None:
    source = source_of(ONE)
    fixes = [fix(source, ("y.item()", "y.n")), fix(source, ("|import torch", "import os\n"), ("x.item()", "é"))]
    result = apply(source, fixes)
    assert result.data.decode() == "import os\n" + ONE.replace("y.item()", "y.n").replace("x.item()", "é")
    assert result.applied == tuple(fixes)
    assert result.skipped == ()


def test_edits_that_touch_do_not_conflict() -> None:
    source = source_of("x = abc\n")
    result = apply(source, [fix(source, ("a", "p")), fix(source, ("b", "q")), fix(source, ("a|b", "é"))])
    assert result.data.decode() == "x = péqc\n"
    assert result.skipped == ()


def test_the_later_of_two_that_overlap_waits() -> None:
    source = source_of("x = abcd\n")
    first, second, third = fix(source, ("abc", "p")), fix(source, ("cd", "q")), fix(source, ("b|c", "r"))
    result = apply(source, [first, second, third])
    assert result.data == b"x = pd\n"
    assert result.applied == (first,)
    assert [skipped.fix for skipped in result.skipped] == [second, third]
    assert apply(source, [second, first]).data == b"x = abq\n"


def test_a_fix_is_all_or_nothing() -> None:
    source = source_of(ONE)
    both = fix(source, ("x.item()", "x.n"), ("y.item()", "y.n"))
    result = apply(source, [fix(source, ("y.item", "y.m")), both])
    assert result.data.decode() == ONE.replace("y.item", "y.m")
    assert [skipped.fix for skipped in result.skipped] == [both]
    assert apply(source, [both]).data.decode() == ONE.replace("item()", "n")


def test_a_shared_import_is_added_once() -> None:
    source = source_of(ONE)
    line = ("|import torch", "import os\n")
    result = apply(source, [fix(source, line, ("x.item()", "x.n")), fix(source, line, ("y.item()", "y.n"))])
    assert result.data.decode() == "import os\n" + ONE.replace("item()", "n")
    assert len(result.applied) == 2


def test_equal_fixes_count_once() -> None:
    source = source_of(ONE)
    result = apply(source, [fix(source, ("x.item()", "x.n")), fix(source, ("x.item()", "x.n"))])
    assert len(result.applied) == 1
    assert result.skipped == ()


@pytest.mark.parametrize("seed", range(3))
def test_lines_at_one_place_have_one_order(seed: int) -> None:
    source = source_of("x = 1\n")
    texts = ["import b\n", "import a\n", "a()\n", "from c import d\n"]
    random.Random(seed).shuffle(texts)
    result = apply(source, [fix(source, ("|x", text)) for text in texts])
    assert result.data == b"from c import d\nimport a\nimport b\na()\nx = 1\n"


def test_other_insertions_at_one_place_conflict() -> None:
    source = source_of("f(x)\n")
    result = apply(source, [fix(source, ("x|)", ", a=1")), fix(source, ("x|)", ", a=2"))])
    assert result.data == b"f(x, a=1)\n"
    assert [skipped.reason for skipped in result.skipped] == ["another fix changes the same place"]


def test_two_fixes_do_not_bind_one_name_in_one_function() -> None:
    text = f"{ONE}\n\ndef g(z):\n    return z.item()\n"
    source = source_of(text)
    first = fix(source, ("|    a = ", "    v = x.tolist()\n"), ("x.item()", "v[0]"))
    second = fix(source, ("|    b = ", "    v = y.tolist()\n"), ("y.item()", "v[0]"))
    elsewhere = fix(source, ("|    return z", "    v = z.tolist()\n"), ("z.item()", "v[0]"))
    result = apply(source, [first, second, elsewhere])
    assert result.applied == (first, elsewhere)
    assert [skipped.reason for skipped in result.skipped] == ["another fix binds the same name in this function"]


@pytest.mark.parametrize(
    ("edits", "reason"),
    [
        ([("x.item()", "x.item()")], "it changes nothing"),
        ([("x.item()", "x.n"), ("item()", "m")], "its own edits overlap"),
        ([("|    a = ", "    p = 1\n"), ("|    a = ", "    q = p\n")], "its own edits overlap"),
        ([("x.item()", "x.")], "the result would not be valid Python"),
        ([("    return a + b\n", "    return f(a=1, a=2)\n")], "the result would not be valid Python"),
    ],
)
def test_a_fix_that_cannot_be_applied_is_skipped_with_a_reason(edits: list[tuple[str, str]], reason: str) -> None:
    source = source_of(ONE)
    bad, good = fix(source, *edits), fix(source, ("y.item()", "y.n"))
    for fixes in ([bad, good], [good, bad]):
        result = apply(source, fixes)
        assert result.data.decode() == ONE.replace("y.item()", "y.n")
        assert result.applied == (good,)
        assert [skipped.fix for skipped in result.skipped] == [bad]
        assert result.skipped[0].reason.startswith(reason)


def test_an_edit_beyond_the_file_is_skipped() -> None:
    source = source_of("x\n")
    bad = Fix(Applicability.SAFE, "", (Edit("a.py", 1, 9, "", (1, 1), (1, 1)),))
    assert apply(source, [bad]).data == b"x\n"
    assert apply(source, [bad]).skipped[0].reason == "it does not fit the file"


def test_the_culprits_among_many_are_found() -> None:
    source = source_of("".join(f"x{i} = y{i}\n" for i in range(40)))
    fixes = [fix(source, (f"= y{i}\n", "= (\n" if i in (3, 4, 31) else "= 1\n")) for i in range(40)]
    result = apply(source, fixes)
    assert [skipped.fix for skipped in result.skipped] == [fixes[3], fixes[4], fixes[31]]
    assert result.applied == tuple(fixes[i] for i in range(40) if i not in (3, 4, 31))
    assert result.data.count(b"= 1\n") == 37


def test_a_file_that_only_parses_is_still_fixed() -> None:
    source = source_of("await x.item()\n")
    assert apply(source, [fix(source, ("item", "n"))]).data == b"await x.n()\n"


def test_what_the_encoding_lacks_is_not_written() -> None:
    source = Source.decode("# coding: latin-1\nx = 'é'\n".encode("latin-1"), "a.py")
    result = apply(source, [fix(source, ("é", "€")), fix(source, ("x", "y"))])
    assert source.encode(result.data) == "# coding: latin-1\ny = 'é'\n".encode("latin-1")
    assert "which has no" in result.skipped[0].reason


def test_fixes_of_several_files_are_applied_in_all_or_none() -> None:
    one, two = source_of("x = 1\n", "one.py"), source_of("y = 1\n", "two.py")
    sources = {source.path: source for source in (one, two)}
    both = Fix(Applicability.SAFE, "", fix(one, ("1", "2")).edits + fix(two, ("1", "2")).edits)
    broken = Fix(Applicability.SAFE, "", fix(one, ("x", "z")).edits + fix(two, ("y", "(")).edits)
    result = plan(sources, [both, broken])
    assert result.data == {"one.py": b"x = 2\n", "two.py": b"y = 2\n"}
    assert result.applied == (both,)
    assert [skipped.fix for skipped in result.skipped] == [broken]
    alone = apply(one, [both])
    assert alone.data == one.data
    assert "two.py" in alone.skipped[0].reason


# ---------------------------------------------------------------------- to a fixed point


SAFE = frozenset({Applicability.SAFE})


def rewriter(*steps: tuple[str, str], code: str = "SYN201", level: Applicability = Applicability.SAFE):  # type: ignore[no-untyped-def]
    """A check that offers, for each step whose text is there, to replace its first occurrence."""

    def check(source: Source) -> Sequence[Finding]:
        present = [step for step in steps if step[0].encode() in source.data]
        return [finding(source, fix(source, step, level=level), code) for step in present]

    return check


def test_fixes_repeat_until_nothing_changes() -> None:
    result = converge(source_of("a\na\na\n"), rewriter(("a", "b"), ("b", "c")), SAFE)
    assert result.source.data == b"c\nc\nc\n"
    assert result.converged
    assert result.findings == ()
    assert result.fixed == {"SYN201": 6}
    assert result.complaint() == ""


@pytest.mark.parametrize(("steps", "rounds"), [([("a", "b"), ("b", "a")], 1), ([("a", "aa")], 10)])
def test_what_does_not_converge_is_stopped_and_named(steps: list[tuple[str, str]], rounds: int) -> None:
    result = converge(source_of("x = a\n"), rewriter(*steps, code="SYN101"), SAFE)
    assert not result.converged
    assert result.rounds == rounds
    assert result.unsettled == ("SYN101",)
    assert "SYN101" in result.complaint()
    assert "a.py" in result.complaint()
    compile(result.source.data, "a.py", "exec")
    assert len(result.findings) == 1


def test_only_allowed_levels_are_applied() -> None:
    source = source_of("a\n")
    check = rewriter(("a", "b"), level=Applicability.UNSAFE)
    held = converge(source, check, SAFE)
    assert held.source is source
    assert (held.converged, held.rounds, len(held.findings)) == (True, 0, 1)
    assert converge(source, check, SAFE | {Applicability.UNSAFE}).source.data == b"b\n"


def test_findings_that_share_a_fix_are_all_fixed() -> None:
    def check(source: Source) -> Sequence[Finding]:
        return [finding(source, fix(source, ("a", "b")))] * 3 if b"a" in source.data else []

    result = converge(source_of("a\n"), check, SAFE)
    assert result.fixed == {"SYN201": 3}
    assert result.rounds == 1


def test_a_fix_that_breaks_the_file_is_left_and_reported() -> None:
    result = converge(source_of("a\n"), rewriter(("a", "(")), SAFE)
    assert result.converged
    assert result.source.data == b"a\n"
    assert len(result.findings) == len(result.skipped) == 1


def test_the_byte_order_mark_and_the_encoding_stay() -> None:
    source = Source.decode(b"\xef\xbb\xbfa\r\n", "a.py")
    result = converge(source, rewriter(("a", "b")), SAFE)
    assert result.source.encode(result.source.data) == b"\xef\xbb\xbfb\r\n"
