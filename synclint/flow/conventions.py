"""What names say: which are on the host, which are devices, tensors, batches of a data loader, hot entry points."""

from __future__ import annotations

import re
from functools import lru_cache

from synclint.finding import Confidence
from synclint.flow.values import Kind, Place, Value, Why

_HOST_NAME = re.compile(r"(?:^|_)(?:cpu|host|pinned)(?:_|$)|_cpu\d*$|^cpu", re.IGNORECASE)
_NUMPY_NAME = re.compile(r"(?:^|_)(?:np|numpy|ndarray)(?:_|$)")
_GPU_NAME = re.compile(r"(?<!num)(?<!n)(?<!per)(?<!on)(?<!is)(?<!use)(?<!to)(?<!_)_gpu$")
_ONE_DIMENSION = re.compile(
    r"(?:^|_)(?:cu_\w+|indptr|start_locs?|seq_?lens?|slot_mapping|last_page_lens?|cumsum|num_\w+)"
    r"(?:_gpu|_device|_tensor)?(?:_|$)|_idx_gpu$"
)
_LIST_NAME = re.compile(r"(?:_list|_lst|_tuple|_dict|_names?|_str|_strs|_ids_list)$|^num_|^n_|^len_")
_DEVICE_NAME = re.compile(r"(?:^|_)(?:device|dev)(?:_type|_id)?$|^device")
_JUST_DEVICE = re.compile(r"^(?:\w+_)?device(?:_type)?$", re.IGNORECASE)
_PINNED_NAME = re.compile(r"(?:^|_)pinned(?:_|$)")
_LOADER_NAME = re.compile(r"(?:data_?)?loader$|_dl$")
_HOST_SIDE = re.compile(
    r"(?<!attention_)(?<!attn_)(?<!logits_)process(?:ing|or)|(?<!Attention)(?<!Attn)(?<!Logits)(?<!Logit)Process(?:ing|or)|"
    r"tokeniz|dataset|(?:^|[/_])data_|collat|multimodal/|transforms|"
    r"(?:image|audio|video|media)_utils|get_mrope|_parse_|to_rle|augment|prepare_(?:image|audio|video)"
)
_FOR_INPUTS = re.compile(
    r"(?<!post_)(?<!post)(?:pre_?process|prepare|resize|rescale|crop|(?:^|_)pad(?:_|$)|normalize|annotation|augment|label)"
)
_PROCESSOR_FILE = re.compile(r"(?:^|/)(?:pre)?process(?:ors?|ing)/|(?:^|/)(?:image_|video_|audio_)?processing_\w+\.py$")
# Code that reads and writes media and requests: what it has is in host memory unless it says otherwise.
_IN_AND_OUT = re.compile(
    r"(?:^|/)(?:renderers?|entrypoints?|inputs?|protocols?|serial\w*|(?:video|audio|image|media)s?(?:_\w*|io)?)(?:/|\.py$)"
)
# Code for the CPU as a device: `cpu_model_runner.py`, `CPUAttention`, `copy_blocks_cpu`; not `cpu/gpu_worker.py`.
_FOR_CPU = re.compile(r"(?:^|[/_])cpu(?=[/_.]|$)|(?:^|[a-z])C(?:PU|pu)(?=[A-Z]|$)")
_FOR_GPU = re.compile(r"gpu|cuda", re.IGNORECASE)
# Implementations for the CPU as a device: `ops/cpu/attention.py`, `cpu_attn.py`, `CPUAttention`.
_CPU_BACKEND_FILE = re.compile(r"(?:^|/)(?:cpu/\w+|cpu_\w+)\.py$")
_CPU_BACKEND_CLASS = re.compile(r"^_?(?:CPU|Cpu)[A-Z]")
_KEEPS_ON_CPU = re.compile(r"gpu|cuda|offload|adam|optim|buffer|cache|swap|transfer", re.IGNORECASE)

_MODULE_LIKE = re.compile(
    r"model|net$|module|layer|encoder|decoder|backbone|pipe|transformer|vae|unet|^self$|batch|inputs$"
)

