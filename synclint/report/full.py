"""A finding as a page of its own: the place in the source, the chain that leads to it, and the fix as a diff."""

from __future__ import annotations

from typing import TYPE_CHECKING

from synclint.finding import Applicability, Direction
from synclint.report.concise import headline, sighting
from synclint.report.terminal import visible, width

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from synclint.finding import Edit, Finding, Fix
    from synclint.report.terminal import Style
    from synclint.source import Source
    from synclint.waits.join import Seen

WIDTH = 100
"""Columns that prose is wrapped to."""

LONGEST_LINE = 160
"""Columns of source that are shown of one line; longer ones are cut around what is flagged."""

MOST_LINES = 6
"""Lines of source that are shown of a finding that spans more."""

LINES_BETWEEN = 2
"""Unchanged lines between two changes that are shown with them."""

DIRECTIONS = {
    Direction.H2D: "host to device",
    Direction.D2H: "device to host",
    Direction.STREAM: "waits for a stream",
    Direction.DEVICE: "waits for the device",
    Direction.NONE: "no wait by itself",
}

_LEVELS = {
    Applicability.SAFE: "safe fix",
    Applicability.UNSAFE: "unsafe fix",
    Applicability.SUGGESTION: "suggestion",
}


def render(
    findings: Iterable[Finding],
    *,
    read: Callable[[str], Source | None],
    style: Style,
    unsafe_fixes: bool,
    seen: Mapping[Finding, Seen] | None = None,
) -> Iterator[str]:
    """The report, a finding at a time.

    ``read`` gives the text of a reported path, or None where there is none; ``seen`` says what a trace says.
    """
    for finding in findings:
        page = _Page(finding, read, style, seen[finding] if seen else None)
        yield "\n".join([headline(finding, style=style, unsafe_fixes=unsafe_fixes), *page.lines(), "", ""])


class _Page:
    """The lines below the headline. A gutter, as wide as the longest line number, runs down the left."""

    def __init__(self, finding: Finding, read: Callable[[str], Source | None], style: Style, seen: Seen | None) -> None:
        self.finding = finding
        self.seen = seen
        self.read = read
        self.style = style
        numbers = [finding.end_line + 1]
        if finding.fix is not None:
            numbers += [edit.finish[0] + edit.text.count("\n") for edit in finding.fix.edits]
        self.gutter = len(str(max(numbers)))

    def lines(self) -> Iterator[str]:
        finding = self.finding
        source = self.read(finding.path)
        if source is not None:
            yield from self._excerpt(source)
        if self.seen is not None:
            yield from self._prose("trace", [sighting(self.seen)])
        steps = [f"{step.path or finding.path}:{step.line}: {step.text}" for step in finding.why]
        yield from self._prose("why", steps)
        yield from self._prose("help", [finding.help] if finding.help else [])
        if finding.fix is not None:
            yield from self._fix(finding.fix)
        for other in finding.alternatives:
            yield from self._prose(f"or ({_LEVELS[other.applicability]})", [other.message])

    # ------------------------------------------------------------------ parts

    def _excerpt(self, source: Source) -> Iterator[str]:
        finding = self.finding
        count = len(source.lines)
        first, last = min(finding.line, count), min(finding.end_line, count)
        yield self._bar("")
        before = first - 1
        if before >= 1 and source.line_text(before).strip():
            yield self._numbered(before, _cut(visible(source.line_text(before)), 0))
        shown = range(first, last + 1)
        for line in shown:
            if len(shown) > MOST_LINES and MOST_LINES // 2 <= line - first <= len(shown) - 1 - MOST_LINES // 2:
                if line - first == MOST_LINES // 2:
                    yield self._margin("...")
                continue
            yield from self._underlined(source, line, last=line == last)
        if last < count and source.line_text(last + 1).strip():
            yield self._numbered(last + 1, _cut(visible(source.line_text(last + 1)), 0))
        yield self._bar("")

    def _underlined(self, source: Source, line: int, *, last: bool) -> Iterator[str]:
        finding = self.finding
        text = source.line_text(line)
        begin = finding.column - 1 if line == finding.line else len(text) - len(text.lstrip())
        end = finding.end_column - 1 if line == finding.end_line else len(text)
        before, flagged = visible(text[:begin]), visible(text[begin:end])
        whole = before + flagged + visible(text[end:])
        shown, dropped = _cut(whole, len(before)), _dropped(whole, len(before))
        indent = width(shown[: len(before) - dropped])
        carets = max(1, min(width(flagged), width(shown) - indent))
        yield self._numbered(line, shown)
        label = self._label() if last else ""
        if label and self.gutter + 4 + indent + carets + len(label) <= WIDTH:
            yield self._bar(" " * indent + self.style.red(f"{'^' * carets} {label}"))
        else:
            yield self._bar(" " * indent + self.style.red("^" * carets))
            if label:
                yield self._bar(" " * min(indent, WIDTH - self.gutter - 3 - len(label)) + self.style.red(label))

    def _label(self) -> str:
        finding = self.finding
        if finding.code.startswith("SYN9"):
            return ""
        words = (DIRECTIONS[finding.direction], finding.heat.name.lower(), finding.confidence.name.lower())
        return ", ".join(words)

    def _prose(self, title: str, items: list[str]) -> Iterator[str]:
        """Items under one title, wrapped; the further lines of an item are indented where there are several items."""
        from textwrap import wrap

        lead = f"{' ' * self.gutter} = {title}: "
        room = WIDTH - len(lead)
        hang = "  " if len(items) > 1 else ""
        margin = f"{' ' * self.gutter} {self.style.blue('=')} {self.style.bold(f'{title}:')} "
        for item in items:
            words = visible(item)
            for text in wrap(words, room, subsequent_indent=hang, break_long_words=False, break_on_hyphens=False):
                yield margin + text
                margin = " " * len(lead)

    def _fix(self, fix: Fix) -> Iterator[str]:
        yield from self._prose(_LEVELS[fix.applicability], [fix.message])
        if fix.reason and fix.applicability is not Applicability.SAFE:
            yield from self._prose("because", [fix.reason])
        if not fix.edits:
            return
        for path in dict.fromkeys(edit.path for edit in fix.edits):
            source = self.read(path)
            if source is None:
                continue
            yield self._bar("" if path == self.finding.path else " " + self.style.bold(visible(path)))
            for mark, number, text in changed_lines(source, [edit for edit in fix.edits if edit.path == path]):
                yield self._change(mark, number, visible(text))
        yield self._bar("")

    def _change(self, mark: str, number: int, text: str) -> str:
        if mark == "...":
            return self.style.blue(mark)
        paint = {"-": self.style.removed, "+": self.style.green}.get(mark, str)
        return f"{self.style.blue(f'{number:>{self.gutter}}')} {paint(f'{mark} {text}'.rstrip())}".rstrip()

    # ------------------------------------------------------------------ the gutter

    def _numbered(self, line: int, text: str) -> str:
        return f"{self.style.blue(f'{line:>{self.gutter}} |')} {text}".rstrip()

    def _bar(self, text: str) -> str:
        return f"{' ' * self.gutter} {self.style.blue('|')} {text}".rstrip()

    def _margin(self, text: str) -> str:
        return self.style.blue(text)


