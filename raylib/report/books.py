"""The books of a run: what its shards counted, added up, and whether it balances."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import orjson

from raylib.errors import ShardError
from raylib.report.counts import Counts, add_counts
from raylib.report.decisions import Decisions, merge_decisions
from raylib.report.samples import Samples, merge_samples
from raylib.report.statistics import StatisticsJson
from raylib.storage.entry import ShardEntry
from raylib.storage.names import Phase, RunFiles, ShardName
from raylib.storage.store import Store
from raylib.storage.summary import Summary

__all__ = ["Books", "check_books", "gather"]


Entries = Sequence[Mapping[ShardName, ShardEntry]]  # a mapping a segment
_OF_READING = {"records_in", "characters_in", "histogram_in"}  # a later segment's input is not input of the run


@dataclass(frozen=True)
class Books:
    """What all shards counted.

    Attributes:
        counts: Counters.
        seconds: Seconds by stage.
        samples: Samples of `kept` and of `rejected` records.
        decisions: Single edits and rejects of each stage.
    """

    counts: Counts
    seconds: Mapping[str, float]
    samples: Samples
    decisions: Decisions


def gather(store: Store, entries: Entries, size: int) -> Books:
    """Add up what the shards of all segments counted.

    Args:
        store: Folder of the run.
        entries: Finished shards of each segment.
        size: Size of each sample.

    Returns:
        Counters, seconds, samples and drawn decisions of the run.
    """
    counts: Counts = {}
    seconds: dict[str, float] = {}
    samples: Samples = {"kept": [], "rejected": []}
    decisions: Decisions = {"edits": {}, "rejects": {}}
    for number, shards in enumerate(entries):
        for shard in shards:
            part: StatisticsJson = orjson.loads(store.read(RunFiles.stats(Phase.segment(number), shard)))
            add_counts(counts, {k: v for k, v in part["counts"].items() if not (number and k in _OF_READING)})
            add_counts(seconds, part["seconds"])
            decisions = merge_decisions(decisions, part.get("decisions"))
            samples = {
                "kept": merge_samples([samples["kept"], part["kept"]], size),
                "rejected": merge_samples([samples["rejected"], part["rejected"]], size),
            }
    return Books(counts, seconds, samples, decisions)


def check_books(summary: Summary, entries: Entries) -> None:
    """Check that records in = kept + rejected, by the counters and by the files' own row counts.

    Args:
        summary: Numbers of the run.
        entries: Finished shards of each segment.

    Raises:
        ShardError: the books do not balance.
    """
    kept_files = sum(e.records_out for e in entries[-1].values())
    rejected_files = sum(e.records_rejected for shards in entries for e in shards.values())
    expected = summary.records_in + summary.records_added
    for before, after in pairwise(entries):  # what a quarantined shard holds is in neither
        expected -= sum(before[s].records_out for s in set(before) - set(after))
    counted = (summary.records_kept, summary.records_rejected)
    if counted != (kept_files, rejected_files) or kept_files + rejected_files != expected:
        raise ShardError(
            f"the books do not balance: {expected} records in, {counted[0]} kept + {counted[1]} rejected, files hold "
            f"{kept_files} + {rejected_files}. This is a bug of raylib, please report it with {RunFiles.MANIFEST}"
        )
