"""The mixture of domains in a set, and resampling to another one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from raylib.errors import StageError, nearest
from raylib.schema import single_chunk, text_of
from raylib.stage import Outcome, Round, Shuffled, SketchStore, StageInfo, mark_rejected, no_verdicts, register

__all__ = ["Resample", "mixture_of"]


def mixture_of(tables: Iterable[pa.Table], by: str, tokenizer: Any = None) -> dict[str, dict[str, int]]:
    """Documents, characters and (with a `tokenizers` tokenizer) tokens of each value of a column, largest first.

    Raises ValueError when there is no such column.
    """
    out: dict[str, dict[str, int]] = {}
    for table in tables:
        names = _domains(table, by, "mixture")
        texts = pc.fill_null(text_of(table), "")
        lengths = pc.utf8_length(texts).to_numpy(zero_copy_only=False)
        tokens = None
        if tokenizer is not None:
            encoded = tokenizer.encode_batch_fast(texts.to_pylist(), add_special_tokens=False)
            tokens = np.array([len(e.ids) for e in encoded])
        for name in np.unique(names):
            rows = names == name
            row = out.setdefault(str(name), {"documents": 0, "characters": 0, **({"tokens": 0} if tokenizer else {})})
            row["documents"] += int(rows.sum())
            row["characters"] += int(lengths[rows].sum())
            if tokens is not None:
                row["tokens"] += int(tokens[rows].sum())
    return dict(sorted(out.items(), key=lambda kv: (-kv[1]["characters"], kv[0])))


def _domains(table: pa.Table, by: str, stage: str) -> np.ndarray[Any, Any]:
    if by not in table.column_names:
        raise StageError(f"{stage}: no column {by!r}{nearest(by, table.column_names)}")
    return pc.fill_null(single_chunk(table[by]).cast(pa.string()), "").to_numpy(zero_copy_only=False).astype(str)


@dataclass(frozen=True)
class Resample:
    """Bring a set to a target mixture: records of domains that are too many are rejected, of those too few copied.

    `target`: share of each value of the column `by`, such as {news: 0.3, encyclopedia: 0.7}; shares are scaled to 1
    and domains that are not named are rejected. `unit`: what shares count, documents or characters. `records`: size
    of the result in that unit; 0: as large as it can be when no domain is copied more than `max_copies` times.
    Copies have ids with `#2`, `#3` ... and count as `added` in the books. Which records stay or are copied depends on
    hashes of ids and the seed alone.
    """

    target: dict[str, float]
    by: str = "source"
    unit: Literal["documents", "characters"] = "characters"
    records: int = 0
    max_copies: float = 4.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.target or any(v < 0 for v in self.target.values()) or sum(self.target.values()) <= 0:
            raise ValueError("target needs shares of at least one domain, such as {news: 0.3, encyclopedia: 0.7}")
        if self.max_copies < 1:
            raise ValueError(f"max_copies must be at least 1, is {self.max_copies}")

    def sketch(self, table: pa.Table) -> pa.Table:
        names = _domains(table, self.by, "resample")
        lengths = pc.fill_null(pc.utf8_length(text_of(table)), 0).to_numpy(zero_copy_only=False)
        found = np.unique(names)
        rows = [names == name for name in found]
        return pa.table(
            {
                "row": pa.array(np.zeros(len(found), np.int32)),
                "key": pa.array(np.zeros(len(found), np.uint64)),
                "domain": pa.array([str(n) for n in found], pa.string()),
                "documents": pa.array([int(r.sum()) for r in rows], pa.int64()),
                "characters": pa.array([int(lengths[r].sum()) for r in rows], pa.int64()),
            }
        )

    def rounds(self) -> tuple[Round, ...]:
        return (Round("count", self._count, broadcast=True), Round("nothing", no_verdicts))

    def resolve(self, sketches: SketchStore) -> pa.Table:
        """All rounds in memory, for a store that holds everything."""
        from raylib.stage import resolve_in_memory

        return resolve_in_memory(self, sketches)

    def _count(self, store: SketchStore) -> Shuffled:
        have: dict[str, int] = {}
        documents: dict[str, int] = {}
        for table in store.tables():
            for row in table.to_pylist():
                have[row["domain"]] = have.get(row["domain"], 0) + row[self.unit]
                documents[row["domain"]] = documents.get(row["domain"], 0) + row["documents"]
        factors = self.factors(have)
        names = sorted(have)
        notes = {"domains": [[n, documents[n], have[n], factors[n]] for n in names], "missing": sorted(set(self.target) - set(have))}  # fmt: skip
        table = pa.table({"domain": pa.array(names, pa.string()), "factor": pa.array([factors[n] for n in names], pa.float64())})  # fmt: skip
        return Shuffled(table, notes=notes)

    def factors(self, have: Mapping[str, int]) -> dict[str, float]:
        """How often a record of each domain shall occur on average, from what there is of each."""
        shares = {n: v for n, v in self.target.items() if v > 0 and have.get(n, 0) > 0}
        total = sum(shares.values())
        if not shares:
            raise ValueError(f"resample: no record has a domain of the target {sorted(self.target)}; there are {sorted(have)[:20]}")  # fmt: skip
        wanted = float(self.records) or min(have[n] * self.max_copies / (v / total) for n, v in shares.items())
        if not self.records:
            # no larger than what there is now, unless a larger result needs no more copies
            wanted = min(wanted, float(sum(have[n] for n in shares)))
        return {n: min(self.max_copies, wanted * shares[n] / total / have[n]) if n in shares else 0.0 for n in have}

    def apply(self, table: pa.Table, verdicts: pa.Table) -> Outcome:
        raise ValueError("resample needs the counts of all records: use it in a recipe, or `applier`")

    def applier(self, shared: Sequence[pa.Table]) -> Callable[[pa.Table, pa.Table], Outcome]:
        """The function that rejects and copies."""
        factors = dict(zip(shared[0]["domain"].to_pylist(), shared[0]["factor"].to_pylist(), strict=True))

        def resample(table: pa.Table, verdicts: pa.Table) -> Outcome:
            if len(table) == 0:
                return Outcome(table, table)
            names = _domains(table, self.by, "resample")
            factor = np.array([factors.get(n, 0.0) for n in names])
            hashed = xxhash.xxh64_intdigest
            draw = np.array([hashed(str(i or "").encode(), self.seed) / 2**64 for i in table["id"].to_pylist()])
            copies = (np.floor(factor) + (draw < factor - np.floor(factor))).astype(np.int64)
            gone = np.flatnonzero(copies == 0)
            detail = pa.array([f"{names[i]}: {factor[i]:.3g} of each record wanted" for i in gone], pa.large_string())
            rejected = mark_rejected(table.take(pa.array(gone)), stage="resample", reason="over_target", detail=detail)
            rows = np.repeat(np.arange(len(table)), copies)
            kept = table.take(pa.array(rows))
            number = np.arange(len(rows)) - np.searchsorted(rows, rows)  # 0 for a record, 1 for its first copy ...
            ids = [f"{i}#{n + 1}" if n else i for i, n in zip(kept["id"].to_pylist(), number.tolist(), strict=True)]
            kept = kept.set_column(kept.column_names.index("id"), "id", pa.array(ids, pa.string()))
            return Outcome(kept, rejected, added=int((number > 0).sum()))

        return resample

    def section(self, notes: list[dict[str, Any]], store: SketchStore) -> dict[str, Any]:
        """This stage's part of the report."""
        rows = [d for n in notes for d in n.get("domains", [])]
        before, after = sum(r[2] for r in rows), sum(r[2] * r[3] for r in rows)
        body = [
            [name or "(none)", f"{documents:,}", f"{have:,}", f"{100 * have / max(before, 1):.1f} %", f"{factor:.3g}", f"{have * factor:,.0f}", f"{100 * have * factor / max(after, 1):.1f} %"]
            for name, documents, have, factor in sorted(rows, key=lambda r: -r[2])
        ]  # fmt: skip
        head = [self.by, "documents", self.unit, "share", "times", f"{self.unit} after", "share after"]
        blocks: list[dict[str, Any]] = [{"kind": "table", "title": "Mixture before and after", "head": head, "rows": body}]  # fmt: skip
        missing = [m for n in notes for m in n.get("missing", [])]
        if missing:
            blocks.append({"kind": "text", "warning": True, "text": f"of the target, not found: {', '.join(missing)}"})
        return {"title": "Resampling", "blocks": blocks}


register(StageInfo(name="resample", make=Resample, kind="global", summary=Resample.__doc__ or "", reason="over_target"))
