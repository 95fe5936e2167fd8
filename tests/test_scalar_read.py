"""Scalar reads: what may be read ahead, what may become a list, and what must not. The examples hold the rest."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent, indent

import pytest

from synclint import config
from synclint.finding import Finding
from synclint.fix.apply import apply
from synclint.run import Linter
from synclint.source import Source

RULES = {"SYN201", "SYN701"}


@pytest.fixture
def linter(tmp_path: Path) -> Linter:
    (tmp_path / "pyproject.toml").write_text("[tool.synclint]\n", encoding="utf-8")
    return Linter(config.load(tmp_path))


def findings_of(linter: Linter, source: Source) -> list[Finding]:
    return [finding for finding in linter.findings(source) if finding.code in RULES]


def levels(findings: list[Finding]) -> set[str]:
    """``safe``, ``unsafe`` or ``none`` of each finding's fix."""
    return {"none" if finding.fix is None else finding.fix.applicability.value for finding in findings}


def reasons(findings: list[Finding]) -> str:
    return "; ".join(finding.fix.reason for finding in findings if finding.fix is not None)


def fixed(linter: Linter, source: Source) -> str:
    result = apply(source, [finding.fix for finding in findings_of(linter, source) if finding.fix is not None])
    compile(result.data, "example.py", "exec")
    return result.data.decode()


def function(body: str, parameters: str = "n: int, i: int, f, x") -> Source:
    """A function in which ``t`` is a tensor of ``n`` elements that only it knows."""
    text = f"import torch\n\ndef example({parameters}):\n    t = torch.arange(n, dtype=torch.int64, device='cuda')\n"
    return Source.decode((text + indent(dedent(body).strip("\n"), "    ") + "\n").encode(), "example.py")


def module(code: str) -> Source:
    return Source.decode(dedent(code).lstrip("\n").encode(), "example.py")


# ---------------------------------------------------------------------- several reads at once


@pytest.mark.parametrize(
    "body",
    [
        "a = t[0].item()\nf()\nb = t[1].item()",
        "a = int(t[0])\nprint(a, len(t), max(a, n))\nb = int(t[-1])",
        "a = int(t[i])\nfound = []\nfound.append(a)\nb = int(t[i + 1])\nfound.append(b)",
        "f(t[0].item(), t[1].item())",
        "t = f(int(t[0]), int(t[1]))",
        "n, a = t[i].item(), t[i + 1].item()",
        "total = 0\ntotal += t[0].item()\ntotal += t[1].item()",
        "for j in range(int(t[0]), int(t[1])):\n    f(j)",
        "if int(t[0]) < int(t[1]):\n    f()",
        "return t[len(t) - 1].item(), t[0].item()",
        "with torch.no_grad():\n    a = t[0].item()\n    b = t[1].item()",
        "try:\n    a, b = t[0].item(), t[1].item()\nexcept IndexError:\n    a = b = 0",
        "y = x + t[0].item() * t[1].item()",
        "a = t[0].item()\ny = t + a\nb = t[1].item()",
        "h = torch.empty(n, pin_memory=True)\nh.copy_(t, non_blocking=True)\na = t[0].item()\nb = t[1].item()",
    ],
)
def test_reads_that_always_happen_together_are_safe(linter: Linter, body: str) -> None:
    source = function(body)
    found = findings_of(linter, source)
    assert len(found) == 2
    assert levels(found) == {"safe"}, reasons(found)
    assert len({finding.fix for finding in found}) == 1
    assert "torch.stack((t[" in fixed(linter, source)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("f(t)\na = t[0].item()\nf()\nb = t[1].item()", "line 7: `f(...)`, which may write to it, is called"),
        ("u = t.view(-1)\na = t[0].item()\nf()\nb = t[1].item()", "`f(...)`, which may write to it"),
        ("a = t[0].item()\nx[0] = t\nb = t[1].item()", "`x[...]`, which may share its memory, is written to"),
        ("f(t)\na = t[0].item()\nx += 1\nb = t[1].item()", "`x`, which may share its memory, is changed in place"),
        ("f(t)\na = t[0].item()\nyield a\nb = t[1].item()", "other code runs"),
        ("a, b = t[x].item(), t[0].item()", "the index `x` is not known to be an int"),
        ("k = 0\nk += x\na, b = t[k].item(), t[0].item()", "the index `k` is not known to be an int"),
        ("a, b = t[True].item(), t[0].item()", "the index `True` is not known to be an int"),
        ("try:\n    a = t[0].item()\n    b = t[5].item()\nexcept IndexError:\n    f()", "in the `try` or `with`"),
        ("with f():\n    a = t[0].item()\n    b = t[5].item()", "in the `try` or `with`"),
        ("i, n = t[i].item(), t[i + 1].item()", "the index `i` is not known to be an int"),
        ("t = torch.tensor(x, device='cuda')\na, b = t[0].item(), t[1].item()", "more than one dimension"),
        ("t = torch.tensor([x, x], device='cuda')\na, b = int(t[0]), int(t[1])", "complex"),
        ("y = x.to(torch.uint64)\na, b = int(t[0]), int(t[1])", "uint64"),
        ("y = x.to(torch.float8_e5m2)\na, b = t[0].item(), t[1].item()", "may be one that `torch.stack` does not take"),
    ],
)
def test_what_is_not_proven_makes_reading_ahead_unsafe(linter: Linter, body: str, reason: str) -> None:
    found = [finding for finding in findings_of(linter, function(body)) if finding.fix is not None]
    assert len(found) == 2
    assert levels(found) == {"unsafe"}
    assert reason in reasons(found)


