"""Cut a set into stages of rising difficulty, for phased fine-tuning."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from quality.selection.expressions import numbers
from raylib.hashing import id_hashes
from raylib.stage import Outcome, Round, Shuffled, SketchStore, StageInfo, mark_rejected, no_verdicts, register
from raylib.stage.outcome import with_columns

__all__ = ["SplitStages"]


@dataclass(frozen=True)
class SplitStages:
    """Add `stage`, 1 for the easiest records and so on, by a score of difficulty; every record is in one stage only.

    `by`: a column or arithmetic over columns, higher is harder. With `thresholds` stage i holds the scores from the
    (i-1)-th threshold up to, but not with, the i-th; otherwise `stages` stages of equal size, equal scores always
    together. `shuffle` gives the control: stages of the same sizes with records drawn at random. Records without a
    score are rejected as unscored, or put into the stage that `unscored` names. With `output: {split_by: stage}` each
    stage is written to a folder of its own (`kept/stage1` ...) and `splits.json` holds records, tokens and mean scores.
    Source: phased instruction fine-tuning (Pang et al., 2024), which cut scored Alpaca into three.
    """

    by: str = "difficulty"
    stages: int = 3
    thresholds: tuple[float, ...] = ()
    shuffle: bool = False
    unscored: Literal["reject", "first", "last"] = "reject"
    column: str = "stage"
    seed: int = 0

    def __post_init__(self) -> None:
        if list(self.thresholds) != sorted(set(self.thresholds)):
            raise ValueError(f"thresholds must rise, are {list(self.thresholds)}")
        if self.stages < 1:
            raise ValueError(f"stages must be at least 1, is {self.stages}")

    @property
    def count(self) -> int:
        """Number of stages."""
        return len(self.thresholds) + 1 if self.thresholds else self.stages

    def _scores(self, table: pa.Table) -> np.ndarray[Any, Any]:
        return np.asarray(numbers(self.by, table, "split_stages").to_numpy(zero_copy_only=False))

    def sketch(self, table: pa.Table) -> pa.Table:
        return pa.table(
            {
                "row": pa.array(np.arange(len(table), dtype=np.int32)),
                "key": pa.array(id_hashes(table, self.seed)),
                "score": pa.array(self._scores(table)),
            }
        )

    def rounds(self) -> tuple[Round, ...]:
        return (Round("cut", self._cut, broadcast=True), Round("nothing", no_verdicts))

    def resolve(self, sketches: SketchStore) -> pa.Table:
        """All rounds in memory, for a store that holds everything."""
        from raylib.stage import resolve_in_memory

        return resolve_in_memory(self, sketches)

    def _cut(self, store: SketchStore) -> Shuffled:
        """Scores at which stages begin, and, for the control, hashes at which they begin. 16 bytes a record."""
        tables = [t.select(["key", "score"]) for t in store.tables()]
        if not tables:
            return Shuffled(pa.table({"cut": pa.array([], pa.float64()), "key": pa.array([], pa.uint64())}))
        table = pa.concat_tables(tables)
        score, key = table["score"].to_numpy(), table["key"].to_numpy()
        known = np.isfinite(score)
        ranked = np.sort(score[known])
        if self.thresholds:
            cuts = np.asarray(self.thresholds)
        elif len(ranked):
            cuts = ranked[[min(round(i * len(ranked) / self.stages), len(ranked) - 1) for i in range(1, self.stages)]]
        else:
            cuts = np.zeros(self.stages - 1)
        sizes = np.bincount(np.searchsorted(cuts, ranked, side="right"), minlength=self.count)
        drawn = np.sort(key[known])
        borders = np.cumsum(sizes)[:-1]
        keys = [int(drawn[b]) if b < len(drawn) else (1 << 64) - 1 for b in borders.tolist()]
        table = pa.table({"cut": pa.array(cuts, pa.float64()), "key": pa.array(keys, pa.uint64())})
        low, high = (float(ranked[0]), float(ranked[-1])) if len(ranked) else (0.0, 0.0)
        notes = {"cuts": [low, *map(float, cuts), high], "sizes": sizes.tolist(), "unscored": int((~known).sum())}
        return Shuffled(table, notes=notes)

    def apply(self, table: pa.Table, verdicts: pa.Table) -> Outcome:
        raise ValueError("split_stages needs the scores of all records: use it in a recipe, or `applier`")

    def applier(self, shared: Sequence[pa.Table]) -> Callable[[pa.Table, pa.Table], Outcome]:
        """The function that adds the column."""
        cuts, keys = shared[0]["cut"].to_numpy(), shared[0]["key"].to_numpy()

        def split(table: pa.Table, verdicts: pa.Table) -> Outcome:
            score = self._scores(table)
            known = np.isfinite(score)
            if self.shuffle:
                stage = np.searchsorted(keys, id_hashes(table, self.seed), side="right") + 1
            else:
                stage = np.searchsorted(cuts, score, side="right") + 1
            stage[~known] = 1 if self.unscored == "first" else self.count
            kept = with_columns(table, {self.column: pa.array(stage.astype(np.int32))})
            if self.unscored != "reject" or known.all():
                return Outcome(kept, table.slice(0, 0))
            gone = table.filter(pa.array(~known))
            detail = pa.repeat(pa.scalar(f"no {self.by}", pa.large_string()), len(gone))
            rejected = mark_rejected(gone, stage="split_stages", reason="unscored", detail=detail)
            return Outcome(kept.filter(pa.array(known)), rejected)

        return split

    def section(self, notes: list[dict[str, Any]], store: SketchStore) -> dict[str, Any]:
        """This stage's part of the report."""
        note: dict[str, Any] = next((n for n in notes if "sizes" in n), {"sizes": [], "cuts": [], "unscored": 0})
        words = "drawn at random" if self.shuffle else f"{self.by} from"
        rows = []
        for i, size in enumerate(note["sizes"]):
            low, high = note["cuts"][i], note["cuts"][i + 1]
            label = f"stage {i + 1}: {words}" + ("" if self.shuffle else f" {low:.4g} to {high:.4g}")
            rows.append({"label": label, "value": size})
        title = f"Records a stage; {note['unscored']:,} without a score"
        return {"title": "Stages", "blocks": [{"kind": "bars", "title": title, "rows": rows}]}


register(
    StageInfo(
        name="split_stages", make=SplitStages, kind="global", summary=SplitStages.__doc__ or "", reason="unscored"
    )
)
