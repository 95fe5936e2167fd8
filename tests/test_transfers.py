"""The two ways out of a blocking copy: when the flag is safe, and how each project's own helper is called."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent, indent

import pytest

from synclint import config
from synclint.finding import Applicability, Finding
from synclint.fix.apply import apply
from synclint.run import Linter
from synclint.source import Source

OURS = 'h2d-helper = "synclint.h2d:async_tensor_h2d"\n'


def check(folder: Path, code: str, *, settings: str = OURS, helper: str = "") -> tuple[Source, list[Finding]]:
    """Lint ``work.py`` of a project, which may have a helper of its own in ``copies.py``."""
    (folder / "pyproject.toml").write_text(f"[tool.synclint]\n{settings}", encoding="utf-8")
    if helper:
        (folder / "copies.py").write_text(f"import torch\n\n{dedent(helper)}", encoding="utf-8")
    path = folder / "work.py"
    path.write_text(f"import torch\n\n{dedent(code)}", encoding="utf-8")
    source = Source.read(path)
    return source, Linter(config.load(folder)).findings(source)


def level(findings: list[Finding]) -> Applicability | None:
    (finding,) = findings
    return None if finding.fix is None else finding.fix.applicability


# ---------------------------------------------------------------------- whether the host writes to the source


@pytest.mark.parametrize(
    "body",
    [
        'return torch.ones(4, pin_memory=True).to("cuda")',
        'return torch.ones(4).pin_memory().to("cuda")',
        'x: torch.Tensor = torch.ones(4)\nreturn x.pin_memory().to("cuda")',
        'x = torch.ones(4, pin_memory=True)\nreturn x.to("cuda")',
        'x = torch.empty(4, pin_memory=True)\nx[0] = n\nreturn x.to("cuda")',
        'x = torch.empty(4, pin_memory=True)\nx.fill_(n)\nreturn x.to("cuda")',
        'x = torch.empty(4, pin_memory=True)\nx[1:] += n\nreturn x.to("cuda")',
        'x = torch.ones(4, pin_memory=True)\ny = x.to("cuda")\nreturn y + x.sum().item() + len(x) + x.shape[0]',
        'x = torch.ones(4, pin_memory=True)\ny = x.to("cuda")\nreturn y, x * 2, x > 1',
        'while n:\n    x = torch.ones(4, pin_memory=True)\n    x[0] = n\n    n = consume(x.to("cuda"))',
    ],
)
def test_the_flag_is_safe_on_memory_that_nobody_writes_to(body: str, tmp_path: Path) -> None:
    _, findings = check(tmp_path, f"def work(n: int, consume) -> object:\n{indent(body, '    ')}\n")
    assert level(findings) is Applicability.SAFE


@pytest.mark.parametrize(
    "body",
    [
        'x = torch.ones(4, pin_memory=True)\ny = x.to("cuda")\nx[0] = n\nreturn y',
        'x = torch.ones(4, pin_memory=True)\ny = x.to("cuda")\nx += n\nreturn y',
        'x = torch.ones(4, pin_memory=True)\ny = x.to("cuda")\nx.zero_()\nreturn y',
        'x = torch.ones(4, pin_memory=True)\ny = x.to("cuda")\nreturn y, x',
        'x = torch.ones(4, pin_memory=True)\ny = x.to("cuda")\nconsume(x)\nreturn y',
        'x = torch.ones(4, pin_memory=True)\nconsume(x)\nreturn x.to("cuda")',
        'x = torch.ones(4, pin_memory=True)\nz = x.view(2, 2)\ny = x.to("cuda")\nz[0] = n\nreturn y',
        'x = torch.ones(4, pin_memory=True)\nz = x\ny = x.to("cuda")\nz[0] = n\nreturn y',
        'x = torch.ones(4, pin_memory=True)\nz = x.numpy()\ny = x.to("cuda")\nz[0] = n\nreturn y',
        'x = torch.ones(4, pin_memory=True)\nf = lambda: x.zero_()\ny = x.to("cuda")\nf()\nreturn y',
        'x = torch.ones(4, pin_memory=True)\ny = x.to("cuda")\ntorch.add(y, 1, out=x)\nreturn y',
        'x = torch.ones(4, pin_memory=True)\nwhile n:\n    x[0] = n\n    n = consume(x.to("cuda"))',
        'x = torch.ones(4, pin_memory=True)\nfor x[0] in range(n):\n    consume(x.to("cuda"))',
        'global x\nx = torch.ones(4, pin_memory=True)\nreturn x.to("cuda")',
        'x, z = torch.ones(4, pin_memory=True), n\nreturn x.to("cuda")',
        'x = z = torch.ones(4, pin_memory=True)\ny = x.to("cuda")\nz[0] = n\nreturn y',
        'x = torch.ones(4, pin_memory=True)\nif n:\n    x = consume\nreturn x.to("cuda")',
        'x = consume.buffer\nreturn x.pin_memory().to("cuda")',
        'return consume(n).pin_memory().to("cuda")',
        'return torch.squeeze(consume.buffer_cpu).pin_memory().to("cuda")',
        'x = torch.as_tensor(consume)\nreturn x.pin_memory().to("cuda")',
    ],
)
def test_the_flag_is_not_safe_on_memory_that_may_be_written_to(body: str, tmp_path: Path) -> None:
    _, findings = check(tmp_path, f"def work(n: int, consume) -> object:\n{indent(body, '    ')}\n")
    fixes = [finding.fix for finding in findings if finding.code == "SYN101"]
    assert all(fix is not None and "the host may write to" in fix.reason for fix in fixes)


# ---------------------------------------------------------------------- what a device argument is


@pytest.mark.parametrize(
    ("call", "fixed", "safe"),
    [
        ('x.to("cuda:1")', 'async_tensor_h2d(x, device="cuda:1")', True),
        ("x.cuda()", 'async_tensor_h2d(x, device="cuda")', True),
        ("x.cuda(None)", 'async_tensor_h2d(x, device="cuda")', True),
        ("x.cuda(1)", 'async_tensor_h2d(x, device="cuda:1")', True),
        ("x.cuda(device=index)", "async_tensor_h2d(x, device=index)", False),
        ("x.to(0)", "async_tensor_h2d(x, device=0)", True),
        ('x.to("cuda", None)', 'async_tensor_h2d(x, device="cuda")', True),
        ('x.to(dtype=torch.half, device="cuda")', 'async_tensor_h2d(x, dtype=torch.half, device="cuda")', True),
        ('x.to(torch.device("cuda"))', 'async_tensor_h2d(x, device=torch.device("cuda"))', True),
        ("x.to(like)", "x.to(like, non_blocking=True)", False),
        ("x.to(like, False)", "async_tensor_h2d(x, dtype=like.dtype, device=like.device)", True),
        ("x.to(like, non_blocking=False)", "x.to(like, non_blocking=True)", False),
        ("x.type_as(like)", "async_tensor_h2d(x, dtype=like.dtype, device=like.device)", True),
        ('x.to("cuda", memory_format=torch.channels_last)', None, False),
        ('x.to("cuda", non_blocking=flag)', None, False),
        ("torch.Tensor.to(x, 'cuda')", None, False),
        ("x.to(*where)", None, False),
    ],
)
def test_a_device_is_given_to_the_helper(call: str, fixed: str | None, safe: bool, tmp_path: Path) -> None:
    code = f"""
    def work(n: int, index: int, flag: bool, where: list[str]) -> object:
        x = torch.arange(n)
        like = torch.ones(n, device="cuda")
        return {call}
    """
    source, findings = check(tmp_path, code)
    fixes = [finding.fix for finding in findings if finding.code == "SYN101" and finding.fix is not None]
    if fixed is None:
        assert not [fix for fix in fixes if fix.edits]
    else:
        assert f"return {fixed}\n" in apply(source, fixes).data.decode()
        assert [fix.applicability is Applicability.SAFE for fix in fixes] == [safe]


@pytest.mark.parametrize("call", ["torch.arange(3).to(where)", "torch.LongTensor([3, 4]).to(where)"])
def test_a_device_that_may_be_none_is_a_doubt(call: str, tmp_path: Path) -> None:
    code = f"""
    def work(flag: bool) -> object:
        where = torch.device("cuda") if flag else None
        device = where
        return {call.replace("where", "device")}
    """
    _, findings = check(tmp_path, code)
    assert findings[0].fix is not None
    assert "may be None" in findings[0].fix.reason


# ---------------------------------------------------------------------- what the data is

COLLAPSED, KEPT = "async_tensor_h2d(ids, dtype=torch.int64, device=", "async_tensor_h2d(torch.LongTensor(ids), device="


@pytest.mark.parametrize(
    ("body", "fixed"),
    [
        ("ids = [n]", COLLAPSED),
        ("ids = [each for each in data] + [n]", COLLAPSED),
        ("ids: list[int] = data", COLLAPSED),
        ("ids = list(data)", COLLAPSED),
        ("ids = sorted(data) * 2", COLLAPSED),
        ("ids = other = [n]", COLLAPSED),
        ("ids = [n]\nids += data", COLLAPSED),
        ("rest = (n, n)\nids = rest", COLLAPSED),
        ("ids = data", KEPT),
        ("ids = data * 2", KEPT),
        ("ids = [n]\nif n:\n    ids = data", KEPT),
        ("ids, other = [n], n", KEPT),
        ("ids = [n]\nfor ids in data:\n    pass", KEPT),
        ("ids = [n]\nif (ids := data):\n    pass", KEPT),
        ("ids = [n]\nwith data as ids:\n    pass", KEPT),
        ("ids = [n]\ndef change():\n    nonlocal ids\n    ids = data", KEPT),
        ("ids = [n]\nimport ids", KEPT),
        ("global ids\nids = [n]", KEPT),
        ("list = data\nids = list(n)", KEPT),
        ("ids = n\nids += [1]", KEPT),
    ],
)
def test_the_data_itself_is_sent_where_it_surely_is_a_list(body: str, fixed: str, tmp_path: Path) -> None:
    code = f"def work(n, data) -> object:\n{indent(body, '    ')}\n    return torch.LongTensor(ids).cuda()\n"
    source, findings = check(tmp_path, code)
    (fix,) = [finding.fix for finding in findings if finding.code == "SYN102" and finding.fix is not None]
    assert f'return {fixed}"cuda")\n' in apply(source, [fix]).data.decode()


def test_what_from_numpy_refuses_is_still_refused(tmp_path: Path) -> None:
    code = """
    def work(ids: list[int]) -> object:
        return torch.from_numpy(ids).to("cuda")
    """
    source, findings = check(tmp_path, code)
    assert findings[0].fix is not None
    fixed = apply(source, [findings[0].fix]).data.decode()
    assert 'async_tensor_h2d(torch.from_numpy(ids), device="cuda")' in fixed


# ---------------------------------------------------------------------- the project's own helper

LISTS_ONLY = """
def async_tensor_h2d(data: list, dtype: torch.dtype, target_device: torch.device, pin_memory: bool) -> torch.Tensor:
    tensor = torch.tensor(data, dtype=dtype, pin_memory=pin_memory, device="cpu")
    return tensor.to(device=target_device, non_blocking=True)
