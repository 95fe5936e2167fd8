"""SYN303: where a mask on the host is at hand, and what indexing with it changes."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent, indent

import pytest
import torch

from synclint import config
from synclint.finding import Applicability, Finding
from synclint.fix.apply import apply
from synclint.lint.engine import check_source, load_rules
from synclint.source import Source

RULES = tuple(rule for rule in load_rules() if rule.code == "SYN303")


def findings(source: Source, target: str = "2.9") -> list[Finding]:
    settings = config.settings_from({"target-torch": target}, Path("pyproject.toml"))
    return check_source(source, settings, RULES)


def method(body: str) -> str:
    lines = indent(dedent(body).strip("\n"), " " * 8)
    parameters = "x: torch.Tensor, mask_cpu: torch.Tensor, source: torch.Tensor"
    return f"import torch\n\nclass Merge(torch.nn.Module):\n    def forward(self, {parameters}):\n{lines}\n"


def fixed(body: str) -> str:
    source = Source.decode(method(body).encode(), "example.py")
    (finding,) = findings(source)
    assert finding.fix is not None
    assert finding.fix.applicability is Applicability.UNSAFE
    result = apply(source, [finding.fix])
    assert not result.skipped
    assert not findings(Source.decode(result.data, "example.py"))
    return result.data.decode()


INDEXED = "x[mask_cpu] = source"
AT_HAND = {
    "a name": ("mask = mask_cpu.to(x.device)\nx.masked_scatter_(mask, source)", INDEXED),
    "cuda": ("mask = mask_cpu.cuda(non_blocking=True)\nx.masked_scatter_(mask.unsqueeze(-1), source)", INDEXED),
    "names and views": (
        "mask = mask_cpu.to(device=x.device)\nwide = mask[:, None]\nx.masked_scatter_(wide.expand_as(x), source)",
        INDEXED,
    ),
    "at once": ("x.masked_scatter_(mask_cpu.to(x.device)[..., None], source)", INDEXED),
    "views before the copy": ("x.masked_scatter_(mask_cpu.unsqueeze(-1).expand(-1, 4).to(x.device), source)", INDEXED),
    "the helper": (
        "mask = async_tensor_h2d(mask_cpu, device=x.device)\nx.masked_scatter_(mask.unsqueeze(-1), source)",
        INDEXED,
    ),
    "an attribute": ("x.masked_scatter_(self.mask_cpu.to(x.device), source)", "x[self.mask_cpu] = source"),
    "a part": (
        "mask = mask_cpu.to(x.device)\nx[1:].masked_scatter_(mask.unsqueeze(-1), source[:3])",
        "x[1:][mask_cpu] = source[:3]",
    ),
    "a copy that is used elsewhere": (
        "mask = mask_cpu.to(x.device)\nx.masked_scatter_(mask.unsqueeze(-1), source)\nreturn mask",
        "mask = mask_cpu.to(x.device)\nx[mask_cpu] = source\nreturn mask",
    ),
    "a copy that shares its line": (
        "mask = mask_cpu.to(x.device); x.masked_scatter_(mask, source)",
        "mask = mask_cpu.to(x.device); x[mask_cpu] = source",
    ),
    "a copy that is all there is in its block": (
        "with torch.no_grad():\n    mask = mask_cpu.to(x.device)\nx.masked_scatter_(mask, source)",
        "with torch.no_grad():\n    mask = mask_cpu.to(x.device)\nx[mask_cpu] = source",
    ),
    "a source over lines": (
        "x.masked_scatter_(mask_cpu.to(x.device), source\n                  + 1)",
        "x[mask_cpu] = (source\n                  + 1)",
    ),
}
NOT_AT_HAND = {
    "made on the device": "mask = x[:, 0] > 0\nx.masked_scatter_(mask.unsqueeze(-1), source)",
    "moved from one device to another": "bad = x > 0\nmask = bad.to('cuda:1')\nx.masked_scatter_(mask, source)",
    "another dtype": "mask = mask_cpu.to(x.device, torch.bool)\nx.masked_scatter_(mask, source)",
    "another dtype by name": "mask = mask_cpu.to(x.device, dtype=torch.bool)\nx.masked_scatter_(mask, source)",
    "like another tensor": "mask = mask_cpu.to(x)\nx.masked_scatter_(mask, source)",
    "turned round": "mask = ~mask_cpu.to(x.device)\nx.masked_scatter_(mask, source)",
    "another shape": "mask = mask_cpu.to(x.device).view(1, -1)\nx.masked_scatter_(mask, source)",
    "at another place": "mask = mask_cpu.to(x.device)\nx.masked_scatter_(mask.unsqueeze(0), source)",
    "two copies": "mask = mask_cpu.to(x.device)\nmask = mask & (x > 0)\nx.masked_scatter_(mask, source)",
    "written on the device": "mask = mask_cpu.to(x.device)\nmask[0] = False\nx.masked_scatter_(mask, source)",
    "written by a method": "mask = mask_cpu.to(x.device)\nmask.logical_not_()\nx.masked_scatter_(mask, source)",
    "written on the host": "mask = mask_cpu.to(x.device)\nmask_cpu[0] = False\nx.masked_scatter_(mask, source)",
    "assigned in between": "m = self.mask_cpu.to(x.device)\nself.mask_cpu = mask_cpu\nx.masked_scatter_(m, source)",
    "another one by then": "mask = mask_cpu.to(x.device)\nmask_cpu = ~mask_cpu\nx.masked_scatter_(mask, source)",
}
NO_FIX = {
    "the result is used": "return x.masked_scatter_(mask_cpu.to(x.device), source)",
    "called as a function": "torch.Tensor.masked_scatter_(x, mask_cpu.to(x.device), source)",
    "starred": "x.masked_scatter_(mask_cpu.to(x.device), *self.sources)",
}


@pytest.mark.parametrize(("body", "after"), AT_HAND.values(), ids=AT_HAND)
def test_the_mask_on_the_host_is_used_instead(body: str, after: str) -> None:
    assert fixed(body) == method(after)


@pytest.mark.parametrize("body", NOT_AT_HAND.values(), ids=NOT_AT_HAND)
def test_another_mask_is_none_of_its_business(body: str) -> None:
    assert findings(Source.decode(method(body).encode(), "example.py")) == []


@pytest.mark.parametrize("body", NO_FIX.values(), ids=NO_FIX)
def test_what_is_no_statement_of_its_own_is_not_fixed(body: str) -> None:
    (finding,) = findings(Source.decode(method(body).encode(), "example.py"))
    assert finding.fix is None


@pytest.mark.parametrize(("target", "fixes"), [("2.6", False), ("2.8", False), ("2.9", True), ("2.13", True)])
def test_the_target_decides(target: str, fixes: bool) -> None:
    source = Source.decode(method(AT_HAND["at once"][0]).encode(), "example.py")
    (finding,) = findings(source, target)
    assert (finding.fix is not None) is fixes
    assert ("stays" in finding.help) is not fixes
    assert "the host waits" not in finding.message


# ---------------------------------------------------------------------- why it is never safe

MASK = [True, False, True]
SOURCES = {
    "one row for each": (torch.ones(2, 2), True, True),
    "rows to spare": (torch.ones(3, 2), True, False),
    "a single row": (torch.ones(1, 2), False, True),
    "flat": (torch.ones(4), True, False),
}


@pytest.mark.parametrize(("source", "scatters", "indexes"), SOURCES.values(), ids=SOURCES)
def test_the_two_forms_take_different_sources(source: torch.Tensor, scatters: bool, indexes: bool) -> None:
    mask = torch.tensor(MASK)
    scattered, indexed = torch.zeros(3, 2), torch.zeros(3, 2)
    outcomes = []
    for action in (
        lambda: scattered.masked_scatter_(mask.unsqueeze(-1), source),
        lambda: indexed.__setitem__(mask, source),
    ):
        try:
            action()
            outcomes.append(True)
        except (RuntimeError, IndexError):
            outcomes.append(False)
    assert outcomes == [scatters, indexes]
    if scatters and indexes:
        assert torch.equal(scattered, indexed)
