"""``synclint verify``: fixes proven by the project's own command, or rules by their own examples."""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from synclint.finding import Applicability
from synclint.runtime.tracer import BackendError

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Mapping, Sequence

    from synclint.source import Source
    from synclint.verify.project import Verification
    from synclint.verify.scratch import Scratch
    from synclint.verify.verdict import Unit


def verify(options: Namespace) -> int:
    """Run the command; the exit status: 0 all that ran is proven, 1 something is not, 2 nothing could be proven."""
    try:
        return _rules(options) if options.rules else _project(options)
    except (BackendError, _VerifyError) as error:
        print(f"synclint: error: {error}", file=sys.stderr)
        return 2


class _VerifyError(Exception):
    """Why nothing could be proven."""


# ---------------------------------------------------------------------- a project


def _project(options: Namespace) -> int:
    import tempfile

    from synclint.report import verification
    from synclint.runtime.launch import LaunchError
    from synclint.runtime.trace import TraceError
    from synclint.verify.project import FlakyError, Verification
    from synclint.verify.scratch import OUTPUT, Scratch, ScratchError
    from synclint.verify.tree import project_root

    cwd = Path.cwd()
    root = project_root(cwd)
    fixes, sources = _fixes(root, options)
    if not fixes:
        print("synclint: no fix to verify under these paths", file=sys.stderr)
        if options.output_format == "json":
            sys.stdout.write(verification.render_json(Verification()))
        return 0
    with tempfile.TemporaryDirectory(prefix="synclint-verify-") as folder:
        try:
            command = Scratch(root, Path(folder), cwd, options.run, options.backend, options.timeout)
            if options.prove:
                command.needs_gpu()
            return _proven(root, sources, fixes, command, options)
        except FlakyError as error:
            raise _VerifyError(f"the command is flaky, it proves nothing: {error}") from None
        except (ScratchError, LaunchError, TraceError, OSError) as error:
            raise _VerifyError(f"{error}{_end_of(Path(folder, OUTPUT))}") from None


def _fixes(root: Path, options: Namespace) -> tuple[list[Unit], dict[str, Source]]:
    """The fixes that the linter offers, and the files that they edit, by path relative to the root."""
    from synclint.cli.check import LINT_ERRORS, lint_paths
    from synclint.source import Source, SourceError
    from synclint.verify.project import units

    options.paths = [_below(root, path) for path in options.paths or ["."]]
    os.chdir(root)  # paths in findings are relative to the working directory
    try:
        outcomes = lint_paths(options)
    except LINT_ERRORS as error:
        raise _VerifyError(error) from None
    levels = {Applicability.SAFE, *([Applicability.UNSAFE] if options.unsafe_fixes else [])}
    found = units([finding for outcome in outcomes for finding in outcome.findings], frozenset(levels))
    sources = {}
    for path in sorted(
        {*(path for unit in found for path in unit.lines), *(edit.path for unit in found for edit in unit.fix.edits)}
    ):
        if path.startswith(("../", "/")):
            raise _VerifyError(f"{path} is not in the project {root}")
        try:
            sources[path] = Source.read(path, shown=path)
        except SourceError as error:
            raise _VerifyError(error) from None
    return found, sources


def _below(root: Path, path: str) -> str:
    """A path as the root is given, without links; where a link leads out of the project, the link itself is meant."""
    real = os.path.realpath(path)
    if Path(real).is_relative_to(root):
        return real
    folder, name = os.path.split(os.path.abspath(path))
    return os.path.join(os.path.realpath(folder), name)


def _proven(
    root: Path, sources: Mapping[str, Source], fixes: Sequence[Unit], command: Scratch, options: Namespace
) -> int:
    from synclint.report import verification
    from synclint.report.terminal import Style, wants_colour
    from synclint.verify.project import verify

    def progress(text: str) -> None:
        print(f"synclint: {text}", file=sys.stderr)

    result = verify(sources, fixes, command, progress, command.prove if options.prove else None)
    if options.output_format == "json":
        sys.stdout.write(verification.render_json(result))
    else:
        sys.stdout.write(verification.render(result, style=Style(wants_colour(sys.stdout))))
    sys.stdout.flush()
    if result.baseline is not None and result.baseline.status and not result.proven_any:
        print(f"synclint: warning: the command may have broken off early{_end_of(command.output)}", file=sys.stderr)
    if options.apply:
        _apply(root, sources, result, command)
    return int(not result.holds)


def _apply(root: Path, sources: Mapping[str, Source], result: Verification, command: Scratch) -> None:
    """Write the proven fixes into the user's files: into all of them, or into none if one has changed meanwhile."""
    from synclint.fix.write import WriteError, write_atomically
    from synclint.verify.project import proven_texts

    texts = proven_texts(sources, result, command)
    written: dict[str, bytes] = {}
    try:
        for path, data in texts.items():
            encoded = sources[path].encode(data)
            write_atomically(root / path, encoded, before=sources[path].encode(sources[path].data))
            written[path] = encoded
    except (WriteError, KeyboardInterrupt) as error:
        for path, encoded in written.items():
            write_atomically(root / path, sources[path].encode(sources[path].data), before=encoded)
        if isinstance(error, KeyboardInterrupt):
            raise
        raise _VerifyError(f"{error}; no file was changed") from None
    print(f"synclint: wrote {len(texts)} file{'s' * (len(texts) != 1)}", file=sys.stderr)


def _end_of(output: Path, lines: int = 12) -> str:
    """The last lines that the command printed, to be shown below an error; empty where there are none."""
    if not output.exists():
        return ""
    last = output.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:]
    return "".join(f"\n  | {line}" for line in ["the command printed last:", *last]) if last else ""


# ---------------------------------------------------------------------- the rules


def _rules(options: Namespace) -> int:
    gc.enable()  # the examples run in this process
    from synclint.lint.engine import load_rules
    from synclint.report import rule_checks
    from synclint.report.terminal import Style, wants_colour

    try:
        from synclint.verify.examples.check import check_rules
    except ModuleNotFoundError as error:
        raise _VerifyError(f"executing examples needs torch ({error}): pip install 'synclint[verify]'") from None
    rules = load_rules()
    wanted = {name.upper() for name in options.paths}
    unknown = wanted - {rule.code for rule in rules}
    if unknown:
        raise _VerifyError(f"there is no rule {', '.join(sorted(unknown))}; `synclint rule` lists them")
    chosen = [rule for rule in rules if not wanted or rule.code in wanted]
    checked = list(check_rules(chosen, options.backend))
    if options.output_format == "json":
        sys.stdout.write(rule_checks.render_json(checked))
    else:
        sys.stdout.write(rule_checks.render(checked, style=Style(wants_colour(sys.stdout))))
    return int(any(one.failures for one in checked))
