"""What the engine does around the rules."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import Distribution
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import ZipFile

import pytest

from synclint import config
from synclint.facts import fact
from synclint.lint.engine import check_source, load_rules, may_wait
from synclint.lint.packages import rule_packages
from synclint.source import Source, SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator

SUBSCRIPTS = {"getitem(Tensor)", "setitem(Tensor)", "assign(Tensor)"}

# Not calls of their own: what needs a number out of a tensor, which the other words of the pattern stand for;
# subscripts; calls of what a program defines.
READS = {"truth(Tensor)", "operator.index", "index(Tensor)", "iter(Tensor)", "in(Tensor)"}
NOT_CALLS = {*READS, *SUBSCRIPTS, "call(Tensor)"}

SPELLINGS = sorted({name for rule in load_rules() for id in rule.facts for name in fact(id).spellings} - NOT_CALLS)


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_no_claimed_operation_is_passed_over(spelling: str) -> None:
    """A file without any operation is not interpreted: each that a rule claims must be known to that short cut."""
    call = f"{spelling[: -len('(Tensor)')]}(x)" if spelling.endswith("(Tensor)") else f"{spelling}(x)"
    assert may_wait(b"torch " + call.encode())


@pytest.mark.parametrize(
    "text", ["x[mask]", "x[~y, 0]", "x[y > 0]", "f(x)[[0, 1]]", "x[0] = 1", "x[:, ids] = y", "self.x[i, j] = 0"]
)
def test_no_subscript_that_may_wait_is_passed_over(text: str) -> None:
    assert may_wait(b"torch " + text.encode())


def test_no_tensor_that_is_made_on_a_device_is_passed_over() -> None:
    assert may_wait(b"import torch\nread(torch.ones(1, device='cuda'))")
    assert not may_wait(b"import torch\nread(torch.ones(1))")


@pytest.mark.parametrize("text", ["x = (", "import torch\nx = ("])
def test_a_file_that_cannot_be_parsed_is_an_error_whatever_is_in_it(text: str) -> None:
    with pytest.raises(SourceError):
        check_source(Source.decode(text.encode(), "a.py"), config.Settings(), load_rules())


# ---------------------------------------------------------------------- rules of other distributions

OTHERS = {
    "other_rules/__init__.py": "",
    "other_rules/other.py": """\
from synclint.lint import Rule

class Other(Rule):
    code = "XYZ101"
    name = "other"
    facts = frozenset()
    def judge(self, site, context):
        return None
""",
}
ENTRY_POINTS = "[console_scripts]\nother = other\n\n[synclint.rules]\nother = other_rules\n"


def codes_with(path: Path) -> list[str]:
    """The codes of all rules in a process that has this on its path."""
    code = "import synclint.lint.engine as engine; print(*(rule.code for rule in engine.load_rules()))"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(path), *filter(None, sys.path)])}
    done = subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True)
    return done.stdout.split()


@pytest.mark.parametrize("metadata", ["other-1.0.dist-info", "synclint_more-2.dist-info", "Other.egg-info"])
@pytest.mark.parametrize("in_archive", [False, True])
def test_other_distributions_bring_rules(metadata: str, in_archive: bool, tmp_path: Path) -> None:
    about = "Metadata-Version: 2.1\nName: other\nVersion: 1.0\n"
    of_about = "METADATA" if metadata.endswith(".dist-info") else "PKG-INFO"
    files = {**OTHERS, f"{metadata}/entry_points.txt": ENTRY_POINTS, f"{metadata}/{of_about}": about}
    with ZipFile(tmp_path / "other.zip", "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
        archive.extractall(tmp_path)
    own = [rule.code for rule in load_rules()]
    assert codes_with(tmp_path / "other.zip" if in_archive else tmp_path) == [*own, "XYZ101"]


def test_entry_points_of_other_groups_bring_none(tmp_path: Path) -> None:
    (tmp_path / "other-1.0.dist-info").mkdir()
    (tmp_path / "other-1.0.dist-info" / "entry_points.txt").write_text("[pytest11]\nother = other_rules\n")
    (tmp_path / "empty-1.0.egg-info").write_text("Name: empty\n")
    assert codes_with(tmp_path) == [rule.code for rule in load_rules()]


def test_a_finder_of_distributions_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    class Frozen(Distribution):
        def read_text(self, filename: str) -> str | None:
            return {"entry_points.txt": ENTRY_POINTS, "METADATA": "Name: frozen\n"}.get(filename)

        def locate_file(self, path: object) -> Path:
            raise NotImplementedError

    class Finder:
        @staticmethod
        def find_spec(*_: object) -> None:
            return None

        @staticmethod
        def find_distributions(_: object) -> Iterator[Distribution]:
            yield Frozen()

    assert rule_packages() == ["synclint.rules"]
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, Finder])
    assert rule_packages() == ["other_rules", "synclint.rules"]
