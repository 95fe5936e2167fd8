"""Device inference: what ``reveal(x)`` in a piece of code is believed to be."""

from __future__ import annotations

import ast
import gc
from textwrap import dedent
from weakref import ref

import pytest

from synclint.finding import Confidence
from synclint.flow.dispatch import EVALUATE
from synclint.flow.module import ModuleFlow, analyse
from synclint.flow.values import Kind, Value
from synclint.source import Source


def describe(value: Value) -> str:
    words = [value.kind.value]
    if value.kind in (Kind.TENSOR, Kind.DEVICE, Kind.MODULE):
        words.append(value.place.value)
        words.append(value.confidence.name.lower())
    if value.kind is Kind.TENSOR:
        if value.rank is not None:
            words.append(f"rank={value.rank}")
        if value.dtype is not None:
            words.append(value.dtype.value)
        if value.pinned:
            words.append("pinned")
        if value.fresh:
            words.append("fresh")
    if value.optional:
        words.append("optional")
    return " ".join(words)


@pytest.fixture
def reveal(monkeypatch: pytest.MonkeyPatch):
    """A function that returns the descriptions of every ``reveal(...)`` argument, by line, last pass first kept."""
    seen: dict[ast.Call, Value] = {}
    evaluate = EVALUATE[ast.Call]

    def spy(frame, node):
        if isinstance(node.func, ast.Name) and node.func.id == "reveal":
            seen[node] = frame.value(node.args[0])
        return evaluate(frame, node)

    monkeypatch.setitem(EVALUATE, ast.Call, spy)

    def run(code: str) -> list[str]:
        seen.clear()
        source = Source.decode(("import torch\n" + dedent(code)).encode(), "example.py")
        ModuleFlow(source, frozenset(), None).analyse()
        return [describe(seen[node]) for node in sorted(seen, key=lambda n: (n.lineno, n.col_offset))]

    return run


