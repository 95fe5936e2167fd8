"""``synclint explain``, from the command line to what it prints."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from synclint.cli import main
from synclint.config import Settings
from synclint.explain.explain import explain
from synclint.finding import Confidence, Heat
from synclint.lint.engine import load_rules
from synclint.run import Linter
from synclint.source import Source

MODEL = """\
import torch
from elsewhere import make


class Model(torch.nn.Module):
    def __init__(self):
        self.scale = torch.ones(3)

    def forward(self, x, mask, flag):
        y = make(flag)
        if mask.any() and y.item() > 0:
            x = x.to(
                self.scale.device
            )
        n = int(mask.sum())  # synclint: ignore[SYN201] once
        return y, n, x
        print(n)

    def load(self, path):
        t = torch.tensor([1.0], device="cuda")
        for i in range(3):
            t = t + i
        return t.item()
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    (tmp_path / "pyproject.toml").write_text("[tool.synclint]\n")
    (tmp_path / "model.py").write_text(MODEL)
    return tmp_path


@pytest.fixture
def explained(capsys: pytest.CaptureFixture[str]):
    """The statements that the JSON report has about a place in ``model.py``."""

    def run(place: str, *options: str) -> list[dict[str, Any]]:
        assert main(["explain", f"model.py:{place}", "--output-format=json", *options]) == 0
        return json.loads(capsys.readouterr().out)["statements"]

    return run


def beliefs(statement: dict[str, Any]) -> dict[str, str]:
    return {one["text"]: one["belief"] for one in statement["expressions"]}


def verdicts(statement: dict[str, Any], fact: str) -> dict[str, list[str]]:
    """The reasons of each rule not to report a fact."""
    return {
        rule["code"]: [reason["kind"] for reason in rule["reasons"]]
        for operation in statement["operations"]
        for one in operation["facts"]
        if one["id"] == fact
        for rule in one["rules"]
    }


# ---------------------------------------------------------------------- expressions


def test_expressions_are_nested_in_source_order(explained) -> None:
    (statement,) = explained("11")
    shown = [(one["depth"], one["text"]) for one in statement["expressions"] if not one["plain"]]
    assert shown == [(0, "mask.any()"), (1, "mask"), (0, "y.item() > 0"), (1, "y.item()"), (2, "y")]
    mask = next(one for one in statement["expressions"] if one["text"] == "mask")
    assert (mask["kind"], mask["place"]) == ("tensor", "accelerator")
    assert (mask["kind_confidence"], mask["place_confidence"]) == ("likely", "likely")
    assert [(step["path"], step["line"]) for step in mask["why"]] == [("model.py", 9)]


def test_what_is_unknown_says_why(explained) -> None:
    notes = {one["text"]: one["note"] for one in explained("11")[0]["expressions"]}
    assert notes["y"] == "set in line 10, to something that is not known"
    notes = {one["text"]: one["note"] for one in explained("10")[0]["expressions"]}
    assert notes["make(flag)"] == "what `elsewhere.make` returns is not known"


def test_parts_of_a_condition_are_as_before_it(folder: Path, explained) -> None:
    code = (
        'import torch\ndef f(x):\n    x = torch.ones(3, device=x)\n    if x.device.type == "cpu":\n        return x\n'
    )
    (folder / "model.py").write_text(code)
    assert beliefs(explained("4")[0])["x"] == "float tensor of rank 1, where is not known"
    assert beliefs(explained("5")[0])["x"] == "float tensor of rank 1, in host memory, not pinned"


def test_the_last_round_of_a_loop_counts(folder: Path, explained) -> None:
    code = "import torch\nt = torch.ones(3)\nfor i in range(3):\n    u = t\n    t = t.cuda()\n"
    (folder / "model.py").write_text(code)
    assert beliefs(explained("2")[0])["torch.ones(3)"] == "float tensor of rank 1, in host memory, not pinned"
    (target, read) = explained("4")[0]["expressions"]
    assert read["belief"] == target["belief"] == "float tensor of rank 1, in host memory or on the accelerator"
    assert read["note"] == "it depends on the path: set in lines 2, 5, too"


def test_parameters_are_what_the_callers_of_the_project_agree_on(folder: Path, explained) -> None:
    code = (
        "import torch\ndef g(x):\n    return x\ndef f():\n"
        "    return g(torch.ones(3, device='cuda')), g(torch.ones(5, device='cuda'))\n"
    )
    (folder / "model.py").write_text(code)
    assert beliefs(explained("3")[0])["x"] == "float tensor of rank 1, on CUDA"
    belief = beliefs(explained("5")[0])
    assert belief["g(torch.ones(3, device='cuda'))"] == "float tensor of rank 1, on CUDA"


