"""Long passages that occur more than once, cut at their later places (Lee et al. 2022), by a suffix array.

A suffix array of everything does not scale out; here one is built for each group of records, so a passage is
found when its copies fall into one group. Groups are drawn by a hash of the id.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from raylib.hashing import id_hashes
from raylib.schema import single_chunk
from raylib.stage import Outcome, SketchStore, StageInfo, keep_all, mark_rejected, register

__all__ = ["SubstringDedup", "repeated_spans"]

_END = 0xFF  # no byte of UTF-8, so no passage runs from one text into the next
Array = np.ndarray[Any, Any]


def repeated_spans(texts: list[str], min_characters: int) -> Iterator[tuple[int, int, int]]:
    """(text, first, last) of every passage of `min_characters` or more that occurred before, in characters.

    Before means in an earlier text or earlier in the same one. Overlapping passages come as one.
    """
    import pydivsufsort

    data = np.frombuffer(b"".join(t.encode() + bytes([_END]) for t in texts), np.uint8).copy()
    if len(data) <= min_characters:
        return
    array = pydivsufsort.divsufsort(data)
    previous = np.asarray(pydivsufsort.longest_previous_factor(data, array), np.int64)
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


@dataclass(frozen=True)
class SubstringDedup:
    """Cut passages of `min_characters` or more that stand in an earlier record too (by id), or reject such records.

    `action: cut` takes the passage out of all records of a group but the first; a record with under `min_left`
    characters afterwards is rejected. `action: reject` rejects records of which at least `max_share` is
    repeated. A group holds `group_mb` megabytes of text; passages are only found within a group, so this is for
    sets that fit few groups, or the last pass after `minhash_dedup`. Needs the extra `substring`.
    """

    min_characters: int = 100
    action: Literal["cut", "reject"] = "cut"
    max_share: float = 0.5
    min_left: int = 20
    group_mb: float = 16

    def __post_init__(self) -> None:
        if self.min_characters < 10:
            raise ValueError(f"min_characters must be at least 10, is {self.min_characters}")

    def setup(self) -> None:
        """Fail before the first shard when the suffix array library is missing."""
        try:
            import pydivsufsort  # noqa: F401
        except ImportError as error:
            raise ValueError(
                "substring_dedup needs the extra `substring`: pip install 'raylib-data[substring]'"
            ) from error

    def sketch(self, table: pa.Table) -> pa.Table:
        if "text" not in table.column_names:
            raise ValueError("substring_dedup works on documents")
        return pa.table(
            {
                "row": pa.array(np.arange(len(table), dtype=np.int32)),
                "key": pa.array(id_hashes(table)),
                "id": table["id"],
                "text": table["text"],
            }
        )

    def resolve(self, sketches: SketchStore) -> pa.Table:
        table = pa.concat_tables(list(sketches.tables()))
        columns = ["key", "id", "shard", "row"]
        table = table.take(pc.sort_indices(table.select(columns), sort_keys=[(n, "ascending") for n in columns]))
        sizes = np.cumsum(pc.binary_length(table["text"]).to_numpy().astype(np.int64))
        group = (sizes - 1) // max(1, int(self.group_mb * (1 << 20)))
        borders = np.flatnonzero(np.diff(group, prepend=-1, append=group[-1] + 1))
        found: dict[str, list[int]] = {"shard": [], "row": [], "first": [], "last": []}
        for begin, end in zip(borders[:-1].tolist(), borders[1:].tolist(), strict=True):
            part = table.slice(begin, end - begin)
            part = part.take(
                pc.sort_indices(
                    part.select(["id", "shard", "row"]), sort_keys=[(n, "ascending") for n in ("id", "shard", "row")]
                )
            )
            shard, row = part["shard"].to_pylist(), part["row"].to_pylist()
            for text, first, last in repeated_spans(part["text"].to_pylist(), self.min_characters):
                for name, value in (("shard", shard[text]), ("row", row[text]), ("first", first), ("last", last)):
                    found[name].append(value)
        return pa.table({name: pa.array(values, pa.int32()) for name, values in found.items()})

    def apply(self, table: pa.Table, verdicts: pa.Table) -> Outcome:
        if len(verdicts) == 0:
            return keep_all(table)
        spans: dict[int, list[tuple[int, int]]] = {}
        for verdict in verdicts.select(["row", "first", "last"]).to_pylist():
            spans.setdefault(verdict["row"], []).append((verdict["first"], verdict["last"]))
        texts = single_chunk(table["text"])
        new, changed, dropped, details = [], np.zeros(len(table), np.bool_), np.zeros(len(table), np.bool_), []
        for row in sorted(spans):
            text = texts[row].as_py()
            left, at = [], 0
            for first, last in sorted(spans[row]):
                left.append(text[at:first])
                at = last
            kept = "".join([*left, text[at:]])
            repeated = len(text) - len(kept)
            rejecting = self.action == "reject"
            if (rejecting and repeated >= self.max_share * len(text)) or (
                not rejecting and len(kept.strip()) < self.min_left
            ):
                dropped[row] = True
                details.append(f"{repeated} of {len(text)} characters stand in earlier records")
            if not rejecting:
                new.append(kept)
                changed[row] = True
        if new:
            texts = pc.replace_with_mask(texts, pa.array(changed), pa.array(new, pa.large_string()))
        rejected = mark_rejected(
            table.filter(pa.array(dropped)),
            stage="substring_dedup",
            reason="repeated_passage",
            detail=pa.array(details, pa.large_string()),
        )
        return Outcome(
            table.set_column(table.column_names.index("text"), "text", texts).filter(pa.array(~dropped)), rejected
        )


register(
    StageInfo(
        name="substring_dedup",
        make=SubstringDedup,
        kind="global",
        summary=SubstringDedup.__doc__ or "",
        reason="repeated_passage",
    )
)
