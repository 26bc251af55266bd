"""Decontamination: reject records that contain a passage of a benchmark with which the model will be measured."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import ahocorasick_rs
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cleaning.codepoints import CodePoints, han_flags
from dedup.folding import Level, folded_codepoints
from dedup.shingles import HAN_BIT, tokens
from raylib.errors import ParameterError
from raylib.hashing import inside_one_text, window_hashes
from raylib.paths import PathName
from raylib.records import Unread, tables_of
from raylib.schema import text_of
from raylib.stage import LocalStage, Outcome, keep_all, split_rejected, stage

__all__ = ["Decontaminate"]


def _han_shares(view: CodePoints, width: int) -> npt.NDArray[np.float64]:
    """Share of Han tokens in every window, in the order of `window_hashes`."""
    han = (view.values & HAN_BIT) > 0 if view.values.dtype == np.uint64 else han_flags(view)
    before = np.concatenate([[0], np.cumsum(han)])
    owner = np.repeat(np.arange(len(view.lengths)), view.lengths)
    shares = (before[width:] - before[:-width]) / width
    return np.asarray(shares[inside_one_text(owner, width)])


@dataclass(frozen=True)
class _Windows:
    """Hashes of one kind of window over all benchmark items.

    Attributes:
        hashes: Hashes, sorted, [W].
        items: Item of each window, [W].
        names: Names of the items.
    """

    hashes: npt.NDArray[np.uint64]
    items: npt.NDArray[np.int64]
    names: Sequence[str]

    @classmethod
    def of(cls, view: CodePoints, width: int, names: Sequence[str], *, han: bool) -> _Windows:
        """Windows of `width` tokens that are mostly Han, or those that are not."""
        hashes, owner = window_hashes(view.values, view.lengths, width)
        right = (_han_shares(view, width) >= 0.5) == han
        hashes, owner = hashes[right], owner[right]
        order = np.argsort(hashes, kind="stable")
        return cls(hashes[order], owner[order], names)

    def first_hits(self, view: CodePoints, width: int) -> list[str | None]:
        """For each text the name of a benchmark item that it shares a window with."""
        hashes, owner = window_hashes(view.values, view.lengths, width)
        found: list[str | None] = [None] * len(view.lengths)
        if len(self.hashes) == 0 or len(hashes) == 0:
            return found
        at = np.minimum(np.searchsorted(self.hashes, hashes), len(self.hashes) - 1)
        hits = np.flatnonzero(self.hashes[at] == hashes)
        for hit in hits[::-1].tolist():
            found[owner[hit]] = self.names[self.items[at[hit]]]
        return found


@dataclass(frozen=True)
class _Passages:
    """Everything of the benchmark items that records are searched for."""

    by_character: _Windows
    by_word: _Windows
    short: dict[str, str]
    automaton: ahocorasick_rs.AhoCorasick | None

    def short_item(self, text: str) -> str | None:
        """Name of an item shorter than a window that a folded text contains whole."""
        hits = self.automaton.find_matches_as_strings(text) if self.automaton is not None else []
        return self.short[hits[0]] if hits else None


def _benchmark_items(paths: Iterable[str]) -> Iterator[tuple[str, str]]:
    """(name, text) of every item; whatever a record holds beside its text (question, options) counts too."""
    for path in paths:
        unread = Unread()
        for table in tables_of(path, rejected=unread):
            for identifier, text in zip(table["id"].to_pylist(), text_of(table).to_pylist(), strict=True):
                name = Path(path).name
                yield (identifier if name in identifier else f"{name}:{identifier}"), text
        unread.tell(path)


def _folded(view: CodePoints, row: int) -> str:
    return view.values[view.starts[row] : view.starts[row + 1]].astype("<u4").tobytes().decode("utf-32-le")


@stage("decontaminate", kind="reject", reason="benchmark_overlap")
@dataclass(frozen=True)
class Decontaminate(LocalStage):
    """Reject records that share a passage with a benchmark item.

    A passage is a number of folded characters in a row, at least half of them Han, or a number of words in a row, which
    catches everything else; signs of numbers are words, too. Items shorter than a passage must occur whole. The
    evidence names the item. Passages of 13 words come from GPT-3 (Brown et al. 2020, appendix C).

    Attributes:
        benchmarks: Files of benchmarks, in any layout that raylib reads.
        han: Number of folded characters of a passage.
        words: Number of words of a passage.
        shortest: Number of folded characters below which a short item is not looked for.
        normalise: What may differ between a record and the item: `none`, `strict`, `standard` or `loose`, as in
            `exact_dedup`. It is `standard` for records of chat, too: a copied question often has other punctuation.
    """

    benchmarks: tuple[PathName, ...]
    han: int = 30
    words: int = 13
    shortest: int = 12
    normalise: Level = "standard"

    def __post_init__(self) -> None:
        given: object = self.benchmarks
        if isinstance(given, str):  # from Python, one file may come as it is
            object.__setattr__(self, "benchmarks", (given,))
        if not self.benchmarks:
            raise ParameterError("benchmarks must name at least one file")
        if min(self.han, self.words) < 2:
            raise ParameterError(f"han and words must be at least 2, are {self.han} and {self.words}")
        if self.shortest < 1:
            raise ParameterError(f"shortest must be at least 1, is {self.shortest}")

    @functools.cached_property
    def _passages(self) -> _Passages:
        """Passages of the benchmark files, read once for as long as this stage lives."""
        items = list(_benchmark_items(self.benchmarks))
        if not items:
            raise ParameterError(f"benchmarks: there are no records in {', '.join(self.benchmarks)}")
        names = [name for name, _ in items]
        texts = pa.array([text for _, text in items], pa.large_string())
        characters, words = folded_codepoints(texts, self.normalise), tokens(texts, "word", self.normalise)
        short_rows = np.flatnonzero((characters.lengths < self.han) & (characters.lengths >= self.shortest))
        short = {_folded(characters, row): names[row] for row in short_rows.tolist()}
        return _Passages(
            _Windows.of(characters, self.han, names, han=True),
            _Windows.of(words, self.words, names, han=False),
            short,
            ahocorasick_rs.AhoCorasick(list(short)) if short else None,
        )

    def setup(self) -> None:
        """Read the benchmark files before the first table."""
        _ = self._passages

    def __call__(self, table: pa.Table) -> Outcome:
        """Reject the records that share a passage with a benchmark item."""
        if len(table) == 0:
            return keep_all(table)
        texts = text_of(table)
        view = folded_codepoints(texts, self.normalise)
        by_character = self._passages.by_character.first_hits(view, self.han)
        by_word = self._passages.by_word.first_hits(tokens(texts, "word", self.normalise), self.words)
        details: list[str | None] = []
        for row, (character, word) in enumerate(zip(by_character, by_word, strict=True)):
            if character:
                details.append(f"holds {self.han} characters of {character}")
            elif word:
                details.append(f"holds {self.words} words of {word}")
            else:
                item = self._passages.short_item(_folded(view, row)) if self._passages.short else None
                details.append(f"holds all of it of {item}" if item else None)
        found = pa.array(details, pa.large_string())
        return split_rejected(table, found.is_valid(), stage="decontaminate", reason="benchmark_overlap", detail=found)
