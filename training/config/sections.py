"""The sections of a training configuration. The description of a field is what docs/training.md says of it."""

from __future__ import annotations

from typing import Literal

import pydantic
from pydantic import Field
from pydantic.dataclasses import dataclass

from raylib.paths import PathName

__all__ = [
    "STRICT",
    "DataConfig",
    "DpoConfig",
    "ModelConfig",
    "OptimizerConfig",
    "ParallelConfig",
    "PhaseConfig",
    "SourceConfig",
]

STRICT = pydantic.ConfigDict(extra="forbid")


@dataclass(frozen=True, config=STRICT)
class ModelConfig:
    """The model that is trained, and how it computes."""

    path: PathName = Field(
        default="",
        description="Path of a folder with a transformers model to start from. If empty, a new model is built from "
        "`shape`.",
    )
    shape: dict[str, object] = Field(
        default_factory=dict,
        description="Configuration of a new transformers model, including its `model_type`, for example "
        "{model_type: llama, hidden_size: 256, ...}. The vocabulary size is taken from the tokenizer unless it is "
        "given.",
    )
    tokenizer: PathName = Field(
        default="", description="Path of the tokenizer's folder. If empty, the tokenizer is read from `path`."
    )
    template_options: dict[str, object] | None = Field(
        default=None,
        description="Variables of the chat template, such as {enable_thinking: false}. The token folders must have "
        "been rendered with the same ones, and the saved model has them as defaults. If absent, those of the token "
        "folders are taken.",
    )
    dtype: Literal["bf16", "fp16", "fp32"] = Field(
        default="bf16",
        description="Data type of weights and activations. Optimizer states are always float32.",
    )
    attention: Literal["sdpa", "eager", "varlen", "flash", "flex"] = Field(
        default="sdpa",
        description="Implementation of attention. `varlen` is PyTorch's variable-length attention, which computes "
        "nothing between packed samples (on a GPU it needs torch 2.11 or newer and bf16 or fp16); `flash` does the "
        "same by the package flash-attn; `flex` is PyTorch's flex attention on a GPU, which skips blocks between "
        "packed samples.",
    )
    kernels: Literal["torch", "liger"] = Field(
        default="torch",
        description="Implementation of norms, rotary embedding and activation. `liger` uses the fused kernels of the "
        "package liger-kernel on a GPU.",
    )
    compile: bool = Field(
        default=False,
        description="Whether to compile each decoder layer and the loss with torch.compile. Rows are then padded to "
        "`data.sequence_length`.",
    )
    checkpointing: bool = Field(
        default=False,
        description="Whether to recompute activations in the backward pass, which saves memory and costs time.",
    )
    train: Literal["all", "embeddings"] = Field(
        default="all", description="Weights that are trained: all of them, or only the input and output embeddings."
    )
    extend_vocabulary: bool = Field(
        default=False,
        description="Whether to add embedding rows for tokens that the tokenizer has and the model lacks. New rows "
        "start as the mean of the existing ones.",
    )
    lora_rank: int = Field(
        default=0, ge=0, description="Rank of the LoRA matrices (package peft). 0 trains the weights themselves."
    )
    lora_alpha: int = Field(
        default=32, gt=0, description="Scale of LoRA's contribution, which is multiplied by `lora_alpha / lora_rank`."
    )
    lora_dropout: float = Field(
        default=0.0, ge=0, lt=1, description="Dropout probability of the inputs of the LoRA matrices."
    )
    lora_targets: tuple[str, ...] = Field(
        default=("q_proj", "k_proj", "v_proj", "o_proj"),
        description="Names of the linear layers that get LoRA matrices.",
    )


@dataclass(frozen=True, config=STRICT)
class SourceConfig:
    """One source of rows: an item of `data.train`, `data.evaluation` or the `train` list of a phase."""

    path: PathName = Field(description="Path of a token folder written by `raylib tokenize`.")
    weight: float = Field(
        default=1.0,
        ge=0,
        description="Weight of this source's loss, which is normalised by the source's own targets. With 0 the source "
        "is read but not learned from.",
    )
    share: float = Field(
        default=0.0,
        ge=0,
        description="Share of an epoch's rows that come from this source, relative to the shares of the other sources. "
        "If no source has a share, every row is read once in an epoch; if some have one, sources without it are left "
        "out.",
    )


@dataclass(frozen=True, config=STRICT)
class DataConfig:
    """The data that is trained on and evaluated."""

    train: tuple[SourceConfig, ...] = Field(
        default=(), description="Sources to train on; see [sources](#sources). Not used when `phases` is set."
    )
    evaluation: tuple[SourceConfig, ...] = Field(
        default=(), description="Sources to evaluate on; see [sources](#sources). If empty, nothing is evaluated."
    )
    sequence_length: int = Field(default=2048, ge=8, description="Number of tokens of a row.")
    packing: bool = Field(
        default=True,
        description="Whether to fill each row with several whole samples, which do not see each other. Without "
        "packing, a batch is padded to its longest sample, and samples of similar length are batched together.",
    )