HEAD = "tensor cuda certain"


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        # Factories and devices
        ("reveal(torch.zeros(3))", "tensor cpu certain rank=1 float fresh"),
        ("reveal(torch.zeros(2, 3, device='cuda'))", f"{HEAD} rank=2 float fresh"),
        ("reveal(torch.zeros((2, 3), device=torch.device('cuda', 0)))", f"{HEAD} rank=2 float fresh"),
        ("reveal(torch.ones(3, dtype=torch.bool, device='cuda:1'))", f"{HEAD} rank=1 bool fresh"),
        ("reveal(torch.zeros(3, device=f'cuda:{0}'))", f"{HEAD} rank=1 float fresh"),
        ("reveal(torch.zeros(3, device='mps'))", "tensor other certain rank=1 float fresh"),
        (
            "d = 'cuda' if torch.cuda.is_available() else 'cpu'\nreveal(torch.zeros(3, device=d))",
            "tensor accelerator certain rank=1 float fresh",
        ),
        (
            "d = torch.device('cuda' if torch.cuda.is_available() else 'cpu')\nreveal(torch.zeros(3, device=d))",
            "tensor accelerator certain rank=1 float fresh",
        ),
        ("with torch.device('cuda'):\n    x = torch.zeros(3)\nreveal(x)", f"{HEAD} rank=1 float fresh"),
        ("reveal(torch.tensor([1, 2]))", "tensor cpu certain rank=1 int fresh"),
        ("reveal(torch.tensor(1.5, device='cuda'))", f"{HEAD} rank=0 float fresh"),
        ("reveal(torch.empty(3, pin_memory=True))", "tensor cpu certain rank=1 float pinned fresh"),
        # Imports
        ("import torch as th\nreveal(th.zeros(3))", "tensor cpu certain rank=1 float fresh"),
        ("from torch import zeros as z\nreveal(z(3))", "tensor cpu certain rank=1 float fresh"),
        ("import torch.nn.functional as F\nreveal(F.relu(torch.ones(3, device='cuda')))", f"{HEAD} rank=1 float fresh"),
        ("try:\n    import torch as t\nexcept ImportError:\n    t = None\nreveal(t.zeros(3))",
         "tensor cpu certain rank=1 float fresh"),
        ("import numpy as np\nreveal(np.zeros(3))", "ndarray"),
        ("import numpy as np\nreveal(torch.from_numpy(np.zeros(3)))", "tensor cpu certain"),
        # .to and its kin, told apart
        ("x = torch.ones(3)\nreveal(x.to('cuda'))", f"{HEAD} rank=1 float fresh"),
        ("x = torch.ones(3)\nreveal(x.to(torch.float16))", "tensor cpu certain rank=1 float fresh"),
        ("x = torch.ones(3)\nreveal(x.to(torch.ones(1, device='cuda')))", f"{HEAD} rank=1 float fresh"),
        ("x = torch.ones(3)\nreveal(x.to(dtype=torch.int32, device='cuda'))", f"{HEAD} rank=1 int fresh"),
        ("x = torch.ones(3, device='cuda')\nreveal(x.cpu())", "tensor cpu certain rank=1 float fresh"),
        ("x = torch.ones(3, device='cuda')\nreveal(x.to('cpu', non_blocking=True))",
         "tensor cpu certain rank=1 float pinned fresh"),
        ("x = torch.ones(3).pin_memory()\nreveal(x)", "tensor cpu certain rank=1 float pinned fresh"),
        ("m = torch.nn.Linear(2, 2)\nreveal(m.to('cuda'))", "module unknown certain"),
        # Operations
        ("x = torch.ones(3, device='cuda')\nreveal(x + 1)", f"{HEAD} rank=1 float fresh"),
        ("x = torch.ones(3, device='cuda')\nreveal(x > 0)", f"{HEAD} rank=1 bool fresh"),
        ("x = torch.ones(3, device='cuda')\nreveal((x > 0).any())", f"{HEAD} rank=0 bool fresh"),
        ("x = torch.ones(3, device='cuda')\nreveal(x.sum())", f"{HEAD} rank=0 float fresh"),
        ("x = torch.ones(3, 2, device='cuda')\nreveal(x[0])", f"{HEAD} rank=1 float fresh"),
        ("x = torch.ones(3, 2, device='cuda')\nreveal(x[0, 1])", f"{HEAD} rank=0 float fresh"),
        ("x = torch.ones(3, device='cuda')\nreveal(x.tolist())", "sequence"),
        ("x = torch.ones(3, device='cuda')\nreveal(x.shape[0])", "host value"),
        ("x = torch.ones(3, device='cuda')\nreveal(len(x))", "host value"),
        ("x = torch.ones(3, device='cuda')\nreveal(x.size(0))", "host value"),
        ("reveal(torch.ones(3).to(mystery))", "tensor unknown certain rank=1 float fresh"),
        ("x = torch.ones(3, device='cuda')\nreveal(x.sum().item())", "host value"),
        ("x = torch.ones(3, device='cuda')\nreveal(x == 'name')", "host value"),
        ("x = torch.ones(3, device='cuda')\nreveal(x is None)", "host value"),
        ("x = torch.ones(3, device='cuda')\nreveal(x.device)", "device cuda certain"),
        ("x = torch.ones(3, device='cuda')\nreveal(torch.zeros(3, device=x.device))", f"{HEAD} rank=1 float fresh"),
        ("x = torch.ones(3, device='cuda')\nreveal(torch.zeros_like(x))", f"{HEAD} rank=1 float fresh"),
        ("x = torch.ones(3, device='cuda')\nreveal(torch.cat([x, x]))", f"{HEAD} rank=1 float fresh"),
        ("x = torch.ones(3, device='cuda')\nreveal(torch.ones(()) * x)", f"{HEAD} rank=1 float fresh"),
        ("import xgrammar as xgr\nreveal(xgr.allocate_token_bitmask(1, 2))", "tensor cpu certain rank=2 int fresh"),
        ("reveal(torch.tensor(mystery.size**0.5))", "tensor cpu certain rank=0 fresh"),
        ("reveal(torch.tensor(mystery.size))", "tensor cpu certain fresh"),
        ("reveal(mystery * torch.tensor(1.0))", "tensor unknown certain float fresh"),
        ("reveal(torch.ones(3).to(mystery) * torch.tensor(1.0))", "tensor unknown certain rank=1 float fresh"),
        # Statements
        ("a, b = torch.zeros(1), torch.zeros(1, device='cuda')\nreveal(b)", f"{HEAD} rank=1 float fresh"),
        ("a, *b = [torch.zeros(1, device='cuda')] * 3\nreveal(b[0])", f"{HEAD} rank=1 float fresh"),
        ("x = torch.ones(3, device='cuda')\nx += 1\nreveal(x)", f"{HEAD} rank=1 float fresh"),
        ("if c:\n    x = torch.ones(3)\nelse:\n    x = torch.ones(3, device='cuda')\nreveal(x)",
         "tensor either certain rank=1 float fresh"),
        ("x = None\nif c:\n    x = torch.ones(3)\nreveal(x)", "tensor cpu certain rank=1 float fresh optional"),
        ("x = torch.ones(3)\nfor i in range(3):\n    x = x.to('cuda')\nreveal(x)",
         "tensor either certain rank=1 float fresh"),
        ("x = torch.ones(3)\nwhile c:\n    if d:\n        break\n    x = x.cuda()\nreveal(x)",
         "tensor either certain rank=1 float fresh"),
        ("for x in [torch.ones(3, device='cuda')]:\n    pass\nreveal(x)", f"{HEAD} rank=1 float fresh"),
        ("x = [t.cuda() for t in [torch.ones(3)]]\nreveal(x[0])", f"{HEAD} rank=1 float fresh"),
        ("x = {k: torch.ones(3).cuda() for k in 'ab'}\nreveal(x['a'])", f"{HEAD} rank=1 float fresh"),
        ("with open('f') as f, torch.no_grad():\n    x = torch.ones(3).cuda()\nreveal(x)",
         f"{HEAD} rank=1 float fresh"),
        ("try:\n    x = torch.ones(3).cuda()\nexcept E:\n    x = torch.ones(3)\nreveal(x)",
         "tensor either certain rank=1 float fresh"),
        ("try:\n    x = torch.ones(3).cuda()\nexcept E:\n    raise\nreveal(x)", f"{HEAD} rank=1 float fresh"),
        ("if (x := torch.ones(3).cuda()) is not None:\n    reveal(x)", f"{HEAD} rank=1 float fresh"),
        ("match c:\n    case 1:\n        x = torch.ones(3).cuda()\n    case _:\n        x = torch.ones(3).cuda()\n"
         "reveal(x)",
         f"{HEAD} rank=1 float fresh"),
        ("x = torch.ones(3).cuda()\ndef f():\n    y = torch.ones(3).cuda()\n    def g():\n        reveal(y)\n"
         "    return g",
         f"{HEAD} rank=1 float fresh"),
        ("batch = {}\nbatch['x'] = torch.ones(3).cuda()\nreveal(batch['x'])", f"{HEAD} rank=1 float fresh"),
        ("xs = []\nfor i in range(3):\n    xs.append(torch.ones(3).cuda())\nreveal(xs[0])",
         f"{HEAD} rank=1 float fresh"),
        ("for i, (a, b) in enumerate(zip([torch.ones(1).cuda()], [1])):\n    reveal(a)", f"{HEAD} rank=1 float fresh"),
        (
            "class M(Metric):\n    def __init__(self):\n        self.add_state('seen', default=[])\n"
            "    def f(self):\n        reveal(self.seen)",
            "sequence",
        ),
        # Guards
        ("def f(x: torch.Tensor):\n    if x.is_cuda:\n        reveal(x)", "tensor cuda certain"),
        ("def f(x: torch.Tensor):\n    if not x.is_cuda:\n        reveal(x)", "tensor cpu certain"),
        ("def f(x: torch.Tensor):\n    if x.device.type == 'cpu':\n        return\n    reveal(x)",
         "tensor accelerator certain"),
        ("def f(x):\n    if isinstance(x, torch.Tensor):\n        reveal(x)", "tensor accelerator possible"),
        ("def f(x: torch.Tensor | int):\n    if isinstance(x, int):\n        reveal(x)", "host value"),
        ("def f(x: torch.Tensor | None):\n    if x is None:\n        return\n    reveal(x)",
         "tensor accelerator likely"),
        ("def f(x: torch.Tensor | None):\n    if x is not None and reveal(x):\n        pass",
         "tensor accelerator likely"),
        ("def f(x: torch.Tensor):\n    if x.is_cuda:\n        pass\n    reveal(x)", "tensor accelerator likely"),
        ("def f(x: torch.Tensor):\n    if x.is_cuda:\n        x = x.cpu()\n    reveal(x)", "tensor cpu certain"),
        ("def f(x: torch.Tensor):\n    if x.device.type == 'cpu':\n        pass\n    reveal(x.device)",
         "device accelerator likely"),
        # Annotations and names
        ("def f(x: 'torch.Tensor'):\n    reveal(x)", "tensor accelerator likely"),
        ("from typing import Optional\ndef f(x: Optional[torch.Tensor]):\n    reveal(x)",
         "tensor accelerator likely optional"),
        ("def f(xs: list[torch.Tensor]):\n    reveal(xs[0])", "tensor accelerator likely"),
        ("def f(xs: tuple[int, torch.Tensor]):\n    reveal(xs[1])", "tensor accelerator likely"),
        ("def f(n: int):\n    reveal(n)", "host value"),
        ("def f(x: torch.Tensor | float):\n    reveal(x)", "tensor accelerator possible"),
        ("def f(seq_lens_cpu: torch.Tensor):\n    reveal(seq_lens_cpu)", "tensor cpu likely"),
        ("def f(m):\n    reveal(m.seq_lens_cpu)", "tensor cpu possible"),
        ("def f(buffer):\n    reveal(buffer.gpu)", "tensor accelerator likely"),
        ("def f(buffer):\n    reveal(buffer.np)", "ndarray"),
        ("def f(device):\n    reveal(torch.zeros(1, device=device))", "tensor accelerator likely rank=1 float fresh"),
        ("def f(device='cpu'):\n    reveal(torch.zeros(1, device=device))",
         "tensor accelerator possible rank=1 float fresh"),
        # Loops over a data loader
        ("def f(train_loader):\n    for x, y in train_loader:\n        reveal(x)", "tensor cpu likely"),
        ("def f(train_loader):\n    for i, (x, y) in enumerate(train_loader):\n        reveal(y)", "tensor cpu likely"),
        # Functions of the file
        ("def make(n):\n    return torch.zeros(n, device='cuda')\nreveal(make(3))", f"{HEAD} float fresh"),
        ("def same(x):\n    return x.detach()\nreveal(same(torch.ones(3, device='cuda')))",
         f"{HEAD} rank=1 float fresh"),
        ("def pick(x, y):\n    return x\nreveal(pick(y=1, x=torch.ones(3)))", "tensor cpu certain rank=1 float fresh"),
        # What this call passes beats what convention says of the parameter.
        ("def last(lengths: torch.Tensor):\n    return lengths[-1]\nreveal(last(torch.tensor([1, 2])))",
         "tensor cpu certain rank=0 int fresh"),
        ("def loop(n):\n    return loop(n - 1)\nreveal(loop(3))", "unknown"),
        # What is not known stays so
        ("reveal(mystery())", "unknown"),
        ("def f(x):\n    reveal(x)", "unknown"),
    ],
)  # fmt: skip
def test_values(reveal, code: str, expected: str) -> None:
    assert reveal(code) == [expected]


