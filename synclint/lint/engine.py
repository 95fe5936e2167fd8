"""Runs the rules over one file."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING

from synclint.finding import Confidence, Direction, Finding, Heat, Step

if TYPE_CHECKING:
    import ast

    from synclint.config import Settings
    from synclint.flow.heat import Names
    from synclint.flow.link import InProject
    from synclint.flow.module import ModuleFlow
    from synclint.flow.regions import Region
    from synclint.flow.site import Scope, Site
    from synclint.flow.values import Why
    from synclint.lint.file import FileFacts
    from synclint.lint.rule import Report, Rule
    from synclint.source import Source

# A file that waits has one of these: what moves or reads a tensor, or reduces one to what a condition can ask; what
# gives a result whose size depends on values, or waits by name; or makes a tensor on a device, for which a function
# may wait that it is passed to.
_OPERATION = re.compile(
    rb"\.(?:item|to|cuda|cpu|numpy|type|tolist|copy_|masked_scatter_|type_as|any|all|sum|max|min|numel|isinf|isnan"
    rb"|isfinite|eq|equal|unbind)\(|(?:tensor|Tensor|array|from_numpy)\("
    rb"|\b(?:int|float|bool|complex|sorted|min|max|any|all)\("
    rb"|(?:nonzero|argwhere|where|unique|unique_consecutive|bincount|histc|isin|to_sparse\w*|masked_select"
    rb"|repeat_interleave|index_put_|synchronize|empty_cache|allclose|equal|inverse|cholesky)\(|linalg\."
    rb"|\bdevice="
)
# Or an assignment to a subscript; a subscript with more than one name in it.
_SUBSCRIPT = re.compile(
    rb"\w\[[^\]\"'\n]+\]\s=\s|[\w)]\[(?:\[|[^\]\"'\n]*(?:mask|valid|keep|is_|cpu|_np\b|\bids\b|[<>=!]=|[<>~]))"
    rb"|\w\[[\w.]+\[[^\]\n]*\]\s?:"
)
_NOQA_WITH_CODE = re.compile(rb"noqa[^\n]*[a-z]{3}\d{3}")

# Operands in the order in which their chain explains a finding.
_EXPLAINING = ("self", "data", "source", "mask", "value", "index", "target")


@cache
def load_rules() -> tuple[Rule, ...]:
    """Every rule, sorted by code: one class to a module, in each package that the entry-point group names.

    Raises RuntimeError for a module without a rule, or two rules with one code.
    """
    from importlib import import_module
    from pkgutil import iter_modules

    from synclint.lint.packages import rule_packages

    rules: dict[str, Rule] = {}
    for package in rule_packages():
        for found in iter_modules(import_module(package).__path__, package + "."):
            module = import_module(found.name)
            rule = _rule_of(module.__dict__.values(), found.name)
            if rule.code in rules:
                raise RuntimeError(f"{found.name}: code {rule.code} is taken by {type(rules[rule.code]).__module__}")
            rules[rule.code] = rule
    return tuple(rules[code] for code in sorted(rules))


def _rule_of(members: Iterable[object], module: str) -> Rule:
    from synclint.lint.rule import Rule

    classes = [
        member
        for member in members
        if isinstance(member, type) and issubclass(member, Rule) and member.__module__ == module
    ]
    if len(classes) != 1:
        raise RuntimeError(f"{module}: one rule class was expected, {len(classes)} are there")
    return classes[0]()


def may_wait(data: bytes) -> bool:
    """Whether the text of a file has anything in it that a rule could report."""
    return b"torch" in data and (_OPERATION.search(data) is not None or _SUBSCRIPT.search(data) is not None)


def claims_of(rules: Iterable[Rule]) -> dict[str, list[Rule]]:
    """The rules that claim the sites of each fact, by its id."""
    claims: dict[str, list[Rule]] = {}
    for rule in rules:
        for fact in rule.facts:
            claims.setdefault(fact, []).append(rule)
    return claims


def check_source(
    source: Source, settings: Settings, rules: tuple[Rule, ...], place: InProject | None = None
) -> list[Finding]:
    """The findings of one file, before suppression and selection; sites below the confidence cut-off are not judged
    unless the file has suppression comments, which must be seen to be used.

    Raises SourceError when the file cannot be parsed.
    """
    claims = claims_of(rules)
    # What a suppression comment may be there for must be found, wherever the cut-offs are.
    suppressions = _may_suppress(source.data.lower())
    minimum = Confidence.POSSIBLE if suppressions else settings.confidence
    coldest = Heat.COLD if suppressions else settings.heat
    asked = None
    if place is not None and place.digest == source.digest:
        from synclint.flow.prospects import worth_interpreting

        source.parsed_before = True
        asked = worth_interpreting(place, claims, coldest, minimum)
        if asked is not None and not asked:
            return []
    if not may_wait(source.data):
        if not source.parsed_before:
            source.check_syntax()  # a file that cannot be parsed is reported whatever is in it
        return []
    from synclint.flow.module import analyse
    from synclint.lint.file import FileFacts

    names = heat_names(settings)
    flow, found = analyse(source, frozenset(claims), settings.target_torch, coldest, place, names, asked)
    sites = tuple(found)
    file = FileFacts(source, flow, settings)
    findings = []
    for site in sites:
        if site.confidence < minimum:
            continue
        for rule in claims.get(site.fact.id, ()):
            finding = judge(rule, site, sites, file)
            if finding is not None:
                findings.append(finding)
    return sorted(findings, key=Finding.sort_key)


def heat_names(settings: Settings) -> Names:
    """What the settings say of the heat of functions."""
    from synclint.flow.heat import Names

    return Names(settings.entry_points, settings.cold_functions)


def _may_suppress(lowered: bytes) -> bool:
    return b"synclint:" in lowered or _NOQA_WITH_CODE.search(lowered) is not None


def judge(rule: Rule, site: Site, sites: tuple[Site, ...], file: FileFacts) -> Finding | None:
    """The finding of one rule about one site of a file, None where it reports nothing."""
    from synclint.lint.context import Context

    context = Context(site, sites, file.source, file.settings, file.statement(site.statement), file)
    report = rule.judge(site, context)
    return None if report is None else _finding(rule, site, report, file)


def _finding(rule: Rule, site: Site, report: Report, file: FileFacts) -> Finding:
    source = file.source
    start, end = source.span(site.node)
    line, column = source.position(start)
    end_line, end_column = source.position(end)
    first, last = file.statement(site.statement).span
    return Finding(
        code=rule.code,
        name=rule.name,
        message=report.message,
        path=source.path,
        line=line,
        column=column,
        end_line=end_line,
        end_column=end_column,
        direction=Direction(site.fact.direction),
        heat=site.heat,
        confidence=site.confidence,
        header=(source.position(first)[0], source.position(max(first, last - 1))[0]),
        why=_chain(site, file.flow),
        help=report.help,
        fix=report.fix,
        alternatives=report.alternatives,
        scope=site.scope.qualname,
    )


def _chain(site: Site, flow: ModuleFlow) -> tuple[Step, ...]:
    steps: list[Step] = []
    for name in _EXPLAINING:
        value = site.operands.get(name)
        if value is None or value.why is None:
            continue
        for step in steps_of(value.why, flow):
            if step not in steps:
                steps.append(step)
    return (*steps, *why_hot(flow, site.scope, site.region, site.statement))


def why_hot(flow: ModuleFlow, scope: Scope, region: Region | None, statement: ast.stmt) -> list[Step]:
    """Why a statement is as hot as it is, the nearest reason first."""
    return [Step(flow.shown(link.path), link.line, link.text) for link in flow.heat.why(scope, region, statement)]


def steps_of(why: Why, flow: ModuleFlow) -> list[Step]:
    """A chain, oldest step first."""
    return [Step(flow.shown(link.path), link.line, link.text) for link in why.steps()]