# A data loader yields tensors in host memory, one way or another.
_LOADED = Value(Kind.TENSOR, Place.CPU, certainty=Confidence.LIKELY, sure=Confidence.LIKELY)
_LOADER = Value(Kind.SEQUENCE, element=Value(Kind.SEQUENCE, element=_LOADED), certainty=Confidence.LIKELY)
_PREPROCESSING = re.compile(r"(?:^|_)(?:preprocess|transfer|to_device|move|prepare_batch|prepare_input)")
_MOVER = re.compile(
    r"(?:^|_)to_(?:device|cuda|gpu)(?:_|$)|"
    r"^_?(?:move|send|transfer)_(?:data|batch|inputs?|tensors?|sample|features)(?:_|$)|^_?convert_tensor$"
)
_SYNCHRONIZE = re.compile(
    r"^_?(?:(?:torch_)?(?:device|cuda|gpu|accelerator|backend)_sync(?:hronize)?|"
    r"sync(?:hronize)?_(?:device|cuda|gpu|accelerator))$"
)
_DEVICE_INTERFACE = re.compile(
    r"(?:^|_)(?:(?:device|backend)_(?:mod|module|interface|api)|accelerator|platform|torch_(?:device|accelerator))$|"
    r"(?:Accelerator|Platform|DeviceInterface)$"
)
_BATCH_NAME = re.compile(r"^(?:batch|minibatch|mini_batch|data_batch)$")

#: Parameters that model code calls so hold tensors, even without an annotation.
_TENSOR_NAME = re.compile(
    r"^(?:x|x_\w+|hidden|hidden_states?|\w+_states|input_ids|inputs_embeds|\w*embeds|\w*embeddings?|\w*attention_mask|"
    r"mask|\w+_mask|position_ids|logits|\w+_logits|labels|targets?|query|key|value|query_states|pixel_values\w*|"
    r"cu_seqlens\w*|seq_lens|query_start_loc|slot_mapping|cache_position|block_tables?|residual|loss|"
    r"input_lengths|token_type_ids|features|timesteps?|latents|noise|\w+_tensor)$"
)

_KERNEL_ARGUMENT = re.compile(
    r"^(?:cu_seq_?lens(?:_[qk]v?)?|(?:kv|qo|q|k)_indptr|kv_indices|slot_mapping|block_tables?|query_start_loc)$"
)

# Masks by their names, and tensors of positions. A name that says both (`mask_indices`) holds positions.
_MASK_NAME = re.compile(r"(?:^|_)(?:masks?|keep|valid|is_\w+|has_\w+|not_\w+)(?:_|$)|mask(?:_[a-z])?$")
_POSITIONS_NAME = re.compile(
    r"(?:^|_)(?:idx|idxs|index|indexes|indices|inds?|ids?|indx|order|perm|permutation|slots?|positions?|mapping|"
    r"rows?|cols?|offsets?|starts?|ends?)(?:_|$|\d)|(?:idx|indices|ids|inds)$"
)

_SEVERAL_NAME = re.compile(r"(?:ids|idxs|idxes|indices|indexes|inds|positions|rows|cols)$")
_ANSWERS = frozenset(("logits", "last_hidden_state", "pooler_output", "start_logits", "end_logits"))
_COMPUTED_NAME = re.compile(r"^(?:\w+_)?(?:embeds|embeddings|hidden_states|logits|latents)$")

#: Methods that tensors have and hardly anything else does: calling one says what the receiver is.
TENSOR_METHODS = frozenset(
    """
    abs_ add_ addmm amax amin argmax argsort bernoulli_ bfloat16 bmm clamp clamp_ clamp_min clone contiguous cumsum
    detach detach_ dim div_ element_size eq expand expand_as exp flatten float flip floor_divide gather half
    index_add_ index_copy_ index_fill_ index_put_ index_select isfinite isinf isnan is_contiguous is_floating_point
    logical_and logical_not logical_or log_softmax long masked_fill masked_fill_ masked_scatter masked_scatter_
    masked_select matmul mul_ narrow ne new_empty new_full new_ones new_tensor new_zeros nonzero norm numel permute
    pin_memory relu relu_ repeat_interleave requires_grad_ rsqrt scatter scatter_ scatter_add_ sigmoid softmax
    squeeze squeeze_ sub_ swapaxes t_ tanh topk transpose tril triu unbind unflatten unfold unsqueeze unsqueeze_
    view view_as zero_ data_ptr
    """.split()
)

