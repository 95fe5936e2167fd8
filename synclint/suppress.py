"""Comments that suppress findings, and findings about those that suppress nothing.

===================================================  ==================================================================
``# synclint: ignore[SYN201, scalar-read] reason``   on a line of the statement's header, or alone on the line above it
``# noqa: SYN201``                                   the same
``# synclint: ignore-file[SYN201] reason``           the whole file; on an unindented line of its own
``# synclint: disable[SYN201] reason``               from here to ``# synclint: enable[SYN201]`` or the end of the file
===================================================  ==================================================================

Without brackets they hold for all codes, as a bare ``# noqa`` does, which is never unused.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from synclint.finding import Applicability, Confidence, Direction, Finding, Fix, Heat

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from synclint.finding import Edit
    from synclint.source import Comment, Source

CODE = "SYN902"
NAME = "unused-suppression"

_WORDS = ("ignore", "ignore-file", "disable", "enable")
_DIRECTIVE = re.compile(r"(?<!\S)#\s*synclint:\s*(?P<word>[a-z-]*)(?P<list>\s*\[(?P<codes>[^\[\]]*)\])?", re.IGNORECASE)
_NOQA = re.compile(
    r"#\s*noqa(?!\w)(?:\s*:\s*(?P<codes>[a-z]+[0-9]+(?:[,\s]+[a-z]+[0-9]+)*)(?!\w))?",
    re.IGNORECASE,
)
_NEXT_COMMENT = re.compile(r"\s+#(?=\s|noqa\b|[a-z-]+:)", re.IGNORECASE)
_BARE_CODE = re.compile(r"[\s:=(]*([a-z]{3}[0-9]{3}|[\w-]+)", re.IGNORECASE)
_CODE_LIKE = re.compile(r"[a-z]{3}[0-9]+", re.IGNORECASE)


class _Item(NamedTuple):
    """One entry of a list of codes: its text, its bytes in the file, and the code it means, if that is one of ours."""

    text: str
    start: int
    end: int
    code: str | None


class _Suppression:
    """One suppression. ``items`` is None where it holds for all codes; ``used`` are the codes it was needed for."""

    __slots__ = ("comment", "ends", "items", "kind", "start", "stop", "used")

    def __init__(self, kind: str, comment: Comment, start: int, stop: int, items: tuple[_Item, ...] | None) -> None:
        self.kind = kind
        self.comment = comment
        self.start = start  # where it stands in the comment's text
        self.stop = stop
        self.items = items
        self.used: set[str] = set()
        self.ends: dict[str | None, int] = {}  # where a block ends for a code, or for all (None)

    def names(self, code: str) -> bool:
        return self.items is not None and any(item.code == code for item in self.items)

    def holds_for(self, code: str) -> bool:
        return self.items is None or self.names(code)

    def is_open(self) -> bool:
        """Whether a ``disable`` has not been ended for all its codes."""
        return None not in self.ends and (self.items is None or any(item.code not in self.ends for item in self.items))

    def holds_at(self, line: int, code: str) -> bool:
        """Whether a ``disable`` is in force at a line."""
        end = min(self.ends.get(code, line + 1), self.ends.get(None, line + 1))
        return self.comment.line < line < end


class Suppressions:
    """The suppressions of one file.

    ``known`` maps the codes of all rules to their names. Ask :meth:`covers` about all findings of the file, before any
    cut-off or selection, then :meth:`unused` once.
    """

    def __init__(self, source: Source, known: Mapping[str, str]) -> None:
        self._source = source
        self._known = {CODE: NAME, **known}
        self._codes = {name: code for code, name in self._known.items()}
        self._everywhere: list[_Suppression] = []
        self._blocks: list[_Suppression] = []
        self._on_line: dict[int, list[_Suppression]] = {}
        self._all: list[_Suppression] = []
        self._mistakes: list[Finding] = []
        text = source.data.lower()
        self._unread = b"noqa" in text
        if b"synclint:" in text or (self._unread and _noqa_hint(tuple(self._known)).search(text)):
            self._read()

    def covers(self, finding: Finding) -> bool:
        """Whether a finding is suppressed. What suppresses it counts as used."""
        if self._unread and self._near_comment(finding):
            self._read()
        return self._cover(finding, [*self._around(finding)])

    def line_covering(self, finding: Finding) -> int | None:
        """The line of the comment that suppresses a finding (the first of several), None where none does."""
        if not self.covers(finding):
            return None
        fitting = (one for one in self._around(finding) if one.holds_for(finding.code))
        return min(suppression.comment.line for suppression in fitting)

    def unused(self) -> list[Finding]:
        """Findings about suppressions that were not needed, and about those that are malformed, in order."""
        explicit = [suppression for suppression in self._all if suppression.names(CODE)]
        judged = (self._judge(suppression) for suppression in self._all if suppression not in explicit)
        findings = [*self._mistakes, *(finding for finding in judged if finding is not None)]
        remaining = [finding for finding in findings if not self._cover(finding, self._around(finding, explicit))]
        for suppression in explicit:
            finding = self._judge(suppression, besides=CODE)
            if finding is not None and self._cover(finding, self._around(finding, explicit)):
                continue
            if (finding := self._judge(suppression)) is not None:
                remaining.append(finding)
        return sorted(remaining, key=Finding.sort_key)

    # ------------------------------------------------------------------ matching

    def _near_comment(self, finding: Finding) -> bool:
        lines = self._source.lines
        first, last = finding.header
        end = lines[last] if last < len(lines) else None
        return b"#" in self._source.data[lines[max(first - 2, 0)] : end]

    def _around(self, finding: Finding, among: list[_Suppression] | None = None) -> Iterable[_Suppression]:
        """The suppressions whose place is right for a finding."""
        first, last = finding.header
        candidates = [
            *self._everywhere,
            *(block for block in self._blocks if block.holds_at(finding.line, finding.code)),
        ]
        for line in range(first, last + 1):
            candidates += self._on_line.get(line, ())
        return candidates if among is None else [candidate for candidate in candidates if candidate in among]

    @staticmethod
    def _cover(finding: Finding, around: Iterable[_Suppression]) -> bool:
        fitting = [suppression for suppression in around if suppression.holds_for(finding.code)]
        for suppression in fitting:
            suppression.used.add(finding.code)
        return bool(fitting)

    # ------------------------------------------------------------------ reading

    def _read(self) -> None:
        self._unread = False
        comments = self._source.comments
        alone = {comment.line for comment in comments if comment.alone}
        for comment in comments:
            for match in _DIRECTIVE.finditer(comment.text):
                self._read_directive(comment, match, alone)
            for match in _NOQA.finditer(comment.text):
                items = None if match["codes"] is None else self._items(comment, match.span("codes"), r"[^,\s]+")
                kind = "bare noqa" if items is None else "noqa"
                self._add_to_lines(_Suppression(kind, comment, match.start(), _stop(comment.text, match), items), alone)

    def _read_directive(self, comment: Comment, match: re.Match[str], alone: set[int]) -> None:
        word, stop = match["word"].lower(), _stop(comment.text, match)
        mistake = self._mistake(comment, match, word, comment.text[match.end() : stop])
        if mistake:
            self._mistakes.append(self._finding(comment, match.start(), stop, f"malformed suppression: {mistake}"))
            return
        items = None if match["list"] is None else self._items(comment, match.span("codes"), r"[^,\s](?:[^,]*[^,\s])?")
        suppression = _Suppression(word, comment, match.start(), stop, items)
        for item in items or ():
            if item.code is None:
                self._mistakes.append(self._unknown(item))
        if word == "ignore":
            self._add_to_lines(suppression, alone)
            return
        self._all.append(suppression)
        if word == "ignore-file":
            self._everywhere.append(suppression)
        elif word == "disable":
            self._blocks.append(suppression)
        else:
            self._end_blocks(suppression)

    def _mistake(self, comment: Comment, match: re.Match[str], word: str, rest: str) -> str:
        """What is wrong with a directive; empty if nothing is."""
        if word not in _WORDS:
            guess = _nearest(word, _WORDS)
            found = f", not `{word}`" if word else ""
            return f"expected one of {', '.join(_WORDS)}{found}" + (f"; did you mean `{guess}`?" if guess else "")
        if match["list"] is None:
            bare = _BARE_CODE.match(rest)
            if rest.lstrip().startswith("["):
                return f"the bracket after `{word}` is not closed"
            if rest[:1].strip() or (bare and (self._code(bare[1]) or _CODE_LIKE.fullmatch(bare[1]))):
                return f"write `{word}[CODE, ...] reason`, with the codes in brackets"
        elif not match["codes"].strip(", \t"):
            return f"the brackets after `{word}` name no code"
        if word == "ignore-file" and (not comment.alone or comment.column_utf8):
            return "`ignore-file` must stand on an unindented line of its own"
        if word in ("disable", "enable") and not comment.alone:
            return f"`{word}` must stand on a line of its own"
        return ""

    def _items(self, comment: Comment, span: tuple[int, int], pattern: str) -> tuple[_Item, ...]:
        return tuple(
            _Item(
                match[0], self._offset(comment, match.start()), self._offset(comment, match.end()), self._code(match[0])
            )
            for match in re.compile(pattern).finditer(comment.text, *span)
        )

    def _code(self, text: str) -> str | None:
        code = text.upper()
        return code if code in self._known else self._codes.get(text.lower())

    def _add_to_lines(self, suppression: _Suppression, alone: set[int]) -> None:
        self._all.append(suppression)
        line = suppression.comment.line
        self._on_line.setdefault(line, []).append(suppression)
        if suppression.comment.alone:
            while line in alone:
                line += 1
            self._on_line.setdefault(line, []).append(suppression)

    def _end_blocks(self, enable: _Suppression) -> None:
        line = enable.comment.line
        for block in self._blocks:
            if enable.items is None and block.is_open():
                block.ends[None] = line
                enable.used.add("")  # for no code in particular
            for item in enable.items or ():
                if item.code and block.holds_for(item.code) and block.holds_at(line, item.code):
                    block.ends[item.code] = line
                    enable.used.add(item.code)

    # ------------------------------------------------------------------ judging

    def _judge(self, suppression: _Suppression, besides: str = "") -> Finding | None:
        """The finding about what is unused in a suppression (not counting the code ``besides``), if anything is."""
        comment, start, stop = suppression.comment, suppression.start, suppression.stop
        if suppression.items is None:
            if suppression.used or suppression.kind == "bare noqa":
                return None
            what = (
                "it ends no block" if suppression.kind == "enable" else f"nothing to ignore {_WHERE[suppression.kind]}"
            )
            return self._finding(comment, start, stop, f"unused suppression: {what}", self._removal(suppression))
        unused = [item for item in suppression.items if item.code and item.code not in {*suppression.used, besides}]
        if not unused:
            return None
        codes = " and ".join(dict.fromkeys(f"{item.code} ({self._known[item.code]})" for item in unused if item.code))
        what = (
            f"{codes} is not disabled here"
            if suppression.kind == "enable"
            else f"no {codes} {_WHERE[suppression.kind]}"
        )
        if len(unused) == len(suppression.items):
            return self._finding(comment, start, stop, f"unused suppression: {what}", self._removal(suppression))
        edits = self._without(suppression.items, unused)
        fix = Fix(Applicability.SAFE, f"Remove {', '.join(item.text for item in unused)} from the list", edits)
        return self._finding(comment, start, stop, f"unused suppression: {what}", fix)

    def _removal(self, suppression: _Suppression) -> Fix:
        """The fix that removes a suppression and leaves what else the comment says."""
        source, comment = self._source, suppression.comment
        before, after = comment.text[: suppression.start], comment.text[suppression.stop :]
        line_start = source.offset(comment.line, 0)
        line_end = line_start + len(source.line_text(comment.line).encode())
        start, end = self._offset(comment, suppression.start), self._offset(comment, suppression.stop)
        if not after.strip():
            end = line_end
            start = line_start + len(source.data[line_start:start].rstrip())
            if not before and comment.alone:
                start, end = line_start, (*source.lines, len(source.data))[comment.line]
        elif not before:
            end += len(after) - len(after.lstrip())
        else:
            start = line_start + len(source.data[line_start:start].rstrip())
        return Fix(Applicability.SAFE, "Remove the unused suppression", (source.edit(start, end, ""),))

    def _without(self, items: tuple[_Item, ...], unused: list[_Item]) -> tuple[Edit, ...]:
        """The edits that take items out of a list, with one separator each."""
        edits = []
        kept_before = False
        for index, item in enumerate(items):
            if item not in unused:
                kept_before = True
            elif kept_before:
                edits.append(self._source.edit(items[index - 1].end, item.end, ""))
            else:
                edits.append(self._source.edit(item.start, items[index + 1].start, ""))
        return tuple(edits)

    def _unknown(self, item: _Item) -> Finding:
        choices = self._known if _CODE_LIKE.fullmatch(item.text) else self._codes
        upper = choices is self._known
        guess = _nearest(item.text.upper() if upper else item.text.lower(), choices)
        hint = f"; did you mean `{guess}`?" if guess else ""
        message = f"unknown {'code' if upper else 'rule'} `{item.text}` in a suppression{hint}"
        return self._report(item.start, item.end, message)

    # ------------------------------------------------------------------ findings

    def _offset(self, comment: Comment, index: int) -> int:
        return self._source.offset(comment.line, comment.column_utf8 + len(comment.text[:index].encode()))

    def _finding(self, comment: Comment, start: int, stop: int, message: str, fix: Fix | None = None) -> Finding:
        return self._report(self._offset(comment, start), self._offset(comment, stop), message, fix)

    def _report(self, start: int, end: int, message: str, fix: Fix | None = None) -> Finding:
        line, column = self._source.position(start)
        end_line, end_column = self._source.position(end)
        return Finding(
            CODE,
            NAME,
            message,
            self._source.path,
            line,
            column,
            end_line,
            end_column,
            Direction.NONE,
            Heat.WARM,
            Confidence.CERTAIN,
            (line, line),
            fix=fix,
        )


_WHERE = {"ignore": "here", "noqa": "here", "ignore-file": "in this file", "disable": "in this block"}


@lru_cache(maxsize=1)
def _noqa_hint(codes: tuple[str, ...]) -> re.Pattern[bytes]:
    return re.compile(rb"noqa[^\r\n]*(?:" + "|".join(map(re.escape, codes)).lower().encode() + rb")")


def _stop(text: str, match: re.Match[str]) -> int:
    """Where the part of a comment that starts with a suppression ends: before the next ``#``, or at the end."""
    following = _NEXT_COMMENT.search(text, match.end())
    return following.start() if following else len(text)


def _nearest(text: str, choices: Iterable[str]) -> str | None:
    from difflib import get_close_matches

    return next(iter(get_close_matches(text, list(choices), n=1)), None)
