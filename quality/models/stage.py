"""A local stage that loads a model once per worker and never carries it along."""

from __future__ import annotations

from abc import abstractmethod
from functools import cached_property
from typing import Generic, TypeVar

from raylib.stage import LocalStage

__all__ = ["ModelStage"]

M_co = TypeVar("M_co", covariant=True)


class ModelStage(LocalStage, Generic[M_co]):
    """Base of frozen dataclass stages that need something loaded: a model, a classifier, the client of an endpoint.

    A stage is configuration: two stages with the same parameters are equal, and pickling one carries its parameters
    alone. Whatever `load` returns stays in the worker.
    """

    @property
    def model_based(self) -> bool:
        """Whether the stage runs in a segment of its own, on a GPU if there is one."""
        return True

    @abstractmethod
    def load(self) -> M_co:
        """Load what the stage needs. Called once per worker, when the first shard arrives."""

    @cached_property
    def loaded(self) -> M_co:
        """The model that `load` returned."""
        return self.load()

    @property
    def is_loaded(self) -> bool:
        """Whether the model is loaded."""
        return "loaded" in vars(self)

    def setup(self) -> None:
        """Load the model, unless it is loaded already."""
        _ = self.loaded

    def __getstate__(self) -> dict[str, object]:
        return {name: value for name, value in vars(self).items() if name != "loaded"}
