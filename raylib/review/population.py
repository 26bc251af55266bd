"""The records that a rule decided about, with their values: all of them, or a sample that stands for all.

Rejected records are read as they came in and go through the rewriting stages before the rule again, so that its value
is that of the text which it saw. Kept records are read as they were written: a rule's value is that of the final text.
Records that other rules rejected are left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from raylib.hashing import id_hashes
from raylib.records import Unread, tables_of
from raylib.report.counts import OTHER_SOURCES
from raylib.report.samples import shortened
from raylib.review.rules import FinishedRun, ReviewedRule
from raylib.review.values import Floats, values_of
from raylib.schema import text_of
from raylib.stage import LocalStage, StageError, Threshold, adapted
from raylib.storage.names import RunFiles

__all__ = ["Population", "key_of", "populations"]


_MOST_KEPT = 4000  # kept records that are looked at, over all sources
_LEAST_OF_A_SOURCE = 100
_MOST_REJECTED = 3000  # rejected records of a rule that are looked at
_ROWS = 2000  # of a file of rejects, read at a time
_SEED = 20  # of the draw of records


@dataclass(frozen=True)
class Population:
    """Records that a rule decided about, N of them.

    Attributes:
        rule: The rule.
        threshold: The threshold that the review is about; None if the rule has none.
        ids: Ids of the records, [N].
        sources: Their sources, [N].
        rejected: Whether the rule rejected each, [N].
        values: Their values, [N]; NaN without a threshold.
        weights: Number of records that each stands for, [N].
        characters: Their lengths, [N].
        texts: Their texts, shortened, [N].
        details: Evidence against those that are rejected, [N].
    """

    rule: ReviewedRule
    threshold: Threshold | None
    ids: Sequence[str]
    sources: npt.NDArray[np.str_]
    rejected: npt.NDArray[np.bool_]
    values: Floats
    weights: Floats
    characters: Floats
    texts: Sequence[str]
    details: Sequence[str]

    @property
    def keys(self) -> Floats:
        """Values turned so that a text is rejected if its key is less than that of the threshold."""
        return self.values if self.threshold is None else key_of(self.threshold, self.values)


def key_of(threshold: Threshold, values: Floats) -> Floats:
    """Values, or thresholds, turned so that what is below is rejected; turning twice gives the values again."""
    return values if threshold.rejects == "below" else -values


@dataclass
class _Rows:
    """Records of one side that were drawn so far, and how many there are in all."""

    thresholds: Sequence[Threshold]
    ids: list[str] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    details: list[str] = field(default_factory=list)
    characters: list[Floats] = field(default_factory=list)
    values: list[list[Floats]] = field(default_factory=list)
    totals: dict[str, int] = field(default_factory=dict)

    def count(self, table: pa.Table) -> None:
        """Count the records of each source."""
        for pair in pc.value_counts(_sources(table)).to_pylist():
            self.totals[pair["values"]] = self.totals.get(pair["values"], 0) + pair["counts"]

    def add(self, rule: ReviewedRule, table: pa.Table) -> None:
        """Add drawn records with their values."""
        texts = pc.fill_null(text_of(table), "")
        self.ids += [i or "" for i in table["id"].to_pylist()]
        self.sources += _sources(table).to_pylist()
        self.texts += [shortened(t) for t in texts.to_pylist()]
        self.details += [d or "" for d in table["detail"].to_pylist()] if "detail" in table.column_names else []
        self.characters.append(pc.utf8_length(texts).to_numpy(zero_copy_only=False).astype(np.float64))
        parameters = rule.spec.common
        self.values.append([values_of(rule.spec.name, parameters, t, table) for t in self.thresholds])

    def weights(self) -> Floats:
        """Number of records that each drawn one stands for."""
        drawn: dict[str, int] = {}
        for source in self.sources:
            drawn[source] = drawn.get(source, 0) + 1
        return np.array([self.totals[s] / drawn[s] for s in self.sources], np.float64)


def populations(run: FinishedRun, rules: Sequence[ReviewedRule]) -> dict[str, Population]:
    """The populations of rules that reject records.

    Args:
        run: The run.
        rules: Its rules; those that edit texts have no population.

    Returns:
        The populations by label of the rule.
    """
    judged = [rule for rule in rules if rule.asks == "records"]
    kept = {rule.label: _Rows(list(rule.thresholds())) for rule in judged}
    rejected = {rule.label: _Rows(list(rule.thresholds())) for rule in judged}
    with_values = [rule for rule in judged if kept[rule.label].thresholds]
    for table in _kept_tables(run) if with_values else ():
        drawn = _drawn(table, _chances(run, table))
        for rule in with_values:
            kept[rule.label].count(table)
            kept[rule.label].add(rule, drawn)
    for rule in judged:
        _add_rejects(run, rule, rejected[rule.label])
    return {rule.label: _population(rule, kept[rule.label], rejected[rule.label]) for rule in judged}


def _kept_tables(run: FinishedRun) -> Iterator[pa.Table]:
    """Kept records, at most a few thousand at a time."""
    unread = Unread()
    for table in tables_of(run.store.root, scores=True, rejected=unread) if run.summary.records_kept else ():
        for start in range(0, len(table), _ROWS):
            yield table.slice(start, _ROWS).combine_chunks()
    unread.tell(run.store.root)


def _chances(run: FinishedRun, table: pa.Table) -> Floats:
    """The chance of each kept record to be drawn: the larger its source, the smaller."""
    counts = run.summary.by_source
    share = max(_MOST_KEPT // max(len(counts), 1), _LEAST_OF_A_SOURCE)
    chance = {source: share / max(count.get("kept", 0), 1) for source, count in counts.items()}
    others = chance.get(OTHER_SOURCES, 1.0)
    return np.array([chance.get(s, others) for s in _sources(table).to_pylist()])


def _add_rejects(run: FinishedRun, rule: ReviewedRule, rows: _Rows) -> None:
    """Read the rejects of a rule, each as the rule saw it."""
    totals = run.summary.by_stage.get(rule.label)
    chance = _MOST_REJECTED / max(totals.rejected if totals else 0, 1)
    before = [adapted(spec.make()) for spec in run.stages_before(rule.label)]
    for name in run.store.names(RunFiles.REJECTED):
        with run.store.open(name) as stream:
            for batch in pq.ParquetFile(stream).iter_batches(_ROWS):
                table = pa.Table.from_batches([batch])
                table = table.filter(pc.equal(table["stage"], rule.label)).combine_chunks()
                rows.count(table)
                drawn = _drawn(table, np.full(len(table), chance))
                if len(drawn):
                    rows.add(rule, _replayed(drawn, [s for s in before if isinstance(s, LocalStage)]))


def _replayed(table: pa.Table, stages: Sequence[LocalStage]) -> pa.Table:
    """Rejected records as they came to the rule. A stage that needs what only a whole run has is left out."""
    for stage in stages:
        if stage.model_based:
            continue
        try:
            table = stage(table).kept
        except StageError:
            continue
    return table.combine_chunks()


def _drawn(table: pa.Table, chances: Floats) -> pa.Table:
    """Each record with its chance; whether it is drawn depends on its id alone."""
    if len(table) == 0:
        return table
    draws = id_hashes(table, _SEED).astype(np.float64) / 2.0**64
    return table.filter(pa.array(draws < chances)).combine_chunks()


def _sources(table: pa.Table) -> pa.ChunkedArray:
    return pc.fill_null(table["source"], "")


def _population(rule: ReviewedRule, kept: _Rows, rejected: _Rows) -> Population:
    number = _chosen(kept.thresholds, rejected)
    threshold = None if number is None else kept.thresholds[number]
    parts = [[v[number] for v in rows.values] for rows in (kept, rejected)] if number is not None else [[], []]
    values = np.concatenate([*parts[0], *parts[1], np.zeros(0)])
    count = len(kept.ids) + len(rejected.ids)
    return Population(
        rule=rule,
        threshold=threshold,
        ids=[*kept.ids, *rejected.ids],
        sources=np.array([*kept.sources, *rejected.sources], np.str_),
        rejected=np.arange(count) >= len(kept.ids),
        values=values if number is not None else np.full(count, np.nan),
        weights=np.concatenate([kept.weights(), rejected.weights()]),
        characters=np.concatenate([*kept.characters, *rejected.characters, np.zeros(0)]),
        texts=[*kept.texts, *rejected.texts],
        details=[*([""] * len(kept.ids)), *rejected.details],
    )


def _chosen(thresholds: Sequence[Threshold], rejected: _Rows) -> int | None:
    """The threshold that decided about most rejects, by its position; the first if there were none."""
    if not thresholds:
        return None
    decided = [sum(int(np.isfinite(v[i]).sum()) for v in rejected.values) for i in range(len(thresholds))]
    return int(np.argmax(decided))
