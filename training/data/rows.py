"""Rows of tokens: packed or one sample each, as a function of their position."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import njit

from raylib.errors import TrainingError
from training.data.token_set import TokenSet

__all__ = ["Row", "Rows", "rows_of"]


@dataclass(frozen=True)
class Row:
    """Sequences that share a row of the batch and do not see each other.

    Attributes:
        ids: Token ids of each sequence.
        targets: Whether each token is a target, uint8, for each sequence.
        source: Number of the source.
    """

    ids: tuple[npt.NDArray[np.integer], ...]
    targets: tuple[npt.NDArray[np.uint8], ...]
    source: int

    @property
    def length(self) -> int:
        """Number of tokens."""
        return sum(map(len, self.ids))

    @property
    def target_count(self) -> int:
        """Number of targets that can be predicted; the first token of a sequence cannot."""
        return int(sum(int(t[1:].sum()) for t in self.targets))


@njit(cache=True)
def _next_fit(lengths: npt.NDArray[np.int64], limit: int) -> npt.NDArray[np.int64]:
    """First sequence of each row when sequences are put into rows of `limit` tokens one after the other."""
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
    """A token set as rows.

    Pretraining text is one stream that is cut every `length` tokens. Samples are put whole into rows (packing), or have
    a row each. A preference is one row of two sequences.

    Args:
        tokens: The token set.
        length: Number of tokens of a row.
        packing: Whether rows hold several samples.
        number: Number of the source.
    """

    def __init__(self, tokens: TokenSet, length: int, *, packing: bool, number: int) -> None:
        self.tokens, self.length, self.number = tokens, length, number
        self.kind = tokens.kind
        self._begins: npt.NDArray[np.int64] | None = None
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
        ids, targets = [], []
        for number in self._samples(index):
            tokens, mask = self.tokens.sequence(number)
            assert mask is not None  # only pretraining tokens have none
            ids.append(tokens[: self.length])
            targets.append(mask[: self.length])
        return Row(tuple(ids), tuple(targets), self.number)

    def _samples(self, index: int) -> range:
        """Numbers of the samples in a row."""
        if self._begins is None:
            return range(index, index + 1)
        return range(int(self._begins[index]), int(self._begins[index + 1]))

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
            answer, learnt = self.tokens.sequence(3 * index + which)
            assert learnt is not None  # only pretraining tokens have none
            answer, learnt = answer[: self.length - 1], learnt[: self.length - 1]
            prompt = asked[max(0, len(asked) + len(answer) - self.length) :]  # the prompt keeps its end
            ids.append(np.concatenate([prompt, answer]))
            targets.append(np.concatenate([np.zeros(len(prompt), np.uint8), learnt]))
        return Row(tuple(ids), tuple(targets), self.number)

    def size(self, index: int) -> int:
        """Number of tokens of a row, without reading them."""
        starts = self.tokens.starts
        if self.kind == "pretrain":
            return self.length
        if self._begins is not None:
            return int(starts[self._begins[index + 1]] - starts[self._begins[index]])
        width = 3 if self.kind == "preference" else 1
        return int(starts[(index + 1) * width] - starts[index * width])


def rows_of(paths: Sequence[str], length: int, *, packing: bool) -> list[Rows]:
    """Rows of token folders.

    Args:
        paths: Token folders, each of which is a source.
        length: Number of tokens of a row.
        packing: Whether rows hold several samples.

    Raises:
        TrainingError: if preferences are mixed with other tokens.
    """
    made = [Rows(TokenSet(p), length, packing=packing, number=i) for i, p in enumerate(paths)]
    if len({r.kind == "preference" for r in made}) > 1:
        raise TrainingError("preferences cannot be mixed with other tokens in one run")
    return made
