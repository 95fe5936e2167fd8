"""Every rule's examples are executed on the simulated device: what they state happens, and safe fixes keep results.

The second half plants examples that do not keep their word: the check must say so.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from synclint.finding import Applicability
from synclint.lint.engine import load_rules
from synclint.lint.rule import Invalid, Rule, Valid

pytest.importorskip("torch")

from synclint.verify.examples.check import Checked, check_rules
from synclint.verify.examples.variations import WAYS, variations


@pytest.mark.parametrize("rule", load_rules(), ids=lambda rule: rule.code)
def test_examples_keep_their_word(rule: Rule) -> None:
    checked = list(check_rules([rule], "simulated"))
    assert len(checked) == len(rule.INVALID) + len(rule.VALID)
    assert {one.name: one.failures for one in checked if one.failures} == {}


# ---------------------------------------------------------------------- the check itself


def checked(*, invalid: Invalid | None = None, valid: Valid | None = None) -> Checked:
    rule = SimpleNamespace(code="SYN999", INVALID=(invalid,) if invalid else (), VALID=(valid,) if valid else ())
    (one,) = check_rules([cast(Rule, rule)], "simulated")
    return one


def invalid(code: str, run: str, fixed: str | None = None, line: int = 2, **fields: Any) -> Invalid:
    level = None if fixed is None else Applicability.SAFE
    return Invalid(
        **{"code": code, "run": run, "lines": (line,), "event": "sync", "fixed": fixed, "level": level} | fields
    )


READS = "def f(x):\n    return x.sum().item()\n"
PINNED = "def f(x):\n    y = x.to('cuda'{flag})\n    x.zero_()\n    return y\n"
KEEPS = "def f(x):\n    return x.sum()\n"


@pytest.mark.parametrize(
    ("example", "said"),
    [
        (invalid(KEEPS, "f(torch.ones(2, device='cuda'))"), "line 2: no event of kind sync"),
        (invalid(READS, "f(torch.ones(2))"), "line 2: no event of kind sync"),
        (invalid(READS, "f(None)"), "raises AttributeError"),
        (invalid(READS, "f(torch.ones(2, device='cuda'))", READS), "as many events as before"),
        (invalid(READS, "f(torch.ones(2, device='cuda'))", KEEPS), "float became Tensor"),
        (invalid(READS, "f(torch.ones(2, device='cuda'))", event="none"), "nothing should happen"),
        (
            invalid(
                "def f(x):\n    return x.to('cuda')\n",
                "f(torch.ones(2))",
                "def f(x):\n    return x.pin_memory().to('cuda', non_blocking=True).half().float()\n",
            ),
            "with f(vary(torch.ones(2), 'random')): fixed: the result differs: values",
        ),
        (invalid(READS, "f(torch.ones(2, device='cuda'))", KEEPS, race=True), "fixed: opens no race"),
        (
            invalid(
                PINNED.format(flag=""),
                "f(torch.ones(2, pin_memory=True))",
                PINNED.format(flag=", non_blocking=True"),
            ),
            "fixed: opens a race",
        ),
        (
            invalid(
                "def f(x):\n    return x if x.sum().item() > 0 else x\n",
                "f(torch.ones(2, device='cuda'))",
                "def f(x):\n    return x.clone()\n",
            ),
            "requires grad",
        ),
        (
            invalid(
                "def f(x, n):\n    return x[n], x.sum().item() * 0\n",
                "f(torch.ones(2, device='cuda'), 1)",
                "def f(x, n):\n    return x[n % 2], 0.0\n",
            ),
            "with f(torch.ones(2, device='cuda'), 7): IndexError",
        ),
    ],
)
def test_a_bad_example_that_breaks_its_word_is_found_out(example: Invalid, said: str) -> None:
    failures = checked(invalid=example).failures
    assert any(said in failure for failure in failures), failures


@pytest.mark.parametrize(
    ("example", "said"),
    [
        (Valid(code=READS, run="f(torch.ones(2, device='cuda'))"), "1 x sync in line 2"),
        (Valid(code=KEEPS, run="f(torch.ones(2, device='cuda'))", event="sync"), "should be an event of kind sync"),
        (Valid(code=KEEPS, run="f(torch.ones(2, device='cuda'))", event="host-cost"), "of kind host-cost"),
        (Valid(code=KEEPS, run="f()"), "raises TypeError"),
    ],
)
def test_a_good_example_that_breaks_its_word_is_found_out(example: Valid, said: str) -> None:
    (failure,) = checked(valid=example).failures
    assert said in failure


def test_examples_that_keep_their_word_pass() -> None:
    fixed = "def f(x):\n    return x.sum().tolist()\n"
    one = checked(invalid=invalid(READS, "f(torch.ones(2, device='cuda'))", fixed, left=1))
    assert any("as many events as before" in failure for failure in one.failures)
    one = checked(invalid=invalid(READS, "f(torch.ones(2, device='cuda'))"))
    assert (one.failures, one.before, one.after) == ((), 1, None)
    cost = Valid(code=READS, run="f(torch.ones(2))", event="host-cost")
    assert (checked(valid=cost).failures, checked(valid=cost).before) == ((), 1)


def test_inputs_are_varied() -> None:
    found = [*variations("f(torch.ones(2), 3, [1, 2], g(0.5), name='x')")]
    assert "f(torch.ones(2), 0, [1, 2], g(0.5), name='x')" in found
    assert "f(torch.ones(2), 3, [], g(0.5), name='x')" in found
    assert "f(torch.ones(2), 3, [1, 2], g(-1.5), name='x')" in found
    assert {f"f(vary(torch.ones(2), '{way}'), 3, [1, 2], g(0.5), name='x')" for way in WAYS} <= set(found)
    assert len(found) == len(set(found))
