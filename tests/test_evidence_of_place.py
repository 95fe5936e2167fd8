"""What names and idioms of the code say about where a tensor is, when nothing else does."""

from __future__ import annotations

from pathlib import Path

import pytest
from projects import lint, marked, places, split, write

CASES = {
    "a comparison with something unknown is no number": """
        --- pkg/__init__.py
        --- pkg/metadata.py
        import torch
        from dataclasses import dataclass
        from .elsewhere import lengths
        @dataclass
        class Metadata:
            slots: torch.Tensor
            has_state: torch.Tensor | None = None
        class MetadataBuilder:
            def build(self, slots: torch.Tensor):
                started = lengths() > 0
                return Metadata(slots=slots, has_state=started)
        --- pkg/elsewhere.py
        def lengths():
            return external()
        --- pkg/layer.py
        import torch
        from .metadata import Metadata
        class Layer(torch.nn.Module):
            def forward(self, metadata: Metadata):
                return metadata.slots[~metadata.has_state]  # waits
        """,
    "a comparison of numbers is a number": """
        --- a.py
        import torch
        def forward(x: torch.Tensor, n: int):
            chosen = n == 3
            return x[chosen]
        """,
    "functions that take things to a device": """
        --- movers.py
        import torch
        def send_to_device(tensor, device):
            def _send(t):
                return t.to(device)  # waits
            return apply(_send, tensor)
        def convert_tensor(input_, device=None):
            def _func(tensor):
                return tensor.to(device=device) if device else tensor  # waits
            return apply(_func, input_)
        def move_data(tensor, device, non_blocking):
            return tensor.to(device, non_blocking=non_blocking)
        def model_to_device(model, device):
            return model.to(device)
        def shift(tensor, device):
            return tensor.to(device)
        def to_device(x, device):
            made = torch.zeros(3, device="cuda")
            return made.to(device)
        """,
    "a device that was given a name of another maker": """
        --- movers.py
        import torch
        def set_module_tensor_to_device(module, name, device: int | str | torch.device, value: torch.Tensor):
            if isinstance(device, int):
                if has_npu():
                    device = f"npu:{device}"
                elif has_hpu():
                    device = "hpu"
            if quantized(module):
                device = "cpu"
            module._parameters[name] = value.to(device)  # waits
        """,
    "the accelerator of another machine on one path": """
        --- scheduler.py
        import torch
        class Scheduler:
            def forward(self, sample: torch.Tensor, steps: torch.Tensor):
                if sample.device.type == "mps":
                    steps = steps.to(sample.device, dtype=torch.float32)
                else:
                    steps = steps.to(sample.device)
                return (steps == 3).nonzero()  # waits
        """,
    "the accelerator, if there is one": """
        --- a.py
        import torch
        device = "cpu"
        if torch.cuda.is_available():
            device = "cuda"
        elif torch.backends.mps.is_available():
            device = "mps"
        torch.zeros(3).to(device)  # waits
        where = torch.device("cuda")
        if not torch.cuda.is_available():
            where = torch.device("cpu")
        torch.ones(3, device=where).sum().item()  # waits
        kind = "left" if where else "right"
        if kind == "cpu":
            kind = "cpu"
        torch.zeros(3).to(kind)
        """,
    "what model code computes of something unknown": """
        --- trainer.py
        import torch
        class SimpleTrainer:
            def run_step(self):
                self.check(self.model(next(self.data)))
            def check(self, losses):
                if not torch.isfinite(losses).all():  # waits
                    raise FloatingPointError
        class Report:
            def check(self, losses):
                if not torch.isfinite(losses).all():
                    raise FloatingPointError
        """,
    "what is read from a file": """
        --- connector.py
        import safetensors.torch
        import torch
        def forward(x: torch.Tensor, path):
            kept = safetensors.torch.load_file(path)["kept"]
            near = safetensors.torch.load_file(path, device="cuda")["kept"]
            other = safetensors.torch.load_file(path, "cuda")["kept"]
            a = kept.to(x.device, non_blocking=True)  # waits
            b = near.to(x.device, non_blocking=True)
            return a, b
        """,
    "a number that model code computes of something unknown": """
        --- model.py
        import torch
        class Model(torch.nn.Module):
            def process(self, audio):
                counts = audio["counts"]
                return [part.sum().item() for part in counts.split(3)], counts.item()  # waits
        class Report:
            def process(self, audio):
                return audio["counts"].sum().item()
        """,
    "devices that are imported, or numbered": """
        --- pkg/__init__.py
        --- pkg/step.py
        import torch
        from outside import device_type
        from .utils import DEVICE, device_module
        HOME_DEVICE = outside_find()
        def forward(numbers: list[int], data):
            a = torch.tensor(numbers, device=torch.cuda.current_device())  # waits
            b = torch.zeros(3).to(torch.cuda.current_device())  # waits
            c = torch.zeros(3).to(device_type)  # waits
            d = torch.zeros(3).to(DEVICE)  # waits
            d = torch.zeros(3).to(HOME_DEVICE)  # waits
            e = torch.zeros(3).to(device_module.float16)
            f = torch.tensor(data.lengths_cpu, device=torch.cuda.current_device())  # waits
            return a, b, c, d, e, f
        --- pkg/utils.py
        import torch
        from outside import find, device_module
        DEVICE = find()
        """,
    "numbers of the standard library": """
        --- a.py
        import math
        import torch
        def forward(x: torch.Tensor, n: int):
            return math.isfinite(x.sum()), math.isfinite(n)  # waits
        """,
    "states of metrics": """
        --- metric.py
        import torch
        from torchmetrics import Metric
        class Accuracy(Metric):
            def __init__(self):
                super().__init__()
                self.add_state("correct", default=torch.tensor(0), dist_reduce_fx="sum")
                self.add_state("seen", default=[], dist_reduce_fx="cat")
                self.unknown("total", default=torch.tensor(0))
            def update(self, logits):
                self.correct += int(logits.argmax() == 1)  # waits
            def compute(self):
                if self.correct == 0:  # waits
                    return 0
                if self.total == 0:
                    return 0
                return self.seen[0].item()  # waits
        """,
    "what an answer of a model has": """
        --- evaluate.py
        import torch
        def evaluate(model, batch):
            outputs = model(batch)
            return outputs.logits.argmax(-1).tolist(), outputs.names.tolist()  # waits
        """,
    "what kernels for sequences are given": """
        --- kernels.py
        import torch
        def lengths(cu_seqlens, other):
            longest = (cu_seqlens[1:] - cu_seqlens[:-1]).max().item()  # waits
            return longest, (other[1:] - other[:-1]).max().item()
        """,
    "positions that are made in host memory": """
        --- a.py
        import torch
        def forward(x: torch.Tensor):
            chosen = [i for i in range(3)]
            x[torch.tensor(chosen)] = 0  # waits
            return x
        """,
    "a tensor, whatever else it might have been, that is sent": """
        --- batch.py
        import torch
        def prepare(batch, device):
            return {k: v.to(device) if isinstance(v, torch.Tensor) else v for k, v in batch.items()}  # waits
        """,
    "a tensor, whatever else it might have been, that is fetched": """
        --- trainer.py
        import torch
        def write(metrics):
            return {k: v.detach().cpu() if isinstance(v, torch.Tensor) else v for k, v in metrics.items()}  # waits
        """,
    "a number at positions of which only the name is known": """
        --- sampler.py
        import torch
        class Sampler(torch.nn.Module):
            def __init__(self, config, device):
                self.mask = torch.zeros(8, dtype=torch.bool, device=device)
                self.suppressed_ids = config.get("suppressed")
            def forward(self, logits: torch.Tensor, state):
                logits[:, self.suppressed_ids] = -float("inf")  # waits
                self.mask[state.force_idx] = True  # waits
                logits[state.row] = 0
                logits[:, state.last_id] = 0
                self.mask[state.chosen] = True
                return logits
        """,
    "what a model has computed is not prepared data": """
        --- multimodal/prune.py
        import torch
        def keep(video_embeds: torch.Tensor, sizes: torch.Tensor):
            scores = video_embeds.mean(dim=-1)
            return scores.max().item() + sizes.max().item()  # waits
        """,
    "a name of model code makes a likely tensor of a possible one": """
        --- model.py
        import torch
        class Head(torch.nn.Module):
            def forward(self, hidden_states: torch.Tensor, pair: bool) -> tuple[torch.Tensor, None] | torch.Tensor:
                if pair:
                    return hidden_states, None
                return hidden_states
        class Model(torch.nn.Module):
            def __init__(self):
                self.head = Head()
            def forward(self, x: torch.Tensor):
                logits = self.head(x, False)
                return logits.argmax().item()  # waits
            def more(self, x: torch.Tensor):
                several = self.head(x, False)
                return several.argmax().item()
        """,
    "each key has its turn in a loop": """
        --- trainer.py
        import torch
        class Trainer:
            def preprocess(self, batch: dict):
                for k in ("image", "label"):
                    batch[k] = batch[k].to("cuda")  # waits
                return batch
        """,
    "nobody copies from the host to the host": """
        --- trainer.py
        import torch
        class Base:
            def preprocess(self, batch: dict):
                batch["image"] = batch["image"].to("cuda")  # waits
                return batch
        class Trainer(Base):
            def preprocess(self, batch: dict):
                batch = super().preprocess(batch)
                batch["visuals"] = batch["visuals"].to(batch["image"].device)  # waits
                return batch
        """,
    "an unknown function was given a tensor of the accelerator": """
        --- model.py
        import torch
        class Encoder(torch.nn.Module):
            def __init__(self, tower):
                self.tower = tower
            def forward(self, lengths: torch.Tensor, name: str):
                valid = self.tower.output_length(lengths)
                count = self.tower.output_count(name)
                return [valid[i].item() for i in range(3)], count[0].item()  # waits
        """,
    "what is not yet a tensor is made one": """
        --- model.py
        import torch
        class Model(torch.nn.Module):
            def forward(self, x: torch.Tensor, lengths):
                if isinstance(lengths, list):
                    lengths = torch.tensor(lengths, device=x.device)  # waits
                return lengths.max().item()  # waits
        """,
    "a typed dictionary has the fields of its class": """
        --- model.py
        import torch
        from typing import TypedDict
        class AudioInputs(TypedDict):
            features: torch.Tensor
            keep_mask: torch.Tensor
            sizes: torch.Tensor
        class Model(torch.nn.Module):
            def process(self, audio: AudioInputs):
                encoded, sizes = self.encode(audio["features"]), audio["sizes"]
                kept = encoded[audio["keep_mask"]]  # waits
                return kept.split(sizes.tolist())  # waits
            def process_unknown(self, x: torch.Tensor, audio):
                return x[audio["keep_mask"]]  # waits
            def encode(self, x: torch.Tensor) -> torch.Tensor:
                return x
        """,
    "ceiling division is a tensor's, if it is given one": """
        --- index.py
        import torch
        import triton
        def forward(lengths: torch.Tensor, n: int):
            counts = triton.cdiv(lengths, 64).tolist()  # waits
            return counts, triton.cdiv(n, 64)
        """,
    "functions and devices that are there to wait": """
        --- steps.py
        import torch
        from accelerator import get_accelerator
        def device_synchronize(kind):
            device_mod = getattr(torch, kind)
            device_mod.synchronize()  # waits
        def forward(x, kind, clock):
            device_synchronize(kind)  # waits
            get_accelerator().synchronize()  # waits
            getattr(torch, kind).synchronize()  # waits
            clock.synchronize()
            return x
        """,
}


@pytest.mark.parametrize("case", CASES, ids=[name.replace(" ", "-") for name in CASES])
def test_what_waits_is_found(case: str, tmp_path: Path) -> None:
    files = split(CASES[case])
    write(tmp_path, files)
    assert places(lint(tmp_path)) == marked(files)
