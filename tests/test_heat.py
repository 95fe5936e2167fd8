"""How hot code is: across files, behind guards, in loops over data, where a wait means something else."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from synclint import config
from synclint.finding import Finding, Heat
from synclint.flow.module import analyse
from synclint.run import Fixing, lint_files
from synclint.source import Source

READ = "torch.ones(1, device='cuda').item()"


def project(root: Path, files: dict[str, str], settings: str = "") -> Path:
    (root / "pyproject.toml").write_text(f"[tool.synclint]\nheat = 'cold'\nselect = ['SYN201']\n{settings}\n")
    for path, code in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text("import torch\n" + dedent(code).replace("READ", READ))
    return root


def lint(root: Path, *named: str, jobs: int = 1, cache: bool = False) -> list[Finding]:
    paths = [root / name for name in named] or sorted(root.glob("**/*.py"))
    settings = config.load(root)
    outcomes = lint_files([(path, settings) for path in paths], Fixing(), jobs, cache=cache)
    assert not [outcome.failure for outcome in outcomes if outcome.failure]
    return [finding for outcome in outcomes for finding in outcome.findings]


def heats(root: Path, *named: str) -> dict[str, str]:
    """The heat of the reads by the function that they are in."""
    return {finding.scope: finding.heat.name.lower() for finding in lint(root, *named)}


def reasons(finding: Finding, root: Path) -> list[str]:
    """What the chain says of the heat, each with the place."""
    steps = [step for step in finding.why if "makes a tensor" not in step.text]
    return [f"{Path(step.path).name}:{step.line} {step.text}" for step in steps]


# ---------------------------------------------------------------------- across files


def test_what_a_hot_function_of_another_file_calls_is_hot(tmp_path: Path) -> None:
    files = {
        "pkg/__init__.py": "",
        "pkg/runner.py": """
            from pkg.helpers import gather
            class Runner:
                def execute_model(self):
                    self.prepare()
                def prepare(self):
                    gather()
        """,
        "pkg/helpers.py": """
            def gather():
                return READ
        """,
    }
    root = project(tmp_path, files)
    (found,) = lint(root)
    assert found.heat is Heat.HOT
    assert reasons(found, root) == [
        "helpers.py:3 `gather` is called by `Runner.prepare`",
        "runner.py:7 `Runner.prepare` is called by `Runner.execute_model`",
        "runner.py:5 `Runner.execute_model` runs for every step",
    ]


def test_helpers_of_loading_are_cold_across_files(tmp_path: Path) -> None:
    files = {
        "loader.py": """
            from shards import read_shard
            def load_weights():
                read_shard()
        """,
        "shards.py": """
            def read_shard():
                return READ
            def unknown():
                return READ
        """,
    }
    root = project(tmp_path, files)
    cold, warm = lint(root)
    assert (cold.heat, warm.heat) == (Heat.COLD, Heat.WARM)
    assert reasons(cold, root) == [
        "shards.py:3 `read_shard` is only called by `load_weights`",
        "loader.py:4 `load_weights` does not run for every step",
    ]
    assert reasons(warm, root) == []


RESOLVED = {
    "a method of an attribute": ("self.part = Part()", "self.part.run()"),
    "a method of an annotated attribute": ("self.part: Part = make()", "self.part.run()"),
    "a method of a parameter": ("pass", "pass\n    def step(self, part: Part | None):\n        part.run()"),
    "a method of an attribute's attribute": ("self.holder = Holder()", "self.holder.part.run()"),
    "an imported module's function": ("pass", "parts.function()"),
    "an imported function under another name": ("pass", "renamed()"),
    "a name that is imported again": ("pass", "exported()"),
    "a class's own function": ("pass", "Part.run(None)"),
    "a constructor": ("pass", "Made()"),
    "a property": ("pass", "self.shown"),
    "a function that is handed on": ("pass", "call(handed)"),
}


@pytest.mark.parametrize(("init", "step"), RESOLVED.values(), ids=RESOLVED)
def test_calls_are_resolved(tmp_path: Path, init: str, step: str) -> None:
    files = {
        "parts.py": """
            class Part:
                def run(self):
                    return READ
                def other(self):
                    return READ
            class Holder:
                def __init__(self):
                    self.part = Part()
            class Made:
                def __init__(self):
                    READ
            def function():
                return READ
        """,
        "again.py": "from parts import function as exported\n",
        "runner.py": f"""
            import parts
            from parts import Holder, Made, Part
            from parts import function as renamed
            from again import exported
            class Runner:
                def __init__(self):
                    {init}
                def step(self):
                    {{step}}
                @property
                def shown(self):
                    return READ
            def handed():
                return READ
        """.replace("{step}", "pass"),
    }
    body = dedent(files["runner.py"]).replace(
        "    def step(self):\n        pass\n", f"    def step(self):\n        {step}\n"
    )
    root = project(tmp_path, files)
    (root / "runner.py").write_text("import torch\n" + body.replace("READ", READ))
    reached = {name for name, heat in heats(root).items() if heat == "hot" or (heat == "warm" and "Made" in name)}
    expected = {
        "self.shown": "Runner.shown", "call(handed)": "handed", "Made()": "Made.__init__",
        "parts.function()": "function", "renamed()": "function", "exported()": "function",
    }.get(step, "Part.run")  # fmt: skip
    assert reached == {expected}


def test_overrides_of_a_hot_method_are_hot_and_those_of_a_cold_one_cold(tmp_path: Path) -> None:
    files = {
        "base.py": """
            class Backend:
                def step(self):
                    self.gather()
                def __init__(self):
                    self.prepare()
                def gather(self):
                    raise NotImplementedError
                def prepare(self):
                    raise NotImplementedError
        """,
        "cuda.py": """
            from base import Backend
            class Cuda(Backend):
                def gather(self):
                    return READ
                def prepare(self):
                    return READ
                def unused(self):
                    return READ
        """,
    }
    root = project(tmp_path, files)
    found = lint(root)
    assert [one.heat for one in found] == [Heat.HOT, Heat.COLD, Heat.WARM]
    assert reasons(found[0], root)[0] == "cuda.py:5 `Cuda.gather` overrides `Backend.gather`"


def test_super_and_mixins_reach_methods(tmp_path: Path) -> None:
    files = {
        "base.py": """
            class Base:
                def finish(self):
                    return READ
            class Mixin:
                def step(self):
                    self.inner()
        """,
        "both.py": """
            from base import Base, Mixin
            class Both(Mixin, Base):
                def inner(self):
                    super().finish()
        """,
    }
    assert heats(project(tmp_path, files)) == {"Base.finish": "hot"}


def test_steps_of_training_are_hot_though_nothing_but_a_script_calls_them(tmp_path: Path) -> None:
    files = {
        "trainer.py": """
            class Trainer:
                "Example: `trainer.run_step()`"
                def run_step(self):
                    return READ
                def train_batch(self):
                    return READ
                def describe_run_step(self):
                    return READ
        """,
    }
    assert heats(project(tmp_path, files)) == {
        "Trainer.run_step": "hot",
        "Trainer.train_batch": "hot",
        "Trainer.describe_run_step": "warm",
    }


def test_workers_that_load_are_not_cold(tmp_path: Path) -> None:
    files = {
        "connector.py": """
            class Connector:
                def _load_worker(self):
                    while True:
                        self.handle()
                def handle(self):
                    return READ
                def _load_config(self):
                    return READ
        """,
    }
    assert heats(project(tmp_path, files)) == {"Connector.handle": "warm", "Connector._load_config": "cold"}


def test_the_name_of_a_method_alone_makes_warm_at_most(tmp_path: Path) -> None:
    files = {
        "a.py": """
            def forward(thing):
                thing.evict()
            class Cache:
                def evict(self):
                    return READ
        """,
    }
    root = project(tmp_path, files)
    (found,) = lint(root)
    assert found.heat is Heat.WARM
    assert reasons(found, root)[0] == "a.py:6 `Cache.evict` may be called by `forward`, going by the name alone"


def test_a_name_that_many_classes_have_says_nothing_but_that_it_may_be_called(tmp_path: Path) -> None:
    owners = "".join(f"class C{i}:\n    def evict(self):\n        return READ\n" for i in range(4))
    code = "def forward(thing):\n    thing.evict()\n" + owners + "    def __init__(self):\n        self.evict()\n"
    root = project(tmp_path, {"a.py": code})
    found = lint(root)
    assert [one.heat for one in found] == [Heat.WARM] * 4
    assert not any(reasons(one, root) for one in found)


def test_a_name_is_no_reason_to_be_cold_for_what_a_hot_function_calls(tmp_path: Path) -> None:
    files = {
        "a.py": """
            def step():
                setup_batch()
                load_batch()
                warm_up()
            def setup_batch():
                return READ
            def load_batch():
                return READ
            def warm_up():
                return READ
        """
    }
    assert heats(project(tmp_path, files)) == {"setup_batch": "hot", "load_batch": "warm", "warm_up": "cold"}


def test_constructors_of_modules_are_cold_others_may_be_warm(tmp_path: Path) -> None:
    files = {
        "a.py": """
            class Layer(torch.nn.Module):
                def __init__(self):
                    READ
            class Metadata:
                def __init__(self):
                    READ
            def step():
                Layer()
                Metadata()
        """
    }
    assert heats(project(tmp_path, files)) == {"Layer.__init__": "cold", "Metadata.__init__": "warm"}


@pytest.mark.parametrize("folder", ["", "pkg/"])
def test_what_only_tests_call_is_unknown(tmp_path: Path, folder: str) -> None:
    files = {
        "pkg/__init__.py": "",
        "pkg/a.py": """
            def fresh():
                return READ
        """,
        f"{folder}tests/test_a.py": """
            from pkg.a import fresh
            def test_fresh():
                fresh()
                READ
        """,
    }
    assert heats(project(tmp_path, files)) == {"fresh": "warm", "test_fresh": "cold"}


def test_what_runs_on_import_alone_is_cold(tmp_path: Path) -> None:
    files = {
        "a.py": """
            def table():
                return READ
            def entry():
                return READ
            def load_entry():
                entry()
            TABLE = table()
            ENTRIES = {"entry": entry}
        """
    }
    root = project(tmp_path, files)
    table, entry = lint(root)
    assert (table.heat, entry.heat) == (Heat.COLD, Heat.WARM)
    assert reasons(table, root) == ["a.py:3 `table` only runs when `a.py` is imported"]


def test_a_script_tells_of_its_own_functions_alone(tmp_path: Path) -> None:
    files = {
        "lib.py": """
            def used():
                return READ
            def shown():
                return READ
        """,
        "script.py": """
            from lib import shown, used
            def helper():
                used()
                return READ
            def main():
                used()
                helper()
            if __name__ == "__main__":
                main()
                shown()
        """,
    }
    assert heats(project(tmp_path, files)) == {"used": "warm", "shown": "warm", "helper": "cold"}


def test_calls_among_each_other_alone_say_nothing(tmp_path: Path) -> None:
    code = """
        def one():
            two()
            return READ
        def two():
            one()
    """
    assert heats(project(tmp_path, {"a.py": code})) == {"one": "warm"}


def test_functions_that_outlive_the_one_around_them_are_not_cold_with_it(tmp_path: Path) -> None:
    files = {
        "a.py": """
            import functools
            @functools.lru_cache
            def make():
                def inner():
                    helper()
                    return READ
                READ
                return inner
            def helper():
                return READ
            def load_all():
                def inner():
                    return READ
                inner()
        """
    }
    assert heats(project(tmp_path, files)) == {
        "make.<locals>.inner": "warm",
        "make": "cold",
        "helper": "warm",
        "load_all.<locals>.inner": "cold",
    }


def test_functions_that_stay_in_the_one_around_them_are_as_hot_as_it(tmp_path: Path) -> None:
    files = {
        "a.py": """
            class Runner:
                def __init__(self, plans):
                    def plan():  # plan is made
                        return helper()
                    def replay():
                        step()
                        return READ
                    def step():
                        return READ
                    # what plan makes
                    self._plan = plan
                    self._replay = replay
                    self.kept = [self._plan() for _ in plans]
                def run(self):
                    return self._replay()
            def helper():
                return READ
        """
    }
    assert heats(project(tmp_path, files)) == {
        "helper": "cold",
        "Runner.__init__.<locals>.replay": "warm",
        "Runner.__init__.<locals>.step": "warm",
    }


def test_what_is_handed_on_by_loading_is_cold(tmp_path: Path) -> None:
    files = {
        "a.py": """
            def get_weight_loader(layer):
                def convert():
                    return READ
                def load():
                    helper()
                    return convert()
                return load
            def wrap(method):
                def process_weights_after_loading(layer):
                    from b import repack
                    repack()
                    return READ
                method.process = process_weights_after_loading
            def helper():
                return READ
        """,
        "b.py": """
            def repack():
                return READ
        """,
    }
    assert set(heats(project(tmp_path, files)).values()) == {"cold"}


def test_what_runs_between_steps_is_cold_unless_a_hot_function_calls_it(tmp_path: Path) -> None:
    names = """
    retry wake_up update_weights checkpoint_prepare_state run_daemon _finalize_moe_weights compile_entry
    nvfp4_marlin_process_scales free_memory _fuse_lora
    """
    calm = "".join(f"def {name}():\n    READ\n" for name in names.split())
    calm += "class MemoryTracker:\n    def start(self):\n        READ\n"
    busy = "def empty_cache():\n    READ\ndef forward():\n    empty_cache()\n"
    found = heats(project(tmp_path, {"a.py": calm + busy}))
    assert found == {**dict.fromkeys([*names.split(), "MemoryTracker.start"], "cold"), "empty_cache": "hot"}


def test_files_of_loading_and_of_measurements_are_cold_unless_a_hot_function_calls_them(tmp_path: Path) -> None:
    code = "def forward():\n    return READ\ndef pack():\n    return READ\n"
    files = {
        "pkg/benchmarks/stream.py": code,
        "pkg/ops/pack_test.py": code,
        "pkg/weight_transfer/packed.py": code,
        "pkg/runner.py": "from pkg.weight_transfer.packed import pack\ndef execute_model():\n    pack()\n",
    }
    found = {(Path(one.path).parent.name, one.scope): one.heat.name.lower() for one in lint(project(tmp_path, files))}
    assert found == {
        ("benchmarks", "forward"): "cold",
        ("benchmarks", "pack"): "cold",
        ("ops", "forward"): "cold",
        ("ops", "pack"): "cold",
        ("weight_transfer", "forward"): "hot",
        ("weight_transfer", "pack"): "hot",
    }


def test_heat_does_not_depend_on_what_is_linted_or_on_the_number_of_jobs(tmp_path: Path) -> None:
    files = {
        f"m{i}.py": f"import m{i + 1}\ndef step_{i}():\n    m{i + 1}.step_{i + 1}()\n    READ\n" for i in range(80)
    }
    files["m80.py"] = "def step_80():\n    READ\n"
    files["a.py"] = "import m3\nimport m70\ndef forward():\n    m3.step_3()\ndef execute_model():\n    m70.step_70()\n"
    root = project(tmp_path, files)
    everything = lint(root)
    assert len(everything) == 81
    assert lint(root, *sorted((p.name for p in root.glob("*.py")), reverse=True), jobs=2) == everything
    for number in (2, 3, 42, 75):
        alone = lint(root, f"m{number}.py", cache=number == 42)
        assert alone == [one for one in everything if one.path.endswith(f"/m{number}.py")]
    assert {one.heat for one in everything if "m2." in one.path} == {Heat.WARM}


def test_kept_heats_follow_changes(tmp_path: Path) -> None:
    files = {"a.py": "def helper():\n    READ\n", "b.py": "import a\ndef forward():\n    pass\n"}
    root = project(tmp_path, files)
    assert [one.heat for one in lint(root, "a.py", cache=True)] == [Heat.WARM]
    (root / "b.py").write_text("import a\ndef forward():\n    a.helper()\n")
    assert [one.heat for one in lint(root, "a.py", cache=True)] == [Heat.HOT]
    (root / "b.py").unlink()
    assert [one.heat for one in lint(root, "a.py", cache=True)] == [Heat.WARM]
    (root / "pyproject.toml").write_text(
        "[tool.synclint]\nheat = 'cold'\nselect = ['SYN201']\nentry-points = ['helper']\n"
    )
    assert [one.heat for one in lint(root, "a.py", cache=True)] == [Heat.HOT]


# ---------------------------------------------------------------------- within a function

REGIONS = {
    "once, by None": ("if self.table is None:\n    self.table = READ", "cold", "runs once, until `self.table` is set"),
    "once, by a flag": ("if not self.table:\n    READ\n    self.table = True", "cold", "until `self.table` is set"),
    "once, by hasattr": ("if not hasattr(self, 'table'):\n    self.table = READ", "cold", "until `self.table` is set"),
    "once, in the else": (
        "if self.table is not None:\n    pass\nelse:\n    self.table = READ", "cold", "until `self.table` is set"),
    "once, after leaving": ("if self.table is not None:\n    return\nself.table = READ", "cold", "until `self.table`"),
    "after a part that runs once": (
        "if x:\n    if self.table is not None:\n        return\n    self.table = 1\nREAD", "hot",
        "runs for every step"),
    "once, by the name of a flag": (
        "if not x.ctx.is_initialized:\n    READ", "cold", "until `x.ctx.is_initialized` is set"),
    "once, after a flag": ("if x.initialized:\n    return\nREAD", "cold", "runs once, until `x.initialized` is set"),
    "a flag of something else": ("if not dist.is_initialized():\n    READ", "hot", "runs for every step"),
    "once for each key": (
        "if n not in self._plans:\n    self._plans[n] = READ", "cold", "runs once for each key of `self._plans`"),
    "once for each key, asked for": (
        "plan = pools.get(n)\nif plan is None:\n    plan = READ\n    self.pools[n] = plan", "cold",
        "for each key of `self.pools`"),
    "once for each key, after leaving": (
        "if n in self._plans:\n    return self._plans[n]\nREAD", "cold", "for each key of `self._plans`"),
    "once for each group": (
        "if n in self._synchronized_groups:\n    return\nREAD", "cold", "for each key of `self._synchronized_groups`"),
    "once for each key of a variable": (
        "if (plan := PLANS.get(n)) is not None:\n    return plan\nREAD", "cold", "once for each key of `PLANS`"),
    "once for each key of a variable, by its truth": (
        "if plan := PLANS.get(n):\n    return plan\nREAD", "cold", "once for each key of `PLANS`"),
    "a key of a table": (
        "if plan := POINTERS.get(n):\n    return plan\nREAD", "hot", "runs for every step"),
    "a key of a constant": ("if n in NAMES:\n    return 1\nREAD", "hot", "runs for every step"),
    "once, to move it": (
        "if self.table.device != x.device:\n    self.table = READ", "cold", "runs once, until it has been moved"),
    "to move something else": ("if self.table.device != x.device:\n    x = READ", "hot", "runs for every step"),
    "each key of a local": ("if n not in plans:\n    plans[n] = READ", "hot", "runs for every step"),
    "each key of a cache of keys": (
        "if n not in self.key_cache:\n    self.key_cache[n] = READ", "hot", "runs for every step"),
    "set elsewhere as well": ("if self.reset is None:\n    self.reset = READ", "hot", "runs for every step"),
    "not set there": ("if self.table is None:\n    READ", "hot", "runs for every step"),
    "logging": ("if logger.isEnabledFor(10):\n    READ", "cold", "where the level of logging asks for it"),
    "a level": ("if logger.level <= 10:\n    READ", "cold", "where the level of logging asks for it"),
    "verbose": ("if self.verbose and x:\n    READ", "cold", "only runs where `verbose` is set"),
    "an export": ("if torch.onnx.is_in_onnx_export():\n    READ", "cold", "while the model is traced or exported"),
    "another platform": ("if platform.is_xpu():\n    READ", "cold", "only runs where `is_xpu` holds, not on CUDA"),
    "no other platform": ("if not platform.is_xpu():\n    READ", "hot", "runs for every step"),
    "no tracing": ("if not torch.jit.is_tracing():\n    READ", "hot", "runs for every step"),
    "not verbose": ("if not verbose:\n    READ", "hot", "runs for every step"),
    "an interval": ("if step % self.log_interval == 0:\n    READ", "cold", "runs once in `log_interval` steps"),
    "a number": ("if (step + 1) % 100 == 0:\n    READ", "cold", "runs once in 100 steps"),
    "a short interval": ("if step % 2 == 0:\n    READ", "hot", "runs for every step"),
    "any interval": ("if step % n == 0:\n    READ", "warm", "runs once in `n` steps"),
    "accumulation": ("if step % accumulation_steps == 0:\n    READ", "hot", "runs for every step"),
    "a check of shapes": ("if size % group == 0:\n    READ", "hot", "runs for every step"),
    "all but an interval": ("if step % log_interval != 0:\n    READ", "hot", "runs for every step"),
    "a handler": ("try:\n    f()\nexcept ValueError:\n    READ", "cold", "only runs after an exception"),
    "the end of a loop": ("try:\n    f()\nexcept StopIteration:\n    READ", "hot", "runs for every step"),
}  # fmt: skip


@pytest.mark.parametrize(("body", "heat", "reason"), REGIONS.values(), ids=REGIONS)
def test_parts_of_a_hot_function(tmp_path: Path, body: str, heat: str, reason: str) -> None:
    # ``helper`` is called where the read is: the graph sees what the sites see.
    for name, text in (("site", "READ"), ("call", "helper()")):
        root = tmp_path / name
        root.mkdir()
        indented = body.replace("READ", text).replace("\n", "\n        ")
        code = (
            "class Runner:\n    def __init__(self):\n        self.table = self.reset = None\n"
            f"    def forward(self, x, step, n, size, group, verbose):\n        {indented}\n"
            "    def clear(self):\n        self.reset = None\ndef helper():\n    return READ\n"
        )
        found = lint(project(root, {"a.py": code}))
        (one,) = [one for one in found if (one.scope == "helper") == (text == "helper()")]
        if text == "READ":
            assert one.heat.name.lower() == heat
            assert reason in one.why[-1].text
        else:
            assert one.heat.name.lower() == {"warm": "hot"}.get(heat, heat)


@pytest.mark.parametrize(
    ("loop", "heat"),
    [
        ("for batch in train_loader:", "hot"),
        ("for i, batch in enumerate(tqdm(self.dataloader)):", "hot"),
        ("for batch in trainer.get_train_dataloader():", "hot"),
        ("for name, weight in weights_loader:", "cold"),
        ("for epoch in range(3):", "cold"),
        ("for epoch in range(3):\n        loss.backward()", "hot"),
        ("while more:\n        trainer.training_step()", "hot"),
    ],
)
def test_loops_over_steps_are_hot_in_what_is_cold(tmp_path: Path, loop: str, heat: str) -> None:
    code = f"def main():\n    {loop}\n        READ\n        helper()\n    READ\ndef helper():\n    READ\n"
    found = lint(project(tmp_path, {"a.py": code}))
    assert [one.heat.name.lower() for one in found] == [heat, "cold", heat]
    code = code.replace("main", "test_it")
    (tmp_path / "a.py").write_text("import torch\n" + code.replace("READ", READ))
    assert {one.heat for one in lint(tmp_path)} == {Heat.COLD}


def test_the_innermost_loop_around_a_step_is_the_step(tmp_path: Path) -> None:
    code = """
        def main():
            for epoch in range(3):
                for i in range(10):
                    loss.backward()
                    READ
                READ
    """
    assert [one.heat for one in lint(project(tmp_path, {"a.py": code}))] == [Heat.HOT, Heat.COLD]


# ---------------------------------------------------------------------- what a wait means


def test_a_wait_in_a_capture_is_an_error_wherever_that_is(tmp_path: Path) -> None:
    code = """
        def capture_model(graph):
            READ
            with torch.cuda.graph(graph):
                READ
            READ
    """
    found = lint(project(tmp_path, {"a.py": code}))
    assert [one.heat for one in found] == [Heat.COLD, Heat.HOT, Heat.COLD]
    assert found[1].why[-1].text == "is captured into a CUDA graph, where a wait is an error"


@pytest.mark.parametrize(
    "code",
    [
        "@torch.compile\ndef forward(x):\n    READ",
        "@torch.compile(fullgraph=True)\ndef forward(x):\n    READ",
        "def forward(x):\n    READ\nfast = torch.compile(forward)",
        "class A:\n    def __init__(self):\n        self.fast = torch.compile(self.forward)\n"
        "    def forward(self):\n        READ",
        "@support_torch_compile\nclass A:\n    def forward(self):\n        READ",
    ],
)  # fmt: skip
def test_a_wait_breaks_the_graph_of_what_is_compiled(tmp_path: Path, code: str) -> None:
    (found,) = lint(project(tmp_path, {"a.py": code}))
    assert any("is compiled by `torch.compile`: a wait breaks the graph" in step.text for step in found.why)


def test_regions_of_the_sync_debug_mode(tmp_path: Path) -> None:
    code = """
        def forward():
            READ
            torch.cuda.set_sync_debug_mode(0)
            READ
            torch.cuda.set_sync_debug_mode("error")
            READ
        def build_once():
            if True:
                torch.cuda.set_sync_debug_mode(2)
                READ
    """
    found = lint(project(tmp_path, {"a.py": code}))
    assert [one.line for one in found] == [4, 8, 12]
    assert {one.why[-1].text for one in found[1:]} == {"runs where the sync debug mode makes a wait an error"}
    assert {one.heat for one in found} == {Heat.HOT}


# ---------------------------------------------------------------------- configuration

NAMED = """
    class Runner:
        def tick(self):
            return READ
        def forward(self):
            return READ
        def forward_once(self):
            return READ
    def tick():
        return READ