"""
PINNED_BY_DEFAULT = """
PIN = True

def async_tensor_h2d(data: list, dtype: torch.dtype, device: torch.device, pin_memory: bool = PIN) -> torch.Tensor:
    tensor = torch.tensor(data, dtype=dtype, pin_memory=pin_memory, device="cpu")
    return tensor.to(device=device, non_blocking=True)
"""
ANYTHING = """
def async_tensor_h2d(data, device, dtype=None):
    tensor = data if isinstance(data, torch.Tensor) else torch.tensor(data, dtype=dtype)
    return tensor.pin_memory().to(device=device, dtype=dtype, non_blocking=True)
"""
TO_CUDA = 'torch.tensor(ids, dtype=torch.int32, device="cuda")'
SENT = 'torch.arange(len(ids)).to("cuda")'


@pytest.mark.parametrize(
    ("helper", "call", "fixed", "safe"),
    [
        (
            LISTS_ONLY,
            TO_CUDA,
            'async_tensor_h2d(\n        ids, dtype=torch.int32, target_device="cuda", pin_memory=True\n    )',
            False,
        ),
        (PINNED_BY_DEFAULT, TO_CUDA, 'async_tensor_h2d(ids, dtype=torch.int32, device="cuda")', True),
        (ANYTHING, TO_CUDA, 'async_tensor_h2d(ids, dtype=torch.int32, device="cuda")', False),
        (PINNED_BY_DEFAULT, 'torch.tensor(ids, device="cuda")', None, False),
        (ANYTHING, 'torch.tensor(ids, device="cuda")', 'async_tensor_h2d(ids, device="cuda")', False),
        (LISTS_ONLY, SENT, 'torch.arange(len(ids)).to("cuda", non_blocking=True)', False),
        (ANYTHING, SENT, 'async_tensor_h2d(torch.arange(len(ids)), device="cuda")', False),
        (
            PINNED_BY_DEFAULT,
            "torch.tensor(ids, dtype=torch.int32, device=device)",
            "async_tensor_h2d(ids, dtype=torch.int32, device=device)",
            False,
        ),
    ],
)
def test_the_projects_own_helper_is_called_as_it_asks(
    helper: str, call: str, fixed: str | None, safe: bool, tmp_path: Path
) -> None:
    code = f"def work(ids: list[int], device: torch.device) -> object:\n    return {call}\n"
    source, findings = check(tmp_path, code, settings="", helper=helper)
    (finding,) = findings
    if fixed is None:
        assert finding.fix is None
        assert "async_tensor_h2d(data, dtype, device" in finding.help
        return
    assert finding.fix is not None
    assert f"return {fixed}\n" in apply(source, [finding.fix]).data.decode()
    assert (finding.fix.applicability is Applicability.SAFE) is safe


def test_a_choice_between_helpers_is_left_to_the_user(tmp_path: Path) -> None:
    (tmp_path / "more.py").write_text(f"import torch\n{ANYTHING}", encoding="utf-8")
    code = f"def work(ids: list[int]) -> object:\n    return {TO_CUDA}\n"
    _, findings = check(tmp_path, code, settings="", helper=ANYTHING)
    assert level(findings) is None
    assert "h2d-helper" in findings[0].help


def test_a_helper_does_not_call_itself(tmp_path: Path) -> None:
    code = """
    def async_tensor_h2d(data: list, device: str = "cuda") -> torch.Tensor:
        return torch.tensor(data).to("cuda")
    """
    _, findings = check(tmp_path, code, settings="")
    assert all(finding.fix is None for finding in findings)


def test_fixes_inside_one_another_are_made_together(tmp_path: Path) -> None:
    code = """
    def work(ids: list[int], limit: torch.Tensor) -> object:
        return torch.arange(limit.item()).to("cuda") + torch.ones(len(torch.tensor(ids).cuda())).to("cuda")
    """
    source, findings = check(tmp_path, code)
    fixes = [finding.fix for finding in findings if finding.fix is not None and finding.code != "SYN201"]
    assert len(fixes) == 3
    result = apply(source, fixes)
    assert not result.skipped
    assert result.data.decode().count("async_tensor_h2d(") == 3


def test_only_what_is_likely_a_tensor_is_fixed(tmp_path: Path) -> None:
    code = """
    def work(thing) -> object:
        return thing.to("cuda")
    """
    _, findings = check(tmp_path, code, settings=f'{OURS}confidence = "possible"\n')
    assert [(finding.code, finding.fix) for finding in findings] == [("SYN101", None)]
