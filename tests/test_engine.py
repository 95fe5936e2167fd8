"""What the engine does around the rules."""

from __future__ import annotations

import pytest

from synclint import config
from synclint.facts import fact
from synclint.lint.engine import _OPERATION, check_source, load_rules
from synclint.source import Source, SourceError

# Not calls of their own: a condition needs a number out of a tensor, which the other words of the pattern stand for.
NOT_CALLS = {"truth(Tensor)", "operator.index"}

SPELLINGS = sorted({name for rule in load_rules() for id in rule.facts for name in fact(id).spellings} - NOT_CALLS)


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_no_claimed_operation_is_passed_over(spelling: str) -> None:
    """A file without any operation is not interpreted: each that a rule claims must be known to that short cut."""
    call = f"{spelling[: -len('(Tensor)')]}(x)" if spelling.endswith("(Tensor)") else f"{spelling}(x)"
    assert _OPERATION.search(call.encode())


@pytest.mark.parametrize("text", ["x = (", "import torch\nx = ("])
def test_a_file_that_cannot_be_parsed_is_an_error_whatever_is_in_it(text: str) -> None:
    with pytest.raises(SourceError):
        check_source(Source.decode(text.encode(), "a.py"), config.Settings(), load_rules())
