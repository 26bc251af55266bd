"""Hashes: fixed values, the compiled and the numpy form of the shingle hash, windows against a loop."""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from dedup.kernels import shingle_hashes
from raylib.hashing import GOLDEN, absorb, id_hashes, inside_one_text, mix64, ngram_hashes, text_hashes, window_hashes

texts = st.lists(st.lists(st.integers(0, 0x10FFFF), max_size=12), max_size=5)
MASK = (1 << 64) - 1


def flat(rows: list[list[int]]) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int64]]:
    values = np.array(list(itertools.chain.from_iterable(rows)), np.uint32)
    return values, np.array([len(row) for row in rows], np.int64)


def by_definition(values: list[int]) -> int:
    h = 0
    for value in values:
        h = (h ^ value) * int(GOLDEN) & MASK
        h ^= h >> 29
    return h


def test_values_are_fixed_forever() -> None:
    """Saved indexes and orders depend on these numbers: if this fails, the code is wrong, not the test."""
    assert mix64(np.array([GOLDEN]))[0] == 0xE220A8397B1DCDAF, "the first number of splitmix64 with seed 0"
    tokens, lengths = flat([[0x4E00, 0x4E8C, 0x4E09]])
    assert [int(h) for h in window_hashes(tokens, lengths, 2)[0]] == [
        by_definition([0x4E00, 0x4E8C]),
        by_definition([0x4E8C, 0x4E09]),
    ]
    assert int(absorb(np.zeros(1, np.uint64), np.array([7], np.uint64))[0]) == by_definition([7])
    assert ngram_hashes(np.arange(1, 6, dtype=np.uint32), 3).tolist() == NGRAMS_OF_THREE


NGRAMS_OF_THREE = [2505444204978705978, 3377352622871135643, 4206931777500062748]


@given(texts, st.integers(1, 6))
def test_windows_equal_a_loop_over_texts(rows: list[list[int]], width: int) -> None:
    hashes, owners = window_hashes(*flat(rows), width)
    expected = [
        (by_definition(row[at : at + width]), i) for i, row in enumerate(rows) for at in range(len(row) - width + 1)
    ]
    assert list(zip(hashes.tolist(), owners.tolist(), strict=True)) == expected


@given(st.lists(st.integers(0, 0x10FFFF), min_size=1, max_size=20), st.integers(1, 6))
def test_the_compiled_shingle_hash_equals_the_numpy_form(values: list[int], ngram: int) -> None:
    tokens, lengths = flat([values])
    compiled = shingle_hashes(tokens, 0, len(tokens), ngram)
    width = min(ngram, len(values))  # a text of fewer tokens is one shingle
    assert compiled.tolist() == window_hashes(tokens, lengths, width)[0].tolist()


@given(texts, st.integers(1, 6))
def test_windows_over_a_border_are_outside(rows: list[list[int]], width: int) -> None:
    owners = [i for i, row in enumerate(rows) for _ in row]
    expected = [len(set(owners[at : at + width])) == 1 for at in range(len(owners) - width + 1)]
    assert inside_one_text(np.array(owners, np.int64), width).tolist() == expected


@given(st.lists(st.integers(0, 9), min_size=1, max_size=40), st.integers(1, 10))
def test_equal_ngrams_have_equal_hashes_and_different_ones_do_not(values: list[int], n: int) -> None:
    if len(values) < n:
        return
    hashes = ngram_hashes(np.array(values, np.uint32), n).tolist()
    grams = [tuple(values[at : at + n]) for at in range(len(values) - n + 1)]
    assert len(hashes) == len(grams)
    assert len(set(zip(grams, hashes, strict=True))) == len(set(grams)) == len(set(hashes))


@pytest.mark.parametrize("seed", [0, 7])
def test_ids_are_hashed_as_text_and_a_null_as_empty(seed: int) -> None:
    ids = ["a", "文档-1", None]
    expected = [xxhash.xxh64_intdigest((i or "").encode(), seed) for i in ids]
    assert id_hashes(pa.table({"id": pa.array(ids, pa.string())}), seed).tolist() == expected
    assert text_hashes(ids, seed).tolist() == expected
