"""Building a transformers model for training: precision, attention, LoRA, kernels."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, TypedDict

import torch
import transformers
from torch import nn

from raylib.errors import TrainingError, nearest
from raylib.extras import optional
from raylib.model_folders import loaded, model_folder
from training.config import ModelConfig
from training.data.tokenizer import Tokenizer, saved_tokenizer
from training.objectives.language_model import embedding_weight
from training.objectives.varlen import VARLEN, has_varlen, register_varlen

if TYPE_CHECKING:
    from transformers import PreTrainedModel

__all__ = ["ParameterGroup", "build_model", "load_tokenizer", "parameter_groups"]

_ATTENTION = {"flash": "flash_attention_2", "flex": "flex_attention", "varlen": VARLEN}


class ParameterGroup(TypedDict):
    """Parameters with the same settings of the optimizer."""

    params: list[nn.Parameter]
    weight_decay: float


def load_tokenizer(config: ModelConfig) -> Tokenizer:
    """The tokenizer of a run.

    Raises:
        ParameterError: if there is none.
    """
    option = "model.tokenizer" if config.tokenizer or not config.path else "model.path"
    return saved_tokenizer(config.tokenizer or config.path, option)


def build_model(config: ModelConfig, tokenizer: Tokenizer, seed: int) -> PreTrainedModel:
    """Build a transformers model, from `path` or from scratch by `shape`.

    Args:
        config: The `model` section.
        tokenizer: Tokenizer of the run, for the size of the vocabulary.
        seed: Seed of new weights.

    Returns:
        The model in float32, which the backend casts.

    Raises:
        TrainingError: if shape, path or an option cannot be used.
    """
    transformers.utils.logging.disable_progress_bar()  # a run has progress lines of its own
    _check_attention(config)
    model = _saved(config) if config.path else _fresh(config, tokenizer, seed)
    if config.attention == "varlen":
        _check_dropout(model)
    _extend(model, tokenizer, config)
    model.config.use_cache = False
    if config.kernels == "liger":
        _liger(model)
    if config.checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    if config.lora_rank:
        model = _adapted(model, config, seed)
    elif config.train == "embeddings":
        _freeze_all_but_embeddings(model)
    if config.compile:
        for layer in _layers(model):
            layer.compile(dynamic=False)
    return model


def _check_attention(config: ModelConfig) -> None:
    """Refuse an attention that cannot run here, and make ours known to transformers."""
    if config.attention == "flash" and find_spec("flash_attn") is None:
        raise TrainingError("model.attention: flash needs the package flash-attn and a GPU; sdpa works everywhere")
    if config.attention == "varlen":
        if not has_varlen():
            raise TrainingError(f"model.attention: varlen needs torch 2.11 or newer (this is {torch.__version__})")
        if config.dtype == "fp32" and torch.cuda.is_available():
            raise TrainingError("model.attention: varlen computes in bf16 or fp16 on a GPU; use sdpa with dtype fp32")
        register_varlen()


def _check_dropout(model: PreTrainedModel) -> None:
    """Refuse a model that drops out attention weights, which variable-length attention cannot do."""
    dropout = model.config.to_dict().get("attention_dropout")
    if dropout:
        raise TrainingError(
            f"model.attention: varlen does not drop out attention weights, as the model's attention_dropout = {dropout}"
            " asks; use sdpa"
        )


def _saved(config: ModelConfig) -> PreTrainedModel:
    """The model of a local folder."""

    def load() -> PreTrainedModel:
        made: PreTrainedModel = transformers.AutoModelForCausalLM.from_pretrained(
            config.path,
            local_files_only=True,
            trust_remote_code=False,
            dtype=torch.float32,
            attn_implementation=_ATTENTION.get(config.attention, config.attention),
        )
        return made

    return loaded(load, model_folder(config.path, "model.path"), "model.path")


def _fresh(config: ModelConfig, tokenizer: Tokenizer, seed: int) -> PreTrainedModel:
    """A model with new weights."""
    shape = dict(config.shape)
    kind = str(shape.pop("model_type", ""))
    if not kind:
        example = "{model_type: llama, hidden_size: 256}"
        raise TrainingError(f"model: give `path`, or `shape` with its model_type, such as {example}")
    shape.setdefault("vocab_size", len(tokenizer))
    shape.setdefault("bos_token_id", tokenizer.bos_token_id)
    shape.setdefault("eos_token_id", tokenizer.eos_token_id)
    shape.setdefault("pad_token_id", tokenizer.pad_token_id)
    if kind not in transformers.CONFIG_MAPPING:
        raise TrainingError(f"model.shape.model_type: {kind!r} is unknown{nearest(kind, transformers.CONFIG_MAPPING)}")
    made = transformers.AutoConfig.for_model(kind, **shape)
    torch.manual_seed(seed)
    attention = _ATTENTION.get(config.attention, config.attention)
    model: PreTrainedModel = transformers.AutoModelForCausalLM.from_config(
        made, attn_implementation=attention, dtype=torch.float32
    )
    return model


def _liger(model: PreTrainedModel) -> None:
    """Fused norms, rotary embedding and activation. Losses stay ours, because they are by target and by source."""
    try:
        kernels = import_module("liger_kernel.transformers")
    except ImportError as error:
        raise TrainingError("model.kernels: liger needs the package: pip install liger-kernel") from error
    if not torch.cuda.is_available():
        raise TrainingError("model.kernels: liger needs a GPU; torch works everywhere")
    apply = kernels._apply_liger_kernel_to_instance  # noqa: SLF001 - the public form patches classes for good
    apply(model=model, cross_entropy=False, fused_linear_cross_entropy=False)


def _extend(model: PreTrainedModel, tokenizer: Tokenizer, config: ModelConfig) -> None:
    """Add rows for tokens that the model lacks. Rows are never removed, because models pad their vocabularies."""
    have, need = len(embedding_weight(model.get_input_embeddings())), len(tokenizer)
    if need <= have:
        return
    if not config.extend_vocabulary:
        raise TrainingError(f"the tokenizer has {need} tokens, the model {have}; set model.extend_vocabulary: true")
    model.resize_token_embeddings(need, mean_resizing=False)
    with torch.no_grad():
        for part in {id(p): p for p in (model.get_input_embeddings(), model.get_output_embeddings())}.values():
            weight = embedding_weight(part)
            weight[have:] = weight[:have].mean(dim=0, keepdim=True)


def _adapted(model: PreTrainedModel, config: ModelConfig, seed: int) -> PreTrainedModel:
    """The model inside LoRA adapters."""
    peft = optional("peft", purpose="model.lora_rank")
    torch.manual_seed(seed)
    lora = peft.LoraConfig(
        r=config.lora_rank,
        lora_alpha=config.lora_alpha,
        lora_dropout=config.lora_dropout,
        target_modules=list(config.lora_targets),
        task_type="CAUSAL_LM",
    )
    try:
        adapted: PreTrainedModel = peft.get_peft_model(model, lora)
    except ValueError as error:
        raise TrainingError(f"model.lora_targets: {error}") from None
    return adapted


def _freeze_all_but_embeddings(model: PreTrainedModel) -> None:
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    for part in (model.get_input_embeddings(), model.get_output_embeddings()):
        if part is not None:
            embedding_weight(part).requires_grad_(True)


def _layers(model: nn.Module) -> list[nn.Module]:
    """The decoder layers: the longest list of modules."""
    lists = [m for m in model.modules() if isinstance(m, nn.ModuleList)]
    if not lists:
        return []
    longest = max(lists, key=len)
    return list(longest)


def parameter_groups(model: nn.Module, weight_decay: float, layers_a_group: int) -> list[ParameterGroup]:
    """Trained parameters in groups of a few layers, with and without weight decay (norms and biases have none).

    Groups are small because ZeRO-1 and 2 hold copies of one group's gradients at a step. One group for a whole model
    would cost 6 bytes per parameter more.

    Args:
        model: The model.
        weight_decay: Weight decay of matrices.
        layers_a_group: Number of decoder layers in a group.
    """
    groups: dict[tuple[int, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        numbers = [int(p) for p in name.split(".") if p.isdigit()]
        where = numbers[0] // layers_a_group if numbers else -1
        groups.setdefault((where, parameter.ndim >= 2), []).append(parameter)
    return [
        ParameterGroup(params=parameters, weight_decay=weight_decay if decays else 0.0)
        for (_, decays), parameters in sorted(groups.items(), key=lambda kv: kv[0])
    ]
