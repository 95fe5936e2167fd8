"""SYN202: what its examples cannot hold. The fixed guard gives the same bits, and is only safe where it must."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent, indent
from typing import Any

import pytest
import torch

from synclint import config
from synclint.finding import Applicability, Finding, Heat
from synclint.fix.apply import apply
from synclint.lint.engine import check_source, load_rules
from synclint.source import Source

RULES = tuple(rule for rule in load_rules() if rule.code == "SYN202")
SETTINGS = config.settings_from({"heat": Heat.COLD.name.lower()}, Path("pyproject.toml"))

GUARD = """
import torch

def guarded(x: torch.Tensor, y: torch.Tensor):
    # .device
    x = x * y
    if x.dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
        if x.isinf().any() or torch.isnan(x).any():
            limit = torch.finfo(x.dtype).max - 1000
            x = torch.clamp(x, min=-limit, max=limit)
    return x
"""


def findings(source: Source) -> list[Finding]:
    return check_source(source, SETTINGS, RULES)


def only(code: str) -> tuple[Source, Finding]:
    source = Source.decode(code.encode(), "example.py")
    found = findings(source)
    assert len(found) == 1, found
    return source, found[0]


def fixed(code: str, level: Applicability | None = None) -> str:
    source, finding = only(code)
    assert finding.fix is not None
    assert level in (None, finding.fix.applicability)
    result = apply(source, [finding.fix])
    assert not result.skipped
    assert not findings(Source.decode(result.data, "example.py"))
    return result.data.decode()


def method(body: str, parameters: str = "x: torch.Tensor, y: torch.Tensor, query") -> str:
    """A forward with this body, which a line ``return x`` follows."""
    lines = indent(dedent(body).strip("\n"), " " * 8)
    return (
        f"import torch\n\nclass Block(torch.nn.Module):\n    def forward(self, {parameters}):\n"
        f"{lines}\n        return x\n"
    )


def function(code: str) -> Any:
    namespace: dict[str, Any] = {}
    exec(compile(code, "example.py", "exec"), namespace)
    return namespace["guarded"]


# ---------------------------------------------------------------------- the same bits

DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
BITS = {2: torch.int16, 4: torch.int32, 8: torch.int64}
CONTENTS: dict[str, list[float]] = {
    "plain": [1.0, -0.0, 0.0, -2.5, 3e4, -3e4],
    "largest": [65504.0, -65504.0, 64544.0, 64512.0, 1.0, -0.0],
    "inf": [1.0, float("inf"), -float("inf"), -0.0, 65504.0, 2.0],
    "nan": [1.0, float("nan"), -0.0, 2.0, -65504.0, 3.0],
    "both": [float("nan"), float("inf"), -float("inf"), -0.0, 65504.0, 0.0],
    "empty": [],
    "0-d": [float("inf")],
    "0-d plain": [-0.0],
}


def made(contents: str, dtype: torch.dtype, layout: str) -> torch.Tensor:
    values = torch.tensor(CONTENTS[contents], dtype=dtype)
    if contents.startswith("0-d"):
        return values.reshape(())
    values = values.reshape(2, len(values) // 2)
    values = values.t() if layout == "transposed" else values
    if contents in ("nan", "both") and dtype is torch.float32:  # a NaN with a payload
        values.reshape(-1).view(torch.int32)[values.reshape(-1).isnan()] = 0x7FC12345
    return values


def bits(tensor: torch.Tensor) -> list[int]:
    detached = tensor.detach().contiguous()
    return detached.view(BITS[tensor.element_size()]).flatten().tolist() if tensor.numel() else []


@pytest.mark.parametrize("layout", ["plain", "transposed"])
@pytest.mark.parametrize("contents", CONTENTS)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_the_fixed_guard_gives_the_same_bits(dtype: torch.dtype, contents: str, layout: str) -> None:
    results = []
    for code in (GUARD, fixed(GUARD, Applicability.SAFE)):
        values = made(contents, dtype, layout).requires_grad_()
        result = function(code)(values, torch.ones((), dtype=dtype))
        (gradient,) = torch.autograd.grad(result, values, torch.full_like(result, 3.0))
        results.append((result, gradient))
    (expected, gradient), (actual, actual_gradient) = results
    assert bits(actual) == bits(expected)
    assert bits(actual_gradient) == bits(gradient)
    for name in ("dtype", "shape", "device", "requires_grad", "is_leaf"):
        assert getattr(actual, name) == getattr(expected, name)
    if expected.numel():
        assert actual.stride() == expected.stride()


def test_clamping_always_changes_finite_values() -> None:
    source, finding = only(GUARD)
    (always,) = finding.alternatives
    assert always.applicability is Applicability.UNSAFE
    assert "finite values" in always.reason
    values, one = torch.tensor([65504.0, 1.0], dtype=torch.float16), torch.ones((), dtype=torch.float16)
    clamped = function(apply(source, [always]).data.decode())(values, one)
    assert clamped.tolist() == [64512.0, 1.0]
    assert function(GUARD)(values, one).tolist() == values.tolist()


def test_a_parameter_is_given_back_by_the_guard_alone() -> None:
    code = GUARD.replace("    x = x * y\n", "")
    after = fixed(code, Applicability.UNSAFE)
    values = torch.ones(2)
    assert function(code)(values, values) is values
    assert function(after)(values, values) is not values


def test_a_gradient_of_minus_zero_becomes_zero() -> None:
    """The page says so: no other bit of a gradient changes."""
    signs = []
    for code in (GUARD, fixed(GUARD)):
        values = torch.ones(1, requires_grad=True)
        (gradient,) = torch.autograd.grad(function(code)(values, torch.ones(1)), values, torch.tensor([-0.0]))
        signs.append(bool(gradient.signbit()))
    assert signs == [True, False]


# ---------------------------------------------------------------------- safe, unsafe, withheld

TESTED = "if x.dtype == torch.float16 and x.isinf().any():"
CLAMP = "    x = torch.clamp(x, min=-6e4, max=6e4)"
NUMBERED = f"{TESTED}\n    m = 6e4\n    x = x.clip(-m, m)"

SAFE = {
    "a sum": f"x = x + y\n{TESTED}\n{CLAMP}",
    "what a function makes": f"x = torch.softmax(y, -1)\n{TESTED}\n{CLAMP}",
    "a view of it computed with": f"x = x + y\nz = x.mT @ y\n{TESTED}\n{CLAMP}",
    "an alias of what it was before": f"z = x\nx = x + y\n{TESTED}\n{CLAMP}",
    "tested further out": f"x = x + y\nif x.dtype == torch.half:\n    if x.isinf().any():\n    {CLAMP}",
    "within with": f"x = x + y\nwith torch.no_grad():\n    {TESTED}\n    {CLAMP}",
    "a dtype that is known": f"x = torch.randn(3, device='cuda') * 2\nif x.isinf().any():\n{CLAMP}",
    "other clamps": f"x = x + y\n{TESTED}\n    x = x.clamp_max(6e4)",
    "a number assigned before it is used again": f"x = x + y\n{NUMBERED}\nm = 1\nx = x * m",
    "a number in two guards": (f"x = x + y\n{NUMBERED}\nif self.training:\n    m = 6e4\n    x = x.clip(-m, m)"),
    "a number used before": f"m = 1\ny = y * m\nx = x + y\n{NUMBERED}",
    "a comment on the test": f"x = x + y\n{TESTED}  # overflow\n{CLAMP}",
    "bounds by the dtype": f"x = x + y\n{TESTED}\n    x = x.clip(max=torch.finfo(x.dtype).max * 0.5)",
}
UNSAFE = {
    "a parameter": (f"{TESTED}\n{CLAMP}", "parameter"),
    "what a module returns": (f"x = self.norm(x)\n{TESTED}\n{CLAMP}", "held elsewhere"),
    "part of something": (f"x = y[0]\n{TESTED}\n{CLAMP}", "held elsewhere"),
    "what a method of who knows what makes": (f"x = query.exp()\n{TESTED}\n{CLAMP}", "held elsewhere"),
    "on one path alone": (f"x = x + y\nif self.training:\n    x = self.n(x)\n{TESTED}\n{CLAMP}", "held elsewhere"),
    "in a loop": (f"x = x + y\nfor _ in range(3):\n    {TESTED}\n    {CLAMP}", "held elsewhere"),
    "a leaf": (f"x = torch.randn(3, device='cuda', requires_grad=True)\n{TESTED}\n{CLAMP}", "held elsewhere"),
    "passed on": (f"x = x + y\nself.log(x)\n{TESTED}\n{CLAMP}", "may hold on"),
    "not known to be floating": (f"x = x + y\nif x.isinf().any():\n{CLAMP}", "floating"),
    "another dtype than those that clamp takes": (
        f"x = x + y\nif x.dtype == torch.float8_e5m2 and x.isinf().any():\n{CLAMP}",
        "floating",
    ),
    "a bound beyond the dtype": (f"x = x + y\n{TESTED}\n    x = x.clamp(max=65520.0)", "fits"),
    "a bound of another dtype": (f"x = x + y\n{TESTED}\n    x = x.clamp(max=torch.finfo(torch.float).max)", "fits"),
    "a bound that is not known": (f"x = x + y\n{TESTED}\n    x = x.clamp(max=self.limit)", "fits"),
    "another question": (f"x = x + y\n{TESTED[:-1]} and (y.max() > 1).any():\n{CLAMP}", "computed always"),
    "another tensor": (f"x = x + y\nif x.dtype == torch.float16 and y.isinf().any():\n{CLAMP}", "computed always"),
    "written later": (f"x = x + y\n{TESTED}\n{CLAMP}\nx += 1", "in place"),
    "written later, in part": (f"x = x + y\n{TESTED}\n{CLAMP}\nx[0] = 1", "in place"),
    "written later, by a method": (f"x = x + y\n{TESTED}\n{CLAMP}\nx.mul_(2)", "in place"),
    "a number used elsewhere": (
        f"m = 1\nx = x + y\n{NUMBERED}\nif y.shape[0]:\n    x = x * m",
        "used elsewhere",
    ),
    "a number used before, in a loop": (
        "m = 1\nfor y in self.parts:\n    y = y * m\n    x = x + y\n    " + NUMBERED.replace("\n", "\n    "),
        "used elsewhere",
    ),
    "an asynchronous copy": (f"z = y.to('cpu', non_blocking=True)\nx = x + y\n{TESTED}\n{CLAMP}", "copies to the host"),
    "a comment in the test": (
        f"x = x + y\nif (\n    x.dtype == torch.float16  # half\n    and x.isinf().any()\n):\n{CLAMP}",
        "comment",
    ),
}
WITHHELD = {
    "another name": f"x = x + y\nz = x\n{TESTED}\n{CLAMP}",
    "a view with another name": f"x = x + y\nz = x.view(-1)[1:]\n{TESTED}\n{CLAMP}",
    "in a container": f"x = x + y\nself.seen.append(x)\n{TESTED}\n{CLAMP}",
    "in a tuple": f"x = x + y\nz = (x, y)\n{TESTED}\n{CLAMP}",
    "another name from the start": f"x = y\n{TESTED}\n{CLAMP}",
    "an attribute": f"x = self.state\n{TESTED}\n{CLAMP}",
    "in place": f"x = x + y\n{TESTED}\n    x.clamp_(max=6e4)",
    "a tensor for a bound": f"x = x + y\n{TESTED}\n    x = x.clamp(max=y)",
    "a computed bound": f"x = x + y\n{TESTED}\n    x = x.clamp(max=y.abs().max())",
    "a bound computed before": f"x = x + y\nm = y.abs().max()\n{TESTED}\n    x = x.clamp(max=m)",
    "integers": "x = torch.arange(3, device='cuda') + 1\nif x.isinf().any():\n    x = x.clamp(max=5)",
    "no word of floats": "x = x + y\nif (x > 5).any():\n    x = x.clamp(max=5)",
    "an else": f"x = x + y\n{TESTED}\n{CLAMP}\nelse:\n    x = x + 1",
    "an elif": f"x = x + y\nif self.training:\n    pass\nelif x.isinf().any():\n{CLAMP}",
    "a test that also asks the host afterwards": f"x = x + y\n{TESTED[:-1]} and self.checks:\n{CLAMP}",
    "either": f"x = x + y\nif self.always or x.isinf().any():\n{CLAMP}",
    "more in the body": f"x = x + y\n{TESTED}\n    print(1)\n{CLAMP}",
    "another result": f"x = x + y\n{TESTED}\n    x = torch.clamp(y, max=1)",
    "an out argument": f"x = x + y\n{TESTED}\n    x = torch.clamp(x, max=1, out=y)",
    "a name that is given on the way": f"x = x + y\nif (bad := x.isinf()).any():\n{CLAMP}",
    "a number that the test asks for": f"m = 3\nx = x + y\n{NUMBERED.replace('if ', 'if m > 1 and ')}",
    "more than one element": f"x = x + y\nif x.isinf().any(0):\n{CLAMP}",
}


@pytest.mark.parametrize("body", SAFE.values(), ids=SAFE)
def test_a_guard_on_a_tensor_of_its_own_is_safe(body: str) -> None:
    assert "torch.where(" in fixed(method(body), Applicability.SAFE)


@pytest.mark.parametrize(("body", "reason"), UNSAFE.values(), ids=UNSAFE)
def test_what_is_not_known_makes_it_unsafe(body: str, reason: str) -> None:
    _, finding = only(method(body))
    assert finding.fix is not None
    assert finding.fix.applicability is Applicability.UNSAFE
    assert reason in finding.fix.reason
    assert "torch.where(" in fixed(method(body))


@pytest.mark.parametrize("body", WITHHELD.values(), ids=WITHHELD)
def test_what_surely_differs_is_not_fixed(body: str) -> None:
    _, finding = only(method(body))
    assert finding.fix is None
    assert finding.alternatives == ()


def test_a_global_is_not_fixed() -> None:
    _, finding = only(method(f"global x\nx = x + y\n{TESTED}\n{CLAMP}", "y: torch.Tensor"))
    assert finding.fix is None


# ---------------------------------------------------------------------- the text

LAYOUTS = {
    "on one line": (
        f"x = x + y\n{TESTED} x = x.clip(-1, 1)",
        "x = x + y\nif x.dtype == torch.float16: x = torch.where(x.isinf().any(), x.clip(-1, 1), x)",
    ),
    "on one line, without another term": (
        "x = torch.sin(y) * 2.0\nif x.isnan().any(): x = x.clip(-1, 1)",
        "x = torch.sin(y) * 2.0\nx = torch.where(x.isnan().any(), x.clip(-1, 1), x)",
    ),
    "an elif with another term": (
        "x = x + y\nif self.training:\n    pass\nelif x.dtype == torch.float16 and x.isinf().any():\n"
        "    x = x.clip(-1, 1)",
        "x = x + y\nif self.training:\n    pass\nelif x.dtype == torch.float16:\n"
        "    x = torch.where(x.isinf().any(), x.clip(-1, 1), x)",
    ),
    "comments in the body": (
        "x = x + y\nif x.isinf().any():\n    # one\n    m = 6e4  # two\n\n    # three\n    x = x.clip(-m, m)  # four\n"
        "    # five\nx = x * 2",
        "x = x + y\n# one\nm = 6e4  # two\n\n# three\nx = torch.where(x.isinf().any(), x.clip(-m, m), x)  # four\n"
        "# five\nx = x * 2",
    ),
    "nested terms": (
        "x = x + y\nif x.isinf().any() or (x.isnan().any() and not torch.isfinite(x).all()):\n    x = x.clip(-1, 1)",
        "x = x + y\nx = torch.where(\n    x.isinf().any() | (x.isnan().any() & ~torch.isfinite(x).all()),\n"
        "    x.clip(-1, 1),\n    x,\n)",
    ),
    "a comparison": (
        "x = x + y\nif x.isinf().any() or x.isnan().sum() > 0:\n    x = x.clip(-1, 1)",
        "x = x + y\nx = torch.where(x.isinf().any() | (x.isnan().sum() > 0), x.clip(-1, 1), x)",
    ),
    "lines that hang": (
        "x = x + y\nif (x.dtype == torch.float16\n        and x.isinf().any()):\n    x = x.clip(\n        -1,\n"
        "        1)",
        "x = x + y\nif (x.dtype == torch.float16):\n    x = torch.where(\n        x.isinf().any(),\n        x.clip(\n"
        "            -1,\n            1),\n        x,\n    )",
    ),
}


@pytest.mark.parametrize("newline", ["\n", "\r\n"], ids=["lf", "crlf"])
@pytest.mark.parametrize(("body", "after"), LAYOUTS.values(), ids=LAYOUTS)
def test_the_rewritten_lines_stand_as_they_should(body: str, after: str, newline: str) -> None:
    source = Source.decode(method(body).replace("\n", newline).encode(), "example.py")
    (finding,) = findings(source)
    assert finding.fix is not None
    assert apply(source, [finding.fix]).data.decode() == method(after).replace("\n", newline)


def test_tabs_stay_tabs() -> None:
    code = GUARD.replace("    ", "\t")
    assert "\n\t\tx = torch.where(\n\t\t\tx.isinf().any() | torch.isnan(x).any(),\n" in fixed(code)


def test_torch_is_imported_where_it_is_not() -> None:
    code = "from torch import Tensor, nn\n\nclass Block(nn.Module):\n    def forward(self, x: Tensor):\n"
    code += "        if x.isinf().any():\n            x = x.clip(-1, 1)\n        return x\n"
    after = fixed(code)
    assert after.startswith("from torch import Tensor, nn, where\n")
    assert "x = where(x.isinf().any(), x.clip(-1, 1), x)" in after


# ---------------------------------------------------------------------- one finding for a condition

CONDITIONS = {
    "one": ("if x.any(): pass", 1),
    "or": ("if x.any() or y.any(): pass", 2),
    "or, and, not": ("if x.any() or (not y.any() and x.all()): pass", 3),
    "a value": ("z = x.any() and y.any() and 1", 2),
    "while": ("while x.any() or y.any(): x = x + 1", 2),
    "assert": ("assert x.any() and y.any()", 2),
    "a chain": ("z = 0 < x.sum() < 5 < y.sum()", 2),
    "a chain that decides": ("if 0 < x.sum() < 5: pass", 2),
    "a comprehension": ("z = [i for i in range(3) if x.any() or y.any()]", 2),
    "a guard": ("match self.kind:\n    case 1 if x.any() or y.any(): pass", 2),
}


@pytest.mark.parametrize(("body", "reads"), CONDITIONS.values(), ids=CONDITIONS)
def test_a_condition_is_one_finding(body: str, reads: int) -> None:
    _, finding = only(method(body))
    assert (f"up to {reads} tensors" in finding.message) is (reads > 1)
    assert ("reads a tensor" in finding.message) is (reads == 1)


def test_conditions_of_one_statement_are_findings_of_their_own() -> None:
    found = findings(Source.decode(method("z = (1 if x.any() else 2) if y.any() else not x.all()").encode(), "a.py"))
    assert [finding.column for finding in found] == [19, 38, 55]


def test_the_surest_operand_speaks_for_the_condition() -> None:
    """Else the cut-off would drop the finding with the least sure one."""
    body = "if z.any() or x.any(): pass"
    _, finding = only(method(body, "x: torch.Tensor, z"))
    assert finding.column == method(body).splitlines()[4].index("x.any") + 1


MASKED = {
    "an item": ("x[mask] = 0", True),
    "a method": ("x = x.masked_fill(mask, 0)", True),
    "in place": ("x.masked_fill_(mask, 0)", True),
    "where": ("x = torch.where(mask, y, x)", True),
    "several": ("x[mask] = 0; y[mask] += 1", True),
    "another mask": ("x[y] = 0", False),
    "more": ("x[mask] = 0; self.log(x)", False),
    "what is costly without elements, too": ("x[mask] = self.layer(x[mask])", False),
}


@pytest.mark.parametrize(("body", "skips"), MASKED.values(), ids=MASKED)
def test_a_guard_that_only_skips_work_may_go(body: str, skips: bool) -> None:
    for test in ("mask.any()", "torch.any(mask)"):
        _, finding = only(method(f"mask = x > 0\nif {test}: {body}"))
        assert ("drop the guard" in finding.help) is skips
        assert finding.fix is None
