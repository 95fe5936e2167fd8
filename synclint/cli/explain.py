"""``synclint explain``: what synclint believes about a line, and why it reports it or does not."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from synclint.cli.check import LINT_ERRORS, settings_around
from synclint.discover import DiscoverError, discover
from synclint.explain.explain import explain as explain_lines
from synclint.explain.explanation import ExplainError
from synclint.run import in_project
from synclint.source import Source, SourceError

if TYPE_CHECKING:
    from argparse import Namespace

    from synclint.config import Settings
    from synclint.explain.explanation import Explanation


def explain(options: Namespace) -> int:
    """Run the command; the exit status."""
    from synclint.report.explanation import render, render_json
    from synclint.report.terminal import Style, wants_colour

    try:
        found = _explanation(options)
    except SourceError as error:
        first = options.place.first
        said = f"{error.path}:{first}: {error.message}"
        if error.line != first and not isinstance(error.__cause__, OSError):
            said = f"{error.path}:{first}: not explained, because of line {error.line}: {error.message}"
        print(f"synclint: error: {said}", file=sys.stderr)
        return 2
    except (ExplainError, *LINT_ERRORS) as error:
        print(f"synclint: error: {error}", file=sys.stderr)
        return 2
    if options.output_format == "json":
        sys.stdout.write(render_json(found))
    else:
        sys.stdout.writelines(render(found, style=Style(wants_colour(sys.stdout))))
    return 0


def _explanation(options: Namespace) -> Explanation:
    place = options.place
    settings = settings_around(place.path, options)
    source = Source.read(place.path)
    with in_project(place.path, settings, cache=not options.no_cache) as project:
        found = explain_lines(source, settings, place.first, place.last, place.column, project)
    if _is_excluded(place.path, settings):
        note = "the configuration excludes this file: a check of its folder leaves it out"
        found = replace(found, notes=(*found.notes, note))
    return found


def _is_excluded(path: str, settings: Settings) -> bool:
    try:
        return not discover(
            [path],
            exclude=settings.exclude,
            extend_exclude=settings.extend_exclude,
            force_exclude=True,
            respect_gitignore=settings.respect_gitignore,
            root=settings.root,
        )
    except DiscoverError:
        return False
