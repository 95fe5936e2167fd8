"""Whose line is it: from the stack to the frames that an event names."""

from __future__ import annotations

import os
import sys
import sysconfig
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, NamedTuple

from synclint.runtime.event import Frame

if TYPE_CHECKING:
    from types import CodeType, FrameType

Owner = Literal["user", "library", "machinery"]
"""library: torch, the standard library and synclint. machinery: the parts of torch that compile, tune and capture, and
wait while they do."""

_OWN = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_STANDARD = tuple({os.path.realpath(sysconfig.get_paths()[name]) + os.sep for name in ("stdlib", "platstdlib")})
_INSTALLED = (os.sep + "site-packages" + os.sep, os.sep + "dist-packages" + os.sep)
_OWN_USERS = tuple(os.path.join(_OWN, name) for name in ("rules" + os.sep, "h2d.py"))

_MACHINERY = (
    "_dynamo/convert_frame.py",
    "_inductor/compile_fx.py",
    "_inductor/cudagraph_trees.py",
    "_inductor/runtime/triton_heuristics.py",
    "cuda/graphs.py",
)


class Site(NamedTuple):
    """Where an event happened. ``machinery``: torch was compiling or capturing on the way there."""

    user: Frame | None
    project: Frame | None
    machinery: bool = False


NOWHERE = Site(None, None)


def roots_of(paths: tuple[str, ...]) -> tuple[str, ...]:
    """The folders (or files) as prefixes of the paths of frames."""
    found = (os.path.realpath(path) for path in paths)
    return tuple(path + os.sep if os.path.isdir(path) else path for path in found)


def locate(roots: tuple[str, ...]) -> Site:
    """The site of the code that runs now; ``roots`` as :func:`roots_of` gives them."""
    frame: FrameType | None = sys._getframe(1)
    user: Frame | None = None
    machinery = False
    while frame is not None:
        path = frame.f_code.co_filename
        owner = owner_of(path)
        if owner == "user":
            real = real_path(path)
            if user is None:
                user = Frame(real, frame.f_lineno, _name(frame.f_code))
                if not roots:
                    break
            if roots and below(roots, real):
                return Site(user, Frame(real, frame.f_lineno, _name(frame.f_code)), machinery)
        elif owner == "machinery" and user is None:
            machinery = True
        frame = frame.f_back
    return Site(user, None, machinery)


@lru_cache(maxsize=4096)
def below(roots: tuple[str, ...], real: str) -> bool:
    """Whether a file (its real path) is the project's: packages installed below a root, as in ``.venv``, are not."""
    root = next((root for root in roots if real.startswith(root)), None)
    return root is not None and not any(part in real[len(root) - 1 :] for part in _INSTALLED)


@lru_cache(maxsize=4096)
def owner_of(path: str) -> Owner:
    """Whose code a file holds, by the name that its code objects carry."""
    if path.startswith("<") and not path.startswith(("<stdin", "<string", "<ipython", "<doctest")):
        return "library"
    real = real_path(path)
    torch = _torch()
    if torch and real.startswith(torch):
        inside = real[len(torch) :].replace(os.sep, "/")
        return "machinery" if inside.startswith(_MACHINERY) else "library"
    if real.startswith(_OWN) and not real.startswith(_OWN_USERS):
        return "library"
    if real.startswith(_STANDARD) and not any(part in real for part in _INSTALLED):
        return "library"
    if f"{os.sep}torchinductor_" in real:
        return "library"
    return "user"


@lru_cache(maxsize=4096)
def real_path(path: str) -> str:
    """The path of a file by the name that its code objects carry."""
    return path if path.startswith("<") else os.path.realpath(path)


def _torch() -> str:
    torch = sys.modules.get("torch")
    file = getattr(torch, "__file__", None)
    return os.path.dirname(os.path.realpath(file)) + os.sep if file else ""


def _name(code: CodeType) -> str:
    return getattr(code, "co_qualname", code.co_name)  # qualified names came with Python 3.11