MODULE = """
class Net(torch.nn.Module):
    def __init__(self, device):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(3))
        self.register_buffer("steps", torch.arange(4))
        self.plain = torch.arange(4)
        self.placed = torch.zeros(3, device="cuda")
        self.layer = torch.nn.Linear(3, 3)
        self.device = device

    @property
    def total(self):
        return self.placed.sum()

    def helper(self):
        return torch.zeros(3, device=self.device)

    def forward(self, x, mask: torch.Tensor = None, flag=True):
        {body}
"""


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("reveal(x)", "tensor accelerator likely"),
        ("reveal(mask)", "tensor accelerator likely"),
        ("reveal(flag)", "host value"),
        ("reveal(self.weight)", "tensor accelerator likely rank=1 float"),
        ("reveal(self.steps)", "tensor accelerator likely rank=1 int"),
        ("reveal(self.plain)", "tensor cpu likely rank=1 int"),
        ("reveal(self.placed)", "tensor cuda certain rank=1 float"),
        ("reveal(self.total)", "tensor cuda certain rank=0 float fresh"),
        ("reveal(self.layer(x))", "tensor accelerator likely"),
        ("reveal(self.helper())", "tensor accelerator likely rank=1 float fresh"),
        ("reveal(torch.zeros(1, device=self.device))", "tensor accelerator likely rank=1 float fresh"),
        ("reveal(self.plain.to(x.device))", "tensor accelerator likely rank=1 int fresh"),
        ("self.plain = x\n        reveal(self.plain)", "tensor accelerator likely"),
    ],
)
def test_attributes_of_a_module(reveal, body: str, expected: str) -> None:
    assert reveal(MODULE.format(body=body)) == [expected]