@dataclass(frozen=True, config=STRICT)
class OptimizerConfig:
    """The optimizer (AdamW) and the schedule of the learning rate."""

    learning_rate: float = Field(default=5e-6, gt=0, description="Peak learning rate.")
    betas: tuple[float, float] = Field(
        default=(0.9, 0.95),
        description="Decay rates of the running means of the gradients and of the squared gradients.",
    )
    epsilon: float = Field(
        default=1e-8,
        gt=0,
        description="Constant added to the root of the mean squared gradient, to avoid division by zero.",
    )
    weight_decay: float = Field(
        default=0.1, ge=0, description="Weight decay of matrices. Norms and biases are not decayed."
    )
    clip: float = Field(
        default=1.0,
        gt=0,
        description="Largest allowed norm of all gradients together; larger gradients are scaled down.",
    )
    schedule: Literal["cosine", "linear", "constant", "wsd"] = Field(
        default="cosine",
        description="Course of the learning rate after the warm-up. `wsd` keeps it constant and lowers it linearly "
        "over the last `decay` share of the steps.",
    )
    warmup: float = Field(
        default=0.1,
        ge=0,
        description="Length of the warm-up, over which the learning rate rises linearly: a number of steps, or a share "
        "of all steps if it is below 1.",
    )
    decay: float = Field(
        default=0.2,
        gt=0,
        le=1,
        description="Share of all steps over which the `wsd` schedule lowers the learning rate.",
    )
    min_ratio: float = Field(
        default=0.0, ge=0, le=1, description="Final learning rate as a share of the peak learning rate."
    )


@dataclass(frozen=True, config=STRICT)
class DpoConfig:
    """Direct preference optimisation; used when `objective` is `dpo`."""

    beta: float = Field(
        default=0.1,
        gt=0,
        description="Strength of the penalty for moving away from the reference model. Larger values stay closer to "
        "it.",
    )
    loss: Literal["sigmoid", "ipo", "hinge", "robust", "sigmoid_norm"] = Field(
        default="sigmoid",
        description="Loss of a pair: `sigmoid` (Rafailov et al. 2023), `ipo` (Azar et al. 2024), `hinge` (Zhao et al. "
        "2023), `robust` (Chowdhury et al. 2024, uses `label_smoothing`), or `sigmoid_norm` (sigmoid with "
        "log-probabilities divided by the lengths of the answers).",
    )
    label_smoothing: float = Field(
        default=0.0, ge=0, lt=0.5, description="Assumed share of preferences whose two answers are swapped."
    )
    sft_weight: float = Field(
        default=0.0,
        ge=0,
        description="Weight of the mean negative log-likelihood of the chosen answers, which is added to the loss "
        "(RPO). 0 adds nothing.",
    )
    reference: Literal["precomputed", "online"] = Field(
        default="precomputed",
        description="Where reference log-probabilities come from: computed once before the first step and kept in the "
        "run's folder (`precomputed`), or by a frozen copy of the model at every step (`online`).",
    )


@dataclass(frozen=True, config=STRICT)
class ParallelConfig:
    """The workers of a run and how they share the model."""

    workers: int = Field(default=1, ge=1, description="Number of worker processes, one for each GPU.")
    min_workers: int = Field(
        default=0,
        ge=0,
        description="Number of workers with which a run may continue after a machine is lost, until a replacement "
        "joins. 0 waits for all workers. `batch` must be divisible for these numbers of workers too.",
    )
    backend: Literal["deepspeed", "plain"] = Field(
        default="deepspeed", description="Training backend: DeepSpeed, or plain PyTorch in a single process."
    )
    zero_stage: Literal[0, 1, 2, 3] = Field(
        default=2,
        description="ZeRO stage of DeepSpeed: 1 divides optimizer states among the workers, 2 gradients as well, 3 "
        "weights as well, 0 nothing, which needs model.dtype fp32.",
    )
    offload: bool = Field(default=False, description="Whether to keep optimizer states in the host's memory.")
    gpus: Literal["auto", "yes", "no"] = Field(
        default="auto",
        description="Whether workers need a GPU. `auto` uses GPUs if this machine has any, or Ray's cluster.",
    )
    layers_a_group: int = Field(
        default=4,
        ge=1,
        description="Number of decoder layers in one optimizer group. Smaller groups need less memory for the copies "
        "that ZeRO 1 and 2 make at a step.",
    )
    max_failures: int = Field(
        default=3, ge=0, description="Number of times that Ray restarts the workers after a failure."
    )


@dataclass(frozen=True, config=STRICT)
class PhaseConfig:
    """One phase of a run, which starts from the weights of the phase before it."""

    name: str = Field(description="Name of the phase, used in log lines and for its model, `final-NAME`.")
    train: tuple[SourceConfig, ...] = Field(description="Sources to train on; see [sources](#sources).")
    epochs: float = Field(default=0, ge=0, description="Number of epochs of this phase. 0 uses the run's `epochs`.")
    steps: int = Field(
        default=0,
        ge=0,
        description="Number of optimizer steps of this phase. 0 uses the phase's `epochs`, or the run's `steps` if "
        "those are not set either.",
    )
    learning_rate: float = Field(
        default=0.0, ge=0, description="Peak learning rate of this phase. 0 uses `optimizer.learning_rate`."
    )
    reset: bool = Field(default=True, description="Whether to start the phase with a fresh optimizer and schedule.")