@pytest.mark.parametrize(
    "body",
    [
        "a = t[0].item()\nt = t + 1\nb = t[1].item()",
        "a = t[i].item()\ni = i + 1\nb = t[i].item()",
        "a = t[i].item()\ni += 1\nb = t[i].item()",
        "a = t[i].item()\nfor i in range(3):\n    f()\nb = t[i].item()",
        "a = t[0].item()\nt[1] = 5\nb = t[1].item()",
        "a = t[0].item()\nt[1] += 5\nb = t[1].item()",
        "a = t[0].item()\nt += 5\nb = t[1].item()",
        "a = t[0].item()\nt.add_(1)\nb = t[1].item()",
        "a = t[0].item()\nt.view(-1).add_(1)\nb = t[1].item()",
        "u = t.view(-1)\na = t[0].item()\nu.add_(1)\nb = t[1].item()",
        "u = t\na = t[0].item()\nu[1] = 1\nb = t[1].item()",
        "u = t\na = t[0].item()\nu += 1\nb = t[1].item()",
        "a = t[0].item()\ndel t\nb = t[1].item()",
        "a = t[0].item()\nif a:\n    return a\nb = t[1].item()",
        "a = t[0].item() and t[1].item()",
        "a = t[0].item() if n else t[1].item()",
        "a = [t[0].item() for _ in x], t[1].item()",
        "a = (lambda: t[0].item()), t[1].item()",
        "while t[0].item() < t[1].item():\n    f()",
        "assert t[0].item() < t[1].item()",
        "if n:\n    f()\nelif t[0].item() < t[1].item():\n    f()",
        "f(); a = t[0].item(); b = t[1].item()",
        "if n: return t[0].item() + t[1].item()",
        "a = t[x.j].item()\nf()\nb = t[x.j].item()",
        "a = t[x.j].item()\nx.j = 3\nb = t[x.j].item()",
        "a = t[f()].item(), t[0].item()",
        "t = torch.ones(2, 1, device='cuda')\na, b = t[0].item(), t[1].item()",
        "t = [t.sum(), t.max()]\na, b = t[0].item(), t[1].item()",
        "t = {0: t.sum(), 1: t.max()}\na, b = t[0].item(), t[1].item()",
        "t = torch.ones(2, 2, device='cuda')\na, b = t[0, 0].item(), t[1, 1].item()",
        "a, b = t[0:1].item(), t[1:2].item()",
        "def g():\n    nonlocal t\n    t = f()\na = t[0].item()\ng()\nb = t[1].item()",
        "def g():\n    return t[0].item(), t[1].item()",
    ],
)
def test_reads_that_may_differ_or_not_happen_are_left_alone(linter: Linter, body: str) -> None:
    found = findings_of(linter, function(body))
    assert found
    assert levels(found) == {"none"}


