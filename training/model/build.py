"""Building a transformers model for training: precision, attention, LoRA, kernels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from raylib.errors import TrainingError
from training.config import ModelConfig

__all__ = ["build_model", "load_tokenizer", "parameter_groups"]


def load_tokenizer(config: ModelConfig) -> Any:
    """The run's tokenizer. Raises TrainingError when there is none."""
    from transformers import AutoTokenizer

    place = config.tokenizer or config.path
    if not place or not Path(place).is_dir():
        raise TrainingError(f"model.tokenizer: {place!r} is no folder; name the folder of a tokenizer")
    return AutoTokenizer.from_pretrained(place, local_files_only=True, trust_remote_code=False)


def build_model(config: ModelConfig, tokenizer: Any, seed: int) -> Any:
    """A transformers model in float32, from `path` or from scratch by `shape`.

    Weights are float32 here; the backend casts them. Raises TrainingError for a shape or path that cannot be used.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()  # of reading and writing shards: a run has lines of its own
    attention = {"flash": "flash_attention_2", "flex": "flex_attention"}.get(config.attention, config.attention)
    if config.path:
        model = AutoModelForCausalLM.from_pretrained(
            config.path, local_files_only=True, trust_remote_code=False, dtype=torch.float32, attn_implementation=attention
        )  # fmt: skip
    else:
        shape = dict(config.shape)
        kind = shape.pop("model_type", "")
        if not kind:
            raise TrainingError("model: give `path`, or `shape` with its model_type, such as {model_type: llama, hidden_size: 256}")  # fmt: skip
        shape.setdefault("vocab_size", len(tokenizer))
        for name in ("bos_token_id", "eos_token_id", "pad_token_id"):
            shape.setdefault(name, getattr(tokenizer, name))
        made = AutoConfig.for_model(kind, **shape)
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(made, attn_implementation=attention, dtype=torch.float32)
    _extend(model, tokenizer, config)
    model.config.use_cache = False
    if config.kernels == "liger":
        _liger(model)
    if config.checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    if config.lora_rank:
        model = _adapted(model, config, seed)
    elif config.train == "embeddings":
        for parameter in model.parameters():
            parameter.requires_grad_(False)
        for part in (model.get_input_embeddings(), model.get_output_embeddings()):
            if part is not None:
                part.weight.requires_grad_(True)
    if config.compile:
        for layer in _layers(model):
            layer.compile(dynamic=False)
    return model


def _liger(model: Any) -> None:
    """Fused norms, rotary embedding and activation; losses stay ours, which are by target and by source."""
    import torch

    try:
        from liger_kernel.transformers import _apply_liger_kernel_to_instance as apply
    except ImportError as error:
        raise TrainingError("model.kernels: liger needs the package: pip install liger-kernel") from error
    if not torch.cuda.is_available():
        raise TrainingError("model.kernels: liger needs a GPU; torch works everywhere")
    apply(model=model, cross_entropy=False, fused_linear_cross_entropy=False)


def _extend(model: Any, tokenizer: Any, config: ModelConfig) -> None:
    """Rows for tokens that the model does not have. Never fewer rows: models pad their vocabularies."""
    import torch

    have, need = int(model.get_input_embeddings().weight.shape[0]), len(tokenizer)
    if need <= have:
        return
    if not config.extend_vocabulary:
        raise TrainingError(f"the tokenizer has {need} tokens, the model {have}; set model.extend_vocabulary: true")
    model.resize_token_embeddings(need, mean_resizing=False)
    with torch.no_grad():
        for part in {id(p): p for p in (model.get_input_embeddings(), model.get_output_embeddings())}.values():
            part.weight[have:] = part.weight[:have].mean(dim=0, keepdim=True)


def _adapted(model: Any, config: ModelConfig, seed: int) -> Any:
    import torch

    try:
        from peft import LoraConfig, get_peft_model
    except ImportError as error:
        raise TrainingError("model.lora_rank needs peft: pip install 'raylib-data[train]'") from error
    torch.manual_seed(seed)
    lora = LoraConfig(r=config.lora_rank, lora_alpha=config.lora_alpha, lora_dropout=config.lora_dropout, target_modules=list(config.lora_targets), task_type="CAUSAL_LM")  # fmt: skip
    try:
        return get_peft_model(model, lora)
    except ValueError as error:
        raise TrainingError(f"model.lora_targets: {error}") from None


def _layers(model: Any) -> list[Any]:
    import torch

    lists = [m for m in model.modules() if isinstance(m, torch.nn.ModuleList)]
    sizes = [len(m) for m in lists]
    return list(lists[sizes.index(max(sizes))]) if lists else []


def parameter_groups(model: Any, weight_decay: float, layers_a_group: int) -> list[dict[str, Any]]:
    """Trained parameters in groups of a few layers, with and without weight decay (norms and biases have none).

    Groups are small because ZeRO-1 and 2 hold copies of one group's gradients at a step: with one group for a whole
    model that is 6 bytes a parameter more.
    """
    groups: dict[tuple[int, bool], list[Any]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        numbers = [int(p) for p in name.split(".") if p.isdigit()]
        where = numbers[0] // layers_a_group if numbers else -1
        groups.setdefault((where, parameter.ndim >= 2), []).append(parameter)
    return [
        {"params": parameters, "weight_decay": weight_decay if decays else 0.0}
        for (_, decays), parameters in sorted(groups.items(), key=lambda kv: kv[0])
    ]
