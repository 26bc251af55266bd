"""Counters for the Ray dashboard and its Prometheus endpoint. Silent where there is no Ray.

Exported (with the prefix `ray_` that Ray adds):

raylib_records_total{stage, outcome}: records kept, changed or rejected by a stage
raylib_rejects_total{stage, reason}: rejected records
raylib_stage_seconds_total{stage}: time spent in a stage
raylib_bytes_total{phase}: raw input bytes worked through
raylib_shards_total{phase, outcome}: shards committed or failed
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["StageMetrics"]


class StageMetrics:
    """The counters of one worker process; `record` adds what a finished task reports."""

    def __init__(self) -> None:
        from ray.util.metrics import Counter

        self._records = Counter("raylib_records_total", "Records by stage and outcome.", ("stage", "outcome"))
        self._rejects = Counter("raylib_rejects_total", "Rejected records by stage and reason.", ("stage", "reason"))
        self._seconds = Counter("raylib_stage_seconds_total", "Seconds spent in a stage.", ("stage",))
        self._bytes = Counter("raylib_bytes_total", "Raw input bytes worked through.", ("phase",))
        self._shards = Counter("raylib_shards_total", "Shards by phase and outcome.", ("phase", "outcome"))

    def record(self, entry: Mapping[str, Any], statistics: Mapping[str, Any]) -> None:
        phase = entry["phase"]
        self._shards.inc(1, {"phase": phase, "outcome": "committed"})
        if entry.get("bytes_in"):
            self._bytes.inc(entry["bytes_in"], {"phase": phase})
        for stage, counts in statistics.get("counts", {}).get("stages", {}).items():
            kept = counts["in"] - counts["rejected"]
            for outcome, value in (("kept", kept), ("changed", counts["changed"]), ("rejected", counts["rejected"])):
                if value:
                    self._records.inc(value, {"stage": stage, "outcome": outcome})
        for key, value in statistics.get("counts", {}).get("reasons", {}).items():
            stage, _, reason = key.partition("/")
            self._rejects.inc(value, {"stage": stage, "reason": reason})
        for stage, seconds in statistics.get("seconds", {}).items():
            if seconds > 0:
                self._seconds.inc(seconds, {"stage": stage})

    def failed(self, phase: str) -> None:
        self._shards.inc(1, {"phase": phase, "outcome": "failed"})
