"""The configuration of a whole training run."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Literal

import orjson
import pydantic
from pydantic import Field
from pydantic.dataclasses import dataclass

from raylib.credentials import secret_told, secrets_of
from raylib.errors import TrainingError
from raylib.paths import with_located_paths
from raylib.user_yaml import Where, full_width_hint, read_document
from raylib.validation import explain, with_words
from training.config.reading import check_keys, override, plain_mapping
from training.config.sections import (
    STRICT,
    DataConfig,
    DpoConfig,
    ModelConfig,
    OptimizerConfig,
    ParallelConfig,
    PhaseConfig,
)

__all__ = ["TrainConfig", "json_schema"]

# fields that do not change the course of training: names, places, intervals, and the number of workers
_WITHOUT_INFLUENCE = (
    "output",
    "name",
    "log_every",
    "evaluate_every",
    "save_every",
    "keep",
    "save_in_background",
    "wandb",
    "hang_minutes",
    "storage_warn",
    "storage_stop",
    "micro_batch",
    "parallel",
)


@dataclass(frozen=True, config=STRICT)
class TrainConfig:
    """A training run: what is trained, on what, how long, and where the results go."""

    objective: Literal["pretrain", "sft", "dpo"] = Field(
        description="Training objective: `pretrain` learns every token, `sft` learns the answers of conversations, "
        "`dpo` learns preferences."
    )
    output: str = Field(description="Path of the folder in which the run creates its own folder.")
    name: str = Field(
        default="",
        description="Name of the run. If empty, a unique name is generated from model, objective, host and time.",
    )
    model: ModelConfig = Field(default_factory=ModelConfig, description="Model settings; see [model](#model).")
    data: DataConfig = Field(default_factory=DataConfig, description="Data settings; see [data](#data).")
    optimizer: OptimizerConfig = Field(
        default_factory=OptimizerConfig, description="Optimizer settings; see [optimizer](#optimizer)."
    )
    dpo: DpoConfig = Field(
        default_factory=DpoConfig, description="Settings of preference optimisation; see [dpo](#dpo)."
    )
    parallel: ParallelConfig = Field(
        default_factory=ParallelConfig, description="Workers and backend; see [parallel](#parallel)."
    )
    phases: tuple[PhaseConfig, ...] = Field(
        default=(),
        description="Phases that are trained one after the other in place of `data.train`; see [phases](#phases).",
    )
    batch: int = Field(
        default=128,
        ge=1,
        description="Number of rows of an optimizer step, over all workers. It must be a multiple of `micro_batch` "
        "times `parallel.workers`.",
    )
    micro_batch: int = Field(
        default=4, ge=1, description="Number of rows that a worker passes through the model at once."
    )
    epochs: float = Field(
        default=1.0,
        gt=0,
        description="Number of passes over the data; fractions are allowed. Ignored if `steps` is set.",
    )
    steps: int = Field(default=0, ge=0, description="Number of optimizer steps. 0 trains for `epochs`.")
    seed: int = Field(default=0, description="Seed of the order of rows, of dropout and of new weights.")
    log_every: int = Field(default=1, ge=1, description="Number of steps between progress lines.")
    evaluate_every: int = Field(default=100, ge=1, description="Number of steps between evaluations.")
    save_every: int = Field(default=100, ge=1, description="Number of steps between checkpoints.")
    keep: int = Field(
        default=3, ge=1, description="Number of checkpoints that are kept, besides the models `best` and `final`."
    )
    save_in_background: bool = Field(
        default=True,
        description="Whether to copy states to the host's memory and write them while training continues. Otherwise "
        "training waits for the write, and no extra memory is needed.",
    )
    wandb: str = Field(
        default="",
        description="Name of a Weights & Biases project that also receives the metrics. If empty, none does.",
    )
    non_finite: Literal["skip", "stop"] = Field(
        default="skip",
        description="What happens when the loss of a step is NaN or infinite: `skip` the update, or `stop` the run.",
    )
    hang_minutes: float = Field(
        default=30.0,
        ge=0,
        description="Minutes without progress after which a worker writes the stacks of its threads and exits. 0 waits "
        "forever.",
    )
    storage_warn: float = Field(
        default=0.80, gt=0, le=1, description="Used share of the output volume above which the run logs a warning."
    )
    storage_stop: float = Field(
        default=0.95, gt=0, le=1, description="Used share of the output volume above which the run saves and stops."
    )

    def __post_init__(self) -> None:
        # pydantic turns a ValueError into the ValidationError that `from_dict` reports
        parallel = self.parallel
        if self.batch % (self.micro_batch * parallel.workers):
            product = f"micro_batch x parallel.workers = {self.micro_batch} x {parallel.workers}"
            raise ValueError(f"batch = {self.batch} must be a multiple of {product}")
        if parallel.min_workers > parallel.workers:
            raise ValueError("parallel.min_workers must not be greater than parallel.workers")
        if parallel.backend == "plain" and parallel.workers > 1:
            raise ValueError("parallel.backend: plain is one process; use deepspeed for several workers")
        if parallel.backend == "deepspeed" and parallel.zero_stage == 0 and self.model.dtype != "fp32":
            raise ValueError(
                f"parallel.zero_stage: 0 needs model.dtype fp32, not {self.model.dtype}, because DeepSpeed cannot sum "
                "gradients in float32 then; use zero_stage 1, or backend plain for a single worker"
            )
        if self.storage_warn > self.storage_stop:
            raise ValueError("storage_warn must not be greater than storage_stop")

    @property
    def accumulation(self) -> int:
        """Number of micro-batches of a step on each worker."""
        return self.batch // (self.micro_batch * self.parallel.workers)

    @classmethod
    def from_file(cls, path: str | Path, overrides: Mapping[str, object] | None = None) -> TrainConfig:
        """Read a configuration from a YAML file.

        Args:
            path: Path of the file.
            overrides: Values by dotted key that replace those of the file, such as
                `{"optimizer.learning_rate": 1e-5}`.

        Returns:
            The validated configuration.

        Raises:
            TrainingError: if the file cannot be read, a key is unknown or a value is wrong; names file and key.
        """
        document = read_document(path, TrainingError)
        try:
            return cls._validated(document.data, document.where, overrides)
        except TrainingError as error:
            hint = full_width_hint(document.text)
            raise (TrainingError(f"{error}; {hint}") if hint else error) from None

    @classmethod
    def from_dict(
        cls, data: object, where: str = "config", overrides: Mapping[str, object] | None = None
    ) -> TrainConfig:
        """Validate a mapping as a configuration.

        Args:
            data: The mapping; sections are mappings inside it.
            where: Name of the place that the mapping comes from, for messages.
            overrides: Values by dotted key that replace those of the mapping.

        Returns:
            The validated configuration.

        Raises:
            TrainingError: if a key is unknown or a value is wrong; names the key.
        """
        return cls._validated(data, Where(where), overrides)

    @classmethod
    def _validated(cls, data: object, at: Where, overrides: Mapping[str, object] | None) -> TrainConfig:
        """The configuration that a mapping holds."""
        plain = plain_mapping(data, at.file)
        for place, found in secrets_of((plain, dict(overrides or {}))):
            raise TrainingError(f"{at(*place[1:])}: {secret_told(place[1:], found)}")
        override(plain, overrides or {})
        at = at.with_overrides(overrides)
        check_keys(cls, plain, at)
        adapter: pydantic.TypeAdapter[TrainConfig] = pydantic.TypeAdapter(cls)
        try:
            return adapter.validate_python(with_words(adapter.validate_python, plain, at))
        except pydantic.ValidationError as error:
            first = error.errors()[0]["loc"]
            raise TrainingError(f"{at(*first)}: {explain(error)}") from None

    def describe(self) -> dict[str, object]:
        """The configuration as plain data with every default written out; `from_dict` reads it back."""
        described: dict[str, object] = orjson.loads(orjson.dumps(asdict(self)))
        return described

    def located(self) -> TrainConfig:
        """The same configuration with absolute paths, for workers in other folders."""
        return with_located_paths(self)

    def fingerprint(self) -> str:
        """Hash of every setting that determines the course of training; names, places and intervals do not.

        A path counts as the place that it names, however it is written.
        """
        described = self.located().describe()
        decisive = {key: value for key, value in described.items() if key not in _WITHOUT_INFLUENCE}
        return hashlib.blake2b(orjson.dumps(decisive, option=orjson.OPT_SORT_KEYS), digest_size=12).hexdigest()


def json_schema() -> dict[str, object]:
    """Describe a training configuration as JSON schema.

    Returns:
        The schema, with types, bounds, defaults and descriptions of all fields.
    """
    schema: dict[str, object] = pydantic.TypeAdapter(TrainConfig).json_schema()
    return schema
