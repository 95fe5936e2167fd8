"""The parts of `synclint verify` that need no device: bisection, line maps, copies, verdicts, and how they join."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from synclint.cli import main
from synclint.finding import Applicability, Confidence, Direction, Edit, Finding, Fix, Heat
from synclint.report.terminal import Style
from synclint.report.verification import render, render_json
from synclint.runtime.event import Event, Frame
from synclint.runtime.proof import Proof
from synclint.source import Source
from synclint.verify import outcomes
from synclint.verify.bisect import culprits
from synclint.verify.lines import EditedLines
from synclint.verify.project import FlakyError, Run, Verification, proven_texts, units, verify
from synclint.verify.proving import KNOWN
from synclint.verify.scratch import Scratch
from synclint.verify.tree import copy_project, project_root, write_texts
from synclint.verify.verdict import Verdict

# ---------------------------------------------------------------------- bisection


@pytest.mark.parametrize("bad", [[{3}], [{0}, {9}], [{2, 7}], [{1}, {4, 5}], [set(range(10))]])
def test_culprits_are_the_smallest_groups_that_fail(bad: list[set[int]]) -> None:
    calls = 0

    def fails(items: Sequence[int]) -> bool:
        nonlocal calls
        calls += 1
        return any(group <= set(items) for group in bad)

    found = culprits(range(10), fails)
    assert sorted(map(sorted, found)) == sorted(map(sorted, bad))
    assert calls <= 45


def test_one_culprit_among_many_is_found_in_few_runs() -> None:
    calls = []
    assert culprits(range(256), lambda items: calls.append(1) or 77 in items) == [(77,)]  # type: ignore[func-returns-value]
    assert len(calls) <= 18


# ---------------------------------------------------------------------- lines


def edit(start: int, end: int, text: str) -> Edit:
    return Edit("p.py", start, end, text, (1, 1), (1, 1))


def test_lines_are_followed_through_a_change() -> None:
    text = b"aa\nbb\ncc\ndd\nee\n"
    edits = [edit(3, 5, "x\ny"), edit(6, 7, "z"), edit(9, 9, "new\n"), edit(12, 15, "")]
    lines = EditedLines(text, edits)  # aa, x, y, zc, new, dd
    assert [sorted(lines.image([line])) for line in range(1, 5)] == [[1], [2, 3], [4], [5, 6]]
    assert lines.image([1, 4]) == {1, 5, 6}


def test_an_edit_across_lines_counts_for_each_of_them() -> None:
    lines = EditedLines(b"aa\nbb\ncc\n", [edit(1, 4, "--\n--\n--")])  # a--, --, --b, cc
    assert [sorted(lines.image([line])) for line in (1, 2, 3)] == [[1, 2, 3], [1, 2, 3], [4]]


# ---------------------------------------------------------------------- trees


def test_a_copy_leaves_out_history_caches_and_environments(tmp_path: Path) -> None:
    root = tmp_path / "p"
    for name in (".git/HEAD", "venv/pyvenv.cfg", "pkg/__pycache__/a.pyc", "pkg/a.py", "build/ext.so"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    (root / "link.py").symlink_to("pkg/a.py")
    copy_project(root, tmp_path / "copy")
    found = {path.relative_to(tmp_path / "copy").as_posix() for path in (tmp_path / "copy").rglob("*")}
    assert found == {"pkg", "pkg/a.py", "build", "build/ext.so", "link.py"}
    assert project_root(root / "pkg" / "a.py") == root


def test_links_of_a_copy_lead_into_the_copy_or_where_they_led(tmp_path: Path) -> None:
    root, into, outside = tmp_path / "p", tmp_path / "elsewhere" / "copy", tmp_path / "data"
    (root / "pkg").mkdir(parents=True)
    (root / "a.py").write_text("a")
    outside.mkdir()
    links = {"pkg/absolute.py": root / "a.py", "pkg/relative.py": "../a.py", "pkg/data": "../../data", "all": outside}
    for name, target in links.items():
        (root / name).symlink_to(target)
    copy_project(root, into)
    assert {name: (into / name).resolve() for name in links} == {
        "pkg/absolute.py": into / "a.py",
        "pkg/relative.py": into / "a.py",
        "pkg/data": outside,
        "all": outside,
    }
    assert str((into / "pkg/absolute.py").readlink()) == "../a.py"  # a copy of the copy leads into itself


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes are POSIX's")
def test_a_copy_leaves_out_pipes_conda_environments_and_itself(tmp_path: Path) -> None:
    (tmp_path / "env" / "conda-meta").mkdir(parents=True)
    (tmp_path / "tmp").mkdir()
    os.mkfifo(tmp_path / "pipe")
    copy_project(tmp_path, tmp_path / "tmp" / "copy")
    assert [path.name for path in (tmp_path / "tmp" / "copy").rglob("*")] == ["tmp"]


def test_words_of_a_command_are_moved_into_the_copy_but_for_what_it_leaves_out(tmp_path: Path) -> None:
    root = tmp_path / "pristine"  # a name that the scratch folder uses, too
    for name in (".venv/pyvenv.cfg", ".venv/bin/python", "pkg/a.py"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    (tmp_path / "link").symlink_to(root)
    (tmp_path / "scratch").mkdir()
    scratch = Scratch(root, tmp_path / "scratch", root / "pkg", [])
    tree = tmp_path / "scratch" / "tree" / "pristine"
    shutil.copytree(root, tree, ignore=shutil.ignore_patterns(".venv"))
    python = str(root / ".venv" / "bin" / "python")
    words = {
        "../.venv/bin/python": python,
        python: python,
        "a.py": "a.py",
        "-q": "-q",
        str(root / "new.json"): str(tree / "new.json"),
        f"--out={root}/new.json": f"--out={tree}/new.json",
        f"{tmp_path}/link/pkg/a.py": str(tree / "pkg" / "a.py"),
        f"{tmp_path}/other.py": f"{tmp_path}/other.py",
        "print(1);" * 1000: "print(1);" * 1000,
        "": "",
    }
    assert {word: scratch._moved(word) for word in words} == words


def test_writing_into_a_copy_never_follows_a_link_out_of_it(tmp_path: Path) -> None:
    outside = tmp_path / "user.py"
    outside.write_text("theirs")
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "a.py").symlink_to(outside)
    write_texts(tree, {"a.py": b"ours"})
    assert outside.read_text() == "theirs"
    assert (tree / "a.py").read_bytes() == b"ours"


# ---------------------------------------------------------------------- verdicts

TEXT = b"a = 1\nb = 2\nc = 3\nd = 4\n"


def fix_of(line: int, text: str, level: Applicability = Applicability.SAFE) -> Fix:
    start = TEXT.splitlines(keepends=True)[: line - 1]
    begin = sum(map(len, start))
    return Fix(level, "", (Edit("p.py", begin, begin + 5, text, (line, 1), (line, 6)),))


def finding_of(line: int, fix: Fix | None) -> Finding:
    return Finding(
        "SYN201", "scalar-read", "", "p.py", line, 1, line, 6,
        Direction.D2H, Heat.HOT, Confidence.CERTAIN, (line, line), fix=fix,
    )  # fmt: skip


def event_at(line: int, kind: str = "sync", count: int = 1) -> Event:
    frame = Frame("p.py", line, "f")
    made = Event("aten::_local_scalar_dense", "scalar-read", Direction.D2H, user=frame, project=frame, count=count)
    return Event(**{**{name: getattr(made, name) for name in made.__dataclass_fields__}, "kind": kind})


class Told:
    """A command that waits in each line of p.py whose text says so, and fails where it says that."""

    def __init__(self, executed: set[int] | None = None) -> None:
        self.ran: list[bytes] = []
        self.executed = executed

    def __call__(self, texts: Mapping[str, bytes]) -> Run:
        text = texts.get("p.py", TEXT)
        self.ran.append(text)
        lines = list(enumerate(text.decode().splitlines(), 1))
        events = [event_at(n, count=4 if "often" in line else 5) for n, line in lines if "=" in line or "often" in line]
        races = [event_at(n, "race") for n, line in lines if "race" in line]
        status = int(any("fail" in line for _, line in lines))
        executed = None if self.executed is None else {"p.py": frozenset(self.executed)}
        return Run(status, {"t (call)": "failed" if status else "passed"}, [*events, *races], executed)


def verified(*fixes: Fix, command: Told | None = None) -> Verification:
    source = Source("p.py", TEXT, "utf-8", bom=False)
    found = [finding_of(fix.edits[0].begin[0], fix) for fix in fixes]
    return verify({"p.py": source}, units(found, frozenset(Applicability)), command or Told())


def verdicts(result: Verification) -> dict[int, Verdict]:
    return {one.unit.finding.line: one.verdict for one in result.judged}


def test_each_fix_gets_its_verdict() -> None:
    result = verified(fix_of(1, "quiet"), fix_of(2, "often"), fix_of(3, "c = 9"))
    assert verdicts(result) == {1: Verdict.REMOVED, 2: Verdict.REDUCED, 3: Verdict.WAITS}
    assert not result.holds
    assert verified(fix_of(1, "quiet"), fix_of(2, "often")).holds


def test_a_fix_that_changes_the_result_is_found_and_the_others_are_judged_without_it() -> None:
    result = verified(fix_of(1, "quiet"), fix_of(2, "failx"), fix_of(3, "quiet"), fix_of(4, "race1"))
    assert verdicts(result) == {1: Verdict.REMOVED, 2: Verdict.BREAKS, 3: Verdict.REMOVED, 4: Verdict.BREAKS}
    notes = {one.unit.finding.line: one.note for one in result.judged}
    assert "exit status 0 became 1" in notes[2]
    assert "t (call): passed became failed" in notes[2]
    assert "a race" in notes[4]
    assert not result.holds
    assert not result.differences


def test_what_did_not_run_is_told_from_what_did_not_wait() -> None:
    text = TEXT.replace(b"a = 1", b"quiet").replace(b"b = 2", b"quiet")
    source = Source("p.py", text, "utf-8", bom=False)

    class Quiet(Told):
        def __call__(self, texts: Mapping[str, bytes]) -> Run:
            return super().__call__({"p.py": text, **texts})

    found = units([finding_of(line, fix_of(line, "other")) for line in (1, 2)], frozenset(Applicability))
    result = verify({"p.py": source}, found, Quiet(executed={2}))
    assert verdicts(result) == {1: Verdict.NOT_EXECUTED, 2: Verdict.NEVER_WAITED}
    assert not result.holds


def copy_at(line: int) -> Event:
    return replace(event_at(line), operation="aten::_to_copy", cause="blocking-copy", direction=Direction.H2D)


@pytest.mark.parametrize(
    ("level", "before", "after", "verdict"),
    [
        ("D2H", [event_at(2)], [copy_at(2)], Verdict.WAITS),
        ("D2H", [event_at(2, count=3)], [copy_at(2)], Verdict.REDUCED),
        ("D2H", [event_at(2), copy_at(2)], [copy_at(2)], Verdict.REMOVED),
        ("D2H", [], [copy_at(2)], Verdict.WAITS),
        ("NONE", [], [copy_at(2)], Verdict.WAITS),
        ("NONE", [event_at(2)], [event_at(2)], Verdict.UNCHANGED),
    ],
)
def test_a_fix_that_puts_another_wait_in_its_place_is_not_proven(
    level: str, before: list[Event], after: list[Event], verdict: Verdict
) -> None:
    finding = replace(finding_of(2, fix_of(2, "other")), direction=Direction[level])
    source = Source("p.py", TEXT, "utf-8", bom=False)

    def command(texts: Mapping[str, bytes]) -> Run:
        return Run(0, {}, after if texts else before, {"p.py": frozenset({2})})

    result = verify({"p.py": source}, units([finding], frozenset(Applicability)), command)
    assert verdicts(result) == {2: verdict}
    assert result.holds is verdict.proven


def test_waits_of_the_line_below_an_import_are_not_those_of_the_fix_that_needs_it() -> None:
    here = (2, 1)
    imported = Edit("p.py", 6, 6, "import x\n", here, here)
    fix = replace(fix_of(4, "quiet"), edits=(imported, *fix_of(4, "quiet").edits))
    source = Source("p.py", TEXT, "utf-8", bom=False)
    result = verify({"p.py": source}, units([finding_of(4, fix)], frozenset(Applicability)), Told())
    assert verdicts(result) == {4: Verdict.REMOVED}
    assert (result.elsewhere, result.holds) == ([], True)


def test_lines_that_wait_now_more_now_less_say_nothing_about_fixes() -> None:
    class Random(Told):
        def __call__(self, texts: Mapping[str, bytes]) -> Run:
            run = super().__call__(texts)
            more = 1 + len(self.ran) % 2
            return replace(run, events=[*run.events, event_at(2, count=more), *[event_at(3)] * more])

    result = verified(fix_of(1, "quiet"), fix_of(2, "often"), command=Random())
    assert verdicts(result) == {1: Verdict.REMOVED, 2: Verdict.WAITS}
    assert result.elsewhere == []


class Proves:
    """Judges each line of the fixed text by what it says."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []

    def __call__(self, texts: Mapping[str, bytes], lines: Sequence[tuple[str, int]]) -> list[Proof]:
        self.asked += lines
        text = {path: data.decode().splitlines() for path, data in texts.items()}
        verdicts = {"hides": True, "quiet": False}
        return [Proof(path, line, verdicts.get(text[path][line - 1][:5]), (0.05,), 0.05) for path, line in lines]