def test_an_attribute_is_the_join_of_its_assignments(reveal) -> None:
    code = """
    class State:
        def fill(self):
            self.x = torch.zeros(3)
        def move(self):
            self.x = self.x.to("cuda")
        def read(self):
            reveal(self.x)
    """
    assert reveal(code) == ["tensor either certain rank=1 float"]


def test_what_a_constructor_leaves_on_the_host_may_be_moved_before_it_matters(reveal) -> None:
    code = """
    class State:
        def __init__(self):
            self.x = torch.zeros(3)
        def move(self):
            self.x = self.x.to("cuda")
        def read(self):
            reveal(self.x)
    """
    assert reveal(code) == ["tensor cuda likely rank=1 float"]


def sites(code: str) -> list[tuple[int, str, str]]:
    source = Source.decode(("import torch\n" + dedent(code)).encode(), "example.py")
    _, found = analyse(source)
    return [(s.node.lineno, s.operation, s.confidence.name.lower()) for s in found if s.fact.event == "sync"]


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("x = torch.ones(3, device='cuda')\nx.sum().item()", [(3, "Tensor.item", "certain")]),
        ("x = torch.ones(3)\nx.sum().item()", []),
        ("x = torch.ones(3, device='cuda')\nif x.any() or x.all():\n    pass", [(3, "truth(Tensor)", "certain")] * 2),
        ("x = torch.ones(3, device='cuda')\ny = not x.any()", [(3, "truth(Tensor)", "certain")]),
        ("x = torch.ones(3, device='cuda')\ny = 0 < x.sum() < 3", [(3, "truth(Tensor)", "certain")]),
        ("x = torch.ones(3, device='cuda')\ny = [i for i in range(3) if x[i] > 0]", [(3, "truth(Tensor)", "certain")]),
        ("x = torch.ones(3, device='cuda')\nwhile x.any():\n    x = x - 1", [(3, "truth(Tensor)", "certain")]),
        ("x = torch.ones(3)\nx.to('cuda')", [(3, "Tensor.to", "certain")]),
        ("x = torch.ones(3)\nx.to('cuda', non_blocking=True)", []),
        ("x = torch.ones(3)\nx.to('cuda', torch.float16, True)", []),
        ("x = torch.ones(3)\nx.cuda(0, True)", []),
        ("x = torch.ones(3)\nx.to('cpu')", []),
        ("x = torch.ones(3, device='cuda')\nx.copy_(torch.ones(3))", [(3, "Tensor.copy_", "certain")]),
        ("x = torch.tensor([1], device='cuda')", [(2, "torch.tensor", "certain")]),
        ("x = torch.tensor([1], device='cuda' if flag else None)", [(2, "torch.tensor", "likely")]),
        ("def f(x: torch.Tensor):\n    return torch.tensor([x.sum()])", [(3, "torch.tensor", "likely")]),
        ("def f(device):\n    if device.type == 'mps':\n        torch.ones(1).to(device)", []),
        ("class A:\n    def f(self):\n        if self.device.type == 'mps':\n            torch.ones(1).to(self.device)",
         []),
        ("x = torch.tensor([1])", []),
        ("def gpu_sync_allowed(): ...\nx = torch.ones(3, device='cuda')\nwith gpu_sync_allowed():\n    x.sum().item()",
         []),
        ("with gpu_sync_allowed():\n    pass\ntorch.ones(3, device='cuda').sum().item()",
         [(4, "Tensor.item", "certain")]),
        # Dead code waits for nobody.
        ("def f():\n    return 1\n    torch.ones(1, device='cuda').item()", []),
        # One site, however often a loop body is interpreted.
        (
            "x = torch.ones(3)\nfor i in range(3):\n    x.to('cuda').sum().item()\n    x = x + 1",
            [(4, "Tensor.item", "certain"), (4, "Tensor.to", "certain")],
        ),
        # A site of the first pass that later passes do not confirm is gone.
        ("x = torch.ones(3)\nfor i in range(3):\n    x.to('cuda')\n    x = x.to('cuda')", [(4, "Tensor.to", "possible"),
                                                                                       (5, "Tensor.to", "possible")]),
    ],
)  # fmt: skip
def test_sites(code: str, expected: list[tuple[int, str, str]]) -> None:
    assert sites(code) == expected


