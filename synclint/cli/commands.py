"""The small commands: ``rule``, ``new`` and ``helper``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from argparse import Namespace


def rule(options: Namespace) -> int:
    """Print the page of a rule, or a list of all rules."""
    from synclint.pages import UnknownRuleError, listing, page

    try:
        sys.stdout.write(listing() if options.rule is None else page(options.rule))
    except UnknownRuleError as error:
        print(f"synclint: error: {error}", file=sys.stderr)
        return 2
    return 0


def new(options: Namespace) -> int:
    """Write the first version of a rule's file."""
    from synclint.scaffold import ScaffoldError, new_rule

    try:
        path = new_rule(options.code, options.name, Path(options.into))
    except (ScaffoldError, OSError) as error:
        print(f"synclint: error: {error}", file=sys.stderr)
        return 2
    print(f"{path}: fill in the page, the facts, the examples and `judge`; the tests run the examples")
    return 0


def helper(options: Namespace) -> int:
    """Write ``async_tensor_h2d`` into a package, and name it in ``pyproject.toml``."""
    from synclint.fix.helper import HelperError, install
    from synclint.source import shown_path

    try:
        installed = install(options.path, force=options.force)
    except HelperError as error:
        print(f"synclint: error: {error}", file=sys.stderr)
        return 2
    for path in installed.written:
        print(f"{shown_path(path)}: written")
    print(f"fixes now call `{installed.setting.replace(':', '.')}` (h2d-helper in {shown_path(installed.pyproject)})")
    return 0