def test_a_wait_that_no_oracle_reported_is_proved_all_the_same() -> None:
    source = Source("p.py", TEXT, "utf-8", bom=False)
    fixes = [fix_of(1, "import x\nquiet"), fix_of(2, "hides"), fix_of(3, "often"), fix_of(4, "other")]
    found = units([finding_of(at, fix) for at, fix in enumerate(fixes, 1)], frozenset(Applicability))
    proves = Proves()
    result = verify({"p.py": source}, found, Told(), prove=proves)
    assert verdicts(result) == {
        1: Verdict.REMOVED, 2: Verdict.WAITS, 3: Verdict.REDUCED, 4: Verdict.REMOVED,
    }  # fmt: skip
    assert proves.asked == [("p.py", 2), ("p.py", 3), ("p.py", 5)]
    assert [[proof.waits for proof in one.proofs] for one in result.judged] == [[False], [True], [], [None]]
    assert (result.holds, result.runs) == (False, 4)
    said = render(result, style=Style(False))
    assert "p.py:2: SYN201 [safe] still waits: 5 waits before; no wait was reported, but it was proved" in said
    assert "  p.py:3, fixed: proved: waits (host 50 ms" in said
    fix = json.loads(render_json(result))["fixes"][1]
    assert [proof["waits"] for proof in fix["proofs"]] == [True]


