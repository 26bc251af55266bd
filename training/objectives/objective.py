"""The contract of an objective: what the loop asks of pretraining, fine-tuning, preferences and objectives to come."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor

from training.data.batches import Batch
from training.data.rows import Row

__all__ = ["Objective", "TokenLosses"]


class TokenLosses(Protocol):
    """A model that gives the loss of each target: a `Scorer`, or an engine or a function around one."""

    def __call__(self, ids: Tensor, segments: Tensor, positions: Tensor, targets: Tensor, packed: bool) -> Tensor:
        """Negative log-likelihoods of the targets, float32, shape `[targets]`; arguments as in `Batch`."""


class Objective(Protocol):
    """The loss of a step, computed micro-batch by micro-batch on each worker.

    Attributes:
        pairs: Whether rows are preferences.
    """

    @property
    def pairs(self) -> bool:
        """Whether rows are preferences."""

    def counts(self, rows: Sequence[Row]) -> Tensor:
        """What a worker's rows add to the divisors of the step, float64; summed over workers."""

    def loss(self, scorer: TokenLosses, batch: Batch, counts: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """A micro-batch's part of the step's loss, and sums to log.

        Args:
            scorer: The model.
            batch: The micro-batch.
            counts: Divisors of the step, as `counts` gives them, summed over all workers.
        """

    def metrics(self, sums: dict[str, Tensor], names: Sequence[str]) -> dict[str, float]:
        """Metrics of a step.

        Args:
            sums: Sums that `loss` returned, over all micro-batches and workers.
            names: Name of each source.
        """
