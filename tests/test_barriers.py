"""Which orderings are seen around a function, and which are not there."""

from __future__ import annotations

import ast
from textwrap import dedent

import pytest

from synclint.flow.barriers import _ANY_EVIDENCE, Barriers, barriers

WORDS = {
    "copies to the host": "copy",
    "pinned memory": "pinned",
    "another stream": "stream",
    "the time on the host": "timing",
    "graph capture": "capture",
    "has to do with compiling": "compile",
    "asks whether": "query",
    "debug mode": "debug",
}


def around(code: str, qualname: str = "f") -> list[tuple[str, int]]:
    """(kind, line) of the reasons around one function, class body, or (empty name) the module's code."""
    code = dedent(code)
    tree = ast.parse(code)
    function: ast.FunctionDef | ast.AsyncFunctionDef | None = None
    owner: ast.ClassDef | None = None
    body: list[ast.stmt] = tree.body
    for part in qualname.split(".") if qualname else ():
        (node,) = (
            node
            for node in ast.walk(ast.Module(body, []))
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) and node.name == part
        )
        body = node.body
        if isinstance(node, ast.ClassDef):
            owner, function = node, None
        else:
            function = node
    reasons = Barriers(tree, code.encode()).around(function, owner)
    assert reasons == barriers(tree, function, owner), "the text filter must not lose a reason"
    kinds = [next(kind for words, kind in WORDS.items() if words in reason) for reason in reasons]
    return list(zip(kinds, (int(reason.split()[1]) for reason in reasons), strict=True))


# One line of a function's body each, where self, stream, event, x, device and so on come from elsewhere.
LINES = [
    # asynchronous copies to the host
    ("y = x.to('cpu', non_blocking=True)", "copy"),
    ("y = x.to(device='cpu', non_blocking=True)", "copy"),
    ("y = x.to(torch.device('cpu'), non_blocking=flag)", "copy"),
    ("y = x.to('cpu', torch.float32, True)", "copy"),
    ("y = x.to(self.cpu_device, non_blocking=True)", "copy"),
    ("y = x.cpu(non_blocking=True)", "copy"),
    ("host.copy_(x, non_blocking=True)", "copy"),
    ("buffer[:n].copy_(x, True)", "copy"),
    ("buffer.copy_(x, non_blocking)", "copy"),
    ("self.x.cpu[:n].copy_(self.x.gpu[:n], non_blocking=True)", "copy"),
    ("move(x, device='cpu', non_blocking=True)", "copy"),
    ("y = async_copy_to_np(x)", "copy"),
    ("self.lengths.copy_to_cpu(n)", "copy"),
    ("y = x.to('cpu')", None),
    ("y = x.to('cpu', non_blocking=False)", None),
    ("y = x.to(device, non_blocking=True)", None),
    ("y = x.to('cuda', torch.float32, True)", None),
    ("y = x.cuda(non_blocking=True)", None),
    ("self.x.gpu[:n].copy_(self.y[:n], non_blocking=True)", None),
    ("buffer.copy_(ids_cpu, non_blocking=True)", None),
    ("buffer.copy_(torch.from_numpy(a), non_blocking=True)", None),
    ("host.copy_(x)", None),
    ("init.copy_(weight, torch.arange(n))", None),
    ("y = async_tensor_h2d(x, device=device)", None),
    # reused pinned memory
    ("self.buffer = torch.empty(n, pin_memory=True)", "pinned"),
    ("self.buffer = torch.empty(n).pin_memory()", "pinned"),
    ("self.buffer = torch.empty(n, pin_memory=pin).numpy()", "pinned"),
    ("self.buffer = torch.empty(n, pin_memory=True).copy_(x)", "pinned"),
    ("self.buffers.append(torch.empty(n, pin_memory=True))", "pinned"),
    ("cache[key] = torch.empty(n, pin_memory=True)", "pinned"),
    ("global cache; cache = torch.empty(n, pin_memory=True)", "pinned"),
    ("return torch.empty(n, pin_memory=True)", "pinned"),
    ("self.pinned_ids[:n] = x", "pinned"),
    ("pinned_ids[:n] = x", "pinned"),
    ("self.lengths.copy_to_gpu(n)", "pinned"),
    ("b = torch.empty(n, pin_memory=True)\nfor i in x: b.copy_(i)", "pinned"),
    ("b = torch.empty(n).pin_memory() if pin else torch.empty(n)\nwhile x: b[i] = 1", "pinned"),
    ("b = torch.empty(n, pin_memory=True)\nb.copy_(x)\nb[0] = 1", "pinned"),
    ("b = torch.empty(n, pin_memory=True)\nb.copy_(x)", None),
    ("for i in x:\n  b = torch.tensor(i, pin_memory=True)\n  y = b.to(device, non_blocking=True)", None),
    ("self.x = torch.tensor(data, pin_memory=True).to(device, non_blocking=True)", None),
    ("return torch.tensor(data).pin_memory().cuda(non_blocking=True)", None),
    ("self.x.gpu.copy_(torch.tensor(data, pin_memory=True), non_blocking=True)", None),
    ("return gpu.copy_(x.pin_memory(), non_blocking=True)", None),
    ("self.buffer = torch.empty(n, pin_memory=False)", None),
    ("self.loader = DataLoader(data, pin_memory=True)", None),
    ("y = x.is_pinned()", None),
    ("pinned = x.pin_memory()\ny = pinned.to(device)", None),
    ("y = np_to_pinned_tensor(a).to(device, non_blocking=True)", None),
    # streams and events
    ("s = torch.cuda.Stream()", "stream"),
    ("with torch.cuda.stream(s): pass", "stream"),
    ("torch.cuda.set_stream(s)", "stream"),
    ("s.wait_stream(other)", "stream"),
    ("x.record_stream(s)", "stream"),
    ("e = torch.cuda.Event(enable_timing=True)", "stream"),
    ("e = torch.Event('cuda')", "stream"),
    ("s = torch.xpu.Stream()", "stream"),
    ("s = torch.accelerator.Stream()", "stream"),
    ("s = current_platform.Stream()", "stream"),
    ("copy_event.record()", "stream"),
    ("self.done_event.synchronize()", "stream"),
    ("with use(self.copy_stream): pass", "stream"),
    ("s = torch.cuda.current_stream()", None),
    ("e = threading.Event()\ne.set()", None),
    ("e = asyncio.Event()", None),
    ("with client.stream('GET', url) as r: pass", None),
    ("metrics.record(1)", None),
    ("run(stream=True)", None),
    ("read(load_stream)", None),
    # host timing
    ("t = time.time()", "timing"),
    ("t = time.perf_counter_ns()", "timing"),
    ("t = clock()", "timing"),
    ("t = timeit.timeit(g)", "timing"),
    ("ms = a.elapsed_time(b)", "timing"),
    ("ms = triton.testing.do_bench(g)", "timing"),
    ("time.sleep(1)", None),
    ("t = self.time.time", None),
    # graph capture
    ("with torch.cuda.graph(g): pass", "capture"),
    ("g = torch.cuda.CUDAGraph()", "capture"),
    ("g = torch.cuda.make_graphed_callables(m, x)", "capture"),
    ("g.capture_begin()", "capture"),
    ("if self.use_cuda_graph: pass", "capture"),
    ("if torch.cuda.is_current_stream_capturing(): pass", "capture"),
    ("graph(x)", None),
    ("self.graph.replace(x)", None),
    # compilation
    ("m = torch.compile(m)", "compile"),
    ("m = torch.jit.trace(m, x)", "compile"),
    ("m = th.export.export(m, x)", "compile"),
    ("model.compile()", "compile"),
    ("op = torch.library.custom_op('a::b', g)", "compile"),
    ("if torch.compiler.is_compiling(): pass", "query"),
    ("if is_torchdynamo_compiling(): pass", "query"),
    ("if torch.jit.is_tracing(): pass", "query"),
    ("p = re.compile('a')", None),
    ("headers(is_tracing_enabled)", None),
    ("torch.cuda.set_sync_debug_mode('warn')", "debug"),
    ("y = x.sum().item() + len(data)", None),
]


