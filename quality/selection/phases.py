"""The stage `split_stages`: a set cut into stages of rising difficulty, for phased fine-tuning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypedDict, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from quality.selection.scores import scores_by
from raylib.errors import ParameterError
from raylib.hashing import id_hashes
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
    with_columns,
)
from raylib.stage.section import Bar, Bars

__all__ = ["SplitStages"]

Scores = npt.NDArray[np.float64]
Keys = npt.NDArray[np.uint64]
_LARGEST = (1 << 64) - 1


class _Found(TypedDict, total=False):
    """Notes of the stage: lowest score, cuts and highest score; records of each stage; records without a score."""

    cuts: list[float]
    sizes: list[int]
    unscored: int


@stage("split_stages", kind="global", reason="unscored")
@dataclass(frozen=True)
class SplitStages(GlobalStage):
    """Add `stage`, 1 for the easiest records and so on, by a score of difficulty; every record is in one stage only.

    Equal scores are always in the same stage. With `output: {split_by: stage}` each stage is written to a separate
    folder (`kept/stage1` ...) and `splits.json` holds records, tokens and mean scores. Source: phased instruction
    fine-tuning (Pang et al., 2024), which cut scored Alpaca into three.

    Attributes:
        by: Column, or arithmetic over columns; higher is harder.
        stages: Number of stages, which are of equal size.
        thresholds: Rising scores at which the second and later stages begin, in place of stages of equal size.
        shuffle: Whether records are drawn at random, into stages of the same sizes: the control of an experiment.
        unscored: Where records without a score go: `reject` them, or put them into the `first` or `last` stage.
        column: Name of the new column.
        seed: Seed of the draw.

    Raises:
        ParameterError: If `thresholds` do not rise, or `stages` is below 1.
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
            raise ParameterError(f"thresholds must rise, are {list(self.thresholds)}")
        if self.stages < 1:
            raise ParameterError(f"stages must be at least 1, is {self.stages}")

    @property
    def count(self) -> int:
        """Number of stages."""
        return len(self.thresholds) + 1 if self.thresholds else self.stages

    def _scores(self, table: pa.Table) -> Scores:
        """Scores of N records, `[N]`; NaN where there is none."""
        return np.asarray(scores_by(self.by, table, "split_stages").to_numpy(zero_copy_only=False))

    def sketch(self, table: pa.Table) -> pa.Table:
        """The score of each record under a hash of its id."""
        return pa.table(
            {
                "row": pa.array(np.arange(len(table), dtype=np.int32)),
                "key": pa.array(id_hashes(table, self.seed)),
                "score": pa.array(self._scores(table)),
            }
        )

    def rounds(self) -> tuple[Round, ...]:
        """One round that finds where stages begin."""
        return (Round("cut", self._cut, broadcast=True), Round("finish", no_verdicts))

    def _cut(self, store: SketchStore) -> Shuffled:
        """Scores at which stages begin, and, for the control, hashes at which they begin. 16 bytes a record."""
        tables = [t.select(["key", "score"]) for t in store.tables()]
        if not tables:
            return Shuffled(pa.table({"cut": pa.array([], pa.float64()), "key": pa.array([], pa.uint64())}))
        table = pa.concat_tables(tables)
        score = table["score"].to_numpy()
        known = np.isfinite(score)
        ranked = np.sort(score[known])
        cuts = self._borders(ranked)
        sizes = np.bincount(np.searchsorted(cuts, ranked, side="right"), minlength=self.count)
        low, high = (float(ranked[0]), float(ranked[-1])) if len(ranked) else (0.0, 0.0)
        notes: _Found = {
            "cuts": [low, *map(float, cuts), high],
            "sizes": sizes.tolist(),
            "unscored": int((~known).sum()),
        }
        keys = _drawn_borders(np.sort(table["key"].to_numpy()[known]), sizes)
        columns = {"cut": pa.array(cuts, pa.float64()), "key": pa.array(keys, pa.uint64())}
        return Shuffled(pa.table(columns), notes=dict(notes))

    def _borders(self, ranked: Scores) -> Scores:
        """Scores at which the second and later stages begin, from ascending scores."""
        if self.thresholds:
            return np.asarray(self.thresholds)
        if not len(ranked):
            return np.zeros(self.stages - 1)
        places = [round(i * len(ranked) / self.stages) for i in range(1, self.stages)]
        return np.asarray(ranked[[min(place, len(ranked) - 1) for place in places]])

    def applier(self, shared: Sequence[pa.Table]) -> Applier:
        """The function that adds the column."""
        cuts, keys = shared[0]["cut"].to_numpy(), shared[0]["key"].to_numpy()
        return lambda table, verdicts: self._split(table, cuts, keys)

    def _split(self, table: pa.Table, cuts: Scores, keys: Keys) -> Outcome:
        """The table with the stage of each record."""
        score = self._scores(table)
        known = np.isfinite(score)
        if self.shuffle:
            number = np.searchsorted(keys, id_hashes(table, self.seed), side="right") + 1
        else:
            number = np.searchsorted(cuts, score, side="right") + 1
        number[~known] = 1 if self.unscored == "first" else self.count
        kept = with_columns(table, {self.column: pa.array(number.astype(np.int32))})
        if self.unscored != "reject" or known.all():
            return Outcome(kept, table.slice(0, 0))
        gone = table.filter(pa.array(~known))
        detail = pa.repeat(pa.scalar(f"no {self.by}", pa.large_string()), len(gone))
        rejected = mark_rejected(gone, stage="split_stages", reason="unscored", detail=detail)
        return Outcome(kept.filter(pa.array(known)), rejected)

    def section(self, notes: Sequence[Notes], store: SketchStore) -> Section:
        """Records of each stage, and the scores between which they lie."""
        nothing: _Found = {"sizes": [], "cuts": [], "unscored": 0}
        note = next((n for n in cast("Sequence[_Found]", notes) if "sizes" in n), nothing)
        rows = []
        for i, size in enumerate(note["sizes"]):
            low, high = note["cuts"][i], note["cuts"][i + 1]
            words = "drawn at random" if self.shuffle else f"{self.by} from {low:.4g} to {high:.4g}"
            rows.append(Bar(f"stage {i + 1}: {words}", size))
        return Section("Stages", [Bars(f"Records a stage; {note['unscored']:,} without a score", rows)])


def _drawn_borders(drawn: Keys, sizes: npt.NDArray[np.int64]) -> list[int]:
    """Hashes at which the second and later stages of these sizes begin, from ascending hashes."""
    borders = np.cumsum(sizes)[:-1].tolist()
    return [int(drawn[b]) if b < len(drawn) else _LARGEST for b in borders]
