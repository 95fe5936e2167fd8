"""``synclint new``: the first version of a rule's file."""

from __future__ import annotations

import keyword
import re
from pathlib import Path
from typing import TYPE_CHECKING

from synclint.pages import HEADINGS
from synclint.run import rule_names

if TYPE_CHECKING:
    from collections.abc import Mapping


class ScaffoldError(Exception):
    """A rule that cannot be begun; the text says why."""


def new_rule(code: str, name: str, folder: Path) -> Path:
    """Write the file of a new rule into ``folder``, and return its path. Nothing is overwritten.

    Raises :class:`ScaffoldError` for a code or name that is malformed or taken, and when the file is there.
    """
    _refuse_taken(code, name, rule_names())
    if not (folder / "__init__.py").is_file():
        raise ScaffoldError(f"{folder} is not a package of rules (it has no __init__.py)")
    path = folder / f"{name.replace('-', '_')}.py"
    try:
        with path.open("x", encoding="utf-8", newline="\n") as file:
            file.write(rule_text(code, name))
    except FileExistsError:
        raise ScaffoldError(f"{path} is there already") from None
    return path


def _refuse_taken(code: str, name: str, names: Mapping[str, str]) -> None:
    if not re.fullmatch(r"[A-Z]{3}[1-9][0-9]{2}", code):
        raise ScaffoldError(f"`{code}`: a code is three capital letters and three digits, such as SYN204")
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name) or keyword.iskeyword(name):
        raise ScaffoldError(f"`{name}`: a name is lower-case words joined by hyphens, such as scalar-read")
    for known, its_name in names.items():
        if code == known or name == its_name:
            raise ScaffoldError(f"`{code if code == known else name}` is taken by {known} {its_name}")


def rule_text(code: str, name: str) -> str:
    """The text of a new rule's file: complete but for the words, the facts and the judgement."""
    words = name.replace("-", " ")
    titled = "".join(word.capitalize() for word in name.split("-"))
    page = "\n\n    ".join(f"## {heading}\n    {_HINTS[heading]}".rstrip() for heading in HEADINGS)
    return _TEMPLATE.format(code=code, name=name, words=words[0].upper() + words[1:], titled=titled, page=page)


_HINTS = {
    "What it does": "Say in one sentence which code is reported.",
    "Why it waits": "Name the CUDA call behind it, and what it costs.",
    "Example": "",
    "Use instead": "",
    "Fix safety": "Say when the fix is safe, when it is not and what may differ then, or that there is none.",
    "When it is fine": "Say where the wait is intended or costs nothing.",
    "Evidence": "Point at the source, the documentation or the measurement.",
}

_TEMPLATE = '''\
"""{code} {name}."""

from __future__ import annotations

from typing import TYPE_CHECKING

from synclint.lint import Context, Invalid, Report, Rule, Valid

if TYPE_CHECKING:
    from synclint.lint import Site


class {titled}(Rule):
    """{words}.

    {page}
    """

    code = "{code}"
    name = "{name}"
    facts = frozenset({{"scalar-read"}})  # the ids in synclint/facts/*.toml whose sites this rule judges

    VALID = (
        Valid(
            code="""
                import torch

                def total(x: torch.Tensor) -> torch.Tensor:
                    return x.sum()
            """,
            run="total(torch.ones(3, device='cuda'))",
            note="Say why it is fine",
        ),
    )
    INVALID = (
        Invalid(
            code="""
                import torch

                def total() -> float:
                    x = torch.ones(3, device="cuda")
                    return x.sum().item()
            """,
            run="total()",
            lines=(5,),
            event="sync",
            note="Say what is wrong",
        ),
    )

    def judge(self, site: Site, context: Context) -> Report | None:
        return Report(message=f"`{{site.operation}}` waits: say what for")
'''
