"""Settings: what ``[tool.synclint]`` of the nearest ``pyproject.toml`` says, checked, with defaults."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from synclint.discover import DEFAULT_EXCLUDE
from synclint.finding import Confidence, Heat

if TYPE_CHECKING:
    from collections.abc import Callable


_ROOT_MARKS = ("pyproject.toml", ".git", "setup.py", "setup.cfg")


class ConfigError(Exception):
    """A setting that cannot be used: ``path:line: key: message``. ``key`` is empty where none is at fault."""

    def __init__(self, path: str, line: int, key: str, message: str) -> None:
        super().__init__(path, line, key, message)
        self.path = path
        self.line = line
        self.key = key
        self.message = message

    def __str__(self) -> str:
        return ": ".join(part for part in (f"{self.path}:{self.line}", self.key, self.message) if part)


@dataclass(frozen=True, slots=True)
class Settings:
    """What a run is asked to do. Field names are the keys of ``[tool.synclint]`` with underscores.

    ``select``, ``ignore`` and ``extend_select`` hold codes, prefixes of codes, names of rules, or ``ALL``.
    ``per_file_ignores`` pairs a gitignore pattern (relative to ``root``; a leading ``!`` turns it round) with
    such selectors. ``confidence`` and ``heat`` are the lowest that are reported. ``h2d_helper`` is
    ``package.module:function``. ``target_torch`` is the oldest torch (major, minor) that the code must run on, None
    where nothing says. ``dependencies`` are the normalised names of the project's unconditional
    ``[project] dependencies``. ``entry_points`` and ``cold_functions`` are patterns of functions that run for every
    step, or do not (see ``flow/heat.py``). ``root`` is the folder that patterns and the project start from.
    """

    select: tuple[str, ...] = ("ALL",)
    ignore: tuple[str, ...] = ()
    extend_select: tuple[str, ...] = ()
    per_file_ignores: tuple[tuple[str, tuple[str, ...]], ...] = ()
    exclude: tuple[str, ...] = DEFAULT_EXCLUDE
    extend_exclude: tuple[str, ...] = ()
    force_exclude: bool = False
    respect_gitignore: bool = True
    confidence: Confidence = Confidence.LIKELY
    heat: Heat = Heat.WARM
    h2d_helper: str | None = None
    target_torch: tuple[int, int] | None = None
    dependencies: frozenset[str] = frozenset()
    entry_points: tuple[str, ...] = ()
    cold_functions: tuple[str, ...] = ()
    root: Path = Path()


def load(start: Path) -> Settings:
    """The settings for a file or folder: those of the nearest ``[tool.synclint]`` in it or above it.

    ``dependencies`` come from the nearest ``pyproject.toml`` with a ``[project]`` table. Without any
    configuration, ``root`` is the nearest folder with a ``pyproject.toml`` or ``.git``, else that of :func:`root_of`.
    Raises :class:`ConfigError`.
    """
    folder = Path(os.path.abspath(start))
    if not folder.is_dir():
        folder = folder.parent
    settings: Settings | None = None
    dependencies: frozenset[str] | None = None
    marked: Path | None = None
    for level in (folder, *folder.parents):
        path = level / "pyproject.toml"
        document = _document(path)
        if marked is None and (document is not None or (level / ".git").exists()):
            marked = level
        if document is None:
            continue
        if settings is None and (table := _table(document, "tool", "synclint")) is not None:
            if not isinstance(table, dict):
                raise _error(path, ("tool", "synclint"), "expected a table")
            settings = replace(settings_from(table, path), root=level)
        if dependencies is None and isinstance(project := _table(document, "project"), dict):
            dependencies = frozenset(_dependencies(project))
        if settings is not None and dependencies is not None:
            break
    settings = settings or Settings(root=marked or Path(root_of(str(folder))))
    return replace(settings, dependencies=dependencies or frozenset())


@lru_cache(maxsize=4096)
def root_of(folder: str) -> str:
    """The root of the project that a folder is in: the nearest folder above that is marked as one, else the folder that
    holds the outermost package, else the folder itself."""
    level = folder
    while True:
        if any(os.path.exists(os.path.join(level, mark)) for mark in _ROOT_MARKS):
            return level
        parent = os.path.dirname(level)
        if parent == level:
            break
        level = parent
    while os.path.exists(os.path.join(folder, "__init__.py")) and os.path.dirname(folder) != folder:
        folder = os.path.dirname(folder)
    return folder


def settings_from(table: dict[str, Any], path: Path) -> Settings:
    """The settings that a ``[tool.synclint]`` table of the file ``path`` spells. Raises :class:`ConfigError`."""
    values: dict[str, Any] = {}
    for key, value in table.items():
        reader = _READERS.get(key)
        try:
            if reader is None:
                raise ValueError("unknown key" + did_you_mean(key, _READERS))
            values[key.replace("-", "_")] = reader(value)
        except ValueError as error:
            raise error_at(path, key, str(error)) from None
    return Settings(**values)


def error_at(path: Path, key: str, message: str) -> ConfigError:
    """The error that the value of a key of ``[tool.synclint]`` in this file makes no sense."""
    return _error(path, ("tool", "synclint", key), message)


def did_you_mean(word: str, known: dict[str, Any] | list[str]) -> str:
    """``"; did you mean `...`?"`` with the nearest known word, or nothing if none is near."""
    from difflib import get_close_matches

    near = get_close_matches(word, known, n=1)
    return f"; did you mean `{near[0]}`?" if near else ""


# ---------------------------------------------------------------------- values


def read_confidence(value: Any) -> Confidence:
    """``"possible"``, ``"likely"`` or ``"certain"``; raises ValueError."""
    return Confidence[_one_of(value, [level.name.lower() for level in Confidence]).upper()]


def read_heat(value: Any) -> Heat:
    """``"cold"``, ``"warm"`` or ``"hot"``; raises ValueError."""
    return Heat[_one_of(value, [level.name.lower() for level in Heat]).upper()]


def read_target_torch(value: Any) -> tuple[int, int]:
    """The oldest torch (major, minor) of ``"2.9"`` or of a range such as ``">=2.9,<2.12"``; raises ValueError."""
    expected = 'expected a version such as "2.9" or a range such as ">=2.9,<2.12"'
    if not isinstance(value, str):  # a TOML float would read 2.10 as 2.1
        raise ValueError(f"{expected}, in quotes")
    lowest: list[tuple[int, int]] = []
    for clause in value.split(","):
        match = re.fullmatch(r"\s*(>=|==|~=|<=|<|!=|)\s*(\d+)\.(\d+)(?:\.\d+|\.\*)*\s*", clause)
        if match is None:
            raise ValueError(f"{expected}, not {value!r}")
        if match[1] not in ("<", "<=", "!="):
            lowest.append((int(match[2]), int(match[3])))
    if not lowest:
        raise ValueError(f"{expected}: {value!r} has no lower bound")
    return max(lowest)


def _one_of(value: Any, words: list[str]) -> str:
    if value not in words:
        listed = ", ".join(f'"{word}"' for word in words[:-1])
        raise ValueError(f'expected {listed} or "{words[-1]}", not {value!r}')
    return cast(str, value)


def _strings(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ValueError("expected a list of strings")
    return tuple(value)


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("expected true or false")
    return value


def _per_file(value: Any) -> tuple[tuple[str, tuple[str, ...]], ...]:
    if not isinstance(value, dict):
        raise ValueError("expected a table of file patterns, each with a list of strings")
    pairs = []
    for pattern, selectors in value.items():
        try:
            pairs.append((pattern, _strings(selectors)))
        except ValueError as error:
            raise ValueError(f"{pattern!r}: {error}") from None
    return tuple(pairs)


def _helper(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*", value):
        raise ValueError('expected a string such as "package.module:function"')
    return value


_FUNCTION = re.compile(r"(?:[\w*]+(?:\.[\w*]+)*:)?[\w*]+(?:\.[\w*]+)*")


def _functions(value: Any) -> tuple[str, ...]:
    patterns = _strings(value)
    for pattern in patterns:
        if not _FUNCTION.fullmatch(pattern):
            raise ValueError(
                'expected names of functions such as "package.module:Class.method", "Class.method" or "run_*", '
                f"not {pattern!r}"
            )
    return patterns


_READERS: dict[str, Callable[[Any], Any]] = {
    "select": _strings,
    "ignore": _strings,
    "extend-select": _strings,
    "per-file-ignores": _per_file,
    "exclude": _strings,
    "extend-exclude": _strings,
    "force-exclude": _boolean,
    "respect-gitignore": _boolean,
    "confidence": read_confidence,
    "heat": read_heat,
    "h2d-helper": _helper,
    "target-torch": read_target_torch,
    "entry-points": _functions,
    "cold-functions": _functions,
}


# ---------------------------------------------------------------------- the file


def _document(path: Path) -> dict[str, Any] | None:
    """The parsed file, empty where it says nothing to us, or None where there is none."""
    try:
        status = os.stat(path)
        return _parsed(path, status.st_mtime_ns, status.st_size)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise _error(path, (), f"cannot be read: {error.strerror}") from error


@lru_cache(maxsize=64)
def _parsed(path: Path, _modified: int, _size: int) -> dict[str, Any]:
    raw = path.read_bytes()
    if b"synclint" not in raw and b"[project]" not in raw:
        return {}
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        return tomllib.loads(raw.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        line = re.search(r"at line (\d+)", str(error))
        raise _error(path, (), f"not valid TOML: {error}", int(line[1]) if line else 1) from error


def _table(document: dict[str, Any], *keys: str) -> Any:
    table: Any = document
    for key in keys:
        table = table.get(key) if isinstance(table, dict) else None
    return table


def _dependencies(project: dict[str, Any]) -> list[str]:
    names = []
    declared = project.get("dependencies", [])
    for requirement in declared if isinstance(declared, list) else []:
        if isinstance(requirement, str) and ";" not in requirement:
            name = re.match(r"[\s]*([A-Za-z0-9][\w.-]*)", requirement)
            if name is not None:
                names.append(re.sub(r"[-_.]+", "-", name[1]).lower())
    return names


def _error(path: Path, keys: tuple[str, ...], message: str, line: int = 0) -> ConfigError:
    from synclint.source import shown_path

    return ConfigError(shown_path(path), line or _line_of(path, keys), ".".join(keys), message)


_HEADER = re.compile(r"\s*\[\[?([^\[\]]+)\]")
_ASSIGNMENT = re.compile(r"""\s*((?:"[^"]*"|'[^']*'|[\w-]+)(?:\s*\.\s*(?:"[^"]*"|'[^']*'|[\w-]+))*)\s*=""")
_KEY = re.compile(r"""("[^"]*"|'[^']*'|[\w-]+)""")


def _line_of(path: Path, keys: tuple[str, ...]) -> int:
    """The line where a key is set (the parser keeps none), else that of its table, else 1."""
    if not keys:
        return 1
    table: tuple[str, ...] = ()
    nearest, matched = 1, 0
    for number, text in enumerate(path.read_text("utf-8", errors="replace").splitlines(), 1):
        if header := _HEADER.match(text):
            named = table = _split(header[1])
        elif assignment := _ASSIGNMENT.match(text):
            named = (*table, *_split(assignment[1]))
        else:
            continue
        common = 0
        while common < min(len(named), len(keys)) and named[common] == keys[common]:
            common += 1
        if common > matched and (common == len(named) or common == len(keys)):
            nearest, matched = number, common
    return nearest


def _split(dotted: str) -> tuple[str, ...]:
    return tuple(key.strip("\"'") for key in _KEY.findall(dotted))
