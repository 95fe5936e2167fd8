"""What the engine does around the rules."""

from __future__ import annotations

import pytest

from synclint import config
from synclint.facts import fact
from synclint.lint.engine import _may_wait, check_source, load_rules
from synclint.source import Source, SourceError

SUBSCRIPTS = {"getitem(Tensor)", "setitem(Tensor)", "assign(Tensor)"}

# Not calls of their own: what needs a number out of a tensor, which the other words of the pattern stand for, and
# subscripts.
NOT_CALLS = {"truth(Tensor)", "operator.index", "index(Tensor)", "iter(Tensor)", "in(Tensor)", *SUBSCRIPTS}

SPELLINGS = sorted({name for rule in load_rules() for id in rule.facts for name in fact(id).spellings} - NOT_CALLS)


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_no_claimed_operation_is_passed_over(spelling: str) -> None:
    """A file without any operation is not interpreted: each that a rule claims must be known to that short cut."""
    call = f"{spelling[: -len('(Tensor)')]}(x)" if spelling.endswith("(Tensor)") else f"{spelling}(x)"
    assert _may_wait(call.encode())


@pytest.mark.parametrize(
    "text", ["x[mask]", "x[~y, 0]", "x[y > 0]", "f(x)[[0, 1]]", "x[0] = 1", "x[:, ids] = y", "self.x[i, j] = 0"]
)
def test_no_subscript_that_may_wait_is_passed_over(text: str) -> None:
    assert _may_wait(text.encode())


@pytest.mark.parametrize("text", ["x = (", "import torch\nx = ("])
def test_a_file_that_cannot_be_parsed_is_an_error_whatever_is_in_it(text: str) -> None:
    with pytest.raises(SourceError):
        check_source(Source.decode(text.encode(), "a.py"), config.Settings(), load_rules())
