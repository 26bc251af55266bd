"""Decontamination: reject records that hold a passage of a benchmark the model will be measured with."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from cleaning.codepoints import CodePoints, han_flags
from dedup.folding import folded_codepoints
from dedup.shingles import HAN_BIT, tokens
from raylib.hashing import window_hashes
from raylib.records import tables_of
from raylib.schema import text_of
from raylib.stage import Outcome, StageInfo, keep_all, register, split_rejected

__all__ = ["Decontaminate"]


def _han_shares(view: CodePoints, width: int) -> Any:
    """Share of Han tokens in every window, in the order of `window_hashes`."""
    han = (view.values & HAN_BIT) > 0 if view.values.dtype == np.uint64 else han_flags(view)
    before = np.concatenate([[0], np.cumsum(han)])
    owner = np.repeat(np.arange(len(view.lengths)), view.lengths)
    count = max(len(owner) - width + 1, 0)
    shares = (before[width : width + count] - before[:count]) / width
    return shares[owner[:count] == owner[width - 1 :]] if count else shares


@dataclass(frozen=True)
class _Passages:
    """Hashes of one kind of window over all benchmark items, sorted, and the item of each."""

    hashes: Any
    items: Any
    names: list[str]

    def first_hit(self, hashes: Any, owner: Any, rows: int) -> list[str | None]:
        """For each text the name of a benchmark item that it shares a window with."""
        found: list[str | None] = [None] * rows
        if len(self.hashes) == 0 or len(hashes) == 0:
            return found
        at = np.minimum(np.searchsorted(self.hashes, hashes), len(self.hashes) - 1)
        hits = np.flatnonzero(self.hashes[at] == hashes)
        for hit in hits[::-1].tolist():
            found[owner[hit]] = self.names[self.items[at[hit]]]
        return found


def _benchmark_items(paths: Iterable[str]) -> Iterator[tuple[str, str]]:
    """(name, text) of every item; what a record holds beside its text (question, options) counts too."""
    for path in paths:
        for table in tables_of(path):
            for identifier, text in zip(table["id"].to_pylist(), text_of(table).to_pylist(), strict=True):
                name = Path(path).name
                yield (identifier if name in identifier else f"{name}:{identifier}"), text


@functools.lru_cache(maxsize=4)
def _passages(paths: tuple[str, ...], han: int, words: int, shortest: int) -> tuple[_Passages, _Passages, Any]:
    """Character windows, word windows, and an automaton of items shorter than a window."""
    import ahocorasick_rs

    items = list(_benchmark_items(paths))
    if not items:
        raise ValueError(f"decontaminate: no items in {', '.join(paths)}")
    names = [name for name, _ in items]
    texts = pa.array([text for _, text in items], pa.large_string())
    characters, by_word = folded_codepoints(texts), tokens(texts, "word")
    built = []
    for view, width in ((characters, han), (by_word, words)):
        hashes, owner = window_hashes(view.values, view.lengths, width)
        right = (_han_shares(view, width) >= 0.5) == (view is characters)
        hashes, owner = hashes[right], owner[right]
        order = np.argsort(hashes, kind="stable")
        built.append(_Passages(hashes[order], owner[order], names))
    short = np.flatnonzero((characters.lengths < han) & (characters.lengths >= shortest))
    patterns = {_folded(characters, row): names[row] for row in short.tolist()}
    automaton = ahocorasick_rs.AhoCorasick(list(patterns)) if patterns else None
    return built[0], built[1], (automaton, list(patterns.values()))


def _folded(view: CodePoints, row: int) -> str:
    return view.values[view.starts[row] : view.starts[row + 1]].astype("<u4").tobytes().decode("utf-32-le")


@dataclass(frozen=True)
class Decontaminate:
    """Reject records that share a passage with a benchmark item: `han` folded characters, or `words` words, in a row.

    `benchmarks` are files in any layout that raylib reads. Character windows catch Chinese (at least half of
    one must be Han), word windows everything else. Items shorter than a
    window, down to `shortest` folded characters, must occur whole. The evidence names the item. From GPT-3
    (Brown et al. 2020, appendix C): 13 words.
    """

    benchmarks: tuple[str, ...]
    han: int = 30
    words: int = 13
    shortest: int = 12

    def __post_init__(self) -> None:
        if isinstance(self.benchmarks, str):
            object.__setattr__(self, "benchmarks", (self.benchmarks,))
        if not self.benchmarks:
            raise ValueError("benchmarks: name at least one file")
        if min(self.han, self.words) < 2 or self.shortest < 1:
            raise ValueError(f"han and words must be at least 2, are {self.han} and {self.words}")

    def setup(self) -> None:
        """Read the benchmark files before the first table."""
        _passages(tuple(self.benchmarks), self.han, self.words, self.shortest)

    def __call__(self, table: pa.Table) -> Outcome:
        if len(table) == 0:
            return keep_all(table)
        by_character, by_word, (automaton, short_names) = _passages(
            tuple(self.benchmarks), self.han, self.words, self.shortest
        )
        texts = text_of(table)
        view = folded_codepoints(texts)
        words = tokens(texts, "word")
        found = by_character.first_hit(*window_hashes(view.values, view.lengths, self.han), len(table))
        in_words = by_word.first_hit(*window_hashes(words.values, words.lengths, self.words), len(table))
        details: list[str | None] = []
        for row, (character, word) in enumerate(zip(found, in_words, strict=True)):
            name, how = (character, f"{self.han} characters") if character else (word, f"{self.words} words")
            if name is None and automaton is not None:
                hits = automaton.find_matches_as_indexes(_folded(view, row))
                name, how = (short_names[hits[0][0]], "all of it") if hits else (None, "")
            details.append(f"holds {how} of {name}" if name else None)
        evidence = pa.array(details, pa.large_string())
        return split_rejected(
            table, evidence.is_valid(), stage="decontaminate", reason="benchmark_overlap", detail=evidence
        )


register(
    StageInfo(
        name="decontaminate",
        make=Decontaminate,
        kind="reject",
        summary=Decontaminate.__doc__ or "",
        reason="benchmark_overlap",
    )
)
