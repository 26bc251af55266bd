"""Rows of tokens: packed or one sample each, as a function of their position."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit

from raylib.errors import TrainingError
from training.data.token_set import TokenSet

__all__ = ["Array", "Row", "Rows", "rows_of"]


Array = np.ndarray[Any, Any]


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
