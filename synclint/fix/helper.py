"""``synclint helper``: a copy of ``async_tensor_h2d`` in the user's own package, and the setting that names it."""

from __future__ import annotations

import copy
import hashlib
import keyword
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synclint import __version__
from synclint.fix.write import WriteError, write_atomically
from synclint.lint.h2d import NAME, OWN_FILE, is_ours, module_name
from synclint.source import Source, SourceError

LICENCE = """\
MIT License

Copyright (c) 2026 synclint contributors

Permission is hereby granted, free of charge, to any person obtaining a copy
of this software and associated documentation files (the "Software"), to deal
in the Software without restriction, including without limitation the rights
to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all
copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE
SOFTWARE.
"""

_MARK = re.compile(rb"# async_tensor_h2d: written by `synclint helper` of synclint \S+, sha256 ([0-9a-f]{64})\.\n")
_KEY = "h2d-helper"
_HEADER = re.compile(
    r"""[ \t]*\[[ \t]*(?:tool|"tool"|'tool')[ \t]*\.[ \t]*(?:synclint|"synclint"|'synclint')[ \t]*\]"""
)
_ASSIGNMENT = re.compile(rf"""(?:{_KEY}|"{_KEY}"|'{_KEY}')[ \t]*=[ \t]*("(?:[^"\\\r\n]|\\.)*"|'[^'\r\n]*')""")
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\n|\r|$)")


class HelperError(Exception):
    """The helper cannot be installed there; the text says why. Nothing was written unless it says so."""


@dataclass(frozen=True, slots=True)
class Installed:
    """What was done. ``setting`` is the value of ``h2d-helper``, ``written`` the files that were changed."""

    setting: str
    module: Path
    pyproject: Path
    written: tuple[Path, ...]


def install(path: Path | str, *, force: bool = False) -> Installed:
    """Write the helper module to ``path`` and name it in the nearest ``pyproject.toml``.

    ``path`` is a ``.py`` file in a package of the project. A file that is there already is replaced if it is an
    unchanged copy of the helper from an earlier synclint, and left alone if it does what this one does; ``force``
    replaces any. In ``pyproject.toml`` only ``h2d-helper`` of ``[tool.synclint]`` is set.

    Raises :class:`HelperError`; both files are checked before either is written.
    """
    target = Path(os.path.abspath(path))
    pyproject = _pyproject(target)
    setting = f"{_module(target, pyproject.parent)}:{NAME}"
    held = _read(target) if os.path.lexists(target) else None
    new = module_text().encode()
    if held is not None and not force:
        new = _renewed(target, held, new)
    configuration = _read(pyproject)
    configured = _with_setting(configuration, setting, pyproject)
    written: list[Path] = []
    for file, before, after in ((target, held, new), (pyproject, configuration, configured)):
        if after != before:
            try:
                write_atomically(file, after, before=before)
            except WriteError as error:
                done = f" ({written[0]} was written)" if written else ""
                raise HelperError(f"{error}{done}") from error
            written.append(file)
    return Installed(setting, target, pyproject, tuple(written))


def module_text() -> str:
    """The text of the module that :func:`install` writes."""
    licence = "".join(f"# {line}".rstrip() + "\n" for line in LICENCE.splitlines())
    body = f"#\n{licence}\n{OWN_FILE.read_text('utf-8')}"
    digest = hashlib.sha256(body.encode()).hexdigest()
    return f"# {NAME}: written by `synclint helper` of synclint {__version__}, sha256 {digest}.\n{body}"


# ---------------------------------------------------------------------- the module


def _module(target: Path, root: Path) -> str:
    """The dotted name under which the project imports the file."""
    if target.suffix != ".py" or target.is_dir():
        raise HelperError(f"{target} is no name of a module: it must end in .py")
    if not target.parent.is_dir():
        raise HelperError(f"{target.parent} is not a folder")
    module, _ = module_name(target, root)
    if not module or any(keyword.iskeyword(part) for part in module.split(".")):
        raise HelperError(f"{target} cannot be imported: put it into a package (a folder with an __init__.py)")
    return module


def _renewed(target: Path, held: bytes, new: bytes) -> bytes:
    """What to write over a file without force: ``new``, or what it holds if that will do."""
    try:
        if is_ours(Source.decode(held, str(target)).tree):
            return held
    except SourceError:
        pass
    mark = _MARK.match(unified := held.replace(b"\r\n", b"\n"))
    if mark is None:
        raise HelperError(f"{target} is there already and is not the helper; --force replaces it")
    if hashlib.sha256(unified[mark.end() :]).hexdigest().encode() != mark[1]:
        raise HelperError(f"{target} was changed since `synclint helper` wrote it; --force replaces it")
    return new


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise HelperError(f"{path} cannot be read: {(error.strerror or str(error)).lower()}") from error


# ---------------------------------------------------------------------- pyproject.toml


def _pyproject(target: Path) -> Path:
    """The nearest file that configures synclint, which others would hide, else the nearest one."""
    found = [path for folder in target.parents if (path := folder / "pyproject.toml").is_file()]
    if not found:
        raise HelperError(f"there is no pyproject.toml above {target} to name the helper in")
    for path in found:
        tool = _parsed(_read(path), path).get("tool")
        if isinstance(tool, dict) and "synclint" in tool:
            return path
    return found[0]


def _parsed(data: bytes, path: Path) -> dict[str, Any]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        return tomllib.loads(data.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise HelperError(f"{path} is not valid TOML: {error}") from error


def _with_setting(data: bytes, setting: str, path: Path) -> bytes:
    """The file with the key set, and every other byte as it was."""
    document = _parsed(data, path)
    wanted = copy.deepcopy(document)
    tool = wanted.setdefault("tool", {})
    table = tool.setdefault("synclint", {}) if isinstance(tool, dict) else None
    if not isinstance(table, dict):
        raise HelperError(f"{path}: [tool.synclint] is not a table")
    table[_KEY] = setting
    if wanted == document:
        return data
    # What looks like a header or a key may stand in a string: what a parser makes of the result decides.
    for candidate in _candidates(data.decode(), setting, replace=_KEY in document.get("tool", {}).get("synclint", {})):
        edited = candidate.encode()
        try:
            if _parsed(edited, path) == wanted:
                return edited
        except HelperError:
            continue
    raise HelperError(f'{path}: cannot set {_KEY} there; write {_KEY} = "{setting}" into [tool.synclint] by hand')


def _candidates(text: str, setting: str, *, replace: bool) -> list[str]:
    """The texts that might set the key: at each place that looks right."""
    if replace:
        return [text[: match.start(1)] + f'"{setting}"' + text[match.end(1) :] for match in _ASSIGNMENT.finditer(text)]
    newline = "\r\n" if text.count("\r\n") * 2 > text.count("\n") else "\n"
    line = f'{_KEY} = "{setting}"{newline}'
    found = []
    for match in _LINE.finditer(text):
        if _HEADER.match(match[0]):
            ended = "" if match[0].endswith("\n") else newline
            found.append(text[: match.end()] + ended + line + text[match.end() :])
    separator = "" if not text else newline if text.endswith("\n") else newline * 2
    return [*found, f"{text}{separator}[tool.synclint]{newline}{line}"]