def test_reads_are_cut_where_the_tensor_is_written_to(linter: Linter) -> None:
    source = function("a, b = t[0].item(), t[1].item()\nt[0] = 7\nc, d = t[0].item(), t[1].item()")
    found = findings_of(linter, source)
    assert len({finding.fix for finding in found}) == 2
    assert levels(found) == {"safe"}
    first = apply(source, [found[0].fix, found[1].fix]) if found[0].fix and found[1].fix else None
    assert first is not None
    again = fixed(linter, Source.decode(first.data, "example.py"))
    lines = [line.strip() for line in again.splitlines()]
    assert lines.index("t_0_, t_1_ = torch.stack((t[0], t[1])).tolist()") > lines.index("t[0] = 7")


@pytest.mark.parametrize(
    ("body", "line"),
    [
        ("a, b = t[0].item(), t[-1].item()", "t_0, t_last = torch.stack((t[0], t[-1])).tolist()"),
        ("a, b = t[i - 1].item(), t[i].item()", "t_i_minus_1, t_i = torch.stack((t[i - 1], t[i])).tolist()"),
        ("t_0 = 3\na, b = t[0].item(), t[1].item()", "t_0_, t_1 = torch.stack((t[0], t[1])).tolist()"),
        ("a, b = t[0].item(), t[0].item()", "t_0 = t[0].item()"),
        (
            "a, b = t[len(t) - n - i - 1].item(), t[len(t) - n - i - 2].item()",
            "t_values = torch.stack((t[len(t) - n - i - 1], t[len(t) - n - i - 2])).tolist()",
        ),
        ("t = torch.zeros(3, device='cuda')[:]\na = t[0].item()\nb = t[i].item()", None),
        ("t = torch.tensor([1, 2], device='cuda')\na, b = t[0].item(), t[i].item()", "t_values = t.tolist()"),
    ],
)
def test_the_new_line_is_readable(linter: Linter, body: str, line: str | None) -> None:
    text = fixed(linter, function(body))
    assert line is None or f"    {line}\n" in text
    assert line is not None or "torch.stack((t[0], t[i])).tolist()" in text


def test_an_index_out_of_range_still_raises() -> None:
    """What the two new forms rely on."""
    torch = pytest.importorskip("torch")
    t = torch.arange(2)
    for index in (2, -3):
        with pytest.raises(IndexError):
            t[index].item()
        with pytest.raises(IndexError):
            torch.stack((t[0], t[index])).tolist()
        with pytest.raises(IndexError):
            t.tolist()[index]


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int32", "int64", "float16", "bfloat16", "float32", "float64"])
def test_numbers_and_their_types_stay(dtype: str) -> None:
    torch = pytest.importorskip("torch")
    values = [0, 1, 7] if dtype in ("uint8", "int32", "int64") else [0.0, 1.0, 0.1, -0.0, float("nan"), float("inf")]
    t = torch.tensor(values).to(getattr(torch, dtype))
    for i in range(len(t)):
        for ahead in (t.tolist()[i], torch.stack((t[0], t[i])).tolist()[1]):
            assert repr(ahead) == repr(t[i].item())
            assert repr(bool(ahead)) == repr(bool(t[i]))
            assert repr(float(ahead)) == repr(float(t[i]))
            assert repr(complex(ahead)) == repr(complex(t[i]))
            if ahead == ahead and abs(ahead) != float("inf"):
                assert repr(int(ahead)) == repr(int(t[i]))


