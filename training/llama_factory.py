"""LLaMA-Factory configurations converted to training configurations of raylib."""

from __future__ import annotations

from collections.abc import Mapping

from raylib.errors import RecipeError
from raylib.recipe.converted import Converted
from training.config import TrainConfig

__all__ = ["RECOGNISED_BY", "convert", "matches"]

RECOGNISED_BY = "a LLaMA-Factory configuration (a mapping with `model_name_or_path`)"

_OBJECTIVES = {"pt": "pretrain", "sft": "sft", "dpo": "dpo"}
_SCHEDULES = {
    "cosine": "cosine",
    "linear": "linear",
    "constant": "constant",
    "constant_with_warmup": "constant",
    "cosine_with_min_lr": "cosine",
    "warmup_stable_decay": "wsd",
}
_LOSSES = {"sigmoid": "sigmoid", "ipo": "ipo", "hinge": "hinge"}
_TEMPLATES = {
    "qwen": "qwen",
    "qwen3": "auto",
    "llama3": "llama3",
    "llama2": "llama2",
    "mistral": "mistral",
    "chatml": "chatml",
    "default": "plain",
}
_ALL_LINEAR_LAYERS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]

# their name -> our name, for whole numbers that are carried over as they are
_COUNTS = {
    "save_steps": "save_every",
    "eval_steps": "evaluate_every",
    "logging_steps": "log_every",
    "save_total_limit": "keep",
    "seed": "seed",
}
# settings without influence on what is learnt, or whose effect raylib has anyway
_WITHOUT_EFFECT = (
    "do_train",
    "do_eval",
    "overwrite_output_dir",
    "overwrite_cache",
    "preprocessing_num_workers",
    "dataloader_num_workers",
    "plot_loss",
    "ddp_timeout",
    "tokenized_path",
    "eval_strategy",
    "evaluation_strategy",
    "save_only_model",
    "resume_from_checkpoint",
    "per_device_eval_batch_size",
    "ref_model",
    "dataset_dir",
    "neat_packing",
)
_ADVICE = {
    "trust_remote_code": "never; the model must be one that transformers knows",
    "val_size": "hold records out before tokenising, and name them in data.evaluation",
}


class _Settings:
    """Settings of a LLaMA-Factory configuration; each is taken once, and the rest is reported."""

    def __init__(self, data: Mapping[str, object]) -> None:
        self.left = dict(data)

    def take(self, name: str, default: object = None) -> object:
        """A value as it is."""
        return self.left.pop(name, default)

    def number(self, name: str, default: float) -> float:
        """A number."""
        return self._numeric(name, default)

    def count(self, name: str, default: int) -> int:
        """A whole number."""
        return int(self._numeric(name, default))

    def text(self, name: str, default: str) -> str:
        """A text; null is empty."""
        value = self.take(name, default)
        return "" if value is None else str(value)

    def names(self, name: str, default: str) -> list[str]:
        """Names separated by commas."""
        return [part.strip() for part in self.text(name, default).split(",") if part.strip()]

    def _numeric(self, name: str, default: float) -> float:
        value = self.take(name, default)
        try:
            if isinstance(value, (int, float, str)):
                return float(value)
        except ValueError:
            pass
        raise RecipeError(f"{name}: {value!r} is not a number")


def matches(data: object) -> bool:
    """Whether a parsed YAML file looks like a LLaMA-Factory configuration."""
    return isinstance(data, dict) and "model_name_or_path" in data


def convert(data: Mapping[str, object], where: str) -> Converted:
    """Convert a configuration.

    Args:
        data: The parsed YAML file.
        where: Name of the file, for messages.

    Returns:
        A training configuration. Its notes list the commands that make its token folders, and settings without an
        equivalent.

    Raises:
        RecipeError: if the training stage has no counterpart here.
        TrainingError: if a value is not valid in a training configuration.
    """
    theirs = _Settings(data)
    notes = ["made from a configuration of LLaMA-Factory by `raylib import`"]
    stage = theirs.take("stage", "sft")
    objective = _OBJECTIVES.get(str(stage))
    if objective is None:
        raise RecipeError(f"stage {stage!r}: pt, sft and dpo have a counterpart")
    model = _model(theirs, notes)
    settings = _data(theirs, objective, str(model["path"]), notes)
    optimizer = _optimizer(theirs, notes)
    micro = theirs.count("per_device_train_batch_size", 8)
    made: dict[str, object] = {
        "objective": objective,
        "output": theirs.text("output_dir", "out/train"),
        "model": model,
        "data": settings,
        "optimizer": optimizer,
        "parallel": _parallel(theirs),
        "batch": micro * theirs.count("gradient_accumulation_steps", 1),
        "micro_batch": micro,
    }
    notes.append("batch is for one worker: with N workers set parallel.workers to N and batch to N times as much")
    made |= _length(theirs) | _bookkeeping(theirs)
    if objective == "dpo":
        made["dpo"] = _dpo(theirs, notes)
    notes += _leftovers(theirs)
    TrainConfig.from_dict(made, where)
    return Converted("training", made, notes)


def _model(theirs: _Settings, notes: list[str]) -> dict[str, object]:
    """The `model` section."""
    model: dict[str, object] = {"path": theirs.take("model_name_or_path")}
    half, brain = theirs.take("fp16", False), theirs.take("bf16", True)
    model["dtype"] = "fp16" if half else "bf16" if brain else "fp32"
    model["checkpointing"] = not theirs.take("disable_gradient_checkpointing", False)
    if theirs.take("flash_attn", "auto") == "fa2":
        model["attention"] = "flash"
    if theirs.take("enable_liger_kernel", False):
        model["kernels"] = "liger"
    if theirs.take("resize_vocab", False):
        model["extend_vocabulary"] = True
    return model | _lora(theirs, notes)