def test_another_wait_that_is_known_is_not_proved_to_be_the_fixs() -> None:
    class Other(Told):
        def __call__(self, texts: Mapping[str, bytes]) -> Run:
            run = super().__call__(texts)
            other = replace(event_at(1), operation="aten::_to_copy", cause="blocking-copy", direction=Direction.H2D)
            return replace(run, events=[*run.events, other])

    source = Source("p.py", TEXT, "utf-8", bom=False)
    found = units([finding_of(1, fix_of(1, "quiet"))], frozenset(Applicability))
    proves = Proves()
    result = verify({"p.py": source}, found, Other(), prove=proves)
    (one,) = result.judged
    assert (one.verdict, proves.asked, result.runs) == (Verdict.REMOVED, [], 3)
    assert [proof.reason for proof in one.proofs] == [KNOWN]


def test_a_run_in_which_no_fix_was_executed_proves_nothing() -> None:
    text = TEXT.replace(b"=", b"-")
    source = Source("p.py", text, "utf-8", bom=False)
    found = units([finding_of(1, fix_of(1, "other"))], frozenset(Applicability))
    result = verify({"p.py": source}, found, lambda texts: Run(0, {}, [], {}))
    assert verdicts(result) == {1: Verdict.NOT_EXECUTED}
    assert not result.holds


