"""The configuration of a training run: dataclasses, read from YAML and validated; see docs/training.md."""

from training.config.sections import (
    DataConfig,
    DpoConfig,
    ModelConfig,
    OptimizerConfig,
    ParallelConfig,
    PhaseConfig,
    SourceConfig,
)
from training.config.train import TrainConfig, json_schema

__all__ = [
    "DataConfig",
    "DpoConfig",
    "ModelConfig",
    "OptimizerConfig",
    "ParallelConfig",
    "PhaseConfig",
    "SourceConfig",
    "TrainConfig",
    "json_schema",
]
