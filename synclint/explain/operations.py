"""The operations of a line: which facts hold of each, and what the rules and the settings make of them."""

from __future__ import annotations

import ast
from dataclasses import replace
from typing import TYPE_CHECKING

from synclint.explain.explanation import Asked, FactVerdict, OperationVerdict, Reason, Verdict
from synclint.explain.expressions import span_of, text_of
from synclint.explain.words import condition_in_words, level
from synclint.facts import applies, facts_for
from synclint.finding import Confidence
from synclint.lint.engine import claims_of, judge, may_wait
from synclint.lint.file import FileFacts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from synclint.config import Settings
    from synclint.facts import Condition, Fact
    from synclint.finding import Finding
    from synclint.flow.observe import Observation, Operation
    from synclint.flow.site import Site
    from synclint.lint.rule import Rule
    from synclint.selection import Selection
    from synclint.source import Source
    from synclint.suppress import Suppressions


class Judge:
    """Says of the operations of one file what is reported, and why the rest is not.

    ``selection`` and ``suppressions`` are those that a check of the file goes by.
    """

    def __init__(
        self,
        source: Source,
        settings: Settings,
        rules: Sequence[Rule],
        seen: Observation,
        selection: Selection,
        suppressions: Suppressions,
    ) -> None:
        self._source = source
        self._settings = settings
        self._seen = seen
        self._selection = selection
        self._suppressions = suppressions
        self._claims = claims_of(rules)
        self._file = FileFacts(source, seen.flow, settings)
        self._sites = {(site.node, site.fact.id): site for site in seen.sites}

    def operation(self, operation: Operation) -> OperationVerdict:
        return OperationVerdict(
            span_of(operation.node, self._source),
            text_of(operation.node, self._source),
            operation.operation,
            operation.context,
            tuple(self._fact(operation, fact) for fact in facts_for(operation.operation)),
        )

    # ------------------------------------------------------------------ facts

    def _fact(self, operation: Operation, fact: Fact) -> FactVerdict:
        torch = self._seen.flow.torch
        released = applies(replace(fact, when=()), operation.answer, torch) is not False
        holds = applies(fact, operation.answer, torch)
        asked = [self._asked(operation, condition) for condition in fact.when]
        if not released:
            used = f"the torch release is {'.'.join(map(str, torch))}"
            asked = [Asked("torch", f"the torch release is {_releases(fact)}", used, holds=False), *asked]
        site = self._sites.get((operation.node, fact.id))
        known = FactVerdict(fact.id, fact.event, fact.direction, holds, tuple(asked))
        if holds is False:
            return known
        if operation.allowed:
            return replace(known, note="it stands in a block in which waits are meant to happen")
        if site is None:
            return replace(known, note="nothing waits" if fact.event == "none" else "")
        rules = self._claims.get(fact.id, ())
        return replace(
            known,
            confidence=site.confidence,
            limits=self._limits(site, asked),
            verdicts=tuple(self._verdict(rule, site) for rule in rules),
            note="" if rules else "no rule reports it yet",
        )

    def _asked(self, operation: Operation, condition: Condition) -> Asked:
        answer = operation.answer(condition.predicate)
        holds = None if answer is None else answer is condition.expected
        subject = self._subject(operation, condition)
        opposite = condition._replace(expected=not condition.expected)
        words = (condition_in_words(condition, subject), condition_in_words(opposite, subject))
        return Asked(condition.predicate, *words, holds)

    def _subject(self, operation: Operation | Site, condition: Condition) -> str:
        node = operation.arguments.get(condition.predicate.partition(".")[0])
        if node is None or isinstance(node, ast.Constant):
            return ""
        text = text_of(node, self._source)
        return text if len(text) <= 45 else text[:44] + "\u2026"

    def _limits(self, site: Site, asked: Sequence[Asked]) -> str:
        """What keeps a site from being certain."""
        if site.confidence is Confidence.CERTAIN:
            return ""
        unknown = [one.text for one in asked if one.holds is None]
        if unknown:
            return f"it is not known whether {' and '.join(unknown)}"
        least: dict[str, None] = {}
        for condition in site.fact.when:
            name = condition.predicate.partition(".")[0]
            operand = site.operands.get(name)
            if operand is None:
                continue
            text = self._subject(site, condition)
            subject = f"`{text}`" if text else f"the {name}"
            if operand.certainty is site.confidence:
                least[f"that {subject} is a {operand.kind.value}"] = None
            if operand.sure is site.confidence:
                least[f"where {subject} is"] = None
        return f"no more than {level(site.confidence)}: {', '.join(least)}" if least else ""

    # ------------------------------------------------------------------ rules

    def _verdict(self, rule: Rule, site: Site) -> Verdict:
        finding = judge(rule, site, self._seen.sites, self._file)
        if finding is None:
            return Verdict(rule.code, rule.name, "", (Reason("rule", self._elsewhere(rule, site)),))
        return Verdict(rule.code, rule.name, finding.message, tuple(self._against(finding)))

    def _elsewhere(self, rule: Rule, site: Site) -> str:
        """Why a rule reports nothing about a site, as far as can be seen from here: it may report it with another."""
        for other in self._seen.sites:
            if other.statement is site.statement and other is not site and other.fact.id in rule.facts:
                finding = judge(rule, other, self._seen.sites, self._file)
                if finding is not None:
                    return f"it belongs to what {rule.code} says of {finding.line}:{finding.column}"
        return "the rule has looked at it and has nothing to report here"

    def _against(self, finding: Finding) -> list[Reason]:
        """Why a finding is not in the report."""
        settings = self._settings
        found = []
        if not may_wait(self._source.data):
            found.append(Reason("file", "the file has nothing in its text that makes synclint look at it"))
        if finding.confidence < settings.confidence:
            text = (
                f"{level(finding.confidence)} is below the confidence that is reported ({level(settings.confidence)})"
            )
            found.append(Reason("confidence", f"{text}; --confidence {level(finding.confidence)} shows it"))
        if finding.heat < settings.heat:
            heat = finding.heat.name.lower()
            text = f"{heat} code is below the heat that is reported ({settings.heat.name.lower()})"
            found.append(Reason("heat", f"{text}; --heat {heat} shows it"))
        key = self._selection.deselected(finding.code, self._source.path)
        if key:
            found.append(Reason("not-selected", f"{finding.code} is not selected here (see {key})"))
        line = self._suppressions.line_covering(finding)
        if line is not None:
            found.append(Reason("suppressed", f"suppressed by the comment in line {line}"))
        return found


def _releases(fact: Fact) -> str:
    bounds = []
    if fact.since is not None:
        bounds.append(f"{'.'.join(map(str, fact.since))} or later")
    if fact.until is not None:
        bounds.append(f"before {'.'.join(map(str, fact.until))}")
    return " and ".join(bounds)