def test_a_header_tells_parameters_and_result(explained) -> None:
    (statement,) = explained("9")
    roles = [(one["role"], one["text"]) for one in statement["expressions"]]
    assert roles == [
        ("parameter", "self"),
        ("parameter", "x"),
        ("parameter", "mask"),
        ("parameter", "flag"),
        ("returns", "forward(...)"),
    ]
    assert beliefs(statement)["x"] == "tensor, on the accelerator"


def test_targets_are_plain_unless_their_name_tells_more(folder: Path, explained) -> None:
    code = "import torch\nfrom a import g\n\ndef f():\n    seq_lens_cpu = g()\n    n = g()\n"
    (folder / "model.py").write_text(code)
    target = explained("5")[0]["expressions"][0]
    assert (target["role"], target["plain"], target["place"]) == ("target", False, "cpu")
    assert explained("6")[0]["expressions"][0]["plain"]


def test_a_column_leaves_what_holds_it(explained) -> None:
    (statement,) = explained("11:27")
    assert [one["text"] for one in statement["expressions"]] == ["y.item() > 0", "y.item()", "y"]
    assert [one["text"] for one in statement["operations"]] == ["y.item()"]


def test_any_line_of_a_statement_and_ranges(explained) -> None:
    (first,), (middle,) = explained("12"), explained("13")
    assert first == middle
    assert (first["first_line"], first["last_line"]) == (12, 14)
    assert [one["first_line"] for one in explained("10-15")] == [10, 11, 12, 15]


def test_long_statements_are_cut_to_the_line(folder: Path, explained) -> None:
    rows = "".join(f"    torch.ones({n}),\n" for n in range(60))
    (folder / "model.py").write_text(f"import torch\nall = [\n{rows}]\n")
    (statement,) = explained("7")
    assert [one["text"] for one in statement["expressions"] if one["depth"] == 1] == ["torch.ones(4)"]
    assert statement["left_out"] > 100


def test_statements_that_were_not_interpreted(folder: Path, explained) -> None:
    assert explained("17")[0]["state"].startswith("not reached")


# ---------------------------------------------------------------------- operations and verdicts


def test_why_a_finding_is_reported_or_not(folder: Path, explained) -> None:
    (condition,) = explained("11")
    assert condition["scope"] == "Model.forward"
    assert condition["heat"] == "hot"
    assert verdicts(condition, "truth-value") == {"SYN202": []}
    assert verdicts(condition, "scalar-read") == {"SYN201": ["confidence"]}
    assert verdicts(explained("11", "--confidence=possible")[0], "scalar-read") == {"SYN201": []}
    assert verdicts(explained("11", "--ignore=SYN202")[0], "truth-value") == {"SYN202": ["not-selected"]}
    assert verdicts(explained("15")[0], "scalar-read") == {"SYN201": ["suppressed"]}
    assert verdicts(explained("23")[0], "scalar-read") == {"SYN201": ["heat"]}
    assert verdicts(explained("23", "--heat=cold")[0], "scalar-read") == {"SYN201": []}
    (folder / "pyproject.toml").write_text('[tool.synclint]\nper-file-ignores = { "model.py" = ["SYN202"] }\n')
    (reason,) = (
        reason
        for operation in explained("11")[0]["operations"]
        for fact in operation["facts"]
        for rule in fact["rules"]
        for reason in rule["reasons"]
        if reason["kind"] == "not-selected"
    )
    assert "per-file-ignores" in reason["text"]


def test_conditions_of_a_fact(explained) -> None:
    (operation,) = (one for one in explained("11")[0]["operations"] if one["operation"] == "Tensor.item")
    facts = {one["id"]: one for one in operation["facts"]}
    assert facts["scalar-read"]["holds"] is None
    assert facts["scalar-read"]["conditions"] == [
        {"predicate": "self.cuda", "text": "`y` is on the accelerator", "holds": None}
    ]
    assert facts["scalar-read"]["limits"] == "it is not known whether `y` is on the accelerator"
    (operation,) = (one for one in explained("23")[0]["operations"])
    facts = {one["id"]: one["holds"] for one in operation["facts"]}
    assert facts == {"scalar-read": True, "scalar-read-host": False}


def test_a_copy_from_host_memory_is_not_taken_for_an_empty_one(folder: Path, explained) -> None:
    (folder / "model.py").write_text("import torch\nx = torch.ones(3)\ny = x.to('cuda')\n")
    (operation,) = explained("3")[0]["operations"]
    holds = {one["id"]: one["holds"] for one in operation["facts"]}
    assert holds["blocking-h2d-copy"] is True
    assert holds["empty-copy"] is False


