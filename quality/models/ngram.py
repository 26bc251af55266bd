"""A character n-gram language model with Witten-Bell interpolation, counted in one hash table.

It is fast enough for a whole pretraining set and needs no GPU. A model is saved as one Arrow file.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias, TypedDict

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from cleaning.codepoints import codepoints
from raylib.atomic import create_atomically
from raylib.compiled import compiled
from raylib.errors import ParameterError
from raylib.foreign_json import parsed
from raylib.hashing import GOLDEN
from raylib.schema import text_of

__all__ = ["CharacterNgram"]

Column: TypeAlias = npt.NDArray[np.uint32]
Keys: TypeAlias = npt.NDArray[np.uint64]
Table: TypeAlias = tuple[Keys, Column, Column, Column]  # keys, counts, totals, kinds: one hash table by open addressing
_MAGIC = b"raylib character n-gram 1"
_ROOT = np.uint64(0x5851F42D4C957F2D)  # the empty context
_ALPHABET = 65_536  # number of characters that an unseen one is drawn from
_SLOTS = 1 << 16  # smallest number of slots


@compiled(inline="always")
def _extend(h: np.uint64, value: np.uint64, order: int) -> np.uint64:
    """Hash of an n-gram with one more character in front; the order is in it, and 0 is left for empty slots."""
    h = (h ^ (value + np.uint64(order) * np.uint64(0xD6E8FEB86659FD93))) * GOLDEN
    mixed: np.uint64 = h ^ (h >> np.uint64(31)) | np.uint64(1)
    return mixed


@compiled(inline="always")
def _slot(keys: Keys, key: np.uint64) -> int:
    """Where a key is, or the empty slot where it belongs."""
    mask = np.uint64(len(keys) - 1)
    at = (key * GOLDEN >> np.uint64(20)) & mask
    while keys[at] != 0 and keys[at] != key:
        at = (at + np.uint64(1)) & mask
    found: int = np.int64(at)
    return found


@compiled(inline="always")
def _longer(gram: np.uint64, context: np.uint64, value: np.uint64, n: int) -> tuple[np.uint64, np.uint64]:
    """The n-gram that begins one character earlier, and its context: the (n-1)-gram without the last character."""
    return _extend(gram, value, n), _extend(context, value, n - 1) if n > 1 else context


@compiled()
def _count(
    values: Column, starts: npt.NDArray[np.int64], begin: int, order: int, table: Table, used: int, most: int
) -> tuple[int, int]:
    """Count the n-grams of texts from `begin` on until the table holds `most`. Returns (next text, entries)."""
    keys, counts, totals, kinds = table
    for text in range(begin, len(starts) - 1):
        if used > most:
            return text, used
        for i in range(starts[text], starts[text + 1]):
            gram, context = _ROOT, _ROOT
            for n in range(1, min(order, i - starts[text] + 1) + 1):
                gram, context = _longer(gram, context, np.uint64(values[i - n + 1]), n)
                at = _slot(keys, gram)
                fresh = keys[at] == 0
                if fresh:
                    keys[at] = gram
                    used += 1
                counts[at] += 1
                above = _slot(keys, context)
                if keys[above] == 0:
                    keys[above] = context
                    used += 1
                totals[above] += 1
                if fresh:
                    kinds[above] += 1
    return len(starts) - 1, used


@compiled()
def _fill(keys: Keys, rows: npt.NDArray[np.uint32], table: Table) -> None:
    """Put entries (key; rows of count, total, kinds) into an empty table."""
    for i in range(len(keys)):
        at = _slot(table[0], keys[i])
        table[0][at] = keys[i]
        table[1][at], table[2][at], table[3][at] = rows[0, i], rows[1, i], rows[2, i]


@compiled()
def _surprise(values: Column, starts: npt.NDArray[np.int64], order: int, table: Table) -> npt.NDArray[np.float64]:
    """Sum over each text of -ln p(character | the up to order - 1 before it)."""
    keys, counts, totals, kinds = table
    out = np.zeros(len(starts) - 1)
    for text in range(len(starts) - 1):
        total = 0.0
        for i in range(starts[text], starts[text + 1]):
            p = 1.0 / _ALPHABET
            gram, context = _ROOT, _ROOT
            for n in range(1, min(order, i - starts[text] + 1) + 1):
                gram, context = _longer(gram, context, np.uint64(values[i - n + 1]), n)
                above = _slot(keys, context)
                if keys[above] == 0 or totals[above] == 0:
                    break  # a context that was never seen; nor was any longer one
                at = _slot(keys, gram)
                seen = counts[at] if keys[at] != 0 else 0
                p = (seen + kinds[above] * p) / (totals[above] + kinds[above])
            total -= np.log(p)
        out[text] = total
    return out


def _empty(size: int) -> Table:
    """A table of `size` slots, a power of two, without entries."""
    return np.zeros(size, np.uint64), np.zeros(size, np.uint32), np.zeros(size, np.uint32), np.zeros(size, np.uint32)


def _characters(texts: pa.Array) -> tuple[Column, npt.NDArray[np.int64]]:
    """Code points of all texts, one after the other, and where each text begins."""
    view = codepoints(texts)
    return view.values, view.starts.astype(np.int64)


class _Facts(TypedDict):
    """What a file says of its model."""

    order: int
    max_entries: int
    texts: int


@dataclass
class CharacterNgram:
    """Probability of each character given the `order - 1` before it.

    p(c | h) = (count(hc) + kinds(h) p(c | h')) / (total(h) + kinds(h)), where h' is h without its first character,
    kinds(h) the number of different characters seen after h, and p is uniform over 65,536 characters at the end
    (Witten and Bell 1991). Space: 20 bytes per entry.

    Attributes:
        order: Number of characters of the longest n-gram, 1 to 12.
        max_entries: Number of entries above which n-grams of two and more characters that were seen once are dropped.
        texts: Number of texts counted.

    Raises:
        ParameterError: If `order` is out of range.
    """

    order: int = 5
    max_entries: int = 20_000_000
    texts: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.order <= 12:
            raise ParameterError(f"order must lie between 1 and 12, is {self.order}")
        self._table = _empty(_SLOTS)
        self._used = 0

    def add(self, texts: pa.Array) -> None:
        """Count the characters of texts."""
        values, starts = _characters(texts)
        begin = 0
        while begin < len(starts) - 1:
            # one text may add `order` entries a character; the table must never fill up
            room = len(self._table[0]) // 2
            longest = int(np.diff(starts[begin:]).max(initial=0)) * self.order
            if self._used + longest >= room:
                self._grow(self._used + longest)
                room = len(self._table[0]) // 2
            begin, self._used = _count(values, starts, begin, self.order, self._table, self._used, room - longest)
        self.texts += len(texts)

    def _grow(self, wanted: int) -> None:
        """Make room for `wanted` entries, and drop rare ones if they are too many."""
        keys, rows = self._entries()
        if wanted > self.max_entries:
            # what occurred once says little of what will occur again; contexts and single characters stay
            keep = (rows[0] != 1) | (rows[1] > 1)
            keys, rows = keys[keep], rows[:, keep]
        size = 1 << int(max(2 * wanted, 2 * len(keys), _SLOTS)).bit_length()
        self._table = _empty(size)
        _fill(keys, rows, self._table)
        self._used = len(keys)

    def _entries(self) -> tuple[Keys, npt.NDArray[np.uint32]]:
        """Keys in ascending order, `[N]`, and their counts, totals and kinds, `[3, N]`."""
        keys, *columns = self._table
        at = np.flatnonzero(keys)
        at = at[np.argsort(keys[at])]
        return keys[at], np.stack([c[at] for c in columns])

    def perplexity(self, texts: pa.Array) -> npt.NDArray[np.float64]:
        """Exponential of the mean surprise per character of each of N texts, `[N]`; NaN for empty texts."""
        values, starts = _characters(texts)
        lengths = np.diff(starts)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(np.exp(_surprise(values, starts, self.order, self._table) / lengths))

    @classmethod
    def train(cls, tables: Iterable[pa.Table], *, order: int = 5, max_entries: int = 20_000_000) -> CharacterNgram:
        """Count the texts of tables of records.

        Args:
            tables: Records.
            order: Number of characters of the longest n-gram, 1 to 12.
            max_entries: Number of n-grams to remember, 20 bytes each.

        Returns:
            The model.

        Raises:
            ParameterError: If there are no records, or `order` is out of range.
        """
        model = cls(order, max_entries)
        for table in tables:
            model.add(pc.fill_null(text_of(table), ""))
        if not model.texts:
            raise ParameterError("no text to train on: the sources hold no records")
        return model

    def save(self, path: str) -> None:
        """Write the model to one Arrow file, atomically."""
        keys, rows = self._entries()
        table = pa.table({"key": keys, "count": rows[0], "total": rows[1], "kinds": rows[2]})
        facts = orjson.dumps({"order": self.order, "texts": self.texts, "max_entries": self.max_entries})
        table = table.replace_schema_metadata({b"format": _MAGIC, b"facts": facts})
        options = pa.ipc.IpcWriteOptions(compression="zstd")
        with create_atomically(path) as stream, pa.ipc.new_file(stream, table.schema, options=options) as writer:
            writer.write_table(table)

    @classmethod
    def load(cls, path: str) -> CharacterNgram:
        """Read a file that `save` wrote.

        Raises:
            ParameterError: If the file is missing or is another.
        """
        try:
            table = pa.ipc.open_file(pa.memory_map(path)).read_all()
        except (OSError, pa.ArrowInvalid) as error:
            raise ParameterError(f"{path} is not a character n-gram model: {error}") from None
        metadata = table.schema.metadata or {}
        if metadata.get(b"format") != _MAGIC:
            raise ParameterError(f"{path} is not a character n-gram model; `raylib perplexity train` makes one")
        facts = parsed(metadata.get(b"facts", b""), path, _Facts, ParameterError)
        model = cls(facts["order"], facts["max_entries"], facts["texts"])
        rows = np.stack([table[name].to_numpy() for name in ("count", "total", "kinds")])
        model._restore(table["key"].to_numpy(), rows)
        return model

    def _restore(self, keys: Keys, rows: npt.NDArray[np.uint32]) -> None:
        """Take over entries (key; rows of count, total, kinds) in place of those the model has."""
        self._table = _empty(1 << int(max(2 * len(keys), 1 << 10)).bit_length())
        _fill(keys, rows, self._table)
        self._used = len(keys)