def _lora(theirs: _Settings, notes: list[str]) -> dict[str, object]:
    """Fields of the `model` section about adapters."""
    kind = theirs.take("finetuning_type", "lora")
    rank, alpha = theirs.count("lora_rank", 8), theirs.take("lora_alpha")
    dropout, target = theirs.number("lora_dropout", 0.0), theirs.text("lora_target", "all")
    if kind != "lora":
        if kind != "full":
            notes.append(f"finetuning_type {kind}: not supported; all weights are trained")
        return {}
    lora: dict[str, object] = {"lora_rank": rank, "lora_alpha": int(str(alpha)) if alpha else 2 * rank}
    if dropout:
        lora["lora_dropout"] = dropout
    lora["lora_targets"] = _ALL_LINEAR_LAYERS if target == "all" else [t.strip() for t in target.split(",")]
    return lora


def _data(theirs: _Settings, objective: str, tokenizer: str, notes: list[str]) -> dict[str, object]:
    """The `data` section; notes the commands that make its token folders."""
    length = theirs.count("cutoff_len", 2048)
    sets, held = theirs.names("dataset", "train"), theirs.names("eval_dataset", "")
    template = _TEMPLATES.get(theirs.text("template", "default"), "auto")
    options = "" if objective == "pretrain" else f" --template {template} --max-tokens {length}{_rendering(theirs)}"
    for name in (*sets, *held):
        command = f"raylib tokenize FILES_OF_{name} -o tokens/{name} --tokenizer {tokenizer}{options}"
        notes.append(f"first: {command}")
    sources: list[dict[str, object]] = [{"path": f"tokens/{name}"} for name in sets]
    settings: dict[str, object] = {"train": sources, "sequence_length": length}
    if held:
        settings["evaluation"] = [{"path": f"tokens/{name}"} for name in held]
    settings["packing"] = bool(theirs.take("packing", objective == "pretrain"))
    for source, share in zip(sources, theirs.names("interleave_probs", ""), strict=False):
        source["share"] = float(share)
    return settings


def _rendering(theirs: _Settings) -> str:
    """Options of `raylib tokenize` for what is learnt of a conversation."""
    options = " --learn last" if theirs.take("mask_history", False) else ""
    if theirs.take("enable_thinking", True) is False:
        options += " --template-option enable_thinking=false"
    return options


def _optimizer(theirs: _Settings, notes: list[str]) -> dict[str, object]:
    """The `optimizer` section."""
    steps, share = theirs.number("warmup_steps", 0), theirs.number("warmup_ratio", 0.0)
    schedule = theirs.text("lr_scheduler_type", "linear")
    if schedule not in _SCHEDULES:
        notes.append(f"lr_scheduler_type {schedule}: not supported; cosine is used")
    return {
        "learning_rate": theirs.number("learning_rate", 5e-5),
        "betas": [theirs.number("adam_beta1", 0.9), theirs.number("adam_beta2", 0.999)],
        "weight_decay": theirs.number("weight_decay", 0.0),
        "clip": theirs.number("max_grad_norm", 1.0),
        "schedule": _SCHEDULES.get(schedule, "cosine"),
        "warmup": steps or share or 0.0,
    }


def _parallel(theirs: _Settings) -> dict[str, object]:
    """The `parallel` section, from the name of the DeepSpeed configuration."""
    zero = theirs.text("deepspeed", "")
    stage = next((int(c) for c in "3210" if f"z{c}" in zero or f"zero{c}" in zero), 2)
    return {"workers": 1, "zero_stage": stage, **({"offload": True} if "offload" in zero else {})}


def _length(theirs: _Settings) -> dict[str, object]:
    """Length of the run, in steps or in epochs."""
    limit = int(str(theirs.take("max_steps") or -1))
    epochs = theirs.number("num_train_epochs", 3.0)
    return {"steps": limit} if limit > 0 else {"epochs": epochs}


def _bookkeeping(theirs: _Settings) -> dict[str, object]:
    """Intervals, seed, name, and where metrics go."""
    made: dict[str, object] = {ours: theirs.count(name, 0) for name, ours in _COUNTS.items() if name in theirs.left}
    if theirs.take("report_to") == "wandb":
        made["wandb"] = "raylib"
    name = theirs.text("run_name", "")
    if name:
        made["name"] = name
    return made


def _dpo(theirs: _Settings, notes: list[str]) -> dict[str, object]:
    """The `dpo` section."""
    loss = theirs.text("pref_loss", "sigmoid")
    if loss not in _LOSSES:
        notes.append(f"pref_loss {loss}: not supported; sigmoid is used")
    dpo: dict[str, object] = {
        "beta": theirs.number("pref_beta", 0.1),
        "loss": _LOSSES.get(loss, "sigmoid"),
        "sft_weight": theirs.number("pref_ftx", 0.0),
    }
    smoothing = theirs.number("dpo_label_smoothing", 0.0)
    if smoothing:
        dpo["label_smoothing"] = smoothing
    return dpo


def _leftovers(theirs: _Settings) -> list[str]:
    """Notes about settings that were not carried over."""
    for name in _WITHOUT_EFFECT:
        theirs.take(name)
    notes = [f"{name}: {advice}" for name, advice in _ADVICE.items() if theirs.take(name)]
    if theirs.left:
        notes.append(f"not carried over: {', '.join(sorted(theirs.left))}")
    return notes
