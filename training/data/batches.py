"""Batches of rows as tensors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from training.data.rows import Row

__all__ = ["Batch", "BatchShape", "collate", "micro_batches", "to_device"]


@dataclass
class Batch:
    """One micro-batch.

    Attributes:
        ids: Token ids, int64, shape `[rows, width]`, padded on the right.
        segments: Number of the sequence within its row, int64, `[rows, width]`; -1 for padding.
        positions: Position within the sequence, int64, `[rows, width]`.
        targets: Whether the token is a target, bool, `[rows, width]`. A target is predicted from the token before it,
            so the first token of a sequence never is one.
        source: Number of each row's source, int64, `[rows]`.
        packed: Whether a row holds several sequences.
        indices: (source, row) of each row, by which reference log-probabilities are found.
    """

    ids: Tensor
    segments: Tensor
    positions: Tensor
    targets: Tensor
    source: Tensor
    packed: bool
    indices: list[tuple[int, int]]

    @property
    def tokens(self) -> int:
        """Number of tokens without padding."""
        return int((self.segments >= 0).sum())


@dataclass(frozen=True)
class BatchShape:
    """How a worker's rows of a step are cut into micro-batches.

    Attributes:
        micro: Rows of a micro-batch.
        accumulation: Micro-batches of a step.
        pad: Token id that fills up rows.
        pairs: Whether rows are preferences, whose two sequences become two rows of the batch.
        width: Smallest number of columns.
    """

    micro: int
    accumulation: int
    pad: int
    pairs: bool
    width: int = 2


def collate(
    rows: Sequence[Row], *, pad: int, pairs: bool, indices: Sequence[tuple[int, int]] = (), width: int = 2
) -> Batch:
    """Rows as tensors, padded to the longest row, or to `width` if that is more.

    With `pairs`, the two sequences of a row become two rows: first all chosen ones, then all rejected ones.
    """
    if pairs:
        rows = [Row((r.ids[which],), (r.targets[which],), r.source) for which in (0, 1) for r in rows]
    width = max([width, *(r.length for r in rows)])
    ids = np.full((len(rows), width), pad, np.int64)
    segments = np.full((len(rows), width), -1, np.int64)
    positions = np.zeros((len(rows), width), np.int64)
    targets = np.zeros((len(rows), width), np.bool_)
    for i, row in enumerate(rows):
        at = 0
        for k, (tokens, mask) in enumerate(zip(row.ids, row.targets, strict=True)):
            end = at + len(tokens)
            ids[i, at:end] = tokens
            segments[i, at:end] = k
            positions[i, at:end] = np.arange(len(tokens))
            targets[i, at + 1 : end] = mask[1:]
            at = end
    return Batch(
        ids=torch.from_numpy(ids),
        segments=torch.from_numpy(segments),
        positions=torch.from_numpy(positions),
        targets=torch.from_numpy(targets),
        source=torch.tensor([r.source for r in rows]),
        packed=any(len(r.ids) > 1 for r in rows),
        indices=list(indices),
    )


def micro_batches(
    rows: Sequence[Row], keys: Sequence[tuple[int, int]], shape: BatchShape, *, rank: int = 0, world: int = 1
) -> Iterator[Batch]:
    """The micro-batches of one worker in a step: always `shape.accumulation`, with empty ones at the end of the data.

    Row i belongs to worker i mod `world`, so a worker's share depends on nothing but the order of the rows.

    Args:
        rows: Rows of the step; of this worker alone if `world` is 1.
        keys: (source, row) of each row.
        shape: How the worker's rows are cut and padded.
        rank: Number of the worker.
        world: Number of workers that the rows are divided among.
    """
    empty = Row((np.zeros(2, np.int64),), (np.zeros(2, np.uint8),), 0)
    if shape.pairs:
        empty = Row(empty.ids * 2, empty.targets * 2, 0)
    mine, named = rows[rank::world], keys[rank::world]
    for begin in range(0, shape.accumulation * shape.micro, shape.micro):
        part, key = mine[begin : begin + shape.micro], named[begin : begin + shape.micro]
        yield collate(part or [empty], pad=shape.pad, pairs=shape.pairs, indices=key, width=shape.width)


def to_device(batch: Batch, device: torch.device) -> Batch:
    """The batch with its tensors on a device."""
    if device.type == "cpu":
        return batch
    return replace(
        batch,
        ids=batch.ids.to(device, non_blocking=True),
        segments=batch.segments.to(device, non_blocking=True),
        positions=batch.positions.to(device, non_blocking=True),
        targets=batch.targets.to(device, non_blocking=True),
        source=batch.source.to(device, non_blocking=True),
    )
