"""What a training run is: dataclasses, read from YAML and validated; every field is documented in docs/training.md."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, field, fields
from pathlib import Path
from typing import Any, Literal

import orjson
import pydantic
import yaml
from pydantic.dataclasses import dataclass

from raylib.errors import TrainingError, nearest

__all__ = ["DataConfig", "DpoConfig", "ModelConfig", "OptimizerConfig", "ParallelConfig", "PhaseConfig", "SourceConfig", "TrainConfig"]  # fmt: skip

_STRICT = pydantic.ConfigDict(extra="forbid")


@dataclass(frozen=True, config=_STRICT)
class ModelConfig:
    """The `model` section.

    path: folder of a transformers model to continue from; empty: from scratch by `shape`. shape: a transformers
    configuration with its `model_type`, such as {model_type: llama, hidden_size: 256, ...}; the vocabulary is the
    tokenizer's unless given. tokenizer: folder of the tokenizer; empty: the model's. dtype: of weights and activations;
    states of the optimizer are float32 always. attention: sdpa, eager, flash (flash-attn on a GPU: variable-length
    attention for packed rows), or flex (torch's flex attention on a GPU: blocks between packed samples are skipped).
    kernels: torch, or liger (fused norms, rotary embedding and activation of liger-kernel on a GPU). compile:
    torch.compile of each decoder layer and of the loss; rows are then padded to sequence_length. checkpointing: recompute activations in the backward pass. train: all, or
    embeddings alone. extend_vocabulary: give the model rows for tokens that the tokenizer has and it does not,
    initialised with the mean of the others. lora_rank: 0: train all weights; otherwise LoRA (peft) of this rank.
    lora_alpha: what LoRA adds is scaled by lora_alpha / lora_rank. lora_dropout: on the way into LoRA's matrices.
    lora_targets: names of the linear layers that get them.
    """

    path: str = ""
    shape: dict[str, Any] = field(default_factory=dict)
    tokenizer: str = ""
    dtype: Literal["bf16", "fp16", "fp32"] = "bf16"
    attention: Literal["sdpa", "eager", "flash", "flex"] = "sdpa"
    kernels: Literal["torch", "liger"] = "torch"
    compile: bool = False
    checkpointing: bool = False
    train: Literal["all", "embeddings"] = "all"
    extend_vocabulary: bool = False
    lora_rank: int = pydantic.Field(default=0, ge=0)
    lora_alpha: int = pydantic.Field(default=32, gt=0)
    lora_dropout: float = pydantic.Field(default=0.0, ge=0, lt=1)
    lora_targets: tuple[str, ...] = ("q_proj", "k_proj", "v_proj", "o_proj")


@dataclass(frozen=True, config=_STRICT)
class SourceConfig:
    """One item of `data.train` or `data.evaluation`.

    path: a token folder that `raylib tokenize` wrote. weight: of this source's loss, which is normalised by its own
    targets; 0 reads it without learning from it. share: rows of an epoch that come from this source, as a number to
    compare with the others'; 0: all its rows once.
    """

    path: str
    weight: float = pydantic.Field(default=1.0, ge=0)
    share: float = pydantic.Field(default=0.0, ge=0)


@dataclass(frozen=True, config=_STRICT)
class DataConfig:
    """The `data` section.

    train, evaluation: lists of sources. sequence_length: tokens of a row. packing: fill rows with whole samples that
    do not see each other; without it a batch is padded to its longest sample and samples of similar length meet.
    """

    train: tuple[SourceConfig, ...] = ()
    evaluation: tuple[SourceConfig, ...] = ()
    sequence_length: int = pydantic.Field(default=2048, ge=8)
    packing: bool = True


@dataclass(frozen=True, config=_STRICT)
class OptimizerConfig:
    """The `optimizer` section: AdamW.

    learning_rate: at the peak. betas: decay of the running means of gradients and of their squares. epsilon: added to
    the root of the latter. weight_decay: of matrices; norms and biases have none. warmup: steps over which the rate
    rises, or a share of all steps when below 1. schedule: cosine, linear, constant, or wsd (constant, then
    linear over the last `decay` share). decay: that share. min_ratio: of the peak rate at the end. clip: largest norm of all gradients.
    """

    learning_rate: float = pydantic.Field(default=5e-6, gt=0)
    betas: tuple[float, float] = (0.9, 0.95)
    epsilon: float = pydantic.Field(default=1e-8, gt=0)
    weight_decay: float = pydantic.Field(default=0.1, ge=0)
    clip: float = pydantic.Field(default=1.0, gt=0)
    schedule: Literal["cosine", "linear", "constant", "wsd"] = "cosine"
    warmup: float = pydantic.Field(default=0.1, ge=0)
    decay: float = pydantic.Field(default=0.2, gt=0, le=1)
    min_ratio: float = pydantic.Field(default=0.0, ge=0, le=1)


@dataclass(frozen=True, config=_STRICT)
class DpoConfig:
    """The `dpo` section.

    beta: how dear it is to move away from the reference: larger stays closer. loss: sigmoid (Rafailov et al. 2023), ipo (Azar et al. 2024), hinge (Zhao et al. 2023), robust (Chowdhury et al.
    2024, with label_smoothing), sigmoid_norm (log-probabilities divided by the lengths of answers). label_smoothing: assumed share of preferences that are the
    wrong way round. sft_weight: of
    the mean negative log-likelihood of the chosen answer, added to the loss (RPO). reference: precomputed from the
    initial weights before the first step and kept in the run's folder, or online: a frozen copy is asked at each step.
    """

    beta: float = pydantic.Field(default=0.1, gt=0)
    loss: Literal["sigmoid", "ipo", "hinge", "robust", "sigmoid_norm"] = "sigmoid"
    label_smoothing: float = pydantic.Field(default=0.0, ge=0, lt=0.5)
    sft_weight: float = pydantic.Field(default=0.0, ge=0)
    reference: Literal["precomputed", "online"] = "precomputed"


@dataclass(frozen=True, config=_STRICT)
class ParallelConfig:
    """The `parallel` section.

    workers: processes, one a GPU. min_workers: go on with as few when a machine is lost and none comes in its place, until
    one does (0: wait for all); batch must divide for these numbers too. backend: deepspeed, or plain PyTorch in one process. zero_stage: 0 to 3. offload:
    optimizer states in the host's memory. gpus: auto, or whether workers need GPUs. layers_a_group: decoder layers of
    an optimizer group; small groups keep what ZeRO-1 and 2 copy at a step small. max_failures: restarts by Ray.
    """

    workers: int = pydantic.Field(default=1, ge=1)
    min_workers: int = pydantic.Field(default=0, ge=0)
    backend: Literal["deepspeed", "plain"] = "deepspeed"
    zero_stage: Literal[0, 1, 2, 3] = 2
    offload: bool = False
    gpus: Literal["auto", "yes", "no"] = "auto"
    layers_a_group: int = pydantic.Field(default=4, ge=1)
    max_failures: int = pydantic.Field(default=3, ge=0)


@dataclass(frozen=True, config=_STRICT)
class PhaseConfig:
    """One item of `phases`: trained from the weights of the one before.

    name: of its checkpoints. train: its sources. epochs, steps, learning_rate: in place of the run's. reset: begin with
    a fresh optimizer and schedule.
    """

    name: str
    train: tuple[SourceConfig, ...]
    epochs: float = pydantic.Field(default=0, ge=0)
    steps: int = pydantic.Field(default=0, ge=0)
    learning_rate: float = pydantic.Field(default=0.0, ge=0)
    reset: bool = True


@dataclass(frozen=True, config=_STRICT)
class TrainConfig:
    """A training run.

    objective: pretrain, sft or dpo. output: folder under which the run makes its own. name: of the run; empty: made of
    model, size, host and time, so that runs never share a folder. batch: rows of an optimizer step over all workers,
    the same whatever their number. micro_batch: rows of one pass of one worker. epochs: times over the data;
    a part is allowed. steps: length in optimizer steps; counts in place of epochs when it is set. seed: of the order of
    rows, of dropout and of new weights. log_every: steps between lines of metrics. evaluate_every, save_every: in steps. keep: checkpoints beside best and final. save_in_background: copy states to the host's memory
    and write them while training goes on; without it training waits, and no memory is needed. wandb: project of Weights & Biases
    that metrics go to as well; empty: none. non_finite:
    what a loss that is no number does to its step: skip it, or stop the run. hang_minutes: without a step before stacks
    are dumped and the worker ends; 0: never. storage_warn: used share of the volume at which
    the run warns. storage_stop: used share at which it saves and stops. model, data, optimizer, dpo, parallel: sections
    of their own, below. phases: stages trained one after the other; `data.train` is not used then.
    """

    objective: Literal["pretrain", "sft", "dpo"]
    output: str
    name: str = ""
    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    dpo: DpoConfig = field(default_factory=DpoConfig)
    parallel: ParallelConfig = field(default_factory=ParallelConfig)
    phases: tuple[PhaseConfig, ...] = ()
    batch: int = pydantic.Field(default=128, ge=1)
    micro_batch: int = pydantic.Field(default=4, ge=1)
    epochs: float = pydantic.Field(default=1.0, gt=0)
    steps: int = pydantic.Field(default=0, ge=0)
    seed: int = 0
    log_every: int = pydantic.Field(default=1, ge=1)
    evaluate_every: int = pydantic.Field(default=100, ge=1)
    save_every: int = pydantic.Field(default=100, ge=1)
    keep: int = pydantic.Field(default=3, ge=1)
    save_in_background: bool = True
    wandb: str = ""
    non_finite: Literal["skip", "stop"] = "skip"
    hang_minutes: float = pydantic.Field(default=30.0, ge=0)
    storage_warn: float = pydantic.Field(default=0.80, gt=0, le=1)
    storage_stop: float = pydantic.Field(default=0.95, gt=0, le=1)

    def __post_init__(self) -> None:
        if self.batch % (self.micro_batch * self.parallel.workers):
            raise ValueError(
                f"batch = {self.batch} must be a multiple of micro_batch x workers = {self.micro_batch} x {self.parallel.workers}"
            )
        if self.parallel.min_workers > self.parallel.workers:
            raise ValueError("parallel.min_workers must not be more than parallel.workers")
        if self.parallel.backend == "plain" and self.parallel.workers > 1:
            raise ValueError("parallel.backend: plain is one process; use deepspeed for several workers")
        if self.storage_warn > self.storage_stop:
            raise ValueError("storage_warn must not lie above storage_stop")

    @property
    def accumulation(self) -> int:
        """Micro-batches of a step and worker."""
        return self.batch // (self.micro_batch * self.parallel.workers)

    @classmethod
    def from_file(cls, path: str | Path, overrides: Mapping[str, Any] | None = None) -> TrainConfig:
        """Read YAML. Raises TrainingError with the file and the key, and the nearest valid name of a wrong one."""
        try:
            data = yaml.safe_load(Path(path).read_text("utf-8-sig"))
        except OSError as error:
            raise TrainingError(f"cannot read {path}: {error.strerror or error}") from None
        except yaml.YAMLError as error:
            raise TrainingError(f"{path}: not YAML: {error}") from None
        return cls.from_dict(data, str(path), overrides)

    @classmethod
    def from_dict(cls, data: Any, where: str = "config", overrides: Mapping[str, Any] | None = None) -> TrainConfig:
        """Validate a mapping; `overrides` are dotted keys, as of `--set optimizer.learning_rate=1e-5`."""
        if not isinstance(data, dict):
            raise TrainingError(
                f"{where}: a training configuration is a mapping with objective, model, data and output"
            )
        data = _plain(data)
        for key, value in (overrides or {}).items():
            *parents, last = key.split(".")
            target = data
            for part in parents:
                target = target.setdefault(part, {})
                if not isinstance(target, dict):
                    raise TrainingError(f"--set {key}: {part!r} is no section")
            target[last] = value
        _check_keys(cls, data, where, "")
        try:
            made: TrainConfig = pydantic.TypeAdapter(cls).validate_python(data)
            return made
        except pydantic.ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(p) for p in first["loc"])
            raise TrainingError(f"{where}: {place + ': ' if place else ''}{first['msg']}") from None

    def describe(self) -> dict[str, Any]:
        """As plain data, every default written out."""
        described: dict[str, Any] = orjson.loads(orjson.dumps(asdict(self)))
        return described

    def fingerprint(self) -> str:
        """Hash of everything that determines the course of training: not of names, places and intervals."""
        told = self.describe()
        for key in ("output", "name", "log_every", "evaluate_every", "save_every", "keep", "save_in_background", "wandb", "hang_minutes", "storage_warn", "storage_stop", "micro_batch", "parallel"):  # fmt: skip
            told.pop(key)
        return hashlib.blake2b(orjson.dumps(told, option=orjson.OPT_SORT_KEYS), digest_size=12).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, (list, tuple)) else value


_SECTIONS = {"model": ModelConfig, "data": DataConfig, "optimizer": OptimizerConfig, "dpo": DpoConfig, "parallel": ParallelConfig}  # fmt: skip
_LISTS = {"train": SourceConfig, "evaluation": SourceConfig, "phases": PhaseConfig}


def _check_keys(kind: type[Any], data: Mapping[str, Any], where: str, prefix: str) -> None:
    known = [f.name for f in fields(kind)]
    for key, value in data.items():
        if key not in known:
            raise TrainingError(f"{where}: unknown key {prefix}{key}{nearest(key, known)}")
        if key in _SECTIONS and isinstance(value, dict):
            _check_keys(_SECTIONS[key], value, where, f"{prefix}{key}.")
        if key in _LISTS and isinstance(value, list):
            for i, item in enumerate(value):
                if isinstance(item, dict):
                    _check_keys(_LISTS[key], item, where, f"{prefix}{key}[{i}].")