def test_the_chain_names_where_the_tensor_was_made() -> None:
    source = Source.decode(b"import torch\nx = torch.ones(3, device='cuda')\ny = x + 1\ny.sum().item()\n", "a.py")
    _, (site,) = analyse(source)
    why = site.operands["self"].why
    assert why is not None
    assert [(step.line, step.text) for step in why.steps()] == [(2, "`torch.ones(...)` makes a tensor on CUDA")]
    assert site.confidence is Confidence.CERTAIN


@pytest.mark.parametrize(
    ("code", "heat"),
    [
        ("def forward(x: torch.Tensor):\n    x.item()", "HOT"),
        ("def forward(x):\n    return inner(x)\ndef inner(x: torch.Tensor):\n    x.item()", "HOT"),
        ("def other(x: torch.Tensor):\n    x.item()", "WARM"),
        ("def load_weights(x: torch.Tensor):\n    torch.ones(1, device='cuda').item()", "COLD"),
        ("torch.ones(1, device='cuda').item()", "COLD"),
        ("import functools\n@functools.lru_cache\ndef f():\n    torch.ones(1, device='cuda').item()", "COLD"),
        ("class A:\n    def __init__(self):\n        self.setup_x()\n    def setup_x(self):\n"
         "        torch.ones(1, device='cuda').item()", "COLD"),
    ],
)  # fmt: skip
def test_heat(code: str, heat: str) -> None:
    source = Source.decode(("import torch\n" + code).encode(), "example.py")
    _, found = analyse(source)
    assert [site.scope.heat.name for site in found if site.fact.event == "sync"] == [heat]