def test_blocks_in_which_waits_are_meant(folder: Path, explained) -> None:
    code = "import torch\nt = torch.ones(3, device='cuda')\nwith allow_sync('why'):\n    t.item()\n"
    (folder / "model.py").write_text(code)
    ((fact,),) = (
        [one for one in operation["facts"] if one["id"] == "scalar-read"]
        for operation in explained("4")[0]["operations"]
    )
    assert fact["holds"] is True
    assert fact["rules"] == []
    assert "meant to happen" in fact["note"]


def test_another_site_of_the_same_finding(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = MODEL.replace("y.item() > 0", "x.any()")
    (folder / "model.py").write_text(code)
    assert main(["explain", "model.py:11"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "it belongs to what SYN202 says of 11:12" in text


def examples() -> list[Any]:
    return [
        pytest.param(example.code, id=f"{rule.code}-{at}")
        for rule in load_rules()
        for at, example in enumerate([*rule.INVALID, *rule.VALID])
    ]


@pytest.mark.parametrize("code", examples())
def test_explanations_agree_with_the_report(code: str) -> None:
    settings = Settings(root=Path.cwd(), confidence=Confidence.POSSIBLE, heat=Heat.COLD)
    source = Source.decode(code.encode(), "example.py")
    reported = {(one.code, one.line, one.column) for one in Linter(settings).findings(source)}
    lines = len(source.lines)
    found = {
        (verdict.code, operation.span.line, operation.span.column)
        for statement in explain(source, settings, 1, lines).statements
        for operation in statement.operations
        for fact in operation.facts
        for verdict in fact.verdicts
        if not verdict.reasons
    }
    assert found == reported


# ---------------------------------------------------------------------- the file, and what is asked


def test_notes_about_the_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "pyproject.toml").write_text('[tool.synclint]\nextend-exclude = ["model.py"]\n')
    assert main(["explain", "model.py:11", "--output-format=json"]) == 0
    assert "excludes this file" in json.loads(capsys.readouterr().out)["notes"][0]
    (folder / "other.py").write_text("x = 1\n")
    assert main(["explain", "other.py:1", "--output-format=json"]) == 0
    assert "nothing in its text" in json.loads(capsys.readouterr().out)["notes"][0]


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("nothing.py:7", "nothing.py:7: cannot be read: no such file or directory"),
        ("model.py:3", "model.py:3: there is no expression in this line"),
        ("model.py:2", "model.py:2: there is no expression in this line"),
        ("model.py:3-4", "model.py:3-4: there is no expression in these lines"),
        ("model.py:99", "model.py:99: there is no such line; the file has 24 lines"),
        ("model.py:0", "model.py:0: there is no such line; the file has 24 lines"),
        ("model.py:11:2", "model.py:11:2: there is no expression at this column"),
        ("broken.py:1", "broken.py:1: not explained, because of line 2: cannot be parsed: "),
        ("broken.py:2", "broken.py:2: cannot be parsed: "),
    ],
)
def test_nothing_to_explain(folder: Path, capsys: pytest.CaptureFixture[str], place: str, message: str) -> None:
    (folder / "broken.py").write_text("x = 1\ny = (\n")
    assert main(["explain", place]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith(f"synclint: error: {message}")


@pytest.mark.parametrize("place", ["model.py", "model.py:x", "model.py:3-", ":3"])
def test_places_that_are_none(capsys: pytest.CaptureFixture[str], place: str) -> None:
    with pytest.raises(SystemExit) as left:
        main(["explain", place])
    assert left.value.code == 2
    assert "expected PATH:LINE" in capsys.readouterr().err


def test_a_range_that_ends_before_it_starts(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["explain", "model.py:12-11"])
    assert "ends before it starts" in capsys.readouterr().err


def test_the_text(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert main(["explain", "model.py:15"]) == 0
    plain = capsys.readouterr().out
    assert plain == TEXT
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert main(["explain", "model.py:15"]) == 0
    painted = capsys.readouterr().out
    assert painted != plain
    assert re.sub(r"\x1b\[[\d;]*m", "", painted) == plain


TEXT = """\
model.py:15
  15 |         n = int(mask.sum())  # synclint: ignore[SYN201] once
  in `Model.forward`: hot; model.py:9: `Model.forward` runs for every step

  int(mask.sum())  host value: certain
    mask.sum()     tensor of rank 0, on the accelerator: likely
                   why: model.py:9: parameter `mask` of `Model.forward`: on the accelerator by
                          convention of model code
      mask         tensor, on the accelerator: likely
                   why: as above
  plain: `int`

  int(Tensor): int(mask.sum())
    yes  scalar-read (device to host): likely
         because no more than likely: that `mask.sum()` is a tensor, where `mask.sum()` is
         - `mask.sum()` is on the accelerator: yes
         SYN201 scalar-read: not reported: suppressed by the comment in line 15
    no   scalar-read-host (costs the host time): `mask.sum()` is not in host memory
  Tensor.sum: mask.sum()
    yes  reduction-on-device: nothing waits

"""
