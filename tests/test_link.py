"""Where values live across files: what is read on the device is found, with the way it took, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
from projects import chain, lint, marked, places, split, write

from synclint.finding import Confidence

CASES = {
    "a number that is called like a tensor is no index of a device": """
        --- pkg/__init__.py
        --- pkg/configuration.py
        import torch
        class Configuration:
            max_position_embeddings: int = 5000
        --- pkg/base.py
        import torch
        from .configuration import Configuration
        class Base(torch.nn.Module):
            def __init__(self, config: Configuration):
                super().__init__()
                self.max_position_embeddings = config.max_position_embeddings
        --- pkg/model.py
        import torch
        from .base import Base
        class Model(Base):
            def forward(self, x: torch.Tensor):
                if x.shape[1] > self.max_position_embeddings:
                    raise ValueError
                if x.sum() > self.max_position_embeddings:  # waits
                    raise ValueError
        """,
    "lists are told apart by what is in them, whoever passes them first": """
        --- pkg/__init__.py
        --- pkg/use.py
        import torch
        def first(things):
            return things[0]
        def near():
            return first([torch.zeros(1)]).item()
        def far():
            return first([torch.zeros(1, device="cuda")]).item()  # waits
        """,
    "what nothing is known of does not take from what a function returns": """
        --- pkg/__init__.py
        --- pkg/use.py
        import torch
        def scale(thing, factor: torch.Tensor):
            return factor * thing
        def run(maker):
            made = maker.make().unsqueeze(0)
            return scale(2, made).item()  # waits
        """,
    "what is computed from several things that others decide": """
        --- pkg/__init__.py
        --- pkg/reads.py
        import torch
        def read(one, two, three):
            both = one if three else two  # waits
            return ((both - three) * 2).item()  # waits
        def compare(one, two):
            if one - two:
                return 1
            return (one + two) is two
        --- pkg/use.py
        import torch
        from .reads import compare, read
        def use():
            made = torch.zeros(1, device="cuda")
            compare(1, 2)
            return read(made, made, made)
        """,
    "the device is decided by the caller": """
        --- pkg/__init__.py
        --- pkg/make.py
        import torch
        def make(n, where):
            return torch.zeros(n, device=where)
        --- pkg/use.py
        import torch
        from .make import make
        make(1, "cuda").item()  # waits
        make(1, "cpu").item()
        make(where="cuda", n=1).item()  # waits
        make(where="cpu", n=1).item()
        """,
    "a constructor elsewhere is told the device": """
        --- pkg/__init__.py
        --- pkg/buffer.py
        import torch
        class Buffer:
            def __init__(self, size, device):
                self.held = torch.zeros(size, device=device)
        class Other:
            def __init__(self, size, device):
                self.held = torch.zeros(size, device=device)
        --- pkg/runner.py
        import torch
        from .buffer import Buffer, Other
        class Runner:
            def __init__(self):
                self.near = Buffer(1, "cuda")
                self.far = Other(1, device="cpu")
            def read(self):
                self.far.held.item()
                return self.near.held.item()  # waits
        """,
    "halves of a buffer two files away": """
        --- pkg/__init__.py
        --- pkg/buffers.py
        import torch
        class CpuGpuBuffer:
            def __init__(self, *size, dtype, device):
                self.cpu = torch.zeros(*size, dtype=dtype, device="cpu", pin_memory=True)
                self.gpu = torch.zeros_like(self.cpu, device=device)
                self.np = self.cpu.numpy()
        --- pkg/runner.py
        import torch
        from .buffers import CpuGpuBuffer
        class Runner:
            def __init__(self, device):
                self.device = device
                self.ids = self._make(4, dtype=torch.int32)
            def _make(self, *size, dtype):
                return CpuGpuBuffer(*size, dtype=dtype, device=self.device)
        --- pkg/use.py
        import torch
        from .runner import Runner
        class Use:
            def __init__(self, runner: Runner):
                self.runner = runner
            def read(self):
                self.runner.ids.cpu[0].item()
                self.runner.ids.np[0].item()
                return self.runner.ids.gpu[0].item()  # waits
        """,
    "properties": """
        --- pkg/__init__.py
        --- pkg/state.py
        import torch
        from functools import cached_property
        class State:
            @property
            def made(self):
                return torch.arange(1, device="cuda").view(1)
            @property
            def kept(self):
                return torch.ones(1)
            @cached_property
            def table(self):
                return torch.ones(1, device="cuda")
        --- pkg/use.py
        import torch
        from .state import State
        def use(state: State):
            state.made.item()  # waits
            state.kept.item()
            state.table.item()  # waits
            State.table.item()
        --- pkg/settable.py
        import torch
        class Settable:
            def __init__(self):
                self._held = None
            @property
            def held(self):
                self.set.item()  # waits
                return torch.ones(1, device="cuda")
            @held.setter
            def held(self, value):
                self.set = torch.ones(1, device="cuda")
                self.set.item()  # waits
        --- pkg/settable_use.py
        import torch
        from .settable import Settable
        def use(one: Settable):
            one.set.item()  # waits
            return one.held.item()  # waits
        """,
    "several definitions of one name": """
        --- pkg/__init__.py
        --- pkg/make.py
        import torch
        from typing import overload
        if torch.cuda.is_available():
            def get():
                return torch.ones(1, device="cuda")
        else:
            def get():
                torch.zeros(1, device="cuda").item()  # waits
                return None
        try:
            from fast import got
        except ImportError:
            def got():
                return torch.ones(1, device="cuda")
        @overload
        def typed(x: int) -> torch.Tensor: ...
        @overload
        def typed(x: str) -> torch.Tensor: ...
        def typed(x):
            return torch.ones(1)
        --- pkg/use.py
        import torch
        from .make import get, got, typed
        got().item()  # waits
        get().item()  # waits
        typed(1).item()
        """,
    "fields of a dataclass": """
        --- pkg/__init__.py
        --- pkg/meta.py
        import torch
        from dataclasses import dataclass, field
        from typing import Any
        @dataclass
        class Never:
            thing: torch.Tensor
            later: torch.Tensor | None = None
            other: torch.Tensor = field(default=None)
            seq_lens_cpu: torch.Tensor
        @dataclass
        class Base:
            zero: Any
        @dataclass
        class Meta(Base):
            first: Any
            second: torch.Tensor
            third: torch.Tensor | None = None
            fourth: torch.Tensor | None = None
        def build():
            cuda = torch.ones(1, device="cuda")
            return Meta(torch.ones(1), cuda, torch.ones(1), third=torch.ones(1), fourth=cuda)
        --- pkg/use.py
        import torch
        from .meta import Meta, Never
        def use(meta: Meta, never: Never):
            never.thing.item()  # waits
            never.later.item()  # waits
            never.other.item()  # waits
            never.seq_lens_cpu.item()
            meta.zero.item()
            meta.first.item()  # waits
            meta.second.item()
            meta.third.item()
            meta.fourth.item()  # waits
        """,
    "named tuples": """
        --- pkg/__init__.py
        --- pkg/out.py
        import torch
        from typing import Any, NamedTuple
        class Out(NamedTuple):
            first: Any
            second: Any
        def make():
            return Out(torch.zeros(1), torch.zeros(1, device="cuda"))
        --- pkg/use.py
        import torch
        from .out import make
        def use():
            host, there = make()
            host.item()
            there.item()  # waits
            make()[0].item()
            make()[1].item()  # waits
            return make().first.item()
        --- pkg/through.py
        import torch
        from .out import make
        def second():
            return make()[1]
        def both():
            first, other = make()
            return other, first
        --- pkg/last.py
        import torch
        from .through import both, second
        def last():
            second().item()  # waits
            one, two = both()
            two.item()
            return one.item()  # waits
        """,
    "several results": """
        --- pkg/__init__.py
        --- pkg/both.py
        import torch
        def both():
            return torch.ones(1), torch.ones(1, device="cuda")
        --- pkg/middle.py
        import torch
        from .both import both
        def get():
            host, there = both()
            return there
        def got():
            return both()[0]
        --- pkg/use.py
        import torch
        from .middle import get, got
        got().item()
        get().item()  # waits
        """,
    "inherited from another file": """
        --- pkg/__init__.py
        --- pkg/base.py
        import torch
        class Base:
            def __init__(self):
                self.held = torch.ones(1, device="cuda")
                self.shadowed = torch.ones(1, device="cuda")
            def make(self):
                return torch.ones(1, device="cuda")
            def other(self):
                return torch.ones(1, device="cuda")
        --- pkg/middle.py
        from .base import Base
        class Middle(Base):
            pass
        --- pkg/sub.py
        import torch
        from .middle import Middle
        class Sub(Middle):
            def __init__(self):
                super().__init__()
                self.shadowed = torch.ones(1)
            def other(self):
                return torch.ones(1)
            def go(self):
                self.held.item()  # waits
                self.shadowed.item()
                self.other().item()
                super().other().item()  # waits
                super(Sub, self).other().item()  # waits
                return self.make().item()  # waits
        """,
    "the constructor of a base is told the device": """
        --- pkg/__init__.py
        --- pkg/base.py
        import torch
        class Base:
            def __init__(self, where, size=1):
                self.held = torch.ones(size, device=where)
        --- pkg/sub.py
        import torch
        from .base import Base
        class Sub(Base):
            def __init__(self):
                super().__init__("cuda")
            def read(self):
                return self.held.item()  # waits
        """,
    "modules that hold modules": """
        --- pkg/__init__.py
        --- pkg/layer.py
        import torch
        from torch import nn
        class Layer(nn.Module):
            def __init__(self):
                super().__init__()
                self.count = torch.zeros(1, device="cuda")
            def read(self):
                return self.count
            def host(self):
                return torch.zeros(1)
        --- pkg/net.py
        import torch
        from torch import nn
        from .layer import Layer
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.layers = nn.ModuleList([Layer() for _ in range(3)])
                self.more = nn.ModuleList()
                for _ in range(3):
                    self.more.append(Layer())
                self.named = nn.ModuleDict({"a": Layer()})
                self.grown = nn.ModuleDict()
                self.grown["a"] = Layer()
                self.row = nn.Sequential(nn.Linear(1, 1), Layer())
            def read(self):
                for index, layer in enumerate(self.layers):
                    layer.host().item()
                    layer.read().item()  # waits
            def read_more(self):
                for layer in self.more:
                    layer.read().item()  # waits
                self.more[0].read().item()  # waits
                self.more[1:][0].read().item()  # waits
            def read_named(self, key):
                self.named[key].read().item()  # waits
                self.grown[key].read().item()  # waits
                for key, layer in self.named.items():
                    layer.read().item()  # waits
                self.row[1].read().item()  # waits
        --- pkg/use.py
        import torch
        from .net import Net
        def use(net: Net):
            net.layers[0].read().item()  # waits
            for layer in net.more:
                layer.count.item()  # waits
                layer.host().item()
        """,
    "call sites that disagree": """
        --- pkg/__init__.py
        --- pkg/read.py
        import torch
        def read(thing):
            return thing.item()
        def same(thing):
            return thing.item()  # waits
        --- pkg/one.py
        import torch
        from .read import read, same
        read(torch.ones(1))
        same(torch.ones(1, device="cuda"))
        --- pkg/two.py
        import torch
        from . import read
        read.read(torch.ones(1, device="cuda"))  # waits
        read.same(torch.ones(2, device="cuda"))
        """,
    "call sites in tests alone": """
        --- pkg/__init__.py
        --- pkg/read.py
        import torch
        def read(thing):
            return thing.item()
        --- tests/helper.py
        import torch
        def read(thing):
            return thing.item()  # waits
        --- tests/test_read.py
        import torch
        from pkg.read import read
        from tests import helper
        def test():
            read(torch.ones(1, device="cuda"))  # waits
            helper.read(torch.ones(1, device="cuda"))
        """,
    "recursion across files": """
        --- pkg/__init__.py
        --- pkg/even.py
        import torch
        from . import odd
        def even(n, thing):
            if n == 0:
                return thing.item()  # waits
            return odd.odd(n - 1, thing)
        def alone(n, thing):
            if n > 0:
                return alone(n - 1, thing)
            return thing.item()  # waits
        --- pkg/odd.py
        import torch
        from . import even
        def odd(n, thing):
            if n == 0:
                return thing.item()  # waits
            return even.even(n - 1, thing)
        --- pkg/start.py
        import torch
        from .even import alone, even
        even(3, torch.ones(1, device="cuda"))
        alone(3, torch.ones(1, device="cuda"))
        """,
    "methods that are reached through arguments": """
        --- pkg/__init__.py
        --- pkg/both.py
        import torch
        from .left import Left
        from .right import Right
        def load(runner, thing):
            runner.send(thing)
        def send(runner, thing):
            runner.load(thing)
        load(Left(), torch.ones(1, device="cuda"))
        send(Right(), torch.ones(1, device="cuda"))
        --- pkg/left.py
        import torch
        class Left:
            def send(self, item_):
                return item_.item()  # waits
        --- pkg/right.py
        import torch
        class Right:
            def load(self, item_):
                return item_.item()  # waits
        """,
    "classes in classes": """
        --- pkg/__init__.py
        --- pkg/outer.py
        import torch
        class Base:
            class Inherited:
                table = torch.ones(1, device="cuda")
        class Outer(Base):
            class Inner:
                table = torch.ones(1, device="cuda")
                def __init__(self):
                    self.held = torch.ones(1, device="cuda")
                def get(self):
                    self.held.item()  # waits
                    return self.held
            def __init__(self):
                self.inner = self.Inner()
                self.held = torch.ones(1)
        --- pkg/use.py
        import torch
        from . import outer
        from .outer import Outer
        Outer.Inner.table.item()  # waits
        Outer.Inherited.table.item()  # waits
        outer.Outer.Inner().get().item()  # waits
        def use(one: Outer.Inner, two: Outer):
            one.held.item()  # waits
            two.held.item()
            two.inner.get().item()  # waits
        """,
    "variables that are each other": """
        --- one.py
        import torch
        import two
        x = two.y
        x.item()
        --- two.py
        import torch
        import one
        y = one.x
        z = one.x.z
        z.item()
        """,
    "an attribute that one class owns": """
        --- pkg/__init__.py
        --- pkg/classes.py
        import torch
        class A:
            def __init__(self):
                self.alone = torch.ones(1, device="cuda")
                self.both = torch.ones(1, device="cuda")
                self.computed = torch.ones(1, device="cuda")
        class B:
            def __init__(self):
                self.both = torch.ones(1, device="cuda")
            @property
            def computed(self):
                return 1
            @property
            def only(self):
                return torch.ones(1, device="cuda")
        --- pkg/use.py
        import torch
        def use(what):
            what.both.item()
            what.computed.item()
            what.only.item()  # waits
            return what.alone.item()  # waits
        """,
    "what an annotation names": """
        --- pkg/__init__.py
        --- pkg/state.py
        import torch
        class State:
            def __init__(self):
                self.seen = torch.ones(1, device="cuda")
        class Another:
            def __init__(self):
                self.seen = 1
        --- pkg/use.py
        from __future__ import annotations
        import torch
        from typing import TYPE_CHECKING, Optional, cast
        if TYPE_CHECKING:
            from .state import State
        def one(what: State):
            what.seen.item()  # waits
        def two(what: "Optional[State]"):
            what.seen.item()  # waits
        def three(what):
            cast("State", what).seen.item()  # waits
        def four(what):
            if isinstance(what, State):
                return what.seen.item()  # waits
            return what.seen.item()
        def five(whats: list[State]):
            for what in whats:
                what.seen.item()  # waits
        """,
    "buffers": """
        --- pkg/__init__.py
        --- pkg/net.py
        import torch
        from torch import nn
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.register_buffer("steps", torch.zeros(1))
        --- pkg/train.py
        import torch
        from .net import Net
        def train(net: Net):
            return net.steps.item()  # waits
        """,
    "other names of functions": """
        --- pkg/__init__.py
        from .make import alias as again
        --- pkg/make.py
        import torch
        from functools import partial
        def make(where):
            return torch.zeros(1, device=where)
        def fixed(n):
            return torch.zeros(n, device="cuda")
        alias = fixed
        one = partial(fixed, 1)
        class Holder:
            table = torch.zeros(1, device="cuda")
            @staticmethod
            def static(n):
                return torch.zeros(n, device="cuda")
            @classmethod
            def build(cls):
                return cls()
            def get(self):
                return self.table
        --- pkg/use.py
        import torch
        import pkg
        from .make import Holder, alias, one
        alias(1).item()  # waits
        pkg.again(1).item()  # waits
        one().item()  # waits
        Holder.table.item()  # waits
        Holder.static(1).item()  # waits
        Holder.build().get().item()  # waits
        """,
    "star imports": """
        --- pkg/__init__.py
        --- pkg/make.py
        import torch
        __all__ = ["_make"]
        def _make():
            return torch.zeros(1, device="cuda")
        def make():
            return torch.zeros(1, device="cuda")
        --- pkg/middle.py
        import torch
        from .make import *
        def through():
            return _make()
        --- pkg/use.py
        import torch
        from .make import *
        from .middle import through
        _make().item()  # waits
        make().item()
        through().item()  # waits
        """,
    "imports inside functions, and folders without __init__": """
        --- code/make.py
        import torch
        def make():
            return torch.zeros(1, device="cuda")
        --- code/use.py
        import torch
        def use():
            from .make import make
            return make().item()  # waits
        def again():
            from code import make
            return make.make().item()  # waits
        """,
    "functions within functions are told what their calls pass": """
        --- use.py
        import torch
        def read(ids: torch.Tensor, mask: torch.Tensor):
            def count(one: torch.Tensor):
                return one.sum().item()
            def again(one: torch.Tensor):
                return one.sum().item()  # waits
            def both(one: torch.Tensor):
                return count(one) + one.sum().item()
            def size(thw: torch.Tensor):
                return max(thw[0], thw[1])
            def unknown(one: torch.Tensor):
                return one.sum().item()  # waits
            def either(one: torch.Tensor):
                return one.sum().item()
            either(ids)
            either(torch.zeros(3))
            count(ids.cpu())  # waits
            both(mask.cpu() == 1)  # waits
            again(mask)
            size((ids.shape[0], 1))
            unknown(mystery())
            register(unknown)
        """,
    "numbers that every caller passes are no tensors, whatever the annotation says": """
        --- use.py
        import torch
        def area(thw: torch.LongTensor):
            return max(thw[0] * 2, 1)
        def other(thw: torch.LongTensor, count):
            return max(thw[0] * 2, 1)  # waits
        def third(count: torch.Tensor):
            return count.item()  # waits
        class Model(torch.nn.Module):
            def forward(self, x, rows, count=1):
                area((x.shape[0], 2, 3))
                area([1, 2, 3])
                other((x.shape[0], 2, 3), 1)
                other(mystery(x), 2)
                third(rows == 1)
                third(count)
        """,
    "what a file keeps on the host by a flag is there": """
        --- model.py
        import torch
        from typing import TypedDict
        class Images(TypedDict):
            sizes: torch.Tensor
            pixels: torch.Tensor
        def fields():
            return dict(sizes=Field.batched("image", keep_on_cpu=True), pixels=Field.batched("image"))
        class Model(torch.nn.Module):
            def forward(self, images: Images, sizes: torch.Tensor, pixels: torch.Tensor):
                sizes.tolist()
                pixels.tolist()  # waits
                images["sizes"].tolist()
                images["pixels"].tolist()  # waits
                self.visit(images["sizes"])
            def visit(self, grid: torch.Tensor):
                return grid.tolist()
            def crop(self, sizes):
                return sizes.tolist()
            def parse(self, **given):
                other = given.pop("sizes", None)
                self.visit(other)
                sizes = mystery(given)
                return sizes.tolist() + other.tolist()
        """,
    "what is kept on the host by the file of a base is there": """
        --- pkg/__init__.py
        --- pkg/base.py
        import torch
        class Processor:
            def fields(self):
                return {"sizes": Field.batched("image", keep_on_cpu=True)}
        --- pkg/model.py
        import torch
        from pkg.base import Processor
        class NewProcessor(Processor):
            pass
        class Model(torch.nn.Module):
            def forward(self, sizes: torch.Tensor):
                return sizes.tolist()
        --- pkg/third.py
        import torch
        from pkg.base import Processor
        @registry.register(Processor)
        class Model(torch.nn.Module):
            def forward(self, sizes: torch.Tensor):
                return sizes.tolist()
        --- pkg/other.py
        import torch
        from pkg import base
        class Model(torch.nn.Module):
            def forward(self, sizes: torch.Tensor):
                return sizes.tolist()  # waits
        """,
    "an override that hands on its parameter tells nothing": """
        --- model.py
        import torch
        class Base(torch.nn.Module):
            def embed(self, ids: torch.Tensor, mask: torch.Tensor): ...
        class Near(Base):
            def embed(self, ids: torch.Tensor, mask: torch.Tensor):
                return super().embed(ids, mask)
        class Far(Base):
            def embed(self, ids: torch.Tensor, mask: torch.Tensor):
                return mask.tolist()
        class Runner:
            def __init__(self, model: Base):
                self.model = model
            def run(self, ids: torch.Tensor):
                self.model.embed(ids, torch.zeros(3, dtype=torch.bool))
        """,
    "results of a pipeline are on the host after its last stage": """
        --- pipe.py
        import torch
        class CountingPipeline:
            def forward(self, inputs):
                labels = self.model(inputs)
                return labels.tolist()  # waits
            def postprocess(self, outputs):
                labels = outputs["labels"]
                return labels.tolist()
        """,
    "where the CPU is the device, nothing waits for another": """
        --- pkg/__init__.py
        --- pkg/ops/cpu/attention.py
        import torch
        def attend(lens):
            return lens.tolist()
        --- pkg/ops/attention.py
        import torch
        def attend(lens):
            return lens.tolist()  # waits
        --- pkg/use.py
        import torch
        from pkg.ops.cpu import attention as near
        from pkg.ops import attention as far
        class Model(torch.nn.Module):
            def forward(self, lens: torch.Tensor):
                near.attend(lens)
                far.attend(lens)
        """,
    "what is sent to the host by code that reads media was there, most likely": """
        --- pkg/__init__.py
        --- pkg/common/video.py
        import torch
        def decode(data):
            return mystery(data).cpu()
        class Encoder(torch.nn.Module):
            def forward(self, data):
                return mystery(data, 1).cpu()  # waits
        --- pkg/steps.py
        import torch
        def decode(data):
            return mystery(data).cpu()  # waits
        """,
    "buffers follow their modules, and what modules give is on the device": """
        --- model.py
        import torch
        from torch import nn
        class Model(nn.Module):
            def __init__(self):
                super().__init__()
                self.table = nn.Buffer(torch.zeros(3))
                self.plain = torch.zeros(3)
            def forward(self, x: torch.Tensor):
                self.table.tolist()  # waits
                self.plain.tolist()
                return torch.cat(self.features(x)).to(x.device)
            def features(self, x):
                return mystery(x)
        def send(pieces, device):
            return torch.cat(pieces).to(device)  # waits
        """,
    "overrides of one method, and methods of one name": """
        --- model.py
        import torch
        class Inner(torch.nn.Module):
            def forward(self, x, rows=None):
                return rows.tolist()  # waits
        class Outer(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.inner = Inner()
            def forward(self, x: torch.Tensor, rows: torch.Tensor):
                return self.inner(x, rows)
        """,
    "what a caller has in a mapping": """
        --- pkg/__init__.py
        --- pkg/fields.py
        import torch
        from typing import TypedDict
        class Fields(TypedDict):
            near_cpu: torch.Tensor
            far: torch.Tensor
        --- pkg/trainer.py
        import torch
        from pkg.fields import Fields
        from pkg.other import read, score, take
        class Trainer:
            def compute_loss(self, inputs: dict, fields: Fields):
                score(inputs)
                take(fields)
                read({"mask": torch.ones(3, device="cuda")})
        --- pkg/other.py
        import torch
        def score(inputs):
            count(inputs["mask"])
        def count(mask: torch.Tensor):
            return mask.sum().item()  # waits
        def take(fields):
            return fields["near_cpu"].tolist() + fields["far"].tolist()  # waits
        def read(inputs):
            return inputs["mask"].tolist()  # waits
        """,
    "what stands in for a tensor says nothing of it": """
        --- model.py
        import torch
        class Model(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.cache = (torch.tensor([]),)
                self.table = torch.tensor([1])
            def forward(self, x: torch.Tensor):
                first = self.cache[0].to(x.device)
                return first + self.table.to(x.device)  # waits
        """,
    "modules of processors run on the host": """
        --- pkg/__init__.py
        --- pkg/processors/filters.py
        import torch
        class Filters(torch.nn.Module):
            def forward(self, x):
                return x.sum().item()
        --- pkg/models/filters.py
        import torch
        class Filters(torch.nn.Module):
            def forward(self, x):
                return x.sum().item()  # waits
        """,
    "callers that do not agree leave little of a convention": """
        --- use.py
        import torch
        def both(x: torch.Tensor):
            return x.sum().item()
        def one(x: torch.Tensor):
            return x.sum().item()  # waits
        class Model(torch.nn.Module):
            def forward(self, x: torch.Tensor):
                both(x)  # waits
                both(torch.zeros(3))
                one(x)
                one(mystery(x))
                most(x)
                most(x + 1)
                most(x * 2)
                most(torch.zeros(3))
        def most(x: torch.Tensor):
            return x.sum().item()  # waits
        """,
    "a list that is empty is not copied": """
        --- use.py
        import torch
        class Model(torch.nn.Module):
            def forward(self, x: torch.Tensor, sizes: list[torch.Tensor]):
                a = torch.stack(sizes) if len(sizes) > 0 else torch.tensor(sizes, device=x.device)
                if not sizes:
                    return torch.tensor(sizes, device=x.device)
                if len(sizes) == 0:
                    return torch.tensor(sizes, device=x.device)
                return torch.tensor(sizes, device=x.device)  # waits
        """,
    "arrays that every caller passes are no tensors": """
        --- use.py
        import numpy as np
        import torch
        class Scheduler:
            def set_timesteps(self, n):
                sigmas = np.array([1.0, 2.0])
                self.convert(sigmas, n)
            def convert(self, sigmas: torch.Tensor, n: int):
                return sigmas[-1].item()
            def other(self, sigmas: torch.Tensor, n: int):
                return sigmas[-1].item()  # waits
        """,
    "next to a tensor in host memory, convention says little": """
        --- model.py
        import torch
        class Model(torch.nn.Module):
            def __init__(self):
                self.near_cpu = torch.zeros(3)
                self.one_cpu = torch.tensor(1.0)
            def forward(self, x: torch.Tensor):
                (x & self.near_cpu).tolist()
                (x & self.one_cpu).tolist()  # waits
        """,
    "modules that import each other": """
        --- pkg/__init__.py
        from .one import one
        from .two import two
        --- pkg/one.py
        import torch
        import pkg
        def one():
            return torch.zeros(1, device="cuda")
        def use():
            return pkg.two().item()  # waits
        --- pkg/two.py
        import torch
        import pkg
        def two():
            return pkg.one()
        """,
}


@pytest.mark.parametrize("case", CASES, ids=[name.replace(" ", "-") for name in CASES])
def test_what_waits_is_found(case: str, tmp_path: Path) -> None:
    files = split(CASES[case])
    write(tmp_path, files)
    assert places(lint(tmp_path)) == marked(files)


def test_a_chain_goes_through_all_files(tmp_path: Path) -> None:
    files = split(
        """
        --- pkg/__init__.py
        --- pkg/a.py
        import torch
        from .b import middle
        def start():
            made = torch.zeros(1, device="cuda")
            return middle(made)
        --- pkg/b.py
        import torch
        from .c import end

        def middle(thing):
            return end(thing)
        --- pkg/c.py
        import torch


        def end(item_):
            return item_.item()  # waits
        """
    )
    write(tmp_path, files)
    [finding] = lint(tmp_path)["pkg/c.py"]
    assert chain(finding, tmp_path) == [
        ("pkg/a.py", 4, "`torch.zeros(...)` makes a tensor on CUDA"),
        ("pkg/a.py", 5, "passed as `thing` by `start`"),
        ("pkg/b.py", 5, "passed as `item_` by `middle`"),
    ]
    assert finding.confidence is Confidence.LIKELY  # there may be callers that cannot be seen
    assert places(lint(tmp_path, ["pkg/c.py"])) == marked(files)