@pytest.mark.parametrize(("path", "found"), [("image_processing_cat.py", 0), ("modeling_cat.py", 1)])
@pytest.mark.parametrize("images", ["images: torch.Tensor", "images"])
@pytest.mark.parametrize("device", ["images.device", "device"])
def test_the_device_of_data_that_is_being_prepared_says_little(path: str, found: int, images: str, device: str) -> None:
    code = (
        f"import torch\ndef resize({images}, sizes: list[int]):\n    device = images.device\n"
        f"    return torch.tensor(sizes, device={device})\n"
    )
    _, sites = analyse(Source.decode(code.encode(), path), frozenset({"tensor-from-host-data"}))
    assert len([site for site in sites if site.confidence is not Confidence.POSSIBLE]) == found


@pytest.mark.parametrize(
    ("expression", "found"),
    [("torch.stack(pieces).to('cuda')", 1), ("pieces.to('cuda')", 0), ("torch.stack(pieces).to('cpu')", 0)],
)
def test_pieces_that_are_put_together_and_sent_come_from_the_host(expression: str, found: int) -> None:
    code = f"import torch\ndef send(pieces):\n    return {expression}\n"
    _, sites = analyse(Source.decode(code.encode(), "a.py"), frozenset({"blocking-h2d-copy"}))
    likely = [site.fact.id for site in sites if site.confidence is not Confidence.POSSIBLE]
    assert likely.count("blocking-h2d-copy") == found


def test_elements_of_a_tensor_or_a_list_of_tensors_are_tensors(reveal) -> None:
    code = """
    class Model(torch.nn.Module):
        def forward(self, images: torch.Tensor | list[torch.Tensor], sizes: torch.Tensor | list[int]):
            reveal(images)
            for image in images:
                reveal(image)
            for size in sizes:
                reveal(size)
    """
    possible = "tensor accelerator possible"
    assert reveal(code) == [possible, "tensor accelerator likely", possible]


def test_one_key_of_a_batch_that_is_moved_leaves_the_others(reveal) -> None:
    code = """
    def preprocess(batch: dict, device):
        batch["image"] = batch["image"].to(device)
        reveal(batch["image"])
        reveal(batch["label"])
    """
    assert reveal(code) == ["tensor accelerator likely fresh", "tensor cpu likely"]


HANDS_ON = """
import torch

def read(x):
    return x.item()

def hand_on(x):
    def inner(y):
        return read(y)
    return read(x), inner(x), (lambda z: read(z))(x)
"""


def test_nothing_keeps_an_interpreted_file_but_its_user() -> None:
    flow = ModuleFlow(Source.decode(HANDS_ON.encode(), "a.py"))
    flow.summarise()
    alive = ref(flow)
    enabled = gc.isenabled()
    gc.disable()
    try:
        del flow
        assert alive() is None
    finally:
        if enabled:
            gc.enable()