@pytest.mark.parametrize(
    ("imports", "line", "level"),
    [
        ("import torch as th", "th.stack((t[0], t[1]))", "safe"),
        ("from torch import arange, stack", "stack((t[0], t[1]))", "safe"),
        ("from torch import arange", "from torch import arange, stack", "safe"),
        ("try:\n    import torch as th\nexcept ImportError:\n    th = None", "th.stack((t[0], t[1]))", "safe"),
        ("if n:\n    from torch import arange", "from torch import stack", "unsafe"),
        (
            "from torch import arange\nfrom typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import torch",
            "from torch import arange, stack",
            "safe",
        ),
    ],
)
def test_torch_is_named_as_the_file_names_it(linter: Linter, imports: str, line: str, level: str) -> None:
    call = "arange" if "arange" in imports else "th.arange"
    body = f"t = {call}(n, device='cuda')\n    return t[0].item(), t[1].item()"
    source = Source.decode(f"n = 3\n{imports}\n\ndef example(n: int):\n    {body}\n".encode(), "example.py")
    assert levels(findings_of(linter, source)) == {level}
    text = fixed(linter, source)
    assert line in text
    assert "t_0, t_1 = " in text


def test_lines_end_as_the_file_ends_them(linter: Linter) -> None:
    code = "import torch\r\ndef f(n: int):\r\n\tt = torch.arange(n, device='cuda')\r\n\treturn t[0].item(), t[1].item()"
    text = fixed(linter, Source.decode(code.encode(), "example.py"))
    assert "\r\n\tt_0, t_1 = torch.stack((t[0], t[1])).tolist()\r\n\treturn t_0, t_1" in text
    assert text.count("\n") == text.count("\r\n")


@pytest.mark.parametrize(
    ("body", "advice"),
    [
        ("return [int(t[j]) for j in range(n)]", "Read `t` once before the loop"),
        ("for j in range(n):\n    f(int(t[j]))", "Read `t` once before the loop"),
        ("for j, v in enumerate(t):\n    f(v.item())", "Read `t` once before the loop"),
        ("for v in t:\n    t[0] = 3\n    f(v.item())", "Keep it on the device"),
        ("total = 0\nfor v in f():\n    total += (t * v).sum().item()", "Add tensors"),
        ("print(t.sum().item())", "Log it every few steps"),
        ("if t.sum().item() > 3:\n    f()", "Choose on the device"),
        ("return t.sum().item()", "Keep it on the device"),
    ],
)
def test_the_help_fits_the_surroundings(linter: Linter, body: str, advice: str) -> None:
    (finding,) = findings_of(linter, function(body))
    assert advice in finding.help
    assert "\n" not in finding.help


def test_a_tensor_by_convention_is_not_certain(linter: Linter) -> None:
    source = module("""
        from torch import nn

        class Crop(nn.Module):
            def forward(self, hidden_states):
                return hidden_states[0].item(), hidden_states[1].item()
        """)
    found = findings_of(linter, source)
    assert levels(found) == {"unsafe"}
    assert "that `hidden_states` is a tensor is likely, not certain" in reasons(found)
    assert all("reads a tensor on the accelerator" in finding.message for finding in found)


def test_a_read_that_may_be_on_either_side_says_so(tmp_path: Path) -> None:
    source = module("""
        import torch

        def example(x: torch.Tensor, late: bool):
            x = x.cuda() if late else x.cpu()
            return x.item()
        """)
    (tmp_path / "pyproject.toml").write_text('[tool.synclint]\nconfidence = "possible"\n', encoding="utf-8")
    messages = [finding.message for finding in findings_of(Linter(config.load(tmp_path)), source)]
    assert any("may be on the accelerator" in message for message in messages)


# ---------------------------------------------------------------------- a cached property becomes a list

SPANS = """
from functools import cached_property
import torch
{before}

class Spans:
    def __init__(self, lengths: list[int]):
        self.lengths = torch.tensor(lengths, dtype=torch.int64, device="{place}")

    @cached_property
    def {name}(self){annotation}:
        {body}

    def last(self) -> int:
        return int(self.{name}[-1])
{after}
"""


