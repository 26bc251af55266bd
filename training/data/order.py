"""The order in which rows are visited: a pure function of seed and position."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from raylib.errors import TrainingError
from raylib.hashing import GOLDEN
from training.data.rows import Row, Rows

__all__ = ["RowStream"]


_BLOCK = 4096  # rows whose order is held in memory


def _shuffled(index: npt.NDArray[np.int64], count: int, seed: int) -> npt.NDArray[np.int64]:
    """A permutation of [0, count) at `index`, without holding it: a Feistel network of four rounds, cycle-walked."""
    bits = max(2, int(count - 1).bit_length())
    half = (bits + 1) // 2
    mask = np.uint64((1 << half) - 1)
    keys = np.random.default_rng([seed, count]).integers(0, 1 << 62, size=4, dtype=np.uint64)
    value = index.astype(np.uint64)
    outside = np.ones(len(value), np.bool_)
    with np.errstate(over="ignore"):
        while outside.any():
            left, right = value[outside] >> np.uint64(half), value[outside] & mask
            for key in keys:
                mixed = (right ^ key) * GOLDEN
                mixed = (mixed ^ (mixed >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)
                left, right = right, left ^ ((mixed >> np.uint64(17)) & mask)
            value[outside] = left << np.uint64(half) | right
            outside = value >= np.uint64(count)
    return value.astype(np.int64)


class RowStream:
    """The endless stream of rows of several sources.

    In its first epoch a source is read in its own order, which is random; in later ones in another random order.
    Sources are mixed evenly.

    Args:
        sources: Rows of each source.
        shares: Share of an epoch's rows that come from each source; all zeros read every row once.
        seed: Seed of the order.
        group: If set, rows are ordered in groups of this size with similar lengths, to reduce padding.

    Raises:
        TrainingError: if there are no rows.
    """

    def __init__(self, sources: Sequence[Rows], *, shares: Sequence[float], seed: int, group: int = 0) -> None:
        if not sources or not any(r.count for r in sources):
            raise TrainingError("no rows to train on: data.train is empty")
        self.sources, self.seed, self.group = list(sources), seed, group
        natural = np.array([r.count for r in sources], np.float64)
        given = np.array([*shares], np.float64)
        if given.any():
            total = natural.sum()
            natural = np.where(given > 0, given / given.sum() * total, 0.0)
        self._wanted = np.maximum(np.round(natural), 0).astype(np.int64)
        self.epoch_rows = int(self._wanted.sum())
        blocks = max(1, -(-self.epoch_rows // _BLOCK))
        # rows before each block: of each source, and of all
        self._upto = np.arange(blocks + 1)[:, None] * self._wanted[None, :] // blocks
        self._starts = self._upto.sum(axis=1)
        self._held: tuple[int, int, npt.NDArray[np.int64]] | None = None

    def rows(self, begin: int, count: int) -> list[tuple[int, int]]:
        """(source, row) of positions [begin, begin + count)."""
        out: list[tuple[int, int]] = []
        at = begin
        while len(out) < count:
            epoch, within = divmod(at, self.epoch_rows)
            block = int(np.searchsorted(self._starts, within, side="right")) - 1
            offset = within - int(self._starts[block])
            part = self._block(epoch, block)[offset : offset + count - len(out)]
            out += [(int(s), int(r)) for s, r in part]
            at += len(part)
        return out

    def _block(self, epoch: int, block: int) -> npt.NDArray[np.int64]:
        """One block of an epoch, shape (n, 2): source and row."""
        if self._held is not None and self._held[:2] == (epoch, block):
            return self._held[2]
        made = self._mixed(epoch, block)
        if self.group:
            made = self._grouped(made, epoch, block)
        self._held = (epoch, block, made)
        return made

    def _mixed(self, epoch: int, block: int) -> npt.NDArray[np.int64]:
        """The rows of each source in this block, evenly mixed: the k-th of n is placed at (k + 1/2) / n."""
        parts, places = [], []
        for i, rows in enumerate(self.sources):
            first, last = int(self._upto[block, i]), int(self._upto[block + 1, i])
            if last == first:
                continue
            turn = np.arange(first, last) + epoch * int(self._wanted[i])
            again, index = np.divmod(turn, rows.count)
            found = index.copy()
            for number in np.unique(again).tolist():
                if number:  # the first pass is in the source's own order
                    here = again == number
                    found[here] = _shuffled(index[here], rows.count, self.seed * 1_000_003 + number)
            parts.append(np.stack([np.full(last - first, i), found], axis=1))
            places.append((np.arange(last - first) + 0.5) / (last - first))
        return np.concatenate(parts)[np.argsort(np.concatenate(places), kind="stable")]

    def _grouped(self, rows: npt.NDArray[np.int64], epoch: int, block: int) -> npt.NDArray[np.int64]:
        """Rows sorted by length in windows of 16 groups, then the groups shuffled."""
        rng = np.random.default_rng([self.seed, epoch, block])
        parts = []
        for begin in range(0, len(rows), 16 * self.group):
            window = rows[begin : begin + 16 * self.group]
            sizes = np.array([self.sources[s].size(int(r)) for s, r in window])
            ordered = window[np.argsort(-sizes, kind="stable")]
            groups = [ordered[i : i + self.group] for i in range(0, len(ordered), self.group)]
            whole = [g for g in groups if len(g) == self.group]
            rest = [g for g in groups if len(g) < self.group]
            parts += [whole[i] for i in rng.permutation(len(whole))] + rest
        return np.concatenate(parts)

    def read(self, begin: int, count: int) -> list[Row]:
        """The rows at positions [begin, begin + count), with their tokens."""
        return [self.sources[s].row(r) for s, r in self.rows(begin, count)]
