"""Which files to lint: named files and the Python files below named directories, less what is excluded or ignored.

Patterns are those of ``.gitignore``. The common ones (a name, ``*.suffix``, a literal path) are matched here; only for
the others is ``pathspec`` imported, which costs a third of the time that linting a small project takes.
"""

from __future__ import annotations

import os
import re
import stat
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

SUFFIXES = (".py", ".pyi")

DEFAULT_EXCLUDE = (
    ".bzr",
    ".direnv",
    ".eggs",
    ".git",
    ".git-rewrite",
    ".hg",
    ".ipynb_checkpoints",
    ".mypy_cache",
    ".nox",
    ".pants.d",
    ".pyenv",
    ".pytest_cache",
    ".pytype",
    ".ruff_cache",
    ".svn",
    ".synclint_cache",
    ".tox",
    ".venv",
    ".vscode",
    "__pycache__",
    "__pypackages__",
    "_build",
    "buck-out",
    "build",
    "dist",
    "node_modules",
    "site-packages",
    "venv",
)


class DiscoverError(Exception):
    """A named path that does not exist, or a named directory that cannot be listed. The text names it and says why."""


def discover(
    paths: Iterable[Path | str],
    *,
    exclude: Sequence[str] = DEFAULT_EXCLUDE,
    extend_exclude: Sequence[str] = (),
    force_exclude: bool = False,
    respect_gitignore: bool = True,
    root: Path | str = ".",
) -> list[Path]:
    """The files to lint, sorted, each once.

    A named file is taken whatever its name, and a named directory is searched for Python files, both even when excluded
    unless ``force_exclude``. ``exclude`` and ``extend_exclude`` are gitignore patterns relative to ``root``. With
    ``respect_gitignore``, what git ignores (by ``.gitignore`` in a directory or its parents in the repository, and
    ``.git/info/exclude``) is left out of searches. Links to directories are not followed, unless they are named. A
    directory below that cannot be listed is among the results, so that reading it tells why.

    Raises :class:`DiscoverError` when a named path does not exist, or a named directory cannot be listed.
    """
    excluded = _Patterns([*exclude, *extend_exclude], os.path.abspath(root))
    found: dict[str, str] = {}  # absolute path -> path as named
    links: dict[str, str] = {}
    for path in paths:
        named = os.fspath(path)
        try:
            is_directory = stat.S_ISDIR(os.stat(named).st_mode)
        except (OSError, ValueError) as error:
            reason = (getattr(error, "strerror", None) or str(error)).lower()
            raise DiscoverError(f"{named}: {reason}") from error
        absolute = os.path.abspath(named)
        if force_exclude and excluded.hides(absolute, is_directory):
            continue
        if is_directory:
            _search(named, absolute, excluded, respect_gitignore, found, links)
        else:
            found.setdefault(absolute, named)
    if links:
        targets = {os.path.realpath(absolute) for absolute in found}
        for absolute, named in sorted(links.items()):
            target = os.path.realpath(absolute)
            if target not in targets:
                targets.add(target)
                found[absolute] = named
    return [Path(named) for _, named in sorted(found.items())]


def _search(
    named: str,
    absolute: str,
    excluded: _Patterns,
    respect_gitignore: bool,
    found: dict[str, str],
    links: dict[str, str],
) -> None:
    """Add the Python files below a named directory to ``found``, those behind links to ``links``."""
    pending = [(named, absolute, [excluded, *(_ignored_above(absolute) if respect_gitignore else ())])]
    while pending:
        shown, directory, rules = pending.pop()
        try:
            with os.scandir(shown) as listing:
                entries = list(listing)
        except OSError as error:
            if directory == absolute:
                raise DiscoverError(f"{named}: {(error.strerror or str(error)).lower()}") from error
            found.setdefault(directory, shown)
            continue
        if respect_gitignore:
            names = {entry.name for entry in entries}
            if ".git" in names and directory != absolute:  # a repository in a repository: its own rules alone
                rules = [rules[0], *_read_patterns(os.path.join(directory, ".git", "info", "exclude"), directory)]
            if ".gitignore" in names:
                rules = [*rules, *_read_patterns(os.path.join(directory, ".gitignore"), directory)]
        within = [(patterns, patterns.relative(directory)) for patterns in rules]
        for entry in entries:
            name = entry.name
            is_python = name.endswith(SUFFIXES)
            try:
                is_directory = entry.is_dir(follow_symlinks=False)
                if not is_directory and not (is_python and entry.is_file()):
                    continue
            except OSError:
                continue
            if _verdict(within[:1], name, is_directory) or _verdict(within[1:], name, is_directory):
                continue
            path, below = os.path.join(directory, name), os.path.join(shown, name)
            if is_directory:
                pending.append((below, path, rules))
            elif entry.is_symlink():
                links.setdefault(path, below)
            else:
                found.setdefault(path, below)


def _verdict(within: list[tuple[_Patterns, str]], name: str, is_directory: bool) -> bool:
    """Whether patterns hide an entry; the innermost that speak of it decide."""
    for patterns, directory in reversed(within):
        hidden = patterns.verdict(name, directory + name, is_directory)
        if hidden is not None:
            return hidden
    return False


def _ignored_above(directory: str) -> list[_Patterns]:
    """What git ignores by the repository around a directory and the directories between, outermost first."""
    above = [directory]
    while not os.path.exists(os.path.join(above[-1], ".git")):
        parent = os.path.dirname(above[-1])
        if parent == above[-1]:
            return []
        above.append(parent)
    found = _read_patterns(os.path.join(above[-1], ".git", "info", "exclude"), above[-1])
    for parent in reversed(above[1:]):
        found += _read_patterns(os.path.join(parent, ".gitignore"), parent)
    return found