#: Functions that run for every step or token.
HOT_NAMES = frozenset(
    """
    forward step training_step validation_step train_step compute_loss generate sample execute_model __call__ apply
    prepare_inputs _prepare_inputs build propose forward_cuda forward_native forward_mqa forward_mha decode prefill
    _forward run_step run_iter train_iter train_batch eval_batch eval_step train_one_step train_one_batch
    """.split()
)
_BUILDS_EACH_STEP = re.compile(r"Metadata")
_ANYTHING_HAS = frozenset(("__call__", "apply", "sample", "step", "decode"))
_HOT = re.compile(
    r"^_?(?:forward|training_step|beam_search|execute_model|propose|prepare_inputs|decode_step)(?:_|$)"
    r"|^_?(?:generate|sample)(?:_(?:tokens?|draft|loop|one_turn|single_turn|rollouts|actions|(?:and|from|with)_\w+))?$"
)
# Cold, whoever calls them: what they do belongs to the start, to a test or to a measurement.
_FROZEN = re.compile(
    r"^(?:__del__|__repr__|__str__|__setstate__|__getstate__|__reduce__|__reduce_ex__|__init_subclass__|main|"
    r"reset_parameters|from_pretrained|extra_repr|state_dict|load_state_dict|tied_weights\w*|\w*weight_loader\w*|"
    r"load_(?:model|weights?|checkpoint)|create_\w*weights)$"
    r"|^_?(?:test|warm_?up|dummy|profile|benchmark|process_weights|create_weights|init_weights?|dequantize_weights|"
    r"convert_weights?|convert_checkpoint\w*|capture)(?:_|$)|_(?:dummy|warmup|warm_up|profile)_?"
)
# What is defined in a function of such a name runs no more often than it, wherever it is handed to.
_LENDS_ITS_HEAT = re.compile(
    r"^_?(?:test|warm_?up|dummy|profile|benchmark|process_weights|create_weights|init_weights?|dequantize_weights|"
    r"convert_weights?|convert_checkpoint|load_(?:model|weights?|checkpoint))(?:_|$)|weight_loader"
)
# Cold, or warm if something hot calls them.
_COLD = re.compile(
    r"^(?:__init__|__new__|__post_init__)$|^_?(?:(?:load|save)(?!_(?:kv|layer|cache|block|slot|token|worker|thread|loop))|export|"
    r"shutdown|teardown|tear_down|cleanup|clean_up|destroy|close)(?:_|$)"
)
# Cold unless something hot calls them.
_COOL = re.compile(
    r"^_?(?:init|initialize|setup|register|build_model|quantize|convert_hf|download|"
    r"parse_args|add_(?:cli_)?arg\w*|from_config|from_file|push_to_hub|create_optimizer|configure_optimizers|"
    r"resize_token_embeddings|on_(?:train|fit|init)_(?:begin|start|end)|run_(?:daemon|server)|"
    r"(?:pre)?compile|(?:un)?fuse|sleep|wake_?up|unload|reload|release|discard|dispose|offload_model|"
    r"retry|recover|restart|reconfigure|re_?init\w*|rollback|abort|"
    r"(?:update|sync|send|receive|recv|transfer|broadcast|push|pull|reshard|export|finali[sz]e|repack|shuffle|swizzle|"
    r"prepack|permute|requantize)_(?:\w+_)?weights?|checkpoint_(?:prepare|restore|save|load)|"
    r"(?:empty|free|clear|release)_(?:\w+_)?(?:cache|memory)|"
    r"reset_\w*(?:cache|memory|stats)|auto_?tune|(?:generate|make|create)_(?:\w+_)?inputs$|"
    r"(?:prepare|convert|process)_\w*(?:layer|weights?|scales?)_for|validate_load\w*|"
    r"(?:un)?pack_(?:cols|rows)|(?:gptq|awq|marlin|nvfp4|mxfp4|fp8)_(?:\w+_)?(?:pack|permute|process|quantize|zero|to)"
    r")(?:_|$)"
    r"|^\w*memory_(?:usage|stats|info|summary|snapshot|breakdown)$|\w_main$"
)
# Files whose functions are cold unless something hot calls them; those of tests and measurements whatever their names.
_RARE_FILE = re.compile(
    r"(?:^|/)(?:benchmarks?|elastic\w*|weight_(?:transfer|sync|update|cache|loading|utils)|model_loaders?|exporters?|"
    r"(?:dist(?:ributed)?_)?checkpoints?|tests?|testing|test_utils)/|"
    r"(?:^|/)(?:convert_\w+|weight_utils|\w*benchmark|\w+_tests?|test_utils)\.py$"
)
_TRIES = re.compile(
    r"(?:^|/)(?:(?:benchmarks?|tests?|testing|test_utils)/|(?:\w*benchmark|\w+_tests?|test_utils)\.py$)"
)
_COOL_CLASS = re.compile(r"Memory(?:Tracker|Monitor)|Profiler|Benchmark")
_OTHER_LOADER = re.compile(r"weight|model|config|lora|state|param|tensor|image|file|adapter")


@lru_cache(maxsize=65536)
def names_host_memory(name: str) -> bool:
    """``seq_lens_cpu``, ``host_ids``: whoever wrote it says that the tensor is in host memory."""
    return _HOST_NAME.search(name) is not None


