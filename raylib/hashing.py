"""Hashes of ids, of n-grams and of keys: each recurrence once, with who depends on its values.

Values that were saved somewhere may never change:

* `absorb` and `window_hashes`: saved MinHash indexes (through `dedup.kernels`, which has the same recurrence compiled,
  and `dedup.lsh.band_keys`) and fitted TF-IDF embeddings. A test holds both forms against each other.
* `mix64`: permutations of MinHash signatures (saved indexes) and the order of keys in a shuffle.
* `id_hashes` and `text_hashes`: which records a sample draws, and which keys a shuffle sorts by.

`ngram_hashes` has other values than `window_hashes`. It needs a logarithmic number of passes, which repetition rules
want for n-grams of up to ten characters; nothing saves its values, only verdicts of rules depend on them.

Three more recurrences differ in value and stay where they are used: words of a text (`dedup.shingles`, saved
indexes), the compiled table of the character n-gram model (`quality.models.ngram`, saved models), and the rounds of
the permutation that orders training rows (`training.data.order`, runs that were begun). They share `GOLDEN`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash

__all__ = [
    "GOLDEN",
    "absorb",
    "id_hashes",
    "inside_one_text",
    "mix64",
    "ngram_hashes",
    "sampled_rows",
    "smallest_keys",
    "text_hashes",
    "window_hashes",
]

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
"""2^64 divided by the golden ratio, rounded to an odd number: the multiplier of every hash here."""


def mix64(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """The finaliser of splitmix64: a bijection that spreads numbers evenly over 64 bits.

    Args:
        values: Numbers, any shape.

    Returns:
        Numbers of the same shape.
    """
    with np.errstate(over="ignore"):
        values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(values ^ (values >> np.uint64(31)), np.uint64)


def absorb(hashes: npt.NDArray[np.uint64], values: npt.NDArray[np.integer]) -> npt.NDArray[np.uint64]:
    """Hashes of sequences that are one value longer: `h = (h ^ value) * GOLDEN`, then `h ^= h >> 29`.

    Args:
        hashes: Hashes so far, changed in place.
        values: The next value of each sequence, an unsigned integer, same shape.

    Returns:
        `hashes`.
    """
    with np.errstate(over="ignore"):
        hashes ^= values
        hashes *= GOLDEN
        hashes ^= hashes >> np.uint64(29)
    return hashes


def inside_one_text(owners: npt.NDArray[np.integer], width: int) -> npt.NDArray[np.bool_]:
    """Whether each window of tokens lies inside one text.

    Args:
        owners: Text of each token, texts one after the other, [T].
        width: Number of tokens of a window.

    Returns:
        A flag for each window, [max(T - width + 1, 0)].
    """
    count = max(len(owners) - width + 1, 0)
    return np.asarray(owners[:count] == owners[width - 1 : width - 1 + count], np.bool_)


def window_hashes(
    tokens: npt.NDArray[np.integer], lengths: npt.NDArray[np.integer], width: int
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
    """Hashes of all windows of `width` tokens inside one text, and the text each belongs to.

    Args:
        tokens: Tokens of all texts, one after the other, [T].
        lengths: Number of tokens of each text, [N].
        width: Number of tokens of a window.

    Returns:
        Hashes [W], and the position of each window's text [W].
    """
    owners = np.repeat(np.arange(len(lengths)), lengths)
    values = tokens.astype(np.uint64)
    hashes = np.zeros(max(len(values) - width + 1, 0), np.uint64)
    if len(hashes):
        for k in range(width):
            absorb(hashes, values[k : k + len(hashes)])
    inside = inside_one_text(owners, width)
    return hashes[inside], owners[: len(hashes)][inside]


def ngram_hashes(values: npt.NDArray[np.integer], n: int) -> npt.NDArray[np.uint64]:
    """Hashes of all n-grams of a sequence, built by doubling: 10 = 8 + 2 takes four passes instead of ten.

    Args:
        values: The sequence, unsigned integers, [T] with T >= n.
        n: Number of values of an n-gram.

    Returns:
        Hashes, [T - n + 1].
    """
    total = len(values) - n + 1
    power, size = values.astype(np.uint64), 1
    covered = 0
    hashes = power
    while True:
        if n & size:
            hashes = power if covered == 0 else _joined(hashes[: len(power) - covered], power[covered:])
            covered += size
        if covered == n:
            return hashes[:total]
        power = _joined(power[:-size], power[size:])
        size *= 2


def _joined(left: npt.NDArray[np.uint64], right: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Hashes of sequences from the hashes of their halves."""
    with np.errstate(over="ignore"):
        mixed: npt.NDArray[np.uint64] = left * GOLDEN
        mixed ^= mixed >> np.uint64(29)
        mixed += right
        mixed *= GOLDEN
        mixed ^= mixed >> np.uint64(32)
    return mixed


def text_hashes(texts: Iterable[str | None], seed: int = 0) -> npt.NDArray[np.uint64]:
    """64-bit hashes of short texts (xxh64 of their UTF-8 bytes); a null counts as an empty text.

    Args:
        texts: The texts, N of them.
        seed: Seed of the hash function.

    Returns:
        Hashes, [N].
    """
    hashed = xxhash.xxh64_intdigest
    return np.array([hashed((text or "").encode(), seed) for text in texts], np.uint64)


def id_hashes(table: pa.Table, seed: int = 0) -> npt.NDArray[np.uint64]:
    """Hashes of the ids of a table's records: an order that has nothing to do with their place in the input.

    Args:
        table: N records with the column `id`.
        seed: Seed of the hash function.

    Returns:
        Hashes, [N].
    """
    return text_hashes(table["id"].to_pylist(), seed)


def smallest_keys(table: pa.Table, size: int, key: str = "key") -> pa.Table:
    """The rows with the smallest keys, in ascending order; equal keys keep their order.

    Args:
        table: Rows with keys.
        size: Largest number of rows.
        key: Column of the keys.
    """
    return table.take(pa.array(np.argsort(table[key].to_numpy(), kind="stable")[:size]))


def sampled_rows(runs: Iterable[pa.Table], columns: Sequence[str], size: int) -> tuple[pa.Table | None, int]:
    """Draw the rows with the smallest keys of sorted runs: a sample that does not depend on where records lie.

    Args:
        runs: Tables in ascending order of their column `key`.
        columns: Columns of the sample beside `key`.
        size: Largest number of rows of the sample.

    Returns:
        The sample in ascending order of `key`, or None if there is no run; and the number of rows of all runs.
    """
    heads, total = [], 0
    for run in runs:
        total += len(run)
        heads.append(run.select(["key", *columns]).slice(0, size))
    return (smallest_keys(pa.concat_tables(heads), size) if heads else None), total
