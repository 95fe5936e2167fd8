"""Tiny transformers models with random weights: the same weights and inputs on the CPU and on CUDA, the same results.

Run by pytest with the plugin of this folder (``pytest -p studies.on_cuda --on cuda studies/models.py``). Nothing is
downloaded. Training compares the losses of a few steps, generation the tokens.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest
import torch
import transformers
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

Inputs = dict[str, torch.Tensor]
STEPS = 4
NEW_TOKENS = 12


@pytest.fixture(autouse=True)
def _cpu_unless_told() -> Iterator[None]:
    """Models are built and computed on the CPU first, and then moved: no default device while they are."""
    device = torch.get_default_device()
    torch.set_default_device(None)
    torch.manual_seed(0)
    yield
    torch.set_default_device(device)


def decoder(**more: Any) -> dict[str, Any]:
    return {
        "vocab_size": 97, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 128,
        "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, **more,
    }  # fmt: skip


def text(batch: int = 3, length: int = 9) -> Inputs:
    ids = torch.randint(3, 97, (batch, length))
    mask = torch.ones_like(ids)
    ids[0, :4] = 0  # padded on the left, as batched prompts are
    mask[0, :4] = 0
    return {"input_ids": ids, "attention_mask": mask}


def llama() -> tuple[nn.Module, Inputs]:
    return transformers.LlamaForCausalLM(transformers.LlamaConfig(**decoder())), text()


def mixtral() -> tuple[nn.Module, Inputs]:
    config = transformers.MixtralConfig(**decoder(num_local_experts=4, num_experts_per_tok=2))
    return transformers.MixtralForCausalLM(config), text()


def qwen3_moe() -> tuple[nn.Module, Inputs]:
    config = transformers.Qwen3MoeConfig(
        **decoder(num_experts=4, num_experts_per_tok=2, moe_intermediate_size=32, head_dim=8)
    )
    return transformers.Qwen3MoeForCausalLM(config), text()


def whisper() -> tuple[nn.Module, Inputs]:
    config = transformers.WhisperConfig(
        vocab_size=97, d_model=32, encoder_layers=2, decoder_layers=2, encoder_attention_heads=4,
        decoder_attention_heads=4, encoder_ffn_dim=64, decoder_ffn_dim=64, num_mel_bins=80, max_source_positions=30,
        max_target_positions=64, pad_token_id=0, bos_token_id=1, eos_token_id=2, decoder_start_token_id=1,
        suppress_tokens=None, begin_suppress_tokens=None,
    )  # fmt: skip
    return transformers.WhisperForConditionalGeneration(config), {"input_features": torch.randn(2, 80, 60)}


def qwen2_5_vl() -> tuple[nn.Module, Inputs]:
    config = transformers.Qwen2_5_VLConfig(
        text_config=decoder(rope_scaling={"type": "mrope", "mrope_section": [1, 1, 2]}),
        vision_config={
            "depth": 2, "hidden_size": 32, "intermediate_size": 64, "num_heads": 4, "out_hidden_size": 32,
            "patch_size": 4, "spatial_merge_size": 2, "temporal_patch_size": 2, "window_size": 16,
            "fullatt_block_indexes": [1],
        },
        image_token_id=90, video_token_id=91, vision_start_token_id=92, vision_end_token_id=93,
    )  # fmt: skip
    grid = torch.tensor([[1, 4, 4]])
    ids = torch.tensor([[5, 92, 90, 90, 90, 90, 93, 7, 8]])
    inputs = {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "pixel_values": torch.randn(16, 3 * 2 * 4 * 4),
        "image_grid_thw": grid,
        "mm_token_type_ids": (ids == 90).int(),
    }
    return transformers.Qwen2_5_VLForConditionalGeneration(config), inputs


def llava() -> tuple[nn.Module, Inputs]:
    config = transformers.LlavaConfig(
        text_config=transformers.LlamaConfig(**decoder()),
        vision_config=transformers.CLIPVisionConfig(
            hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, image_size=16,
            patch_size=4,
        ),
        image_token_id=90, image_seq_length=16, vision_feature_layer=-1,
    )  # fmt: skip
    ids = torch.cat([torch.full((2, 16), 90), torch.randint(3, 90, (2, 6))], dim=1)
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "pixel_values": torch.randn(2, 3, 16, 16)}
    return transformers.LlavaForConditionalGeneration(config), inputs


def bert() -> tuple[nn.Module, Inputs]:
    config = transformers.BertConfig(
        vocab_size=97, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64
    )
    inputs = text()
    inputs["labels"] = torch.where(torch.rand(inputs["input_ids"].shape) < 0.3, inputs["input_ids"], -100)
    return transformers.BertForMaskedLM(config), inputs


def vit() -> tuple[nn.Module, Inputs]:
    config = transformers.ViTConfig(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64, image_size=16, patch_size=4
    )
    return transformers.ViTForImageClassification(config), {
        "pixel_values": torch.randn(2, 3, 16, 16),
        "labels": torch.tensor([0, 1]),
    }


GENERATE: tuple[Callable[[], tuple[nn.Module, Inputs]], ...] = (llama, mixtral, qwen3_moe, whisper, qwen2_5_vl, llava)
TRAIN = (llama, bert, mixtral, qwen3_moe, whisper, qwen2_5_vl, llava, vit)
SEARCHES: Mapping[str, Mapping[str, Any]] = {
    "greedy": {},
    "beams": {"num_beams": 3},
    "penalties": {"repetition_penalty": 1.3, "no_repeat_ngram_size": 2, "min_new_tokens": 4},
    "static_cache": {"cache_implementation": "static", "disable_compile": True},
}


def moved(inputs: Inputs, device: str) -> Inputs:
    return {name: value.to(device) for name, value in inputs.items()}


@pytest.mark.parametrize("search", SEARCHES)
@pytest.mark.parametrize("make", GENERATE, ids=lambda make: make.__name__)
def test_generates_the_same_tokens(make: Callable[[], tuple[Any, Inputs]], search: str) -> None:
    model, inputs = make()
    model.eval()
    options = {"max_new_tokens": NEW_TOKENS, "do_sample": False, **SEARCHES[search]}
    expected = model.generate(**inputs, **options)
    got = model.to("cuda").generate(**moved(inputs, "cuda"), **options)
    assert got.is_cuda
    assert got.cpu().tolist() == expected.tolist()


@pytest.mark.parametrize("make", GENERATE, ids=lambda make: make.__name__)
def test_samples_on_the_device(make: Callable[[], tuple[Any, Inputs]]) -> None:
    model, inputs = make()
    options = {"max_new_tokens": NEW_TOKENS, "do_sample": True, "top_k": 20, "top_p": 0.9, "temperature": 0.7}
    got = model.eval().to("cuda").generate(**moved(inputs, "cuda"), **options)
    assert got.is_cuda
    assert 0 <= got.min().item() <= got.max().item() < 97


def losses(model: nn.Module, inputs: Inputs, *, autocast: bool = False) -> list[float]:
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    device = next(model.parameters()).device.type
    found = []
    for _ in range(STEPS):
        with torch.autocast(device, dtype=torch.bfloat16, enabled=autocast):
            loss = model(**inputs).loss
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        found.append(loss.detach())
    return [loss.item() for loss in found]


def labelled(inputs: Inputs) -> Inputs:
    if "labels" in inputs:
        return inputs
    if "input_ids" in inputs:
        return {**inputs, "labels": inputs["input_ids"].masked_fill(inputs["attention_mask"] == 0, -100)}
    return {**inputs, "labels": torch.randint(3, 97, (len(inputs["input_features"]), 7))}


@pytest.mark.parametrize("autocast", [False, True], ids=["float32", "autocast"])
@pytest.mark.parametrize("make", TRAIN, ids=lambda make: make.__name__)
def test_trains_with_the_same_losses(make: Callable[[], tuple[Any, Inputs]], autocast: bool) -> None:
    model, inputs = make()
    for module in model.modules():  # dropout draws other numbers on another device
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    if hasattr(model.config, "output_router_logits"):
        model.config.output_router_logits = True  # the loss that balances the experts
    inputs = labelled(inputs)
    model.train()
    twin = copy.deepcopy(model).to("cuda")
    expected = losses(model, inputs)
    got = losses(twin, moved(inputs, "cuda"), autocast=autocast)
    assert len(set(got)) > 1, "nothing was learned"
    assert got == pytest.approx(expected, rel=0.02 if autocast else 1e-5)
