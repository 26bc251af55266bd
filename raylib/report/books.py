"""The books of a run: what its shards counted, added up, and whether it balances."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import orjson

from raylib.errors import ShardError
from raylib.report.statistics import add_counts, merge_samples
from raylib.storage.store import Store

__all__ = ["check_books", "gather"]


Entries = Sequence[Mapping[str, Mapping[str, Any]]]  # a mapping a segment: manifest entries by shard
_OF_READING = {"records_in", "characters_in", "histogram_in"}  # a later segment's input is no input of the run


def gather(store: Store, entries: Entries, size: int) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Counts and seconds of all shards, and `size` samples of kept and of rejected records."""
    counts: dict[str, Any] = {}
    seconds: dict[str, Any] = {}
    samples: dict[str, list[dict[str, Any]]] = {"kept": [], "rejected": []}
    for number, shards in enumerate(entries):
        for shard in shards:
            part = orjson.loads(store.read(f".work/s{number}/stats-{shard}.json"))
            add_counts(counts, {k: v for k, v in part["counts"].items() if not (number and k in _OF_READING)})
            add_counts(seconds, part["seconds"])
            samples = {name: merge_samples([held, part[name]], size) for name, held in samples.items()}
    return counts, seconds, samples


def check_books(summary: Mapping[str, Any], entries: Entries) -> None:
    """in = kept + rejected, by the counters and by the files' own row counts. Raises ShardError."""
    kept_files = sum(e["records_out"] for e in entries[-1].values())
    rejected_files = sum(e["records_rejected"] for shards in entries for e in shards.values())
    expected = summary["records_in"] + summary["records_added"]
    for before, after in pairwise(entries):  # what a quarantined shard holds is in neither
        expected -= sum(before[s]["records_out"] for s in set(before) - set(after))
    counted = (summary["records_kept"], summary["records_rejected"])
    if counted != (kept_files, rejected_files) or kept_files + rejected_files != expected:
        raise ShardError(
            f"the books do not balance: {expected} records in, {counted[0]} kept + {counted[1]} rejected, "
            f"files hold {kept_files} + {rejected_files}. This is a bug of raylib, please report it with manifest.jsonl"
        )