def changed_lines(source: Source, edits: list[Edit]) -> Iterator[tuple[str, int, str]]:
    """What edits of one file do to its lines: a mark, a line number and the text.

    The marks are ``-`` (with an old number), ``+`` (with a new one), a blank for an unchanged line between such (with
    a new number), and ``...`` where more are left out.
    """
    from difflib import SequenceMatcher

    shift = 0
    more = False
    for first, last, group in _together(sorted(edits, key=lambda edit: (edit.start, edit.end, edit.text))):
        start = source.lines[first - 1]
        end = source.lines[last] if last < len(source.lines) else len(source.data)
        pieces, place = [], start
        for edit in group:
            pieces += [source.data[place : edit.start], edit.text.encode()]
            place = edit.end
        old, new = _split(source.data[start:end]), _split(b"".join([*pieces, source.data[place:end]]))
        steps = SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
        if more:
            yield "...", 0, ""
        for at, (tag, i1, i2, j1, j2) in enumerate(steps):
            if tag != "equal":
                yield from (("-", first + index, old[index]) for index in range(i1, i2))
                yield from (("+", first + index + shift, new[index]) for index in range(j1, j2))
            elif 0 < at < len(steps) - 1:
                yield from ((" ", first + index + shift, new[index]) for index in range(j1, j2))
        more = True
        shift += len(new) - len(old)


def _together(edits: list[Edit]) -> list[tuple[int, int, list[Edit]]]:
    """Edits in order, those with little between them together, each group with its first and last line."""
    groups: list[tuple[int, int, list[Edit]]] = []
    for edit in edits:
        first, last = edit.begin[0], edit.finish[0]
        if groups and first <= groups[-1][1] + 1 + LINES_BETWEEN:
            start, end, group = groups[-1]
            groups[-1] = (start, max(end, last), [*group, edit])
        else:
            groups.append((first, last, [edit]))
    return groups


def _split(data: bytes) -> list[str]:
    return [line.decode() for line in data.splitlines()]


def _cut(text: str, focus: int) -> str:
    """A line of source, without what lies too far from column ``focus`` (0-based) to be shown."""
    dropped = _dropped(text, focus)
    end = dropped + LONGEST_LINE
    return ("\u2026" if dropped else "") + text[dropped + bool(dropped) : end] + ("\u2026" if end < len(text) else "")


def _dropped(text: str, focus: int) -> int:
    return max(0, min(focus - LONGEST_LINE // 4, len(text) - LONGEST_LINE))
