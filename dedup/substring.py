"""Long passages that occur more than once, cut at their later places (Lee et al. 2022), by a suffix array.

A suffix array of everything does not scale out. Here one is built for each group of records, so a passage is found when
its copies fall into one group. Groups are drawn by a hash of the id.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from raylib.errors import ParameterError, StageError
from raylib.extras import optional
from raylib.hashing import id_hashes
from raylib.schema import single_chunk
from raylib.stage import Applier, GlobalStage, Outcome, Round, SketchStore, keep_all, single_round, stage
from raylib.stage.outcome import mark_rejected

__all__ = ["SubstringDedup", "repeated_spans"]

_END = 0xFF  # no byte of UTF-8, so no passage runs from one text into the next


def _suffix_arrays() -> ModuleType:
    module: ModuleType = optional("pydivsufsort", purpose="substring_dedup")
    return module


def repeated_spans(texts: Sequence[str], min_characters: int) -> Iterator[tuple[int, int, int]]:
    """Passages that occurred before: in an earlier text, or earlier in the same one.

    Args:
        texts: The texts.
        min_characters: Least length of a passage, in characters.

    Yields:
        The text's position, and where the passage begins and ends in it, in characters. Overlapping passages come as
        one.
    """
    data = np.frombuffer(b"".join(t.encode() + bytes([_END]) for t in texts), np.uint8).copy()
    if len(data) <= min_characters:
        return
    suffix_arrays = _suffix_arrays()
    array = suffix_arrays.divsufsort(data)
    previous = np.asarray(suffix_arrays.longest_previous_factor(data, array), np.int64)
    ends = np.flatnonzero(data == _END)
    text_of_byte = np.repeat(np.arange(len(texts)), np.diff(ends, prepend=-1))
    position = np.arange(len(data))
    length = np.minimum(previous, ends[text_of_byte] - position)
    opens = (data & 0xC0) != 0x80  # bytes that begin a character
    characters = np.concatenate([[0], np.cumsum(opens)])
    long = opens & (data != _END) & (length >= min_characters)
    begin = position[long]
    count = characters[begin + length[long]] - characters[begin]
    begin = begin[count >= min_characters]
    if len(begin) == 0:
        return
    stop = begin + length[begin]
    reach = np.maximum.accumulate(stop)
    fresh = np.flatnonzero(np.concatenate([[True], begin[1:] > reach[:-1]]))
    for head, tail in zip(fresh.tolist(), [*(fresh[1:] - 1).tolist(), len(begin) - 1], strict=True):
        first, last = int(begin[head]), int(reach[tail])
        text = int(text_of_byte[first])
        base = characters[ends[text - 1] + 1] if text else 0
        yield text, int(characters[first] - base), int(characters[last] - base)


@stage("substring_dedup", kind="global", reason="repeated_passage")
@dataclass(frozen=True)
class SubstringDedup(GlobalStage):
    """Cut long passages that occur in an earlier record too (by id), or reject the records that contain them.

    Passages are only found within a group of records, so this stage is for sets that fit few groups, or for the last
    pass after `minhash_dedup`. Needs the extra `substring`.

    Attributes:
        min_characters: Least length of a passage, in characters, at least 10.
        action: Whether passages are cut from all records of a group but the first, or such records are rejected.
        max_share: Share of repeated characters from which `reject` rejects a record, 0 to 1.
        min_left: Length below which a record is rejected after `cut`, in characters.
        group_mb: Size of a group of records, in megabytes of text.
    """

    min_characters: int = 100
    action: Literal["cut", "reject"] = "cut"
    max_share: float = 0.5
    min_left: int = 20
    group_mb: float = 16

    def __post_init__(self) -> None:
        if self.min_characters < 10:
            raise ParameterError(f"min_characters must be at least 10, is {self.min_characters}")

    def check(self) -> None:
        """Look whether the suffix array library is installed.

        Raises:
            RaylibError: if it is not.
        """
        _suffix_arrays()

    def sketch(self, table: pa.Table) -> pa.Table:
        """The id and text of each record, under a random key."""
        if "text" not in table.column_names:
            raise StageError(f"substring_dedup works on documents; there is no column 'text' in {table.column_names}")
        return pa.table(
            {
                "row": pa.array(np.arange(len(table), dtype=np.int32)),
                "key": pa.array(id_hashes(table)),
                "id": table["id"],
                "text": table["text"],
            }
        )

    def rounds(self) -> tuple[Round, ...]:
        """One shuffle: records are drawn into groups."""
        return single_round(self._passages)

    def _passages(self, store: SketchStore) -> pa.Table:
        table = _sorted(pa.concat_tables(list(store.tables())), ["key", "id", "shard", "row"])
        sizes = np.cumsum(pc.binary_length(table["text"]).to_numpy().astype(np.int64))
        group = (sizes - 1) // max(1, int(self.group_mb * (1 << 20)))
        borders = np.flatnonzero(np.diff(group, prepend=-1, append=group[-1] + 1))
        found: dict[str, list[int]] = {"shard": [], "row": [], "first": [], "last": []}
        for begin, end in zip(borders[:-1].tolist(), borders[1:].tolist(), strict=True):
            part = _sorted(table.slice(begin, end - begin), ["id", "shard", "row"])
            shard, row = part["shard"].to_pylist(), part["row"].to_pylist()
            for text, first, last in repeated_spans(part["text"].to_pylist(), self.min_characters):
                found["shard"].append(shard[text])
                found["row"].append(row[text])
                found["first"].append(first)
                found["last"].append(last)
        return pa.table({name: pa.array(values, pa.int32()) for name, values in found.items()})

    def applier(self, shared: Sequence[pa.Table]) -> Applier:
        """Cut the passages, or reject the records that contain them."""
        return self._apply

    def _apply(self, table: pa.Table, verdicts: pa.Table) -> Outcome:
        if len(verdicts) == 0:
            return keep_all(table)
        spans: dict[int, list[tuple[int, int]]] = {}
        for verdict in verdicts.select(["row", "first", "last"]).to_pylist():
            spans.setdefault(verdict["row"], []).append((verdict["first"], verdict["last"]))
        texts = single_chunk(table["text"])
        rows = sorted(spans)
        cut, dropped, details = [], np.zeros(len(table), np.bool_), []
        for row in rows:
            text = texts[row].as_py()
            kept = _without_spans(text, spans[row])
            repeated = len(text) - len(kept)
            cut.append(kept)
            if self._too_repetitive(len(text), repeated, kept):
                dropped[row] = True
                details.append(f"{repeated} of {len(text)} characters stand in earlier records")
        if self.action == "cut":
            changed = np.zeros(len(table), np.bool_)
            changed[rows] = True
            texts = pc.replace_with_mask(texts, pa.array(changed), pa.array(cut, pa.large_string()))
        rejected = mark_rejected(
            table.filter(pa.array(dropped)),
            stage="substring_dedup",
            reason="repeated_passage",
            detail=pa.array(details, pa.large_string()),
        )
        kept_rows = table.set_column(table.column_names.index("text"), "text", texts).filter(pa.array(~dropped))
        return Outcome(kept_rows, rejected)

    def _too_repetitive(self, length: int, repeated: int, kept: str) -> bool:
        if self.action == "reject":
            return repeated >= self.max_share * length
        return len(kept.strip()) < self.min_left


def _sorted(table: pa.Table, columns: list[str]) -> pa.Table:
    order = pc.sort_indices(table.select(columns), sort_keys=[(name, "ascending") for name in columns])
    return table.take(order)


def _without_spans(text: str, spans: Sequence[tuple[int, int]]) -> str:
    left, at = [], 0
    for first, last in sorted(spans):
        left.append(text[at:first])
        at = last
    return "".join([*left, text[at:]])
