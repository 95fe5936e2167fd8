"""Every rule keeps its word: the page is whole; examples are reported, fixed and quiet as they say, and run alike."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from synclint import config
from synclint.facts import all_facts, fact
from synclint.finding import Applicability, Finding
from synclint.fix.apply import apply
from synclint.lint.engine import load_rules
from synclint.lint.rule import Invalid, Rule, Valid
from synclint.pages import HEADINGS, docstring, page, sections
from synclint.run import Linter
from synclint.source import Source

RULES = load_rules()
BAD = [pytest.param(rule, bad, id=f"{rule.code}-{n}") for rule in RULES for n, bad in enumerate(rule.INVALID)]
FIXED = [
    pytest.param(rule, bad, id=f"{rule.code}-{n}")
    for rule in RULES
    for n, bad in enumerate(rule.INVALID)
    if bad.fixed is not None
]
GOOD = [pytest.param(rule, good, id=f"{rule.code}-{n}") for rule in RULES for n, good in enumerate(rule.VALID)]
FROM_EXAMPLES = {"Example", "Use instead"}

UP_TO = {
    Applicability.SAFE: {Applicability.SAFE},
    Applicability.UNSAFE: {Applicability.SAFE, Applicability.UNSAFE},
}


@pytest.fixture
def linter(tmp_path: Path, request: pytest.FixtureRequest) -> Linter:
    """The linter of an empty project with the settings of the example."""
    example = request.node.callspec.params["example"]
    lines = [f'{key} = "{value}"' for key, value in getattr(example, "settings", ())]
    (tmp_path / "pyproject.toml").write_text("\n".join(["[tool.synclint]", *lines]), encoding="utf-8")
    return Linter(config.load(tmp_path))


def source_of(code: str) -> Source:
    return Source.decode(code.encode(), "example.py")


def own(rule: Rule, findings: list[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.code == rule.code]


def span(finding: Finding) -> tuple[int, int, int, int]:
    return finding.line, finding.column, finding.end_line, finding.end_column


# ---------------------------------------------------------------------- the rules themselves


def test_facts_name_the_rules_that_report_them() -> None:
    claimed = {(one, rule.code) for rule in RULES for one in rule.facts}
    assert {(one.id, code) for one in all_facts() for code in one.rules} == claimed


def test_codes_and_names_are_unique() -> None:
    assert len(RULES) > 1
    assert len({rule.code for rule in RULES}) == len(RULES)
    assert len({rule.name for rule in RULES}) == len(RULES)
    assert len({example.code for rule in RULES for example in rule.INVALID}) == len(BAD)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_the_rule_is_well_formed(rule: Rule) -> None:
    assert re.fullmatch(r"SYN[1-8]\d\d", rule.code)
    assert re.fullmatch(r"[a-z]+(-[a-z]+)+", rule.name)
    assert type(rule).__module__ == f"synclint.rules.{rule.name.replace('-', '_')}"
    assert rule.facts
    for name in rule.facts:
        assert fact(name).id == name


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_the_page_has_every_section(rule: Rule) -> None:
    said = sections(docstring(rule))
    assert [heading for heading in said if heading] == list(HEADINGS)
    assert {heading for heading, text in said.items() if heading and not text} <= FROM_EXAMPLES
    shown = sections(page(rule.code))
    assert all(shown[heading] for heading in HEADINGS)
    assert all(f"`{name}`" in said["Evidence"] for name in rule.facts)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_there_are_examples_of_both_kinds(rule: Rule) -> None:
    assert rule.INVALID
    assert rule.VALID
    notes = [*(example.note for example in rule.INVALID[1:]), *(example.note for example in rule.VALID)]
    assert all(notes), "a note is the title on the page"


# ---------------------------------------------------------------------- the examples


@pytest.mark.parametrize(("rule", "example"), BAD)
def test_a_bad_example_is_reported_where_it_says(rule: Rule, example: Invalid, linter: Linter) -> None:
    findings = linter.findings(source_of(example.code))
    assert tuple(finding.line for finding in own(rule, findings)) == example.lines
    spans = {span(finding) for finding in own(rule, findings)}
    assert not [finding for finding in findings if finding.code != rule.code and span(finding) in spans]


@pytest.mark.parametrize(("rule", "example"), BAD)
def test_a_bad_example_has_the_fix_that_it_says(rule: Rule, example: Invalid, linter: Linter) -> None:
    source = source_of(example.code)
    findings = own(rule, linter.findings(source))
    fixes = [finding.fix for finding in findings if finding.fix is not None]
    levels = {fix.applicability for fix in fixes}
    assert all(bool(fix.edits) == (fix.applicability is not Applicability.SUGGESTION) for fix in fixes)
    assert all(bool(fix.reason) == (fix.applicability is Applicability.UNSAFE) for fix in fixes)
    if example.fixed is None:
        assert levels == ({example.level} if example.level is not None else set())
        assert example.level in (None, Applicability.SUGGESTION)
        return
    assert example.level in levels
    allowed = UP_TO[example.level]
    result = apply(source, [fix for fix in fixes if fix.applicability in allowed])
    assert result.data.decode() == example.fixed
    assert not result.skipped


@pytest.mark.parametrize(("rule", "example"), FIXED)
def test_a_fixed_example_needs_no_further_fix(rule: Rule, example: Invalid, linter: Linter) -> None:
    assert example.fixed is not None
    assert example.level is not None
    compile(example.fixed, "example.py", "exec")
    source = source_of(example.fixed)
    findings = own(rule, linter.findings(source))
    # An example may hold places that its fix leaves alone, or say that it is "still reported".
    assert not findings or len(findings) < len(example.lines) or "still reported" in example.note
    fixes = [finding.fix for finding in findings if finding.fix is not None]
    assert apply(source, [fix for fix in fixes if fix.applicability in UP_TO[example.level]]).data == source.data


@pytest.mark.parametrize(("rule", "example"), GOOD)
def test_a_good_example_is_quiet(rule: Rule, example: Valid, linter: Linter) -> None:
    assert own(rule, linter.findings(source_of(example.code))) == []


# ---------------------------------------------------------------------- what the examples compute


@contextmanager
def cpu_instead_of_cuda(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """torch, in which ``.cuda()`` is ``.to("cpu")`` and pinning is copying."""
    torch = pytest.importorskip("torch")
    with monkeypatch.context() as patch:
        patch.setattr(torch.Tensor, "cuda", lambda tensor, *arguments, **keywords: tensor.to("cpu"))
        patch.setattr(torch.Tensor, "pin_memory", lambda tensor, *arguments: tensor.clone())
        for name in ("Float", "Double", "Half", "BFloat16", "Long", "Int", "Short", "Char", "Byte", "Bool"):
            patch.setattr(torch.cuda, f"{name}Tensor", getattr(torch, f"{name}Tensor"))
        yield torch


def on_cpu(code: str) -> str:
    code = re.sub(r"""(["'])cuda(:\d)?\1""", r"\1cpu\1", code)
    return code.replace("pin_memory=True", "pin_memory=False")


def value_of(torch: Any, code: str, run: str) -> Any:
    torch.manual_seed(0)
    namespace: dict[str, Any] = {"__name__": "example", "torch": torch}
    try:
        exec(compile(on_cpu(code), "example.py", "exec"), namespace)
        return eval(on_cpu(run), namespace)
    except (AssertionError, RuntimeError) as error:
        if re.search(r"CUDA|NVIDIA|[Aa]ccelerator", str(error)):
            pytest.skip(f"needs a CUDA device: {error}")
        raise


def assert_same(torch: Any, one: Any, other: Any, *, exactly: bool) -> None:
    assert type(one) is type(other)
    if isinstance(one, torch.Tensor):
        torch.testing.assert_close(one, other, rtol=0, atol=0, equal_nan=True, check_stride=exactly)
        assert torch.equal(torch.signbit(one.real), torch.signbit(other.real)) or one.dtype is torch.bool
        assert not exactly or (one.requires_grad, one.is_leaf) == (other.requires_grad, other.is_leaf)
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(other)
        for left, right in zip(one, other, strict=True):
            assert_same(torch, left, right, exactly=exactly)
    elif isinstance(one, dict):
        assert_same(torch, list(one.items()), list(other.items()), exactly=exactly)
    else:
        assert one == other or (one != one and other != other)


@pytest.mark.parametrize(("rule", "example"), BAD)
def test_a_bad_example_computes_the_same_when_fixed(
    rule: Rule, example: Invalid, monkeypatch: pytest.MonkeyPatch
) -> None:
    with cpu_instead_of_cuda(monkeypatch) as torch:
        before = value_of(torch, example.code, example.run)
        if example.fixed is not None:
            after = value_of(torch, example.fixed, example.run)
            assert_same(torch, before, after, exactly=example.level is Applicability.SAFE)


@pytest.mark.parametrize(("rule", "example"), GOOD)
def test_a_good_example_runs(rule: Rule, example: Valid, monkeypatch: pytest.MonkeyPatch) -> None:
    with cpu_instead_of_cuda(monkeypatch) as torch:
        value_of(torch, example.code, example.run)
