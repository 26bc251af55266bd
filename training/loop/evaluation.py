"""Evaluation of a model on rows during training."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch

from training.config import DpoConfig
from training.data.batches import micro_batches
from training.data.rows import Rows
from training.model.world import World

__all__ = ["evaluate_rows"]


@torch.no_grad()
def evaluate_rows(
    scorer: Any,
    module: Any,
    sources: Sequence[Rows],
    *,
    world: World,
    micro: int,
    pad: int,
    dpo: DpoConfig | None = None,
    alive: Callable[[], None] = lambda: None,
) -> dict[str, float]:
    """Mean loss a target and perplexity, exp(sum of losses / number of targets), over all sources and each.

    Independent of batch size, padding and workers; all workers make the same number of passes. The module is put back
    into the mode that it was in. For preferences: the share of pairs whose chosen answer has the higher mean
    log-probability a token (`accuracy`), and the loss of chosen answers.
    """
    was_training = module.training
    module.eval()
    totals = torch.zeros(len(sources), 2, dtype=torch.float64)
    right = torch.zeros(2, dtype=torch.float64)
    try:
        for number, rows in enumerate(sources):
            pairs = rows.kind == "preference"
            chunk = micro * world.size
            for begin in range(0, rows.count, chunk):
                keys = [(number, i) for i in range(begin, min(begin + chunk, rows.count))]
                (batch,) = micro_batches([rows.row(r) for _, r in keys], keys, rank=world.rank, world=world.size, micro=micro, accumulation=1, pad=pad, pairs=pairs)  # fmt: skip
                device = world.device
                losses = scorer(batch.ids.to(device), batch.segments.to(device), batch.positions.to(device), batch.targets.to(device), batch.packed).double().cpu()  # fmt: skip
                row = batch.targets.nonzero(as_tuple=True)[0]
                if len(row) == 0:
                    continue
                if not pairs:
                    totals[number] += torch.tensor([float(losses.sum()), float(len(losses))], dtype=torch.float64)
                    continue
                zero = torch.zeros(len(batch.ids), dtype=torch.float64)
                sums, lengths = zero.index_add(0, row, losses), zero.index_add(0, row, torch.ones_like(losses))
                means = sums / lengths.clamp_min(1)
                good, bad = means.chunk(2)
                totals[number] += torch.tensor([float(sums.chunk(2)[0].sum()), float(lengths.chunk(2)[0].sum())], dtype=torch.float64)  # fmt: skip
                right += torch.tensor([float((good < bad).sum()), float(len(good))], dtype=torch.float64)
            alive()
    finally:
        module.train(was_training)
    totals, right = world.total(totals), world.total(right)
    loss, count = totals.sum(dim=0).tolist()
    out = {"loss": loss / max(count, 1.0), "perplexity": math.exp(min(loss / max(count, 1.0), 700.0))}
    if len(sources) > 1:
        for rows, (part, n) in zip(sources, totals.tolist(), strict=True):
            out[f"perplexity/{rows.tokens.path.name}"] = math.exp(min(part / max(n, 1.0), 700.0))
    if right[1]:
        out["accuracy"] = float(right[0] / right[1])
    return out