def _read_patterns(path: str, base: str) -> list[_Patterns]:
    try:
        with open(path, encoding="utf-8-sig", errors="surrogateescape", newline="\n") as file:
            lines = [line.removesuffix("\n").removesuffix("\r") for line in file]
    except OSError:
        return []
    return [_Patterns(lines, base)]


class _Patterns:
    """Gitignore patterns that hold below ``base``, an absolute path."""

    def __init__(self, lines: Sequence[str], base: str) -> None:
        trimmed = (line if line.endswith("\\ ") else line.rstrip(" ") for line in lines)
        self.lines = [line for line in trimmed if line.strip("!/") and not line.startswith("#")]
        self.base = base
        self._groups: list[_Group] | None = None

    def relative(self, directory: str) -> str:
        """What stands before a name in the relative path of what lies in a directory (an absolute path).

        Outside of the base that is something which only patterns without a slash can match.
        """
        if directory == self.base:
            return ""
        inside = os.path.join(self.base, "")
        return (directory.removeprefix(inside) + os.sep).replace(os.sep, "/") if directory.startswith(inside) else "../"

    def verdict(self, name: str, relative: str, is_directory: bool) -> bool | None:
        """Whether an entry is hidden by a pattern (True), kept by a ``!`` pattern (False), or in none (None)."""
        if self._groups is None:
            self._groups = _grouped(self.lines)
        for group in self._groups:
            if group.matches(name, relative, is_directory):
                return group.hides
        return None

    def hides(self, path: str, is_directory: bool) -> bool:
        """Whether an absolute path, or a directory that it is in, is hidden."""
        if path == self.base:
            return False
        directory, name = os.path.split(path)
        before = self.relative(directory)
        parts = [*before.split("/")[:-1], name]
        return any(
            self.verdict(part, "/".join(parts[: index + 1]), is_directory or index < len(parts) - 1)
            for index, part in enumerate(parts)
        )


_LITERAL = re.compile(r"/?(?!\.{1,2}(?:/|$))[\w.+@$-]+(?:/(?!\.{1,2}(?:/|$))[\w.+@$-]+)*/?")
_ANYWHERE = re.compile(r"/?(?:\*\*/)+([^/]+/?)|/?(?:\*\*/)*\*(\*/)")
_GLOB = re.compile(r"(?:[\w.+@$*?-]|\[\w+\])+/?")


def _grouped(lines: list[str]) -> list[_Group]:
    """The patterns as groups, the last first: of several that match, git obeys the last."""
    groups: list[_Group] = []
    for line in lines:
        hides = not line.startswith("!")
        if not groups or groups[-1].hides != hides:
            groups.append(_Group(hides))
        groups[-1].add(line)
    return groups[::-1]


class _Group:
    """Consecutive patterns that all hide, or all keep: their order does not matter."""

    def __init__(self, hides: bool) -> None:
        self.hides = hides
        self._literals: set[str] = set()  # names; and paths, with a slash before them
        self._directories: set[str] = set()  # the same for directories alone
        self._globs: list[str] = []  # for names
        self._directory_globs: list[str] = []
        self._others: list[str] = []
        self._compiled: tuple[re.Pattern[str] | None, re.Pattern[str] | None, _Others] | None = None

    def add(self, line: str) -> None:
        pattern = line if self.hides else line[1:]
        anywhere = _ANYWHERE.fullmatch(pattern)
        if anywhere:
            pattern = anywhere[1] or anywhere[2]
        if _LITERAL.fullmatch(pattern):
            literal = pattern.rstrip("/")
            if "/" in literal and not literal.startswith("/"):
                literal = "/" + literal
            (self._directories if pattern.endswith("/") else self._literals).add(literal)
        elif _GLOB.fullmatch(pattern):
            (self._directory_globs if pattern.endswith("/") else self._globs).append(pattern.rstrip("/"))
        else:
            self._others.append(line)

    def matches(self, name: str, relative: str, is_directory: bool) -> bool:
        if name in self._literals or "/" + relative in self._literals:
            return True
        if is_directory and (name in self._directories or "/" + relative in self._directories):
            return True
        if self._compiled is None:
            self._compiled = _one_of(self._globs), _one_of(self._directory_globs), _Others(self._others)
        glob, directory_glob, others = self._compiled
        return bool(
            (glob is not None and glob.match(name))
            or (is_directory and directory_glob is not None and directory_glob.match(name))
            or others.match(relative, is_directory)
        )


def _one_of(globs: list[str]) -> re.Pattern[str] | None:
    if not globs:
        return None
    from fnmatch import translate

    return re.compile("|".join(map(translate, globs)))


class _Others:
    """Patterns that need ``pathspec``. It also matches what lies below a match; git, walking down, does not."""

    def __init__(self, lines: list[str]) -> None:
        self._patterns: list[GitIgnoreSpecPattern] = []
        if lines:
            from pathspec import GitIgnoreSpec

            for line in lines:
                with suppress(ValueError, re.error):  # git ignores what is not a pattern
                    self._patterns += GitIgnoreSpec.from_lines([line]).patterns

    def match(self, path: str, is_directory: bool) -> bool:
        # The only group of pathspec's expressions is the slash after the directory that matched.
        for pattern in self._patterns:
            result = pattern.match_file(path)
            if result is not None and result.match.lastindex is None:
                return True
            result = pattern.match_file(path + "/") if is_directory else None
            if result is not None and result.match.lastindex == 1 and result.match.end(1) == len(path) + 1:
                return True
        return False
