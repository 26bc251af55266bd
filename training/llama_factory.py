"""LLaMA-Factory configurations converted to training configurations of raylib."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from raylib.errors import RecipeError
from raylib.recipe.converted import Converted

__all__ = ["RECOGNISED_BY", "convert", "matches"]

RECOGNISED_BY = "a LLaMA-Factory configuration (a mapping with `model_name_or_path`)"


_SCHEDULES = {"cosine": "cosine", "linear": "linear", "constant": "constant", "constant_with_warmup": "constant", "cosine_with_min_lr": "cosine", "warmup_stable_decay": "wsd"}  # fmt: skip
_LOSSES = {"sigmoid": "sigmoid", "ipo": "ipo", "hinge": "hinge"}
_TEMPLATES = {"qwen": "qwen", "qwen3": "auto", "llama3": "llama3", "llama2": "llama2", "mistral": "mistral", "chatml": "chatml", "default": "plain"}  # fmt: skip


def matches(data: object) -> bool:
    """Whether a parsed YAML file looks like a LLaMA-Factory configuration."""
    return isinstance(data, dict) and "model_name_or_path" in data


def convert(data: Mapping[str, Any], where: str) -> Converted:
    """Convert a configuration; settings without an equivalent are listed in the notes.

    Raises:
        RecipeError: if the training stage has no counterpart here, or the result is not valid.
    """
    left = dict(data)

    def take(name: str, default: Any = None) -> Any:
        return left.pop(name, default)

    notes = ["made from a configuration of LLaMA-Factory by `raylib import`"]
    stage = take("stage", "sft")
    objective = {"pt": "pretrain", "sft": "sft", "dpo": "dpo"}.get(stage)
    if objective is None:
        raise RecipeError(f"stage {stage!r}: pt, sft and dpo have a counterpart")
    model: dict[str, Any] = {"path": take("model_name_or_path")}
    half, brain = take("fp16", False), take("bf16", True)
    model["dtype"] = "fp16" if half else "bf16" if brain else "fp32"
    model["checkpointing"] = not take("disable_gradient_checkpointing", False)
    attention = take("flash_attn", "auto")
    if attention == "fa2":
        model["attention"] = "flash"
    if take("enable_liger_kernel", False):
        model["kernels"] = "liger"
    if take("resize_vocab", False):
        model["extend_vocabulary"] = True
    kind = take("finetuning_type", "lora")
    rank, alpha, dropout, target = take("lora_rank", 8), take("lora_alpha"), take("lora_dropout", 0.0), take("lora_target", "all")  # fmt: skip
    if kind == "lora":
        model |= {"lora_rank": int(rank), "lora_alpha": int(alpha or 2 * int(rank))}
        if dropout:
            model["lora_dropout"] = float(dropout)
        names = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"] if target == "all" else [t.strip() for t in str(target).split(",")]  # fmt: skip
        model["lora_targets"] = names
    elif kind != "full":
        notes.append(f"finetuning_type {kind}: not there; everything is trained")
    length = int(take("cutoff_len", 2048))
    sets = [s.strip() for s in str(take("dataset", "train")).split(",")]
    held = [s.strip() for s in str(take("eval_dataset", "") or "").split(",") if s.strip()]
    template = _TEMPLATES.get(str(take("template", "default")), "auto")
    take("dataset_dir")
    for name in (*sets, *held):
        extra = "" if objective == "pretrain" else f" --template {template} --max-tokens {length}"
        notes.append(f"first: raylib tokenize FILES_OF_{name} -o tokens/{name} --tokenizer {model['path']}{extra}")
    settings: dict[str, Any] = {"train": [{"path": f"tokens/{n}"} for n in sets], "sequence_length": length}
    if held:
        settings["evaluation"] = [{"path": f"tokens/{n}"} for n in held]
    packing = take("packing", objective == "pretrain")
    take("neat_packing")
    settings["packing"] = bool(packing)
    weights = take("interleave_probs")
    if weights:
        for source, share in zip(settings["train"], str(weights).split(","), strict=False):
            source["share"] = float(share)
    steps_of_warmup, share_of_warmup = take("warmup_steps", 0), take("warmup_ratio", 0.0)
    schedule = str(take("lr_scheduler_type", "linear"))
    if schedule not in _SCHEDULES:
        notes.append(f"lr_scheduler_type {schedule}: not there; cosine is used")
    optimizer = {
        "learning_rate": float(take("learning_rate", 5e-5)), "betas": [float(take("adam_beta1", 0.9)), float(take("adam_beta2", 0.999))],
        "weight_decay": float(take("weight_decay", 0.0)), "clip": float(take("max_grad_norm", 1.0)),
        "schedule": _SCHEDULES.get(schedule, "cosine"), "warmup": float(steps_of_warmup or share_of_warmup or 0),
    }  # fmt: skip
    micro, accumulation = int(take("per_device_train_batch_size", 8)), int(take("gradient_accumulation_steps", 1))
    zero = str(take("deepspeed", "") or "")
    level = next((int(c) for c in "3210" if f"z{c}" in zero or f"zero{c}" in zero), 2)
    made: dict[str, Any] = {
        "objective": objective, "output": str(take("output_dir", "out/train")), "model": model, "data": settings, "optimizer": optimizer,
        "parallel": {"workers": 1, "zero_stage": level, **({"offload": True} if "offload" in zero else {})},
        "batch": micro * accumulation, "micro_batch": micro,
    }  # fmt: skip
    notes.append("batch is for one worker: with N workers set parallel.workers to N and batch to N times as much")
    limit = int(take("max_steps", -1) or -1)
    epochs = float(take("num_train_epochs", 3.0))
    made |= {"steps": limit} if limit > 0 else {"epochs": epochs}
    for theirs, ours in (("save_steps", "save_every"), ("eval_steps", "evaluate_every"), ("logging_steps", "log_every"), ("save_total_limit", "keep"), ("seed", "seed")):  # fmt: skip
        if theirs in left:
            made[ours] = int(take(theirs))
    if take("report_to") == "wandb":
        made["wandb"] = "raylib"
    run = take("run_name")
    if run:
        made["name"] = str(run)
    if objective == "dpo":
        loss = str(take("pref_loss", "sigmoid"))
        if loss not in _LOSSES:
            notes.append(f"pref_loss {loss}: not there; sigmoid is used")
        made["dpo"] = {"beta": float(take("pref_beta", 0.1)), "loss": _LOSSES.get(loss, "sigmoid"), "sft_weight": float(take("pref_ftx", 0.0))}  # fmt: skip
        smoothing = float(take("dpo_label_smoothing", 0.0))
        if smoothing:
            made["dpo"]["label_smoothing"] = smoothing
    for name in ("do_train", "do_eval", "overwrite_output_dir", "overwrite_cache", "preprocessing_num_workers", "dataloader_num_workers", "plot_loss", "ddp_timeout", "tokenized_path", "eval_strategy", "evaluation_strategy", "save_only_model", "resume_from_checkpoint", "per_device_eval_batch_size", "ref_model"):  # fmt: skip
        left.pop(name, None)
    if left.pop("trust_remote_code", False):
        notes.append("trust_remote_code: never; the model must be one that transformers knows")
    if left.pop("val_size", None):
        notes.append("val_size: hold records out before tokenising, and name them in data.evaluation")
    if left:
        notes.append(f"not carried over: {', '.join(sorted(left))}")
    from training.config import TrainConfig

    TrainConfig.from_dict(made, "converted")
    return Converted("training", made, notes)