"""


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ("", ["warm", "hot", "hot", "warm"]),
        ("entry-points = ['Runner.tick']", ["hot", "hot", "hot", "warm"]),
        ("entry-points = ['tick']", ["hot", "hot", "hot", "hot"]),
        ("entry-points = ['a:tick']", ["warm", "hot", "hot", "hot"]),
        ("entry-points = ['*:Runner.ti*']", ["hot", "hot", "hot", "warm"]),
        ("entry-points = ['b:tick', 'Other.tick']", ["warm", "hot", "hot", "warm"]),
        ("cold-functions = ['Runner.forward_*']", ["warm", "hot", "cold", "warm"]),
        ("cold-functions = ['*']\nentry-points = ['tick']", ["cold", "cold", "cold", "cold"]),
    ],
)
def test_a_project_names_its_own(tmp_path: Path, settings: str, expected: list[str]) -> None:
    found = lint(project(tmp_path, {"a.py": NAMED}, settings))
    assert [one.heat.name.lower() for one in found] == expected


@pytest.mark.parametrize("key", ["entry-points", "cold-functions"])
@pytest.mark.parametrize("value", ['"run"', "['a b']", "['a:']", "['a:b:c']", "['a..b']", "[3]"])
def test_malformed_names_are_refused(tmp_path: Path, key: str, value: str) -> None:
    project(tmp_path, {}, f"{key} = {value}")
    with pytest.raises(config.ConfigError) as error:
        config.load(tmp_path)
    assert error.value.line == 4
    assert error.value.key == f"tool.synclint.{key}"


def test_what_a_method_moves_for_good_is_moved_once(tmp_path: Path) -> None:
    code = """
        class Model(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.table = torch.zeros(3)
                self.again = torch.zeros(3)
                self.other = torch.zeros(3)
            def reset(self):
                self.again = torch.zeros(3)
            def forward(self, x: torch.Tensor):
                self.table = self.table.float().to(x.device)
                self.again = self.again.to(x.device)
                self.other = torch.zeros(3)
                self.other = self.other.to(x.device)
    """
    root = project(tmp_path, {"a.py": code}, "extend-select = ['SYN101']")
    found = {one.line: one.heat.name.lower() for one in lint(root)}
    assert found == {12: "cold", 13: "hot", 15: "hot"}


def test_a_file_that_stands_alone_is_judged_by_its_own_calls() -> None:
    code = f"import torch\ndef forward():\n    helper()\ndef helper():\n    {READ}\n"
    flow, sites = analyse(Source.decode(code.encode(), "example.py"))
    assert [site.heat for site in sites if site.operation == "Tensor.item"] == [Heat.HOT]
    site = sites[-1]
    assert [why.text for why in flow.heat.why(site.scope, site.region, site.statement)] == [
        "`helper` is called by `forward`",
        "`forward` runs for every step",
    ]


def test_an_alias_that_is_called_at_once_is_a_call(tmp_path: Path) -> None:
    files = {
        "rotary.py": """
            import torch
            class Rotary(torch.nn.Module):
                def __init__(self, kept):
                    begin: Callable = self.first
                    if kept:
                        begin = KINDS[kept]
                    self.table = begin()
                    later = self.second
                    register(later)
                def first(self):
                    return READ
                def second(self):
                    return READ
        """,
    }
    found = heats(project(tmp_path, files))
    assert found["Rotary.first"] == "cold"
    assert found["Rotary.second"] != "cold"