@pytest.mark.parametrize(("line", "kind"), LINES, ids=[line for line, _ in LINES])
def test_what_counts_as_evidence(line: str, kind: str | None) -> None:
    imports = "import re, time, timeit, torch, triton, asyncio, threading; import torch as th\n"
    imports += "from time import perf_counter as clock\n"
    found = around(imports + "def f(self, x):\n" + "".join(f"    {part}\n" for part in line.split("\n")))
    assert [each for each, _ in found] == ([kind] if kind else [])
    assert kind is None or "clock" in line or _ANY_EVIDENCE.search(line.encode())


@pytest.mark.parametrize(
    "decorator", ["torch.compile", "torch.compile(dynamic=True)", "jit.script", "support_torch_compile"]
)
def test_decorators_of_function_and_class_count(decorator: str) -> None:
    code = f"""
        import torch
        from torch import jit
        @{decorator}
        def f(x): return x
        @{decorator}
        class Model:
            def forward(self, x): return x
        """
    assert around(code) == [("compile", 4)]
    assert around(code, "Model.forward") == [("compile", 6)]


MODULE = """
    import time, torch

    def f(x):
        return helper(x)

    def helper(x):
        return x

    def caller(x):
        prepare(x)
        return f(x)

    def prepare(x):
        EVIDENCE

    def stranger(x):
        return x
    """


@pytest.mark.parametrize(
    ("function", "seen"), [("f", True), ("helper", True), ("caller", True), ("prepare", True), ("stranger", False)]
)
def test_evidence_in_what_a_caller_calls_is_seen(function: str, seen: bool) -> None:
    code = MODULE.replace("EVIDENCE", "return x.to('cpu', non_blocking=True)")
    assert around(code, function) == ([("copy", 15)] if seen else [])


