"""Batches of rows as tensors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from training.data.rows import Row

__all__ = ["Batch", "collate", "micro_batches", "to_device"]


@dataclass
class Batch:
    """One micro-batch, on the CPU. Shapes (rows, width) unless said otherwise.

    ids: padded on the right with `pad`. segments: number of the sequence in its row, -1 for padding. positions: within
    the sequence. targets: bool; a target is predicted from the token before it, so a sequence's first is none. source:
    (rows,). indices: (rows,) numbers that reference log-probabilities are kept by.
    """

    ids: Any
    segments: Any
    positions: Any
    targets: Any
    source: Any
    packed: bool
    indices: list[tuple[int, int]]

    @property
    def tokens(self) -> int:
        """Tokens that are no padding."""
        return int((self.segments >= 0).sum())


def collate(
    rows: Sequence[Row], *, pad: int, pairs: bool, indices: Sequence[tuple[int, int]] = (), width: int = 2
) -> Batch:
    """Rows as tensors, padded to the longest, or to `width` if that is more. With `pairs`, the two sequences of a row become two rows: all chosen ones, then all rejected ones."""
    import torch

    if pairs:
        rows = [Row((r.ids[w],), (r.targets[w],), r.source) for w in (0, 1) for r in rows]
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


def micro_batches(rows: Sequence[Row], keys: Sequence[tuple[int, int]], *, rank: int, world: int, micro: int, accumulation: int, pad: int, pairs: bool, width: int = 2) -> Iterator[Batch]:  # fmt: skip
    """This worker's micro-batches of a step: always `accumulation` of them, empty ones at the end of the data.

    Row i of the step goes to worker i mod world, so that what a worker gets of a global batch depends on nothing else.
    """
    empty = Row((np.zeros(2, np.int64),), (np.zeros(2, np.uint8),), 0)
    if pairs:
        empty = Row(empty.ids * 2, empty.targets * 2, 0)
    mine, named = list(rows[rank::world]), list(keys[rank::world])
    for i in range(accumulation):
        part, key = mine[i * micro : (i + 1) * micro], named[i * micro : (i + 1) * micro]
        yield collate(part or [empty], pad=pad, pairs=pairs, indices=key, width=width)


def to_device(batch: Batch, device: Any) -> Batch:
    if device.type == "cpu":
        return batch
    moved = {name: getattr(batch, name).to(device, non_blocking=True) for name in ("ids", "segments", "positions", "targets", "source")}  # fmt: skip
    return replace(batch, **moved)
