"""Which rows a step trains on, in which order, and what they look like as tensors.

The rows of step `s` are rows [s G, (s + 1) G) of one endless stream that seed and data alone determine, whatever the
number of workers: so a run that is resumed, on as many workers or on others, goes on with the very next row.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit

from raylib.errors import TrainingError
from training.tokens import TokenSet

__all__ = ["Batch", "Row", "RowStream", "Rows", "collate", "rows_of"]

Array = np.ndarray[Any, Any]
_BLOCK = 4096  # rows whose order is held in memory


@dataclass(frozen=True)
class Row:
    """Sequences that share a row of the batch and do not see each other: (ids, targets, source)."""

    ids: tuple[Array, ...]
    targets: tuple[Array, ...]
    source: int

    @property
    def length(self) -> int:
        return sum(map(len, self.ids))

    @property
    def target_count(self) -> int:
        """Targets that can be predicted: a sequence's first token cannot."""
        return int(sum(int(t[1:].sum()) for t in self.targets))


@njit(cache=True)
def _next_fit(lengths: Array, limit: int) -> Array:
    """Where rows begin when sequences are put into rows of `limit` tokens one after the other."""
    begins = np.empty(len(lengths) + 1, np.int64)
    count, used = 0, limit + 1
    for i in range(len(lengths)):
        length = min(lengths[i], limit)
        if used + length > limit:
            begins[count] = i
            count += 1
            used = 0
        used += length
    begins[count] = len(lengths)
    return begins[: count + 1]


class Rows:
    """A token set as rows. Pretraining text is one stream cut every `length` tokens; samples are put whole into rows
    (packing) or have one each; a preference is one row of two sequences."""

    def __init__(self, tokens: TokenSet, length: int, *, packing: bool, number: int) -> None:
        self.tokens, self.length, self.number = tokens, length, number
        self.kind = tokens.kind
        self._begins: Array | None = None
        if self.kind == "pretrain":
            self.count = -(-int(tokens.starts[-1]) // length)
        elif self.kind == "sft" and packing:
            self._begins = _next_fit(np.diff(tokens.starts), length)
            self.count = len(self._begins) - 1
        else:
            self.count = len(tokens)

    def row(self, index: int) -> Row:
        """Row `index`, 0 <= index < count."""
        if self.kind == "pretrain":
            return self._stream_row(index)
        if self.kind == "preference":
            return self._pair(index)
        first, last = (index, index + 1) if self._begins is None else (int(self._begins[index]), int(self._begins[index + 1]))  # fmt: skip
        ids, targets = [], []
        for number in range(first, last):
            tokens, mask = self.tokens.sequence(number)
            assert mask is not None
            ids.append(tokens[: self.length])
            targets.append(mask[: self.length])
        return Row(tuple(ids), tuple(targets), self.number)

    def _stream_row(self, index: int) -> Row:
        starts = self.tokens.starts
        begin = index * self.length
        end = min(begin + self.length, int(starts[-1]))
        first = int(np.searchsorted(starts, begin, side="right")) - 1
        last = int(np.searchsorted(starts, end, side="left"))
        borders = np.clip(np.asarray(starts[first : last + 1]), begin, end)
        parts = [self.tokens.tokens[a:b] for a, b in itertools.pairwise(borders.tolist()) if b > a]
        return Row(tuple(parts), tuple(np.ones(len(p), np.uint8) for p in parts), self.number)

    def _pair(self, index: int) -> Row:
        asked, _ = self.tokens.sequence(3 * index)
        ids, targets = [], []
        for which in (1, 2):
            answer, _ = self.tokens.sequence(3 * index + which)
            answer = answer[: self.length - 1]
            prompt = asked[max(0, len(asked) + len(answer) - self.length) :]  # the prompt keeps its end
            ids.append(np.concatenate([prompt, answer]))
            targets.append(np.concatenate([np.zeros(len(prompt), np.uint8), np.ones(len(answer), np.uint8)]))
        return Row(tuple(ids), tuple(targets), self.number)

    def size(self, index: int) -> int:
        """Tokens of a row, without reading them."""
        starts = self.tokens.starts
        if self.kind == "pretrain":
            return self.length
        if self._begins is not None:
            return int(starts[self._begins[index + 1]] - starts[self._begins[index]])
        width = 3 if self.kind == "preference" else 1
        return int(starts[(index + 1) * width] - starts[index * width])


def rows_of(paths: Sequence[str], length: int, *, packing: bool) -> list[Rows]:
    """Rows of token folders; all of them preferences, or none."""
    made = [Rows(TokenSet(p), length, packing=packing, number=i) for i, p in enumerate(paths)]
    if len({r.kind == "preference" for r in made}) > 1:
        raise TrainingError("preferences cannot be mixed with other tokens in one run")
    return made


def _shuffled(index: Array, count: int, seed: int) -> Array:
    """A permutation of [0, count) at `index`, without holding it: a Feistel network of four rounds, walked in cycles."""
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
                mixed = (right ^ key) * np.uint64(0x9E3779B97F4A7C15)
                mixed = (mixed ^ (mixed >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)
                left, right = right, left ^ ((mixed >> np.uint64(17)) & mask)
            value[outside] = left << np.uint64(half) | right
            outside = value >= np.uint64(count)
    return value.astype(np.int64)


class RowStream:
    """The endless stream of rows of several sources.

    shares: rows of an epoch from each; 0: all of them. In the first epoch a source is read in its own (random) order,
    in later ones in another random order. Sources are mixed evenly. With `group`, rows of similar length come in
    groups of so many, as batches that are padded want them.
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
        # rows of each source before each block, and of all
        self._upto = np.arange(blocks + 1)[:, None] * self._wanted[None, :] // blocks
        self._starts = self._upto.sum(axis=1)
        self._held: tuple[int, int, Array] | None = None

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

    def _block(self, epoch: int, block: int) -> Array:
        """One block of an epoch, shape (n, 2): source and row."""
        if self._held is not None and self._held[:2] == (epoch, block):
            return self._held[2]
        made = self._mixed(epoch, block)
        if self.group:
            made = self._grouped(made, epoch, block)
        self._held = (epoch, block, made)
        return made

    def _mixed(self, epoch: int, block: int) -> Array:
        """The rows of each source in this block, evenly mixed: the k-th of n stands at (k + 1/2) / n."""
        parts, places = [], []
        for i, rows in enumerate(self.sources):
            first, last = int(self._upto[block, i]), int(self._upto[block + 1, i])
            if last == first:
                continue
            turn = np.arange(first, last) + epoch * int(self._wanted[i])
            again, index = np.divmod(turn, rows.count)
            found = index.copy()
            for number in np.unique(again).tolist():
                if number:  # the first time a source is read in its own order
                    here = again == number
                    found[here] = _shuffled(index[here], rows.count, self.seed * 1_000_003 + number)
            parts.append(np.stack([np.full(last - first, i), found], axis=1))
            places.append((np.arange(last - first) + 0.5) / (last - first))
        return np.concatenate(parts)[np.argsort(np.concatenate(places), kind="stable")]

    def _grouped(self, rows: Array, epoch: int, block: int) -> Array:
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
        """The rows at positions [begin, begin + count), tokens and all."""
        return [self.sources[s].row(r) for s, r in self.rows(begin, count)]


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
