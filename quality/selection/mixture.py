"""The mixture of domains in a set, and the stage `resample`, which brings it to another."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypedDict, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from raylib.errors import ParameterError, StageError, nearest
from raylib.hashing import id_hashes
from raylib.schema import single_chunk, text_of
from raylib.stage import (
    Applier,
    GlobalStage,
    Notes,
    Outcome,
    Round,
    Section,
    Shuffled,
    SketchStore,
    mark_rejected,
    no_verdicts,
    stage,
)
from raylib.stage.section import Block, Table, Text

if TYPE_CHECKING:
    from raylib.token_counts import Tokenizer

__all__ = ["Resample", "mixture_of"]


def mixture_of(tables: Iterable[pa.Table], by: str, tokenizer: Tokenizer | None = None) -> dict[str, dict[str, int]]:
    """Count documents, characters and tokens of each domain.

    Args:
        tables: Records.
        by: Column of the domain.
        tokenizer: Tokenizer to count tokens with; without one they are not counted.

    Returns:
        `documents`, `characters` and perhaps `tokens` of each domain, the one with most characters first.

    Raises:
        StageError: If there is no such column.
    """
    units = ["documents", "characters", *(["tokens"] if tokenizer is not None else [])]
    out: dict[str, dict[str, int]] = {}
    for table in tables:
        names = _domains(table, by, "mixture")
        texts = pc.fill_null(text_of(table), "")
        counts = [np.ones(len(table), np.int64), pc.utf8_length(texts).to_numpy(zero_copy_only=False)]
        if tokenizer is not None:
            encoded = tokenizer.encode_batch_fast(texts.to_pylist(), add_special_tokens=False)
            counts.append(np.array([len(e.ids) for e in encoded], np.int64))
        for name in np.unique(names):
            row = out.setdefault(str(name), dict.fromkeys(units, 0))
            for unit, count in zip(units, counts, strict=True):
                row[unit] += int(count[names == name].sum())
    return dict(sorted(out.items(), key=lambda kv: (-kv[1]["characters"], kv[0])))


def _domains(table: pa.Table, by: str, stage: str) -> npt.NDArray[np.str_]:
    """Domain of each record; empty where it is null."""
    if by not in table.column_names:
        raise StageError(f"{stage}: no column {by!r}{nearest(by, table.column_names)}")
    values = pc.fill_null(single_chunk(table[by]).cast(pa.string()), "").to_numpy(zero_copy_only=False)
    domains: npt.NDArray[np.str_] = values.astype(str)
    return domains


class _Found(TypedDict, total=False):
    """Notes of the stage: name, documents, amount and factor of each domain; domains of the target without records."""

    domains: list[tuple[str, int, int, float]]
    missing: list[str]


@stage("resample", kind="global", reason="over_target")
@dataclass(frozen=True)
class Resample(GlobalStage):
    """Bring a set to a target mixture: domains with too many records lose some, those with too few are copied.

    Copies have ids with `#2`, `#3` ... and count as `added` in the books. Which records are kept or copied depends on
    hashes of ids and the seed alone.

    Attributes:
        target: Share of each value of the column `by`, such as {news: 0.3, encyclopedia: 0.7}. Shares are scaled to 1;
            domains that are not named are rejected.
        by: Column of the domain.
        unit: Unit that shares are measured in: `documents` or `characters`.
        records: Size of the result in that unit; 0 means as large as `max_copies` allows, at most as large as before.
        max_copies: Largest mean number of copies of a record, itself included; at least 1.
        seed: Seed of the draw.

    Raises:
        ParameterError: If the target has no shares or negative ones, or `max_copies` is below 1.
    """

    target: dict[str, float]
    by: str = "source"
    unit: Literal["documents", "characters"] = "characters"
    records: int = 0
    max_copies: float = 4.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.target or any(v < 0 for v in self.target.values()) or sum(self.target.values()) <= 0:
            raise ParameterError("target needs shares of at least one domain, such as {news: 0.3, encyclopedia: 0.7}")
        if self.max_copies < 1:
            raise ParameterError(f"max_copies must be at least 1, is {self.max_copies}")

    # ---- counting -----------------------------------------------------------------------------

    def sketch(self, table: pa.Table) -> pa.Table:
        """Documents and characters of each domain."""
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
        """One round that counts all records."""
        return (Round("count", self._count, broadcast=True), Round("finish", no_verdicts))

    def _count(self, store: SketchStore) -> Shuffled:
        """The factor of each domain."""
        have: dict[str, int] = {}
        documents: dict[str, int] = {}
        for table in store.tables():
            for row in table.to_pylist():
                have[row["domain"]] = have.get(row["domain"], 0) + row[self.unit]
                documents[row["domain"]] = documents.get(row["domain"], 0) + row["documents"]
        factors = self.factors(have)
        names = sorted(have)
        notes = {
            "domains": [[n, documents[n], have[n], factors[n]] for n in names],
            "missing": sorted(set(self.target) - set(have)),
        }
        columns = {
            "domain": pa.array(names, pa.string()),
            "factor": pa.array([factors[n] for n in names], pa.float64()),
        }
        return Shuffled(pa.table(columns), notes=notes)

    def factors(self, have: Mapping[str, int]) -> dict[str, float]:
        """Find the mean number of copies of a record of each domain.

        Args:
            have: Amount of each domain, in `unit`.

        Returns:
            Copies of a record, itself included; 0 for domains that the target does not name.

        Raises:
            ParameterError: If no record has a domain of the target.
        """
        shares = {n: v for n, v in self.target.items() if v > 0 and have.get(n, 0) > 0}
        total = sum(shares.values())
        if not shares:
            found = sorted(have)[:20]
            raise ParameterError(
                f"resample: no record has a domain of the target {sorted(self.target)}; there are {found}"
            )
        wanted = float(self.records) or min(have[n] * self.max_copies / (v / total) for n, v in shares.items())
        if not self.records:
            # no larger than before, unless a larger result needs no more copies
            wanted = min(wanted, float(sum(have[n] for n in shares)))
        return {n: min(self.max_copies, wanted * shares[n] / total / have[n]) if n in shares else 0.0 for n in have}

    # ---- copying ------------------------------------------------------------------------------

    def applier(self, shared: Sequence[pa.Table]) -> Applier:
        """The function that rejects and copies."""
        factors = dict(zip(shared[0]["domain"].to_pylist(), shared[0]["factor"].to_pylist(), strict=True))
        return lambda table, verdicts: self._resampled(table, factors)

    def _resampled(self, table: pa.Table, factors: Mapping[str, float]) -> Outcome:
        """Kept records with their copies, and rejected ones."""
        if len(table) == 0:
            return Outcome(table, table)
        names = _domains(table, self.by, "resample")
        factor = np.array([factors.get(n, 0.0) for n in names])
        draw = np.array([key / 2**64 for key in id_hashes(table, self.seed).tolist()])
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

    # ---- report -------------------------------------------------------------------------------

    def section(self, notes: Sequence[Notes], store: SketchStore) -> Section:
        """The mixture before and after."""
        found = cast("Sequence[_Found]", notes)
        domains = [d for n in found for d in n.get("domains", [])]
        before, after = sum(d[2] for d in domains), sum(d[2] * d[3] for d in domains)
        rows = [
            [
                name or "(none)",
                f"{documents:,}",
                f"{have:,}",
                f"{100 * have / max(before, 1):.1f} %",
                f"{factor:.3g}",
                f"{have * factor:,.0f}",
                f"{100 * have * factor / max(after, 1):.1f} %",
            ]
            for name, documents, have, factor in sorted(domains, key=lambda d: -d[2])
        ]
        head = [self.by, "documents", self.unit, "share", "times", f"{self.unit} after", "share after"]
        blocks: list[Block] = [Table("Mixture before and after", head, rows)]
        missing = [m for n in found for m in n.get("missing", [])]
        if missing:
            blocks.append(Text(f"of the target, not found: {', '.join(missing)}", warning=True))
        return Section("Resampling", blocks)