def test_a_flaky_command_proves_nothing() -> None:
    class Flaky(Told):
        def __call__(self, texts: Mapping[str, bytes]) -> Run:
            run = super().__call__(texts)
            return Run(len(self.ran) % 2, run.outcomes, run.events)

    with pytest.raises(FlakyError, match="exit status 1 became 0"):
        verified(fix_of(1, "quiet"), command=Flaky())


def test_without_fixes_there_is_nothing_to_judge() -> None:
    assert verified().holds
    assert units([finding_of(1, fix_of(1, "quiet"))], frozenset({Applicability.UNSAFE})) == []


def test_only_proven_fixes_are_kept() -> None:
    command = Told()
    source = Source("p.py", TEXT, "utf-8", bom=False)
    found = [finding_of(line, fix_of(line, text)) for line, text in ((1, "quiet"), (2, "failx"), (3, "c = 9"))]
    result = verify({"p.py": source}, units(found, frozenset(Applicability)), command)
    assert proven_texts({"p.py": source}, result, command) == {"p.py": b"quiet\nb = 2\nc = 3\nd = 4\n"}
    assert command.ran[-1] == b"quiet\nb = 2\nc = 3\nd = 4\n"


# ---------------------------------------------------------------------- outcomes of tests


def test_outcomes_of_tests_are_written_down(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    file = pytester.path / "outcomes.jsonl"
    monkeypatch.setenv(outcomes.VARIABLE, str(file))
    monkeypatch.setenv("PYTEST_ADDOPTS", f"-p {outcomes.PLUGIN}")
    pytester.makepyfile(
        test_a="""
        import pytest

        @pytest.fixture
        def broken():
            raise ValueError

        def test_good(): pass
        def test_bad(): assert False
        def test_error(broken): pass
        @pytest.mark.skip
        def test_skipped(): pass
        """,
        test_b="import nothing_of_that_name",
    )
    pytester.runpytest_subprocess()
    assert outcomes.read(file) == {
        "test_a.py::test_good (call)": "passed",
        "test_a.py::test_bad (call)": "failed",
        "test_a.py::test_error (setup)": "failed",
        "test_a.py::test_skipped (setup)": "skipped",
        "test_b.py (collect)": "failed",
    } or outcomes.read(file) == {"test_b.py (collect)": "failed"}


# ---------------------------------------------------------------------- without torch


def test_examples_need_torch_and_say_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for name in [name for name in sys.modules if name.startswith("synclint.verify.examples")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torch", None)
    assert main(["verify", "--rules"]) == 2
    assert "executing examples needs torch" in capsys.readouterr().err