@lru_cache(maxsize=65536)
def value_by_name(name: str) -> Value | None:
    """What the name of a variable, parameter or attribute says by itself, or None."""
    if _NUMPY_NAME.search(name):
        return Value(Kind.NDARRAY, certainty=Confidence.LIKELY)
    if _DEVICE_NAME.search(name) and not name.endswith("_id"):
        return Value(Kind.DEVICE, Place.ACCELERATOR, certainty=Confidence.LIKELY, sure=Confidence.LIKELY)
    if _LOADER_NAME.search(name):
        return _LOADER
    if _GPU_NAME.search(name):
        return Value(Kind.TENSOR, Place.ACCELERATOR, certainty=Confidence.LIKELY, sure=Confidence.LIKELY)
    if names_host_memory(name):
        pinned = True if _PINNED_NAME.search(name) else None
        return Value(Kind.TENSOR, Place.CPU, certainty=Confidence.POSSIBLE, sure=Confidence.LIKELY, pinned=pinned)
    return None


def named_value(name: str, line: int) -> Value | None:
    """``value_by_name``, with a chain that says so."""
    value = value_by_name(name)
    if value is None or value.kind not in (Kind.DEVICE, Kind.TENSOR):
        return value
    where = "names the accelerator" if value.kind is Kind.DEVICE else "is in host memory"
    if value.kind is Kind.TENSOR and value.place is Place.ACCELERATOR:
        where = "is on the accelerator"
    return value.replace(why=Why(line, f"`{name}` {where} by convention"))


@lru_cache(maxsize=65536)
def names_tensor(name: str) -> bool:
    return _TENSOR_NAME.match(name) is not None


@lru_cache(maxsize=65536)
def names_kernel_argument(name: str) -> bool:
    """``cu_seqlens_q``, ``kv_indptr``: what kernels for sequences of several lengths are given, on the device."""
    return _KERNEL_ARGUMENT.search(name) is not None


@lru_cache(maxsize=65536)
def names_host_value(name: str) -> bool:
    return _LIST_NAME.search(name) is not None


@lru_cache(maxsize=65536)
def names_module(name: str) -> bool:
    """Names of what has ``.to()`` and ``.cpu()`` without being a tensor: modules, batches."""
    return _MODULE_LIKE.search(name) is not None


@lru_cache(maxsize=65536)
def names_mask(name: str) -> bool:
    return _MASK_NAME.search(name) is not None and not names_positions(name)


@lru_cache(maxsize=65536)
def names_positions(name: str) -> bool:
    return _POSITIONS_NAME.search(name) is not None


@lru_cache(maxsize=65536)
def names_one_dimension(name: str) -> bool:
    """``cu_seqlens``, ``kv_indptr``, ``query_start_loc``: tensors with one number for each sequence."""
    return _ONE_DIMENSION.search(name) is not None


def names_device(name: str) -> bool:
    """``device``, ``DEVICE_TYPE``: nothing but a device is called so."""
    return _JUST_DEVICE.search(name) is not None


def gives_device(name: str) -> bool:
    """Functions such as ``get_torch_device`` and ``current_device``."""
    return "device" in name and (name.startswith(("get", "current")) or name == "device")


def names_loss(name: str) -> bool:
    return name == "loss" or name.endswith("_loss")


@lru_cache(maxsize=65536)
def names_grid(name: str) -> bool:
    """``image_grid_thw``: sizes of images, a tensor where they are passed to a model."""
    return name.endswith("grid_thw")


def names_batch(name: str) -> bool:
    return _BATCH_NAME.search(name) is not None


@lru_cache(maxsize=4096)
def is_host_side(*names: str) -> bool:
    """Files, classes and functions that prepare data before anything is on a device."""
    return any(_HOST_SIDE.search(name) for name in names)


@lru_cache(maxsize=4096)
def is_for_cpu(*names: str) -> bool:
    """Files, classes and functions that are written for the CPU, by their names."""
    return any(_FOR_CPU.search(name) for name in names) and not any(_FOR_GPU.search(name) for name in names)


@lru_cache(maxsize=4096)
def is_for_inputs(function: str) -> bool:
    """Functions that prepare the inputs of a model, in code that may as well handle what it gives."""
    return _FOR_INPUTS.search(function) is not None


@lru_cache(maxsize=4096)
def is_processor_file(path: str) -> bool:
    """Files of what prepares inputs, in which even modules run on the host."""
    return _PROCESSOR_FILE.search(path) is not None