def spans(
    *,
    name: str = "_ends",
    annotation: str = " -> torch.Tensor",
    body: str = "return self.lengths.cumsum(0)",
    before: str = "",
    after: str = "",
    place: str = "cpu",
) -> Source:
    text = SPANS.format(name=name, annotation=annotation, body=body, before=before, after=after, place=place)
    return Source.decode(text.lstrip().encode(), "example.py")


@pytest.mark.parametrize(
    ("after", "new"),
    [
        ("", "return self._ends[-1]"),
        ("    def at(self, i: int):\n        return self._ends[i].item()", "return self._ends[i]"),
        ("    def at(self, i: int):\n        return float(self._ends[i])", "return float(self._ends[i])"),
        ("    def cut(self, x, i: int):\n        return x[: self._ends[i]]", "return x[: self._ends[i]]"),
        (
            "    def each(self):\n        return range(self._ends[0], self._ends[1])",
            "range(self._ends[0], self._ends[1])",
        ),
        ("    def count(self):\n        return len(self._ends)", "return len(self._ends)"),
        ("    def known(self):\n        return self._ends is not None", "return self._ends is not None"),
        ("    def at(self, i: int):\n        ends = self._ends\n        return int(ends[i])", "return ends[i]"),
        ("class More(Spans):\n    def at(self, i: int):\n        return int(self._ends[i])", "return self._ends[i]"),
    ],
)
def test_a_private_property_in_full_sight_is_rewritten_safely(linter: Linter, after: str, new: str) -> None:
    source = spans(after=after)
    assert levels(findings_of(linter, source)) == {"safe"}, reasons(findings_of(linter, source))
    text = fixed(linter, source)
    assert "-> list[int]:\n        return self.lengths.cumsum(0).tolist()" in text
    assert new in text
    assert findings_of(linter, Source.decode(text.encode(), "example.py")) == []


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (spans(name="ends"), "public"),
        (spans(before="import pickle", after="def save(x):\n    pickle.dumps(x)"), "without naming it"),
        (spans(after="def any(x, name):\n    return getattr(x, name)"), "without naming it"),
        (spans(after="NAMES = ['_ends']"), "without naming it"),
        (spans(after="    def reset(self):\n        del self._ends"), "deletes it"),
        (spans(after="def last(x):\n    return int(x._ends[-1])"), "`x` may be of another class"),
        (spans(after="    def at(self, i):\n        return int(self._ends[i])"), "the index `i`"),
        (spans(body="return self.lengths"), "share memory"),
        (spans(body="return torch.as_tensor(self.lengths)"), "share memory"),
        (spans(body="return self.lengths.cumsum(0).view(-1)"), "share memory"),
        (spans(body="return self.lengths.to(torch.uint64).cumsum(0)"), "uint64"),
        (spans(body="return self.lengths.sum(n, keepdim=True)", before="n = 0"), "more than one dimension"),
        (
            spans(after="    def wait(self, x):\n        torch.cuda.current_stream().wait_stream(x)", place="cuda"),
            "stream",
        ),
        (spans(before="from other import cached_property"), "functools"),
        (
            spans(body="return self.lengths > 1", after="    def cut(self, x):\n        return x[: self._ends[0]]"),
            "int dtype",
        ),
    ],
)
def test_what_is_not_in_sight_makes_the_list_unsafe(linter: Linter, source: Source, reason: str) -> None:
    found = findings_of(linter, source)
    assert levels(found) == {"unsafe"}
    assert reason in reasons(found)


