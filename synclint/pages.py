"""Rule pages: a rule's docstring, completed by the examples that also test it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from synclint.config import did_you_mean
from synclint.facts import fact
from synclint.lint.engine import load_rules
from synclint.run import rule_names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from synclint.finding import Applicability
    from synclint.lint.rule import Rule

HEADINGS = (
    "What it does",
    "Why it waits",
    "Example",
    "Use instead",
    "Fix safety",
    "When it is fine",
    "Evidence",
)
"""The sections of every rule's docstring, in this order, each under ``## What it does`` and so on.

*Example* and *Use instead* may be left empty: they then show the first of ``INVALID``, before and after its fix."""

OWN_PAGES = {
    "SYN901": """\
## What it does
Reports a file that cannot be read, decoded or parsed: nothing else is known about it, and nothing in it is changed.

## When it is fine
When the file is meant to be broken, or is not Python: leave it out with `extend-exclude`.""",
    "SYN902": """\
## What it does
Reports a suppression comment, or a code in it, that suppresses nothing. This is judged on everything that was
found, also on what `--select`, `--confidence` or `--heat` leave out of the report. A bare `# noqa` is never
unused, since it may speak to other tools.

## Fix safety
Safe: it removes the comment, or the code, and nothing else.""",
}


class UnknownRuleError(Exception):
    """No rule has this code or name."""


def page(code_or_name: str) -> str:
    """The page of a rule, as Markdown. Raises :class:`UnknownRuleError`."""
    names = rule_names()
    for code, name in names.items():
        if code_or_name.lower() in (code.lower(), name):
            rule = next((rule for rule in load_rules() if rule.code == code), None)
            text = OWN_PAGES[code] if rule is None else "\n\n".join(_blocks(rule))
            return f"# {name} ({code})\n\n{text}\n"
    raise UnknownRuleError(f"no rule `{code_or_name}`{did_you_mean(code_or_name, [*names, *names.values()])}")


def listing() -> str:
    """One line per rule: code, name, levels of its fixes and the first sentence of its page."""
    names = rule_names()
    summaries = {code: _summary(text, "safe" if code == "SYN902" else "") for code, text in OWN_PAGES.items()}
    for rule in load_rules():
        levels = {example.level.value for example in rule.INVALID if example.level is not None}
        summaries[rule.code] = _summary(docstring(rule), ", ".join(sorted(levels)))
    wide = max(map(len, names.values()))
    return "".join(_entry(f"{code}  {names[code]:{wide}}  ", summaries[code]) for code in sorted(names))


def _entry(lead: str, summary: str) -> str:
    from textwrap import fill

    hang = " " * len(lead)
    return fill(summary, 100, initial_indent=lead, subsequent_indent=hang, break_on_hyphens=False).rstrip() + "\n"


def _summary(text: str, levels: str) -> str:
    said = sections(text)
    paragraph = " ".join(said.get("What it does", said[""]).split("\n\n")[0].split())
    sentence = re.split(r"(?<=\.)\s", paragraph)[0]
    return f"{sentence} [{levels}]" if levels else sentence


def docstring(rule: Rule) -> str:
    """The docstring of a rule's class, without its indentation."""
    from inspect import cleandoc

    return cleandoc(rule.__doc__ or "")


def sections(text: str) -> dict[str, str]:
    """The text under each heading of a page; what stands before the first one is under ``""``."""
    parts = re.split(r"^## +(.+?) *$", text, flags=re.MULTILINE)
    texts = [text.strip("\n").rstrip() for text in parts[::2]]
    return dict(zip(["", *parts[1::2]], texts, strict=True))


def _blocks(rule: Rule) -> Iterator[str]:
    said = sections(docstring(rule))
    bad = list(rule.INVALID)
    if bad and not said.get("Example"):
        first = bad.pop(0)
        said["Example"] = _fenced(first.code)
        if first.fixed is not None:
            said["Use instead"] = said.get("Use instead") or _fenced(first.fixed)
    said["Evidence"] = f"{said.get('Evidence', '')}\n\n{_confirmed(rule)}".strip()
    if said[""]:
        yield said.pop("")
    for heading in dict.fromkeys([*HEADINGS, *said]):
        if said.get(heading):
            yield f"## {heading}\n\n{said[heading]}"
    for example in bad:
        yield f"## Reported: {_title(example.note, example.level)}\n\n{_fenced(example.code)}"
        if example.fixed is not None:
            yield f"becomes\n\n{_fenced(example.fixed)}"
    for fine in rule.VALID:
        yield f"## Not reported{': ' + fine.note if fine.note else ''}\n\n{_fenced(fine.code)}"


def _confirmed(rule: Rule) -> str:
    """Which of the rule's facts a GPU has confirmed."""
    claimed = [fact(name) for name in sorted(rule.facts)]
    measured = [one.id for one in claimed if any(evidence.kind == "gpu" for evidence in one.evidence)]
    if not measured:
        return "No GPU has confirmed this yet; the simulated device runs the examples."
    if len(measured) == len(claimed):
        return "A GPU has confirmed all of this."
    return f"A GPU has confirmed {', '.join(measured)}; the rest runs on the simulated device alone."


def _title(note: str, level: Applicability | None) -> str:
    promise = "no fix" if level is None else f"{level.value} fix" if level.value != "suggestion" else "a suggestion"
    return f"{note} ({promise})" if note else promise


def _fenced(code: str) -> str:
    return f"```python\n{code.rstrip()}\n```"