def test_a_query_counts_for_those_called_from_there_alone() -> None:
    code = MODULE.replace("prepare(x)\n", "prepare(x), torch.jit.is_tracing()\n").replace("EVIDENCE", "return x")
    assert around(code, "f") == [("query", 11)]
    assert around(code, "helper") == [("query", 11)]
    code = MODULE.replace("EVIDENCE", "return torch.jit.is_tracing()")
    assert around(code, "f") == []


CLASSES = """
    import torch

    class Base:
        def reset(self):
            self.buffer = torch.empty(9, pin_memory=True)

    class Runner(Base):
        def step(self, x):
            return x.sum()

        def other(self, x):
            self.copier.start(x)

    class Copier:
        def start(self, x):
            with torch.cuda.stream(self.side):
                return self.finish(x)

        def finish(self, x):
            return x

    class Stranger:
        def step_alone(self, x):
            return x.sum()
    """


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        ("Runner.step", [("pinned", 6), ("stream", 17)]),
        ("Base.reset", [("pinned", 6)]),
        ("Copier.finish", [("stream", 17)]),
        ("Stranger.step_alone", []),
        ("Stranger", []),
        ("Runner", [("pinned", 6), ("stream", 17)]),
    ],
)
def test_a_class_its_bases_and_what_it_calls_belong_together(function: str, expected: list[tuple[str, int]]) -> None:
    assert around(CLASSES, function) == expected


def test_who_makes_an_object_may_call_it() -> None:
    code = """
        import time
        class Layer:
            def forward(self, x): return x
        class Model:
            def __init__(self): self.layer = Layer()
            def run(self, x):
                start = time.time()
                return self.layer(x), time.time() - start
        """
    assert around(code, "Layer.forward") == [("timing", 8)]
    assert around(code, "Model.__init__") == [("timing", 8)]


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("import torch\nstream = torch.cuda.Stream()\ndef f(x):\n    use(stream)\ndef g(): pass", [("stream", 2)]),
        ("import torch\nstream = torch.cuda.Stream()\ndef f(x): pass", []),
        ("import torch\ndef f(x): pass\nfast = torch.compile(f)", [("compile", 3)]),
        ("import torch\nstaging = torch.empty(9, pin_memory=True)\ndef f(x):\n    staging[0] = x", [("pinned", 2)]),
        ("import torch\nif True:\n    y = x.to('cpu', non_blocking=True)\nf(y)\ndef f(x): pass", [("copy", 3)]),
        ("import time\nstart = time.time()\ndef f(x): pass\ndef main(): f(1)\nmain()", [("timing", 2)]),
        (
            "import torch\ntry:\n    direct_register_custom_op('a', op_func=f)\nexcept E:\n    pass\ndef f(): pass",
            [("compile", 3)],
        ),
    ],
)
def test_globals_and_the_module_around_a_call(code: str, expected: list[tuple[str, int]]) -> None:
    assert around(code) == expected


@pytest.mark.parametrize("statement", ["g()\nf()", "y = g(f())", "table = [f, g]"])
def test_what_the_module_names_side_by_side_is_related(statement: str) -> None:
    assert around(f"import time\ndef f(): pass\ndef g(): time.time()\n{statement}\n") == [("timing", 3)]


def test_a_subclass_may_override_what_a_method_calls() -> None:
    code = """
        import time
        class Base:
            def f(self): return self.finish()
            def finish(self): pass
        class Timed(Base):
            def finish(self): time.time()
        """
    assert around(code, "Base.f") == [("timing", 7)]


def test_code_of_the_module_itself() -> None:
    code = "import torch\ndef g(x):\n    return x.to('cpu', non_blocking=True)\nprint(g(1))\nx = 1\n"
    assert around(code, "") == [("copy", 3)]


def test_nested_functions_belong_to_the_outermost() -> None:
    code = """
        import time
        def outer(x):
            start = time.time()
            def f(y):
                return y
            return f(x), time.time() - start
        """
    assert around(code, "outer.f") == [("timing", 4)]


def test_the_nearest_place_is_named_and_others_by_their_function() -> None:
    code = "import time\ndef g():\n    time.time()\ndef f():\n    g()\n"
    tree = ast.parse(code)
    function = tree.body[2]
    assert isinstance(function, ast.FunctionDef)
    (reason,) = barriers(tree, function, None)
    assert reason.startswith("line 3 (in g) takes the time")
    tree = ast.parse(code + "    time.time()\n")
    function = tree.body[2]
    assert isinstance(function, ast.FunctionDef)
    (reason,) = barriers(tree, function, None)
    assert reason.startswith("line 6 takes the time")


def test_a_function_of_a_tree_parsed_again_is_recognised() -> None:
    code = "import time\ndef g(): pass\ndef f(): time.time()\n"
    module = Barriers(ast.parse(code), code.encode())
    again = ast.parse(code).body
    assert isinstance(again[1], ast.FunctionDef)
    assert isinstance(again[2], ast.FunctionDef)
    assert module.around(again[1], None) == ()
    assert len(module.around(again[2], None)) == 1