@pytest.mark.parametrize(
    "source",
    [
        spans(after="    def shifted(self):\n        return self._ends + 1"),
        spans(after="    def all(self):\n        return self._ends"),
        spans(after="    def some(self):\n        return self._ends[1:]"),
        spans(after="    def some(self, f):\n        return f(self._ends[0])"),
        spans(after="    def some(self, f):\n        return f(self._ends)"),
        spans(after="    def is_last(self, x):\n        return x is self._ends"),
        spans(after="    def some(self):\n        if self._ends:\n            return 1"),
        spans(after="    def some(self):\n        return [int(v) for v in self._ends]"),
        spans(after="    def some(self, f):\n        ends = self._ends\n        return f(ends), int(ends[0])"),
        spans(
            after="    def some(self, f):\n        ends = self._ends\n        ends = f()\n        return int(ends[0])"
        ),
        spans(after="    def set(self, x):\n        self._ends = x"),
        spans(after="class More(Spans):\n    _ends = None"),
        spans(after="class More(Spans):\n    @property\n    def _ends(self):\n        return None"),
        spans(annotation=" -> \"Int[torch.Tensor, 'n']\""),
        spans(annotation=" -> Int"),
        spans(body="return self.lengths[:, None]"),
        spans(body="return self.lengths.cumsum(0) if len(self.lengths) else [0]"),
        spans(body="yield self.lengths.cumsum(0)"),
    ],
)
def test_a_property_whose_tensor_is_needed_is_left_alone(linter: Linter, source: Source) -> None:
    assert "safe" not in levels(findings_of(linter, source))
    assert "unsafe" not in levels(findings_of(linter, source))


@pytest.mark.parametrize(
    ("annotation", "new"),
    [
        ("", ""),
        (" -> torch.Tensor", " -> list[int]"),
        (" -> torch.LongTensor", " -> list[int]"),
        (" -> torch.Tensor | None", " -> list[int] | None"),
        (" -> 'torch.Tensor | None'", " -> 'list[int] | None'"),
        (" -> Optional[Tensor]", " -> Optional[list[int]]"),
        (" -> Union[None, torch.Tensor]", " -> Union[None, list[int]]"),
    ],
)
def test_the_annotation_follows(linter: Linter, annotation: str, new: str) -> None:
    assert f"def _ends(self){new}:\n" in fixed(linter, spans(annotation=annotation))


@pytest.mark.parametrize(
    ("body", "new"),
    [
        ("return self.lengths + 1", "return (self.lengths + 1).tolist()"),
        ("return (self.lengths\n            + 1)", "return ((self.lengths\n            + 1).tolist())"),
        ("return None if n else self.lengths.cumsum(0)", "return None if n else self.lengths.cumsum(0).tolist()"),
        ("if n:\n            return\n        return self.lengths * 2", "return (self.lengths * 2).tolist()"),
        ("ends = self.lengths.cumsum(0)\n        return ends", "return ends.tolist()"),
    ],
)
def test_what_it_returns_becomes_a_list(linter: Linter, body: str, new: str) -> None:
    assert new in fixed(linter, spans(body=body, before="n = 0"))


@pytest.mark.parametrize("flags", [None, [], [True], [True, False, True]])
def test_edges_of_a_running_count_stay(linter: Linter, flags: list[bool] | None) -> None:
    """vLLM #40143: an empty mask, and ``end == 0``, which takes the last element."""
    torch = pytest.importorskip("torch")
    source = module("""
        from functools import cached_property
        import torch

        class Placeholder:
            def __init__(self, flags):
                self.flags = None if flags is None else torch.tensor(flags, dtype=torch.bool)

            @cached_property
            def _kept(self):
                return None if self.flags is None else self.flags.cumsum(dim=0)

            def kept(self, end: int) -> int:
                return end if self._kept is None else int(self._kept[end - 1])
        """)
    after = fixed(linter, source)
    assert after != source.data.decode()
    outcomes = []
    for code in (source.data.decode(), after):
        names: dict[str, object] = {"torch": torch}
        exec(compile(code, "example.py", "exec"), names)
        placeholder = names["Placeholder"](flags)  # type: ignore[operator]
        outcomes.append([outcome(placeholder.kept, end) for end in range(-2, 5)])
    assert outcomes[0] == outcomes[1]


def outcome(function: object, *arguments: object) -> object:
    assert callable(function)
    try:
        result = function(*arguments)
    except Exception as error:
        return type(error)
    return type(result), result
