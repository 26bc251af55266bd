"""Single decisions of each stage, drawn for a person to judge: edits of texts, and rejects with their evidence.

A draw is a hash of the record's id and the stage's label, so that every record has the same chance, and the same
records are drawn however the input is cut into shards and whoever works on them.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, TypedDict

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from raylib.hashing import id_hashes
from raylib.report.edits import changes, differing_parts
from raylib.report.samples import RejectedSample, merge_samples
from raylib.schema import text_of

__all__ = ["DRAWN_EDITS", "DRAWN_REJECTS", "Decisions", "DrawnDecisions", "DrawnEdit", "merge_decisions"]


DRAWN_EDITS = 100  # of a stage: the report shows the first of them, `raylib review` asks about all
DRAWN_REJECTS = 20  # of a stage
_LOOKED_AT = 8000  # characters of a long text
_CONTEXT = 60  # characters on each side of an edit
_OF_AN_EDIT = 400  # characters of what was taken away or put in
_OF_A_REJECT = 1200  # characters
_AT_THE_END = 400  # characters of a text that was cut, in which the two sides may not correspond


class DrawnEdit(TypedDict):
    """One edit of a record that was drawn.

    Attributes:
        id: Id of the record.
        source: Its source.
        draw: Its draw: the smallest draws of all shards are those of the run.
        left: Text before the edit.
        removed: What stood there.
        added: What stands there now.
        right: Text after the edit.
        lost: Number of characters that the edit took away, less those that it put in; 0 if it put in more.
        edits: Number of edits of the stage in this record, of which this is one.
    """

    id: str
    source: str | None
    draw: int
    left: str
    removed: str
    added: str
    right: str
    lost: int
    edits: int


class Decisions(TypedDict):
    """Drawn decisions by label of the stage, as `decisions.json` holds them."""

    edits: dict[str, list[DrawnEdit]]
    rejects: dict[str, list[RejectedSample]]


def merge_decisions(total: Decisions, part: Decisions | None) -> Decisions:
    """Join decisions of shards; the result does not depend on the order of the shards.

    Args:
        total: Decisions so far.
        part: Decisions of a shard; None of a shard of an older version.

    Returns:
        For each stage the decisions with the smallest draws.
    """
    if part is None:
        return total
    edits, rejects = dict(total["edits"]), dict(total["rejects"])
    for label, more in part["edits"].items():
        edits[label] = merge_samples([edits.get(label, []), more], DRAWN_EDITS)
    for label, rejected in part["rejects"].items():
        rejects[label] = merge_samples([rejects.get(label, []), rejected], DRAWN_REJECTS)
    return {"edits": edits, "rejects": rejects}


class _Changed(NamedTuple):
    """A record that a stage changed. Edits are looked for only in those that are still drawn at the end."""

    draw: int
    id: str
    source: str | None
    before: str
    after: str


@dataclass
class DrawnDecisions:
    """Decisions of the stages of one shard.

    Attributes:
        seed: Seed of the draw.
        edits: Number of edits of a stage to draw.
        rejects: Number of rejects of a stage to draw.
    """

    seed: int
    edits: int
    rejects: int
    _changed: dict[str, list[_Changed]] = field(default_factory=dict)
    _rejected: dict[str, list[RejectedSample]] = field(default_factory=dict)

    def changed(self, label: str, before: pa.Table, after: pa.Table) -> None:
        """Draw from the records that a stage rewrote.

        Args:
            label: Label of the stage.
            before: Records that the stage was given.
            after: The same records, rewritten.
        """
        if not self.edits:
            return
        old, new = text_of(before), text_of(after)
        rows = np.flatnonzero(pc.fill_null(pc.not_equal(old, new), False).to_numpy(zero_copy_only=False))
        held = self._changed.setdefault(label, [])
        for row, draw in self._drawn(label, before, rows, held[-1].draw if len(held) >= self.edits else None):
            texts = differing_parts(old[row].as_py(), new[row].as_py(), _LOOKED_AT)
            held.append(_Changed(draw, before["id"][row].as_py() or "", before["source"][row].as_py(), *texts))
        held.sort(key=lambda c: (c.draw, c.id))
        del held[self.edits :]

    def rejected(self, table: pa.Table) -> None:
        """Draw from rejected records.

        Args:
            table: The records as they were read, with columns `stage` (the label), `reason` and `detail`.
        """
        if not self.rejects:
            return
        texts = text_of(table)
        for label in pc.unique(table["stage"]).to_pylist():
            rows = np.flatnonzero(pc.equal(table["stage"], label).to_numpy())
            held = self._rejected.setdefault(label, [])
            ceiling = held[-1]["draw"] if len(held) >= self.rejects else None
            held += [
                _reject(table, texts, row, draw) for row, draw in self._drawn(label, table, rows, ceiling, self.rejects)
            ]
            self._rejected[label] = merge_samples([held], self.rejects)

    def _drawn(
        self, label: str, table: pa.Table, rows: npt.NDArray[np.int64], ceiling: int | None, most: int | None = None
    ) -> list[tuple[int, int]]:
        """Rows with the smallest draws, and their draws."""
        seed = (self.seed ^ zlib.crc32(label.encode())) & 0x7FFFFFFF
        ids = table.select(["id"]).take(pa.array(rows))
        # 53 bits, so that the draw survives JSON readers that only know doubles
        draws = (id_hashes(ids, seed) >> np.uint64(11)).astype(np.int64)
        order = np.argsort(draws, kind="stable")[: self.edits if most is None else most]
        return [(int(rows[i]), int(draws[i])) for i in order if ceiling is None or draws[i] <= ceiling]

    def to_json(self) -> Decisions:
        """The decisions as JSON; of each record that was changed, one edit."""
        found = {label: [_edit(c) for c in changed] for label, changed in self._changed.items()}
        return {"edits": {label: edits for label, edits in found.items() if edits}, "rejects": self._rejected}


def _reject(table: pa.Table, texts: pa.Array, row: int, draw: int) -> RejectedSample:
    fields: Mapping[str, str | None] = {
        name: table[name][row].as_py() for name in ("id", "source", "stage", "reason", "detail")
    }
    text = texts[row].as_py() or ""
    if not text and "meta" in table.column_names:  # a damaged record as it was read
        text = table["meta"][row].as_py() or ""
    return {
        "id": fields["id"] or "",
        "draw": draw,
        "before": _cut(text, _OF_A_REJECT),
        "source": fields["source"],
        "stage": fields["stage"] or "",
        "reason": fields["reason"] or "",
        "detail": fields["detail"],
    }


def _edit(changed: _Changed) -> DrawnEdit:
    """One edit of a record; which one, its draw decides."""
    before, after = changed.before, changed.after
    found = changes(before, after)
    if max(len(before), len(after)) == _LOOKED_AT:  # they were cut: their ends need not correspond
        found = [c for c in found if max(c.end, c.new_end) < _LOOKED_AT - _AT_THE_END] or found[:1]
    one = found[changed.draw % len(found)]
    removed, added = before[one.start : one.end], after[one.new_start : one.new_end]
    return {
        "id": changed.id,
        "source": changed.source,
        "draw": changed.draw,
        "left": before[max(0, one.start - _CONTEXT) : one.start],
        "removed": _cut(removed, _OF_AN_EDIT),
        "added": _cut(added, _OF_AN_EDIT),
        "right": before[one.end : one.end + _CONTEXT],
        "lost": max(len(removed) - len(added), 0),
        "edits": len(found),
    }


def _cut(text: str, most: int) -> str:
    """A text without its middle, if it is long."""
    if len(text) <= most:
        return text
    half = most // 2
    return f"{text[:half]} ⋯ {len(text) - 2 * half} characters left out ⋯ {text[-half:]}"