def makes_inputs(name: str) -> bool:
    """Functions and classes that lay down what the inputs of a model are."""
    return "field" in name or name.endswith(("Processor", "ProcessingInfo"))


@lru_cache(maxsize=4096)
def is_in_and_out(path: str) -> bool:
    """Files that read and write media, requests and answers."""
    return _IN_AND_OUT.search(path) is not None


@lru_cache(maxsize=4096)
def is_cpu_backend(path: str, owner: str) -> bool:
    """Whether a file or a class is an implementation for the CPU, where nothing is on an accelerator."""
    if _KEEPS_ON_CPU.search(path) or _KEEPS_ON_CPU.search(owner):
        return False
    return _CPU_BACKEND_FILE.search(path) is not None or _CPU_BACKEND_CLASS.search(owner) is not None


@lru_cache(maxsize=4096)
def is_after_transfer(owner: str, function: str) -> bool:
    """The last stage of a pipeline, whose ``forward`` has brought the results to the host."""
    return owner.endswith("Pipeline") and function.rpartition(".")[2] in ("postprocess", "_postprocess")


def is_preprocessing(name: str) -> bool:
    """Functions that a batch passes through on its way to the device."""
    return _PREPROCESSING.search(name) is not None


@lru_cache(maxsize=4096)
def is_mover(name: str) -> bool:
    """Functions such as ``send_to_device``, which exist to take to a device what is in host memory."""
    return _MOVER.search(name) is not None


@lru_cache(maxsize=65536)
def is_synchronize(name: str) -> bool:
    """Functions such as ``device_synchronize``, which wait for the device, whichever it is."""
    return _SYNCHRONIZE.search(name) is not None


@lru_cache(maxsize=65536)
def is_device_interface(name: str) -> bool:
    """``device_module``, ``get_accelerator``: what stands for ``torch.cuda``, or its like on other devices."""
    return _DEVICE_INTERFACE.search(name) is not None


@lru_cache(maxsize=65536)
def is_hot(name: str, owner: str = "") -> bool:
    """Whether a function of this name, of the class ``owner`` if it is a method, runs for every step or token."""
    if name == "build":
        return _BUILDS_EACH_STEP.search(owner) is not None
    if name in _ANYTHING_HAS and is_host_side(owner):
        return False
    return name in HOT_NAMES or _HOT.search(name) is not None


@lru_cache(maxsize=65536)
def is_cool(name: str, owner: str = "") -> bool:
    """Whether a function of this name, of the class ``owner`` if it is a method, is cold unless something hot calls
    it."""
    return _COOL.search(name) is not None or _COOL_CLASS.search(owner) is not None


@lru_cache(maxsize=16384)
def is_rare_file(path: str) -> bool:
    """Whether what a file is for, by its path, happens between steps: loading, conversion, measurements."""
    return _RARE_FILE.search(path) is not None


@lru_cache(maxsize=16384)
def tries_out(path: str) -> bool:
    """Whether a file of the project itself tests or measures it."""
    return _TRIES.search(path) is not None


@lru_cache(maxsize=65536)
def is_cold(name: str) -> bool:
    """Whether a function of this name is cold, or warm if something hot calls it."""
    return _COLD.search(name) is not None


@lru_cache(maxsize=65536)
def is_frozen(name: str) -> bool:
    """Whether a function of this name is cold, whoever calls it."""
    return _FROZEN.search(name) is not None


@lru_cache(maxsize=4096)
def lends_its_heat(name: str) -> bool:
    """Whether what a function of this name defines is as cold as the function, even if it is handed to others."""
    return _LENDS_ITS_HEAT.search(name) is not None


def is_compiler(decorator: str) -> bool:
    """Whether the dotted name of a decorator is that of ``torch.compile``, or of what a project wraps around it."""
    return decorator == "torch.compile" or decorator.endswith("torch_compile")


@lru_cache(maxsize=65536)
def names_computed(name: str) -> bool:
    """``hidden_states``, ``video_embeds``: what a model has computed, whoever handles it."""
    return _COMPUTED_NAME.search(name) is not None


def names_answer(name: str) -> bool:
    """``outputs.logits``: what the answer of a model has."""
    return name in _ANSWERS


@lru_cache(maxsize=65536)
def names_several(name: str) -> bool:
    """``token_ids``, ``indices``: positions, more than one of them."""
    return _SEVERAL_NAME.search(name) is not None


@lru_cache(maxsize=65536)
def names_loader(name: str) -> bool:
    """``loader``, ``train_dataloader``: iterating over it yields the batches of a data set."""
    return _LOADER_NAME.search(name.lower()) is not None and _OTHER_LOADER.search(name.lower()) is None
