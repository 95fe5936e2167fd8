"""Which functions are interpreted in the light of the project: all that have sites, and few others."""

from __future__ import annotations

from pathlib import Path

import pytest
from projects import Files, split, write
from test_link import CASES

from synclint.config import Settings
from synclint.finding import Confidence, Heat
from synclint.flow.link import InProject
from synclint.flow.module import ModuleFlow
from synclint.flow.prospects import worth_interpreting
from synclint.lint.engine import claims_of, load_rules
from synclint.run import in_project
from synclint.source import Source

CLAIMED = claims_of(load_rules())
FIXTURES = Path(__file__).parent.parent / "fixtures"


def everything() -> Files:
    """The examples of all rules, the fixtures, and what is found across files, as one project."""
    files = {
        f"examples/{rule.code.lower()}_{number}.py": example.code
        for rule in load_rules()
        for number, example in enumerate((*rule.INVALID, *rule.VALID))
    }
    for file in sorted(FIXTURES.glob("*/*.py")):
        files[f"fixed/{file.parent.name}_{file.name}"] = file.read_text(encoding="utf-8")
    for number, case in enumerate(CASES.values()):
        files |= {f"case{number}/{path}": text for path, text in split(case).items()}
    return files


def asked(place: InProject, confidence: Confidence = Confidence.POSSIBLE) -> frozenset[str]:
    found = worth_interpreting(place, CLAIMED, Heat.COLD, confidence)
    assert found is not None
    return found


def with_sites(file: Path, place: InProject, confidence: Confidence) -> set[str]:
    """The functions that have sites when all of them are interpreted."""
    flow = ModuleFlow(Source.read(file), frozenset(CLAIMED), place=place)
    return {
        site.scope.outermost.qualname if site.scope.outermost.qualname in flow.function_nodes else ""
        for site in flow.analyse()
        if site.fact.id in CLAIMED and site.confidence >= confidence
    }


@pytest.mark.parametrize("confidence", [Confidence.POSSIBLE, Confidence.LIKELY], ids=lambda one: one.name.lower())
def test_every_function_with_a_site_is_interpreted(tmp_path: Path, confidence: Confidence) -> None:
    files = everything()
    write(tmp_path, files)
    settings = Settings(root=tmp_path)
    missed = []
    seen = 0
    for path in files:
        with in_project(tmp_path / path, settings) as place:
            found = with_sites(tmp_path / path, place, confidence)
            missed += [(path, name) for name in found - asked(place, confidence)]
            seen += len(found)
    assert seen > 200
    assert missed == []


PROJECT = split(
    """
    --- pkg/__init__.py
    --- pkg/sums.py
    import torch

    def double(thing):
        return thing * 2

    def total(thing):
        return double(thing) + 1

    def read(thing, other):
        return (thing + other).item()

    def choose(count, most):
        if count > most:
            return most
        return count

    class Counter:
        def __init__(self):
            self.count = 0

        def add(self, more):
            self.count = self.count + more
            return int(self.count)
    --- pkg/use.py
    import torch
    from pkg import sums

    def use(names):
        made = torch.zeros(1, device="cuda")
        sums.total(made)
        sums.choose(len(names), 3)
        sums.Counter().add(len(names))
        return sums.read(made, made)
    """
)


def test_functions_without_waiting_operations_or_tensors_are_not(tmp_path: Path) -> None:
    write(tmp_path, PROJECT)
    with in_project(tmp_path / "pkg/sums.py", Settings(root=tmp_path)) as place:
        assert asked(place) == {"read"}


def test_what_callers_pass_decides(tmp_path: Path) -> None:
    write(tmp_path, PROJECT | {"pkg/use.py": PROJECT["pkg/use.py"].replace("len(names), 3", "made, made")})
    with in_project(tmp_path / "pkg/sums.py", Settings(root=tmp_path)) as place:
        assert asked(place) == {"read", "choose"}


def test_a_class_that_is_a_module_by_a_base_elsewhere(tmp_path: Path) -> None:
    files = split(
        """
        --- pkg/__init__.py
        --- pkg/base.py
        import torch
        class Base(torch.nn.Module):
            pass
        --- pkg/layers.py
        import torch
        from pkg.base import Base
        class Gate(Base):
            def forward(self, hidden_states):
                return hidden_states.sum().item()
            def name(self):
                return "gate"
        """
    )
    write(tmp_path, files)
    with in_project(tmp_path / "pkg/layers.py", Settings(root=tmp_path)) as place:
        assert asked(place, Confidence.LIKELY) == {"Gate.forward"}


def test_cold_functions_are_not(tmp_path: Path) -> None:
    write(tmp_path, {"a.py": "import torch\ndef load_weights():\n    return torch.zeros(1, device='cuda').item()\n"})
    with in_project(tmp_path / "a.py", Settings(root=tmp_path)) as place:
        assert worth_interpreting(place, CLAIMED, Heat.WARM, Confidence.LIKELY) == frozenset()
        assert worth_interpreting(place, CLAIMED, Heat.COLD, Confidence.LIKELY) == {"load_weights"}
        assert worth_interpreting(place, {"mask-read"}, Heat.COLD, Confidence.LIKELY) == frozenset()


def test_of_facts_that_no_rule_here_claims_nothing_is_known(tmp_path: Path) -> None:
    write(tmp_path, {"a.py": "import torch\n"})
    with in_project(tmp_path / "a.py", Settings(root=tmp_path)) as place:
        assert worth_interpreting(place, {"mask-read", "tensor-metadata"}, Heat.COLD, Confidence.LIKELY) is None
