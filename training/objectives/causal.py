"""Next-token prediction: pretraining, fine-tuning on answers, and both in one batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from training.data.batches import Batch
from training.data.rows import Row
from training.objectives.objective import TokenLosses

__all__ = ["Causal"]


@dataclass(frozen=True)
class Causal:
    """The sum over sources of weight x (summed loss of the source's targets / number of its targets).

    Weights are divided by their sum over the sources that the step has targets of. With one source this is the mean
    over all targets of the global batch, no matter which rows, micro-batches and workers they are on.

    Attributes:
        weights: Weight of each source.
    """

    weights: tuple[float, ...]
    pairs = False

    def counts(self, rows: Sequence[Row]) -> Tensor:
        """Number of targets of each source in these rows, float64."""
        out = torch.zeros(len(self.weights), dtype=torch.float64)
        for row in rows:
            out[row.source] += row.target_count
        return out

    def loss(self, scorer: TokenLosses, batch: Batch, counts: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """This micro-batch's part of the step's loss, and sums of losses and targets by source."""
        losses = scorer(batch.ids, batch.segments, batch.positions, batch.targets, batch.packed)
        row = batch.targets.nonzero(as_tuple=True)[0]
        source = batch.source[row]
        weights = torch.tensor(self.weights, dtype=torch.float64)
        present = (counts > 0) & (weights > 0)
        share = torch.where(present, weights, torch.zeros_like(weights))
        share = share / share.sum().clamp_min(1e-12) / counts.clamp_min(1)
        if len(row) == 0:
            return losses.sum(), self._sums(losses.detach()[:0], source)
        part = (losses * share.to(losses.device, torch.float32)[source]).sum()
        return part, self._sums(losses.detach(), source)

    def _sums(self, losses: Tensor, source: Tensor) -> dict[str, Tensor]:
        """Summed loss and number of targets of each source, float64."""
        size = len(self.weights)
        zero = torch.zeros(size, dtype=torch.float64, device=losses.device)
        return {
            "loss_sum": zero.index_add(0, source, losses.double()),
            "targets": zero.index_add(0, source, torch.ones_like(losses, dtype=torch.float64)),
        }

    def metrics(self, sums: dict[str, Tensor], names: Sequence[str]) -> dict[str, float]:
        """The loss of the step; with several sources also of each."""
        loss, targets = sums["loss_sum"], sums["targets"]
        means = loss / targets.clamp_min(1)
        weights = torch.tensor(self.weights, dtype=torch.float64) * (targets > 0)
        out = {"loss": float((means * weights).sum() / weights.sum().clamp_min(1e-12)), "targets": float(targets.sum())}
        if len(names) > 1:
            out |= {f"loss/{n}": float(m) for n, m, t in zip(names, means, targets, strict=True) if t}
        return out
